//! What a strict server would not have liked.

use qmonitor_testkit::serde_json::{json, Value};

use crate::pages::{blocks, page, play};
use crate::process::{Client, Process};

/// The remarks: number of the request, kind, text.
fn lint(control: &mut Client) -> Vec<(u64, String, String)> {
    let reply = control.call("mock-lint", json!({}));
    let list = reply["return"]
        .as_array()
        .unwrap_or_else(|| panic!("{reply}"));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let remarks = list.iter();
    remarks
        .map(|r| (r["n"].as_u64().unwrap(), text(&r["kind"]), text(&r["text"])))
        .collect()
}

fn remark(n: u64, kind: &str, text: &str) -> (u64, String, String) {
    (n, kind.to_owned(), text.to_owned())
}

#[test]
fn a_right_client_hears_nothing() {
    let mock = Process::start("{}", &[]);
    let mut client = mock.client();
    for _ in 0..2 {
        client.send("{\"execute\": \"query-name\", \"id\": 1}\n");
        client.recv();
    }
    client
        .send("{\"execute\": \"query-name\", \"id\": 2} {\"execute\": \"query-name\", \"id\": 3}");
    client.recv();
    client.recv();
    // Without ids requests are answered in their order.
    client.send("{\"execute\": \"query-name\"} {\"execute\": \"query-name\"}");
    client.recv();
    client.recv();
    drop(client);
    let mut control = mock.control();
    assert_eq!(lint(&mut control), []);
}

#[test]
fn commands_before_the_negotiation_and_what_is_no_request() {
    let mock = Process::start("{}", &[]);
    let mut client = Client::connect(&mock.path("q"));
    client.recv();
    client.call("query-name", json!({}));
    client.call("qmp_capabilities", json!({}));
    client.call("query-name", json!({}));
    client.send("[1]\n");
    client.recv();
    let mut control = mock.control();
    let text = "query-name came before the negotiation";
    let wanted = [
        remark(1, "before-negotiation", text),
        remark(4, "no-request", "not an object"),
    ];
    assert_eq!(lint(&mut control), wanted);
    // The journal is gone, the negotiation is not.
    control.call("mock-reset", json!({}));
    client.call("query-name", json!({}));
    assert_eq!(lint(&mut control), []);
}

#[test]
fn an_id_that_is_used_again_before_the_reply() {
    let mock = Process::start("stubs: [{when: {execute: query-block}, hold: slow}]", &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.send("{\"execute\": \"query-block\", \"id\": \"a\"}\n");
    client.send("{\"execute\": \"query-name\", \"id\": \"a\"}\n");
    while control.event("MOCK_REQUEST")["data"]["state"] != "held" {}
    control.call("mock-release", json!({"point": "slow"}));
    client.recv();
    client.recv();
    client.send("{\"execute\": \"query-name\", \"id\": \"a\"}\n");
    client.recv();
    let text = "id \"a\" was still that of request 2";
    assert_eq!(lint(&mut control), [remark(3, "id-in-flight", text)]);
}

#[test]
fn what_is_deprecated() {
    let mock = Process::start("base: empty", &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.call("nbd-server-remove", json!({"name": "x"}));
    client.call("eject", json!({"id": "cd"}));
    client.call("eject", json!({"device": "cd"}));
    let nested = json!({"actions": [{"type": "drive-backup", "data": {"device": "x", "target": "y", "sync": "full"}}]});
    client.call("transaction", nested);
    let wanted = [
        remark(2, "deprecated", "command nbd-server-remove is deprecated"),
        remark(4, "deprecated", "member of eject is deprecated: device"),
        remark(
            5,
            "deprecated",
            "value 'drive-backup' of transaction is deprecated: actions[0].type",
        ),
    ];
    assert_eq!(lint(&mut control), wanted);
}

#[test]
fn a_client_that_leaves_before_its_reply() {
    let held = "stubs: [{when: {execute: query-block}, hold: slow}]";
    let mock = Process::start(held, &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.send("{\"execute\": \"query-block\"}\n");
    while control.event("MOCK_REQUEST")["data"]["state"] != "held" {}
    drop(client);
    control.event("MOCK_DISCONNECTED");
    let text = "the client left before the reply to query-block";
    assert_eq!(lint(&mut control), [remark(2, "reply-not-read", text)]);
}

#[test]
fn a_connection_that_the_mock_cuts_is_no_fault_of_the_client() {
    let cut = "
stubs: [{when: {execute: query-block}, hold: slow}]
faults: {cut: {at: event, of: STOP, do: close}}
";
    let mock = Process::start(cut, &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.send("{\"execute\": \"query-block\"}\n");
    while control.event("MOCK_REQUEST")["data"]["state"] != "held" {}
    control.call("mock-emit", json!({"event": "STOP"}));
    control.event("MOCK_DISCONNECTED");
    assert_eq!(lint(&mut control), []);
}

#[test]
fn the_remark_of_the_page() {
    let mock = Process::start("base: empty", &[]);
    let (mut control, mut client) = (mock.control(), mock.client());
    client.call("query-name", json!({}));
    client.call("eject", json!({"device": "cd"}));
    play(&mut control, &blocks(&page(), "control")[1]);
}
