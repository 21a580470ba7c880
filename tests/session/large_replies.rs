//! Replies that are larger than a monitor allows.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use qmonitor::chardev::{chardev_add, qemu_chr_parse_cli, MemoryPeer};
use qmonitor::monitor::{MonitorMode, MonitorOptions};

use crate::world::*;

const LIMIT: u64 = 100_000;

fn limited(w: &World, peer: MemoryPeer) -> MonitorOptions {
    MonitorOptions {
        max_reply_size: Some(LIMIT),
        ..w.options(peer)
    }
}

fn reason(chardev: &str, what: &str) -> String {
    format!(
        "monitor on chardev '{chardev}': \
         the reply to its client would be larger than {LIMIT} bytes, {what}"
    )
}

/// A request whose reply repeats an id of `depth` lists in each other.
fn deep(command: &str, depth: usize) -> String {
    let (open, close) = ("[".repeat(depth), "]".repeat(depth));
    format!("{{'execute': '{command}', 'id': {open}{close}}}")
}

#[test]
fn the_layout_of_a_reply_counts_and_the_session_starts_anew() {
    let mut w = World::new();
    let other = w.client("other");
    let peer = MemoryPeer::new(&mut w.rt, "a").unwrap();
    let options = MonitorOptions {
        pretty: Some(true),
        ..limited(&w, peer)
    };
    w.rt.monitor_init(&options).unwrap();
    peer.open(&mut w.rt);
    peer.send(&mut w.rt, capabilities_request(""));
    peer.recv(&mut w.rt);
    w.send(peer, deep("note", 100));
    assert!(
        peer.recv(&mut w.rt).len() > 20_000,
        "it is within the limit"
    );
    w.expect_notes(&[""]);
    w.send(peer, deep("note", 500));
    w.settle();
    let anew = [reason("a", "the session starts anew")];
    assert_eq!(*w.rt.state.reports.borrow(), anew);
    let text = String::from_utf8(peer.recv(&mut w.rt)).unwrap();
    assert!(text.starts_with("{\r\n    \"QMP\": {"), "{text}");
    w.expect_notes(&[""]);
    w.send(other, note_req("n", 1));
    w.expect(other, &[ok(1)]);
}

#[test]
fn the_answer_of_a_command_that_answers_later_counts_as_well() {
    let mut w = World::new();
    let peer = MemoryPeer::new(&mut w.rt, "a").unwrap();
    let options = limited(&w, peer);
    w.rt.monitor_init(&options).unwrap();
    w.connect(peer, "");
    // Each of the characters takes six bytes of the reply.
    let id = "\u{e9}".repeat(20_000);
    w.send(peer, format!("{{'execute': 'hold', 'id': '{id}'}}"));
    w.send(peer, note_req("behind", 2));
    w.settle();
    assert!(w.rt.state.reports.borrow().is_empty());
    w.release();
    let text = String::from_utf8(peer.recv(&mut w.rt)).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(GREETING));
    let refused = lines.next().unwrap();
    assert!(
        refused.contains("Expecting capabilities negotiation"),
        "{refused}"
    );
    let anew = [reason("a", "the session starts anew")];
    assert_eq!(*w.rt.state.reports.borrow(), anew);
}

#[test]
fn a_socket_is_closed_and_serves_the_next_client() {
    let mut w = World::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let socket = format!("socket,id=s,path={},server=on,wait=off", path.display());
    let (id, config) = qemu_chr_parse_cli(&socket, &mut Vec::new()).unwrap();
    chardev_add(&mut w.rt, &id, config).unwrap();
    let options = MonitorOptions {
        mode: Some(MonitorMode::Control),
        max_reply_size: Some(LIMIT),
        ..MonitorOptions::new("s")
    };
    w.rt.monitor_init(&options).unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let big = "{'execute': 'big', 'arguments': {'size': 100000}, 'id': 1}";
    let requests = capabilities_request("") + big + &note_req("behind", 2);
    client.write_all(requests.as_bytes()).unwrap();
    w.settle();
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, format!("{GREETING}\r\n{{\"return\": {{}}}}\r\n"));
    let closed = [reason("s", "the connection is closed")];
    assert_eq!(*w.rt.state.reports.borrow(), closed);
    w.expect_notes(&["big"]);
    let mut next = UnixStream::connect(&path).unwrap();
    w.settle();
    let mut greeting = [0; GREETING.len()];
    next.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, GREETING.as_bytes());
}
