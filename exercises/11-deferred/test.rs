//! A command that answers later.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/qmp.rs"]
mod qmp;

use qmp::{advance, Client};

#[test]
fn the_answer_comes_when_the_time_is_over() {
    let mut rt = exercise::room();
    let one = Client::connect(&mut rt, "one");
    let other = Client::connect(&mut rt, "other");
    let query = "{'execute': 'query-lamp'}";
    let nothing = [""; 0];

    let dim = "{'execute': 'dim-lamp', 'arguments': {'ms': 300}, 'id': 1}";
    assert_eq!(one.ask(&mut rt, dim), nothing, "it takes 300 ms");
    advance(&mut rt, 299);
    assert_eq!(
        one.received(&mut rt),
        nothing,
        "it takes a millisecond more"
    );
    assert!(rt.state.on, "the lamp is on until then");
    // One command in band at a time, of all clients, as in QEMU.
    assert_eq!(one.ask(&mut rt, query), nothing);
    assert_eq!(other.ask(&mut rt, query), nothing);

    advance(&mut rt, 1);
    assert_eq!(
        one.received(&mut rt),
        [r#"{"return": {}, "id": 1}"#, r#"{"return": {"on": false}}"#]
    );
    assert_eq!(other.received(&mut rt), [r#"{"return": {"on": false}}"#]);
}
