//! Add a row to the human monitor.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/qmp.rs"]
mod qmp;

use qmp::Client;

#[test]
fn people_can_switch_the_lamp() {
    let mut rt = exercise::room();
    let client = Client::connect(&mut rt, "client");
    // What a person at the prompt would see.
    let mut line = |line: &str| {
        let request = format!(
            "{{'execute': 'human-monitor-command', 'arguments': {{'command-line': '{line}'}}}}"
        );
        client.ask(&mut rt, &request).join("\n")
    };

    assert_eq!(line("lamp on"), r#"{"return": ""}"#);
    assert_eq!(
        line("help lamp"),
        r#"{"return": "lamp on|off -- switch the lamp\r\n"}"#
    );
    let wrong = line("lamp dim");
    assert!(wrong.contains("'on' or 'off'"), "{wrong}");
    let lamp = client.ask(&mut rt, "{'execute': 'query-lamp'}");
    assert_eq!(lamp, [r#"{"return": {"on": true}}"#]);
}
