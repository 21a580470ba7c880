//! The program `qmonitor-storage-daemon`: its options in their order, its commands,
//! its end.

use std::collections::BTreeSet;
use std::path::Path;

use crate::common::{Client, Server};
use nix::sys::signal::Signal;
use serde_json::{json, Value};

const SOCKET: &str = "socket,id=q,path={dir}/q,server=on,wait=off";

fn start(args: &[&str]) -> Server {
    let program = Path::new(env!("CARGO_BIN_EXE_qmonitor-storage-daemon"));
    Server::start_program(program, args)
}

/// With a monitor on the socket `q`.
fn start_with_monitor(args: &[&str]) -> Server {
    let mut all = vec!["--chardev", SOCKET, "--monitor", "q"];
    all.extend_from_slice(args);
    start(&all)
}

/// What the program prints if it ends by itself: status, output, errors.
fn outcome(args: &[&str]) -> (Option<i32>, String, String) {
    let output = start(args).finish();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let errors = text(output.stderr).replace("qmonitor-storage-daemon:", "PROG:");
    (output.status.code(), text(output.stdout), errors)
}

#[track_caller]
fn refused(args: &[&str], message: &str) {
    let expected = (Some(1), String::new(), format!("PROG: {message}\n"));
    assert_eq!(outcome(args), expected, "{args:?}");
}

fn names(list: &Value) -> BTreeSet<&str> {
    let list = list.as_array().expect("a list").iter();
    list.filter_map(|item| item["name"].as_str()).collect()
}

#[test]
fn options_are_carried_out_in_their_order() {
    let (chardev, monitor) = (["--chardev", "null,id=a"], ["--monitor", "a"]);
    refused(
        &[monitor, chardev].concat(),
        "--monitor a: chardev \"a\" not found",
    );
    refused(
        &[chardev, monitor, monitor].concat(),
        "--monitor a: chardev 'a' is already in use",
    );
    // A word that is not an option has its turn, too.
    refused(
        &["--chardev", "null", "word"],
        "--chardev null: chardev: no id specified",
    );
    refused(&["word", "--chardev", "null"], "word: Unexpected argument");
    refused(&["--", "--version"], "--version: Unexpected argument");
}

#[test]
fn an_id_is_taken_once() {
    let message = "attempt to add duplicate property 'a' to object (type 'container')";
    refused(
        &["--chardev", "null,id=a", "--chardev=null,id=a"],
        &format!("--chardev=null,id=a: {message}"),
    );
    refused(
        &["--object", "iothread,id=a", "--object", "iothread,id=a"],
        &format!("--object iothread,id=a: {message}"),
    );
}

#[test]
fn how_options_are_written_is_looked_at_first() {
    let wrong = ["--chardev", "null"];
    for (word, message) in [
        ("--bogus=1", "unrecognized option '--bogus=1'"),
        ("--=1", "unrecognized option '--=1'"),
        ("-x", "invalid option -- 'x'"),
        ("-é", "invalid option -- 'é'"),
        ("-T", "option requires an argument -- 'T'"),
        ("--obj", "option '--object' requires an argument"),
        ("--export", "option '--export' requires an argument"),
        ("--daem=1", "option '--daemonize' doesn't allow an argument"),
    ] {
        refused(&[&wrong[..], &[word]].concat(), message);
    }
}

#[test]
fn what_this_program_has_not_is_refused() {
    for (option, arg, message) in [
        ("--export", "nbd,id=e", "this program exports no disks"),
        (
            "--nbd-server",
            "addr.type=unix",
            "this program has no NBD server",
        ),
        (
            "--chardev",
            "testdev,id=t",
            "'testdev' is not a valid char driver name",
        ),
        (
            "--object",
            "monitor-hmp,id=m,chardev=a",
            "invalid object type: monitor-hmp",
        ),
        ("--monitor", "a,bogus=1", "Parameter 'bogus' is unexpected"),
        (
            "--monitor",
            "a,pretty",
            "Expected '=' after parameter 'pretty'",
        ),
        ("--monitor", "a,mode=readline", "Only QMP is supported"),
    ] {
        let args = ["--chardev", "null,id=a", option, arg];
        refused(&args, &format!("{option} {arg}: {message}"));
    }
}

#[test]
fn help_and_version_end_the_program_whatever_else_is_asked() {
    let (status, text, errors) = outcome(&["--chardev", "null", "--version", "--bogus"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(
        text.starts_with("qemu-storage-daemon version 10.0.2 ("),
        "{text}"
    );
    let (status, text, errors) = outcome(&["-h"]);
    assert_eq!((status, errors.as_str()), (Some(0), ""));
    assert!(text.contains("\n  --monitor [chardev=]ID"), "{text}");
    let (status, text, _) = outcome(&["--chardev", "help"]);
    assert_eq!(status, Some(0));
    assert!(text.contains("  ringbuf\n") && !text.contains("testdev"));
}

#[test]
fn only_commands_of_a_storage_daemon_exist() {
    let server = start_with_monitor(&[]);
    let mut qmp = server.qmp();
    for command in ["query-status", "add-fd", "human-monitor-command", "stop"] {
        let reply = qmp.call(command, json!({}));
        assert_eq!(reply["error"]["class"], "CommandNotFound", "{reply}");
    }
    let commands = qmp.ask("query-commands");
    assert!(names(&commands).contains("chardev-add"));
    let mut schema = qmp.ask("query-qmp-schema");
    let entities = schema.as_array_mut().expect("a list");
    entities.retain(|entity| entity["meta-type"] == "command");
    assert_eq!(names(&schema), names(&commands));
    let backends = qmp.ask("query-chardev-backends");
    assert!(names(&backends).contains("socket") && !names(&backends).contains("testdev"));
    let testdev = json!({"id": "t", "backend": {"type": "testdev", "data": {}}});
    assert_eq!(
        qmp.refused("chardev-add", testdev),
        "Failed to add chardev 't': 'testdev' is not a valid char driver name"
    );
}

#[test]
fn nodes_objects_and_chardevs_can_be_made() {
    let server = start_with_monitor(&["--object", r#"{"qom-type": "iothread", "id": "t"}"#]);
    std::fs::write(server.path("disk"), [0; 1024]).unwrap();
    let mut qmp = server.qmp();
    let objects = qmp.ask_with("qom-list", json!({"path": "/objects"}));
    assert!(names(&objects).contains("t"));
    let node = json!({"driver": "file", "node-name": "d", "filename": server.path("disk")});
    qmp.ask_with("blockdev-add", node);
    let nodes = qmp.ask("query-named-block-nodes");
    assert_eq!(nodes[0]["node-name"], "d");
    let ring = json!({"id": "r", "backend": {"type": "ringbuf", "data": {}}});
    qmp.ask_with("chardev-add", ring);
    qmp.ask_with("ringbuf-write", json!({"device": "r", "data": "x"}));
    let read = qmp.ask_with("ringbuf-read", json!({"device": "r", "size": 5}));
    assert_eq!(read, "x");
}

#[test]
fn quit_ends_it_without_an_event() {
    let server = start_with_monitor(&[]);
    let mut qmp = server.qmp();
    qmp.send("{'execute': 'quit'}");
    assert_eq!(qmp.expect_close(), "{\"return\": {}}\r\n");
    let output = server.finish();
    assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]));
}

#[test]
fn signals_end_it_without_an_event() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let dir = tempfile::tempdir().unwrap();
        let pidfile = dir.path().join("pid");
        let server = start_with_monitor(&["--pidfile", pidfile.to_str().unwrap()]);
        let mut qmp = server.qmp();
        let pid = std::fs::read_to_string(&pidfile).unwrap();
        assert_eq!(pid, format!("{}\n", server.pid()));
        server.signal(signal);
        assert_eq!(qmp.expect_close(), "", "{signal}");
        assert_eq!(server.finish().status.code(), Some(0), "{signal}");
        assert!(!pidfile.exists(), "{signal}");
    }
}

#[test]
fn in_the_background_it_listens_when_the_starter_returns() {
    let dir = tempfile::tempdir().unwrap();
    let place = |arg: &str| arg.replace("{dir}", dir.path().to_str().unwrap());
    let socket = place(SOCKET);
    let args = ["--chardev", &socket, "--monitor", "q", "--daemonize"];
    assert_eq!(outcome(&args), (Some(0), String::new(), String::new()));
    let mut qmp = Client::connect(&dir.path().join("q"));
    qmp.expect_greeting();
    qmp.ask("qmp_capabilities");
    qmp.send("{'execute': 'quit'}");
    assert_eq!(qmp.expect_close(), "{\"return\": {}}\r\n");
}

#[test]
fn a_failure_in_the_background_is_told() {
    refused(
        &["--chardev", "stdio,id=s", "--daemonize"],
        "--chardev stdio,id=s: cannot use stdio with -daemonize",
    );
}
