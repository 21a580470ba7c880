//! What `-trace-out` writes, while the program runs, when it ends, when it is killed and
//! when the disk is full.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{json, Value};

use crate::common::{run, Server};

/// One client that asks two things, one of them out of band, and leaves.
fn play(server: &Server) {
    let mut client = server.connect();
    client.expect_greeting();
    client.ask_with("qmp_capabilities", json!({"enable": ["oob"]}));
    client.ask("query-status");
    client.send("{\"exec-oob\": \"query-yank\"}\n");
    client.line();
    client.send("{\"execute\": \"no-such-command\"}\n");
    client.line();
}

fn read(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("the recording");
    serde_json::from_str(&text).expect("JSON")
}

fn text<'a>(event: &'a Value, key: &str) -> &'a str {
    event[key].as_str().unwrap_or_default()
}

/// Plays a session and returns the events of its recording.
fn recorded() -> Vec<Value> {
    let server = Server::start(&["-trace-out", "{dir}/t.json"]);
    play(&server);
    server.qmp().ask("quit");
    let path = server.path("t.json");
    let dir = path.parent().map(Path::to_path_buf);
    let kept = tempfile::tempdir().expect("a directory");
    let copy = kept.path().join("t.json");
    // The server's directory goes with it.
    let link = std::fs::hard_link(&path, &copy);
    link.unwrap_or_else(|e| panic!("{dir:?}: {e}"));
    assert!(server.finish().status.success());
    read(&copy)
}

#[test]
fn slices_are_turns_with_the_wait_and_the_handlers_within() {
    let mut open: Vec<(String, String)> = Vec::new();
    let mut handlers = BTreeMap::new();
    let mut before = 0.0;
    for event in recorded() {
        let ts = event["ts"].as_f64().expect("a time");
        assert!(ts >= before, "{event}");
        before = ts;
        match text(&event, "ph") {
            "B" => {
                let (name, kind) = (text(&event, "name"), text(&event, "cat"));
                let outer = open.last().map(|(_, kind)| kind.as_str());
                let expected = (kind != "main_loop_wait").then_some("main_loop_wait");
                assert_eq!(outer, expected, "{event}");
                *handlers.entry(name.to_owned()).or_insert(0) += 1;
                open.push((name.to_owned(), kind.to_owned()));
            }
            "E" => {
                let (name, kind) = open.pop().expect("a slice to end");
                let ends = match kind.as_str() {
                    "main_loop_wait" => "main_loop_wait",
                    "os_host_main_loop_wait" => "os_host_main_loop_wait_done",
                    _ => "dispatch_done",
                };
                assert_eq!(text(&event, "cat"), ends, "the end of {name}");
            }
            _ => {}
        }
    }
    assert_eq!(
        open.len(),
        1,
        "only the last turn is not followed by another: {open:?}"
    );
    for name in [
        "turn 1",
        "turn 2",
        "wait",
        "tcp_chr_accept",
        "tcp_chr_read",
        "monitor_flush",
    ] {
        assert!(handlers.contains_key(name), "{name} in {handlers:?}");
    }
}

#[test]
fn each_request_is_a_span_to_its_reply() {
    let mut open = BTreeMap::new();
    let mut spans = Vec::new();
    for event in recorded() {
        let id = text(&event, "id").to_owned();
        match text(&event, "ph") {
            "b" => {
                let name = text(&event, "name").to_owned();
                assert_eq!(open.insert(id, name), None);
            }
            "e" => {
                let name = open.remove(&id).expect("an open span");
                spans.push(format!("{name} {id}"));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    let expected = [
        "qmp_capabilities compat_monitor0 #1",
        "query-status compat_monitor0 #2",
        "query-yank compat_monitor0 oob#1",
        "no-such-command compat_monitor0 #3",
        "qmp_capabilities compat_monitor0 #1",
        "quit compat_monitor0 #2",
    ];
    assert_eq!(spans, expected);
}

#[test]
fn arrows_lead_from_the_scheduling_of_a_bottom_half_to_its_run() {
    let mut slices: Vec<String> = Vec::new();
    let mut open = BTreeMap::new();
    let mut arrows = Vec::new();
    for event in recorded() {
        match text(&event, "ph") {
            "B" => slices.push(text(&event, "name").to_owned()),
            "E" => drop(slices.pop()),
            "s" => {
                let from = slices.last().expect("a slice").clone();
                assert_eq!(open.insert(event["id"].as_i64(), from), None);
            }
            "f" => {
                let from = open.remove(&event["id"].as_i64()).expect("an arrow");
                let to = slices.last().expect("a slice");
                assert_eq!(text(&event, "name"), to);
                arrows.push(format!("{from} -> {to}"));
            }
            _ => {}
        }
    }
    assert_eq!(arrows[0], "tcp_chr_accept -> monitor_flush");
    assert_eq!(arrows[1], "tcp_chr_read -> monitor_qmp_bh_dispatcher");
}

#[test]
fn counters_end_at_nothing_owed_and_nothing_waiting() {
    let mut last = BTreeMap::new();
    let mut most = 0;
    for event in recorded() {
        if text(&event, "ph") == "C" {
            let values = event["args"].as_object().expect("values");
            let value = values.values().next().and_then(Value::as_i64);
            most = most.max(value.unwrap_or(0));
            last.insert(text(&event, "name").to_owned(), value);
        }
    }
    let expected = [
        ("compat_monitor0: bytes owed", Some(0)),
        ("compat_monitor0: requests waiting", Some(0)),
    ];
    assert_eq!(last, expected.map(|(n, v)| (n.to_owned(), v)).into());
    assert!(most > 100, "a greeting is owed");
}

#[test]
fn a_killed_program_leaves_a_whole_file() {
    let server = Server::start(&["-trace-out", "{dir}/t.json", "-trace-out", "{dir}/t.mmd"]);
    play(&server);
    let path = server.path("t.json");
    // The program is about to sleep, and writes before.
    let start = Instant::now();
    loop {
        // A read has several steps, between which the program may write.
        let text_now = std::fs::read_to_string(&path).expect("the recording");
        let events: Vec<Value> = serde_json::from_str(&text_now).unwrap_or_default();
        let last = events.iter().rev().find(|event| text(event, "ph") == "B");
        if last.is_some_and(|event| text(event, "name") == "wait")
            && events
                .iter()
                .any(|event| text(event, "name") == "tcp_chr_disconnect")
        {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{last:?}");
        std::thread::yield_now();
    }
    let before = read(&path);
    let diagram = std::fs::read_to_string(server.path("t.mmd")).expect("the diagram");
    server.signal(Signal::SIGKILL);
    assert_eq!(read(&path), before);
    assert!(diagram.starts_with("sequenceDiagram\n"));
    assert!(diagram.contains("    Qapi->>Command: qmp_enter qmp_query_status\n"));
    assert!(diagram.ends_with('\n'));
}

#[test]
fn lines_are_printed_only_as_far_as_they_are_asked_for() {
    let server = Server::start(&["-trace-out", "{dir}/t.json", "-trace", "qmp_enter"]);
    let mut client = server.qmp();
    let state = client.ask_with("trace-event-get-state", json!({"name": "tcp_chr_read"}));
    assert_eq!(state[0]["state"], "disabled");
    client.ask("quit");
    let printed = String::from_utf8(server.finish().stderr).expect("text");
    assert_eq!(
        printed,
        "qmp_enter qmp_qmp_capabilities\nqmp_enter qmp_trace_event_get_state\nqmp_enter qmp_quit\n"
    );
}

#[test]
fn a_file_that_cannot_be_made_is_refused() {
    for (file, reason) in [
        ("/no/such/t.json", "No such file or directory"),
        ("t.txt", "the name ends neither with .json nor with .mmd"),
    ] {
        let output = run(&["-trace-out", file]);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("-trace-out {file}: {file}: {reason}\n");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.ends_with(&expected), "{said}");
    }
}

/// What a websocket has sent when it ends, without the frames.
fn followed(address: SocketAddr) -> impl FnOnce() -> String {
    let start = Instant::now();
    let mut stream = loop {
        match TcpStream::connect(address) {
            Ok(stream) => break stream,
            Err(e) => assert!(start.elapsed() < Duration::from_secs(20), "{e}"),
        }
        std::thread::yield_now();
    };
    let request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: binary\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("sent");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a timeout");
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).expect("an answer");
    assert!(line.contains("101"), "{line}");
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).expect("the head");
    }
    move || {
        let mut text = Vec::new();
        let mut head = [0; 2];
        while stream.read_exact(&mut head).is_ok() && head[0] & 15 == 2 {
            let mut long = [0; 2];
            let length = if head[1] == 126 {
                stream.read_exact(&mut long).expect("a length");
                usize::from(u16::from_be_bytes(long))
            } else if head[1] == 127 {
                let mut longer = [0; 8];
                stream.read_exact(&mut longer).expect("a length");
                u64::from_be_bytes(longer) as usize
            } else {
                usize::from(head[1])
            };
            let before = text.len();
            text.resize(before + length, 0);
            stream.read_exact(&mut text[before..]).expect("a frame");
        }
        String::from_utf8(text).expect("text")
    }
}

#[test]
fn a_running_program_is_followed_from_its_first_step_to_its_last() {
    // An address of this process alone, so that no other takes the port meanwhile.
    let [high, low, ..] = std::process::id().to_le_bytes();
    let own = Ipv4Addr::new(127, 77, low, high.max(1));
    let listener = TcpListener::bind((own, 0)).expect("a port");
    let address = listener.local_addr().expect("its number");
    drop(listener);
    let option = format!("websocket:{address}");
    let server = Server::start(&["-trace", "*", "-trace-out", &option]);
    let mut client = server.qmp();
    // What was before is sent as well.
    let rest = followed(address);
    client.ask("query-status");
    client.ask("quit");
    let printed = String::from_utf8(server.finish().stderr).expect("text");
    let sent = rest();
    let array = format!("{}]", sent.trim_end().trim_end_matches(','));
    let events: Vec<Value> = serde_json::from_str(&array).expect("JSON");
    let shown: Vec<String> = events
        .iter()
        .filter(|event| matches!(text(event, "ph"), "B" | "i"))
        .map(|event| {
            let name = if text(event, "ph") == "B" {
                "cat"
            } else {
                "name"
            };
            format!("{} {}", text(event, name), text(&event["args"], "text"))
        })
        .collect();
    let lines = printed.lines().filter(|line| {
        let ends = ["dispatch_done", "os_host_main_loop_wait_done"];
        !ends.iter().any(|end| line.starts_with(end))
    });
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    assert_eq!(shown, lines);
    assert!(lines.iter().any(|line| line.starts_with("monitor_parse")));
    assert!(lines
        .iter()
        .any(|line| line.starts_with("chardev_finalize")));
}

/// The page explains each event in the words of the table.
#[test]
fn the_view_knows_all_events() {
    let page = include_str!("../../docs/view/qmonitor-view.html");
    let begin = "id=\"abouts\">";
    let (_, rest) = page.split_once(begin).expect("the explanations");
    let (abouts, _) = rest.split_once("</script>").expect("their end");
    let abouts: BTreeMap<String, String> = serde_json::from_str(abouts).expect("JSON");
    let events = qmonitor::trace::ALL.iter();
    let expected: BTreeMap<String, String> = events
        .map(|event| (event.name.to_owned(), event.about.to_owned()))
        .collect();
    assert_eq!(abouts, expected);
}

#[test]
fn a_trace_that_cannot_be_served_is_refused() {
    for (address, reason) in [
        ("nowhere", "'nowhere' is not HOST:PORT"),
        (
            "127.0.0.1:x",
            "address resolution failed for 127.0.0.1:x: Servname not supported for ai_socktype",
        ),
    ] {
        let output = run(&["-trace-out", &format!("websocket:{address}")]);
        assert_eq!(output.status.code(), Some(1));
        let expected = format!("-trace-out websocket:{address}: {reason}\n");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.ends_with(&expected), "{said}");
    }
}

#[test]
fn a_disk_that_is_full_ends_the_recording_and_not_the_program() {
    let dir = tempfile::tempdir().expect("a directory");
    let full = dir.path().join("full.json");
    std::os::unix::fs::symlink("/dev/full", &full).expect("a link");
    let output = run(&["-trace-out", &full.display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "it is noticed at once");

    // A limit of the file's size is a disk that fills up. The signal is ignored.
    let script = "ulimit -f 8; trap '' XFSZ; exec \"$@\"";
    let program = env!("CARGO_BIN_EXE_qmonitor");
    let args = [
        "-c",
        script,
        "sh",
        program,
        "-nodefaults",
        "-qmp",
        "unix:{dir}/q,server=on,wait=off",
        "-trace-out",
        "{dir}/t.json",
    ];
    let server = Server::start_program(Path::new("/bin/sh"), &args);
    let mut client = server.qmp();
    for _ in 0..20 {
        client.ask("query-status");
    }
    let path = server.path("t.json");
    assert!(read(&path).len() > 10);
    client.ask("quit");
    let place = path.display().to_string();
    let output = server.finish();
    assert!(output.status.success());
    let expected = format!("The trace in '{place}' ends here: File too large\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}
