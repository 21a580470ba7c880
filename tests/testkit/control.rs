//! The control channel.

use qmonitor_testkit::serde_json::{json, Value};

use crate::process::Process;

fn returned(reply: Value) -> Value {
    assert!(reply.get("return").is_some(), "{reply}");
    reply["return"].clone()
}

fn refused(reply: &Value) -> &str {
    reply["error"]["desc"].as_str().expect("an error")
}

#[test]
fn time_moves_when_it_is_told_and_the_mock_says_when_it_is_idle() {
    let mock = Process::start(
        "
time: virtual
stubs:
  - when: {execute: device_del, arguments: {id: $dev}}
    reply: {return: {}}
    then: [{delay: 200ms, event: DEVICE_DELETED, data: {device: $dev, path: /x}}]
",
        &[],
    );
    let mut control = mock.control();
    let mut client = mock.client();
    client.call("device_del", json!({"id": "d0"}));
    let request = loop {
        let event = control.event("MOCK_REQUEST");
        if event["data"]["execute"] == "device_del" {
            break event;
        }
    };
    assert_eq!(request["data"]["state"], "answered");
    control.event("MOCK_IDLE");
    let step = |control: &mut crate::process::Client, arguments| {
        returned(control.call("clock-step", arguments))
    };
    assert_eq!(
        step(&mut control, json!({"ns": 199_999_999})),
        json!({"now": 199_999_999, "fired": 0})
    );
    assert_eq!(
        step(&mut control, json!({})),
        json!({"now": 200_000_000, "fired": 1})
    );
    assert_eq!(client.event("DEVICE_DELETED")["data"]["device"], "d0");
    let error = control.call("clock-step", json!({"ns": -1}));
    assert_eq!(refused(&error), "time does not go back");
}

#[test]
fn real_time_cannot_be_moved() {
    let mock = Process::start("{}", &[]);
    let error = mock.control().call("clock-step", json!({}));
    assert!(refused(&error).starts_with("the mock's time is real"));
}

#[test]
fn stubs_and_faults_come_and_go_and_are_checked() {
    let mock = Process::start("{}", &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    let stub = json!({"when": {"execute": "query-name"}, "reply": {"return": {"name": "x"}}});
    let id = returned(control.call("mock-stub-add", stub));
    assert_eq!(
        returned(client.call("query-name", json!({}))),
        json!({"name": "x"})
    );
    returned(control.call("mock-stub-del", id.clone()));
    assert_eq!(returned(client.call("query-name", json!({}))), json!({}));
    let error = control.call("mock-stub-del", id);
    assert!(refused(&error).starts_with("there is no stub 'stub"));
    let wrong = json!({"when": {"execute": "query-name"}, "reply": {"return": {"nam": "x"}}});
    let error = control.call("mock-stub-add", wrong);
    assert_eq!(
        refused(&error),
        "reply.return.nam: unknown member 'nam'; did you mean 'name'?"
    );
    let fault = json!({"name": "stale-reply", "enabled": true});
    returned(control.call("mock-fault-set", fault));
    client.call("query-name", json!({}));
    assert_eq!(client.recv(), Some(json!({"return": {}})));
    let error = control.call(
        "mock-fault-set",
        json!({"name": "stale-repyl", "enabled": true}),
    );
    assert_eq!(
        refused(&error),
        "unknown fault 'stale-repyl'; did you mean 'stale-reply'?"
    );
}

#[test]
fn what_is_held_is_released_and_events_are_sent() {
    let mock = Process::start("stubs: [{when: {execute: query-block}, hold: slow}]", &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.send("{\"execute\": \"query-block\"}\n");
    while control.event("MOCK_REQUEST")["data"]["state"] != "held" {}
    returned(control.call("mock-emit", json!({"event": "STOP"})));
    client.event("STOP");
    assert_eq!(
        returned(control.call("mock-release", json!({"point": "slow"}))),
        json!({"released": 1})
    );
    assert_eq!(client.recv(), Some(json!({"return": []})));
    returned(control.call("mock-hold", json!({"point": "slow"})));
    client.send("{\"execute\": \"query-block\"}\n");
    while control.event("MOCK_REQUEST")["data"]["state"] != "held" {}
    let error = control.call(
        "mock-emit",
        json!({"event": "SHUTDOWN", "data": {"guest": 1}}),
    );
    assert!(refused(&error).contains("data.guest: expected a boolean, found an integer"));
    let error = control.call("mock-emit", json!({"event": "STOP", "to": "nobody"}));
    assert_eq!(refused(&error), "there is no monitor 'nobody'");
}

#[test]
fn requests_are_listed_verified_and_forgotten() {
    let mock = Process::start("expect: [{execute: stop}, {connections: 1}]", &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.call("device_del", json!({"id": "x"}));
    client.send("{]\n");
    client.recv();
    let list = returned(control.call("query-mock-requests", json!({})));
    assert_eq!(list.as_array().map(Vec::len), Some(3), "{list}");
    assert_eq!(list[1]["execute"], "device_del");
    assert_eq!(list[1]["arguments"], json!({"id": "x"}));
    assert_eq!(list[2]["raw"], "{]");
    assert_eq!(list[2]["state"], "answered");
    let when =
        json!({"match": {"execute": "device_del", "arguments": {"id": {"re": "^x$"}}}, "since": 1});
    let list = returned(control.call("query-mock-requests", when));
    assert_eq!(list.as_array().map(Vec::len), Some(1), "{list}");
    let verdict = returned(control.call("mock-verify", json!({})));
    let failure = "expected {execute: stop}, but it never came";
    assert_eq!(verdict, json!({"ok": false, "failures": [failure]}));
    client.call("stop", json!({}));
    let verdict = returned(control.call("mock-verify", json!({})));
    assert_eq!(verdict, json!({"ok": true, "failures": []}));
    assert_eq!(
        returned(control.call("query-mock-near-misses", json!({}))),
        json!([])
    );
    returned(control.call("mock-reset", json!({})));
    assert_eq!(
        returned(control.call("query-mock-requests", json!({}))),
        json!([])
    );
    client.call("stop", json!({}));
}

#[test]
fn the_channel_has_a_schema_of_its_own_and_its_clients_are_not_in_the_journal() {
    let mock = Process::start("{}", &["--", "-name", "n"]);
    let (mut control, mut client) = (mock.control(), mock.client());
    let names = returned(control.call("query-commands", json!({}))).to_string();
    assert!(names.contains("mock-verify") && !names.contains("device_add"));
    let names = returned(client.call("query-commands", json!({}))).to_string();
    assert!(!names.contains("mock-verify") && names.contains("device_add"));
    assert_eq!(
        returned(control.call("query-mock-argv", json!({}))),
        json!(["-name", "n"])
    );
    let schema = returned(control.call("query-qmp-schema", json!({}))).to_string();
    assert!(schema.contains("MOCK_IDLE"));
    returned(control.call("quit", json!({})));
    assert_eq!(mock.wait().0, Some(0));
}

#[test]
fn several_tests_control_a_mock_and_garbage_of_one_does_not_matter() {
    let mock = Process::start("{}", &[]);
    let mut controls: Vec<_> = (0..20).map(|_| mock.control()).collect();
    controls[0].send("\u{0}{{{]]\"garbage\n");
    let ok = json!({"return": {"ok": true, "failures": []}});
    for control in &mut controls[1..] {
        assert_eq!(control.call("mock-verify", json!({})), ok);
    }
    drop(mock.client());
    for control in &mut controls[1..] {
        assert_eq!(control.event("MOCK_CONNECTED")["data"]["connection"], 1);
    }
    drop(controls);
    assert_eq!(mock.control().call("mock-verify", json!({})), ok);
}
