//! Add an event.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/qmp.rs"]
mod qmp;

use qmp::Client;

#[test]
fn all_clients_hear_of_a_change() {
    let mut rt = exercise::room();
    let one = Client::connect(&mut rt, "one");
    let other = Client::connect(&mut rt, "other");
    let on = "{'execute': 'set-lamp', 'arguments': {'on': true}}";
    let event = r#"{"event": "LAMP_CHANGED", "data": {"on": true}}"#;
    let done = r#"{"return": {}}"#;

    assert_eq!(
        one.ask(&mut rt, on),
        [event, done],
        "the event comes before the reply"
    );
    assert_eq!(
        other.received(&mut rt),
        [event],
        "the other client hears of it"
    );

    assert_eq!(one.ask(&mut rt, on), [done], "it was on already");
    assert_eq!(
        other.received(&mut rt),
        [""; 0],
        "so there is nothing to hear"
    );
}
