//! Scenarios that are saved: what is in force, in the format that is read.

use qmonitor_testkit::scenario::Scenario;
use qmonitor_testkit::serde_json::json;
use qmonitor_testkit::server::{Server, Setup};

use crate::pages::{blocks, page, root};
use crate::process::Process;

fn read(text: &str) -> Scenario {
    Scenario::read("t", text, None).unwrap_or_else(|e| panic!("{}\n{text}", e[0]))
}

fn saved(text: &str) -> String {
    Server::start(Setup::new(read(text))).unwrap().scenario()
}

/// Each way to write something.
const ALL: &str = r#"
profile: "11.1"
base: strict
machine: [-name, n]
seed: 18446744073709551615
time: real
start: {seconds: 5, microseconds: 7}
stubs:
  - when: {execute: device_del, nth: 2, exact: true, arguments: {id: $dev}}
    before: [{event: STOP}]
    replies: [{return: {}}, {error: {class: DeviceNotFound, desc: "no $dev, $$"}}]
    then: [{delay: 1.5s, event: DEVICE_DELETED, data: {device: $dev, path: /x}, throttle: true}]
    delay: 90s
    times: 3
    follows: {execute: stop}
  - when: {execute: {re: "^query-"}, arguments: {a: {any: true}, b: {absent: true}, c: {eq: {re: x}}}}
    pass: true
  - when: {execute: query-name, arguments: {a: $$x, b: [1, {c: null}], d: 0.5}}
    unchecked: true
    reply: {return: 5}
  - {when: {execute: query-block}, hold: slow, reply: {return: []}}
  - {when: {hmp: info balloon}, text: "balloon\n"}
faults:
  chop:
  storm: {probability: 0.25}
  silent: false
  off: {at: reply, of: {re: "^query-"}, do: drop, enabled: false}
  more: {at: reply, nth: 2, do: [{delay: 2ms}, {duplicate: 2}, {id: stale}, {id: [1]}, {pad: 1KiB}, {send: 9}, {exit: 3}]}
  first: {at: connect, do: {event-first: STOP, data: {}}}
  ask: {at: request, do: [{events: 3, event: STOP}, silence, stop-reading]}
  ends: {at: event, of: STOP, do: [{send: half}, kill, close, reset]}
  out: {at: output, do: [{slice: random}, {hold-for: 3}]}
  door: {at: listen, nth: 9, do: [close-listener, accept-and-close, never-accept]}
  mute: {at: connect, nth: 9, do: [no-greeting, silence]}
expect:
  - {execute: cont, times: 1, follows: {execute: device_add}}
  - {never: {execute: quit}}
  - {connections: 1}
"#;

#[test]
fn what_is_saved_reads_back_as_the_same() {
    let files = std::fs::read_dir(root().join("docs/scenarios")).unwrap();
    let mut texts = vec![ALL.to_owned(), "{}".to_owned()];
    texts.extend(files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()));
    texts.extend(blocks(&page(), "yaml"));
    for text in texts {
        let first = saved(&text);
        let (before, after) = (read(&text), read(&first));
        let parts = |s: &Scenario| {
            let on = s.faults.iter().filter(|fault| fault.enabled);
            let faults: Vec<_> = on.map(|f| (&f.name, &f.of, f.nth, &f.actions)).collect();
            format!("{:?} {:?} {:?} {faults:?}", s.start, s.stubs, s.expect)
        };
        assert_eq!(parts(&before), parts(&after), "{first}");
        assert_eq!((before.base, &before.machine), (after.base, &after.machine));
        assert_eq!(first, saved(&first));
    }
    assert!(saved(ALL).contains("\"seed\": 18446744073709551615"));
    assert!(saved(ALL).contains("\"off\": {\"at\": \"reply\""));
    assert!(!saved(ALL).contains("silent"));
}

#[test]
fn what_was_added_and_switched_is_saved_and_serves_again() {
    let scenario = "stubs: [{when: {execute: stop}, pass: true}]\nexpect: [{connections: 1}]";
    let mock = Process::start(scenario, &["--seed", "9", "--", "-name", "n"]);
    let mut control = mock.control();
    let stub = json!({"when": {"execute": "query-uuid"}, "reply": {"return": {"UUID": "x"}}});
    let nothing = json!({"return": {}});
    let added = control.call("mock-stub-add", stub);
    assert_eq!(added, json!({"return": {"id": "stub2"}}));
    let fault = json!({"name": "stale-reply", "enabled": true});
    assert_eq!(control.call("mock-fault-set", fault), nothing);
    let file = mock.path("saved.yaml");
    assert_eq!(control.call("mock-save", json!({"file": file})), nothing);
    let text = std::fs::read_to_string(&file).unwrap();
    let wanted = r#"{
  "machine": ["-name", "n"],
  "seed": 9,
  "time": "real",
  "stubs": [
    {"when": {"execute": "query-uuid"}, "reply": {"return": {"UUID": "x"}}},
    {"when": {"execute": "stop"}, "pass": true}
  ],
  "faults": {
    "stale-reply": {"at": "reply", "do": [{"duplicate": 1}]}
  },
  "expect": [
    {"connections": 1}
  ]
}
"#;
    assert_eq!(text, wanted);

    let again = Process::start(&text, &[]);
    // The reply to the negotiation comes twice as well.
    let mut client = again.client();
    assert_eq!(client.recv(), Some(nothing));
    let reply = json!({"return": {"UUID": "x"}});
    assert_eq!(client.call("query-uuid", json!({})), reply);

    let nowhere = mock.path("no/such/directory");
    let refused = control.call("mock-save", json!({"file": nowhere}));
    let text = refused["error"]["desc"].as_str().expect("an error");
    assert!(text.contains("no/such/directory: No such file"), "{text}");
}

#[test]
fn a_schema_of_ones_own_is_named_by_its_whole_path() {
    let dir = tempfile::tempdir().unwrap();
    let schema = root().join("crates/testkit/profiles/qemu-10.0.json");
    std::fs::copy(schema, dir.path().join("own.json")).unwrap();
    let file = dir.path().join("s.yaml");
    std::fs::write(&file, "profile: {schema: own.json}").unwrap();
    let scenario = Scenario::load(file.to_str().unwrap(), None).unwrap();
    let saved = Server::start(Setup::new(scenario)).unwrap().scenario();
    assert!(read(&saved)
        .profile
        .is_some_and(|path| path.starts_with('/')));
}
