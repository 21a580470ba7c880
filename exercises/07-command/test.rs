//! Add a command.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/qmp.rs"]
mod qmp;

use qmp::Client;

#[test]
fn the_lamp_can_be_switched() {
    let mut rt = exercise::room();
    let client = Client::connect(&mut rt, "client");
    let mut ask = |request: &str| client.ask(&mut rt, request).join("\n");

    assert_eq!(
        ask("{'execute': 'query-lamp'}"),
        r#"{"return": {"on": false}}"#
    );
    assert_eq!(
        ask("{'execute': 'set-lamp', 'arguments': {'on': true}}"),
        r#"{"return": {}}"#
    );
    assert_eq!(
        ask("{'execute': 'query-lamp'}"),
        r#"{"return": {"on": true}}"#
    );
    // The schema checks arguments before your function is called.
    assert_eq!(
        ask("{'execute': 'set-lamp', 'arguments': {'on': 1}}"),
        r#"{"error": {"class": "GenericError", "desc": "Invalid parameter type for 'on', expected: boolean"}}"#
    );
    assert_eq!(
        ask("{'execute': 'set-lamp'}"),
        r#"{"error": {"class": "GenericError", "desc": "Parameter 'on' is missing"}}"#
    );
}
