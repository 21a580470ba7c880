//! The recorder.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use qmonitor_testkit::serde_json::json;

use crate::process::{Client, Process, PROGRAM};

#[test]
fn what_was_recorded_is_played_again() {
    let upstream = Process::start(
        "
stubs:
  - {when: {execute: query-name}, replies: [{return: {name: first}}, {return: {name: second}}]}
  - {when: {execute: device_del}, before: [{event: POWERDOWN}], reply: {error: {class: DeviceNotFound, desc: gone}}}
",
        &[],
    );
    let out = upstream.path("out.yaml");
    let (real, proxy) = (upstream.path("q"), upstream.path("p"));
    let mut recorder = Command::new(PROGRAM)
        .arg("--record")
        .arg(&out)
        .args(["--upstream", &format!("unix:{}", real.display())])
        .args(["--qmp", &format!("unix:{}", proxy.display())])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(recorder.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.map(Result::unwrap).take(2).collect();
    assert_eq!(
        lines,
        [
            format!("listening qmp unix:{}", proxy.display()),
            "ready".to_owned()
        ]
    );
    let play = |client: &mut Client| {
        let name = |client: &mut Client| client.call("query-name", json!({}));
        let replies = [
            name(client),
            name(client),
            client.call("device_del", json!({"id": "d"})),
        ];
        let event = client.event("POWERDOWN");
        (replies, event["event"].clone())
    };
    let mut client = Client::negotiated(&proxy);
    let first = play(&mut client);
    assert_eq!(first.0[1], json!({"return": {"name": "second"}}));
    drop(client);
    assert!(recorder.wait().unwrap().success());
    let scenario = std::fs::read_to_string(&out).unwrap();
    let again = Process::start(&scenario, &[]);
    assert_eq!(play(&mut again.client()), first);
}

#[test]
fn a_recorder_needs_both_its_ends() {
    let run = |args: &[&str]| {
        let output = Command::new(PROGRAM).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), text)
    };
    let (status, text) = run(&["--record", "x", "--qmp", "unix:/nowhere/q"]);
    assert_eq!(
        (status, text.as_str()),
        (Some(2), "qmonitor-mock: --record: --upstream is missing\n")
    );
    let (status, text) = run(&[
        "--record",
        "x",
        "--upstream",
        "unix:/u",
        "--qmp",
        "unix:/nowhere/q",
    ]);
    assert_eq!(status, Some(2));
    assert!(
        text.starts_with("qmonitor-mock: unix:/nowhere/q: No such file"),
        "{text}"
    );
}
