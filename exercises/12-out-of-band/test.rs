//! A command out of band.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/qmp.rs"]
mod qmp;

use qmp::Client;

#[test]
fn the_panic_button_overtakes_what_waits() {
    let mut rt = exercise::room();
    let client = Client::connect(&mut rt, "client");
    let nothing = [""; 0];

    let wait = "{'execute': 'wait-for-off', 'id': 'wait'}";
    assert_eq!(client.ask(&mut rt, wait), nothing, "the lamp is on");
    let query = "{'execute': 'query-lamp', 'id': 'query'}";
    assert_eq!(
        client.ask(&mut rt, query),
        nothing,
        "it waits behind the other"
    );

    let button = "{'exec-oob': 'panic-button', 'id': 'button'}";
    assert_eq!(
        client.ask(&mut rt, button),
        [
            r#"{"return": {}, "id": "button"}"#,
            r#"{"return": {}, "id": "wait"}"#,
            r#"{"return": {"on": false}, "id": "query"}"#,
        ],
        "the button first, then the others in their order"
    );
}
