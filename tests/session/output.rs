//! Clients that read slowly, in pieces, or not at all.

use std::io::Read;
use std::os::unix::net::UnixStream;

use qmonitor::chardev::MemoryPeer;
use qmonitor::chardev::{qemu_chr_be_event, ChrEvent};
use qmonitor::monitor::MonitorMode;

use crate::world::*;

const EVENT_BUDGET: usize = 1024 * 1024;

fn big(command: &str, id: i64) -> String {
    format!("{{'{command}', 'arguments': {{'size': 10000}}, 'id': {id}}}")
}

fn big_reply(id: i64) -> String {
    format!("{{\"return\": \"{}\", \"id\": {id}}}", "x".repeat(10000))
}

#[test]
fn the_order_survives_partial_writes() {
    let run = |limit: usize| {
        let mut w = World::new();
        let a = w.oob_client("a");
        a.limit(&mut w.rt, limit);
        for id in 0..20 {
            w.send(a, note_req("n", id));
            w.send(
                a,
                format!("{{'execute': 'emit', 'arguments': {{'id': '{id}'}}}}"),
            );
        }
        w.send(a, "{'execute':}");
        String::from_utf8(a.recv(&mut w.rt)).unwrap()
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.lines().count(), 61);
    for limit in [1, 2, 7, 64, 1000] {
        assert_eq!(run(limit), whole, "at most {limit} bytes at a time");
    }
}

#[test]
fn a_greeting_may_take_its_time() {
    let mut w = World::new();
    let a = w.monitor("a");
    a.limit(&mut w.rt, 10);
    a.open(&mut w.rt);
    w.expect(a, &[GREETING]);
}

#[test]
fn a_client_that_does_not_read_is_not_read_and_loses_nothing() {
    for (client, command) in [
        (
            World::client as fn(&mut World, &str) -> MemoryPeer,
            "execute': 'big",
        ),
        (World::oob_client, "execute': 'big"),
        (World::oob_client, "exec-oob': 'big-oob"),
    ] {
        let mut w = World::new();
        let (a, b) = (client(&mut w, "a"), w.client("b"));
        a.limit(&mut w.rt, 0);
        for id in 0..100 {
            w.send(a, big(command, id));
        }
        w.settle();
        let executed = w.rt.state.notes.len();
        assert!(executed < 10, "{command}: {executed} executed");
        // The other clients do not notice.
        w.send(b, note_req("n", 1));
        w.expect(b, &[ok(1)]);
        // Reading a little lets the session do a little more.
        a.limit(&mut w.rt, 15_000);
        a.output(&mut w.rt);
        w.settle();
        let further = w.rt.state.notes.len() - 1;
        assert!((executed..executed + 4).contains(&further), "{further}");
        let replies: Vec<_> = (0..100).map(big_reply).collect();
        w.expect(a, &replies);
    }
}

#[test]
fn a_deferred_reply_is_kept_for_a_client_that_does_not_read() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, req("hold", 1));
    w.settle();
    a.limit(&mut w.rt, 0);
    for id in 2..12 {
        w.send(a, big("exec-oob': 'big-oob", id));
    }
    w.settle();
    w.release();
    w.settle();
    a.limit(&mut w.rt, usize::MAX);
    let text = String::from_utf8(a.recv(&mut w.rt)).unwrap();
    assert_eq!(text.lines().count(), 11);
    assert!(text.lines().any(|line| line == ok(1)));
}

#[test]
fn what_a_client_has_not_read_is_not_for_the_next_one() {
    let mut w = World::new();
    let a = w.client("a");
    a.limit(&mut w.rt, 0);
    w.send(a, big("execute': 'big", 1));
    w.settle();
    qemu_chr_be_event(&mut w.rt, a.chardev(), ChrEvent::Closed);
    a.limit(&mut w.rt, usize::MAX);
    w.connect(a, "");
    w.expect::<&str>(a, &[]);
}

#[test]
fn a_big_reply_is_no_reason_to_lose_events() {
    let mut w = World::new();
    let a = w.client("a");
    a.limit(&mut w.rt, 0);
    let size = 3 * EVENT_BUDGET;
    w.send(
        a,
        format!("{{'execute': 'big', 'arguments': {{'size': {size}}}}}"),
    );
    w.settle();
    w.emit(&EVENT_PLAIN, "behind it");
    w.settle();
    a.limit(&mut w.rt, usize::MAX);
    let reply = format!("{{\"return\": \"{}\"}}", "x".repeat(size));
    w.expect(a, &[reply, event_line("PLAIN", "behind it", 0)]);
}

#[test]
fn a_client_that_reads_gets_a_burst_of_any_size() {
    let mut w = World::new();
    let a = w.client("a");
    let burst: Vec<_> = (0..30_000).map(|n| n.to_string()).collect();
    for id in &burst {
        w.emit(&EVENT_PLAIN, id);
    }
    let lines: Vec<_> = burst.iter().map(|id| event_line("PLAIN", id, 0)).collect();
    w.expect(a, &lines);
    assert!(w.rt.state.reports.borrow().is_empty());
}

#[test]
fn a_client_that_keeps_up_may_lag_a_little_for_ever() {
    let mut w = World::new();
    let a = w.client("a");
    a.limit(&mut w.rt, 40_000);
    let mut got = Vec::new();
    for n in 0..60_000 {
        w.emit(&EVENT_PLAIN, &n.to_string());
        if n % 300 == 0 {
            w.settle();
            got.extend(a.output(&mut w.rt));
        }
    }
    got.extend(a.recv(&mut w.rt));
    assert_eq!(got.iter().filter(|b| **b == b'\n').count(), 60_000);
    assert!(w.rt.state.reports.borrow().is_empty());
}

const REASON: &str = "its client has left over 1 MiB of events unread";

#[test]
fn a_session_that_cannot_be_cut_starts_anew_behind_the_events_that_were_kept() {
    let mut w = World::new();
    let (a, b) = (w.oob_client("a"), w.client("b"));
    a.limit(&mut w.rt, 0);
    for n in 0..30_000 {
        w.emit(&EVENT_PLAIN, &n.to_string());
        if n % 1000 == 0 {
            w.settle();
            b.output(&mut w.rt);
        }
    }
    b.recv(&mut w.rt);
    assert_eq!(
        *w.rt.state.reports.borrow(),
        [format!(
            "monitor on chardev 'a': {REASON}, the session starts anew"
        )]
    );
    // Its session is in negotiation mode again.
    w.send(a, note_req("n", 1));
    a.limit(&mut w.rt, usize::MAX);
    let text = String::from_utf8(a.recv(&mut w.rt)).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let kept = lines.len() - 2;
    let line_len = event_line("PLAIN", "10000", 0).len() + 2;
    let expected = EVENT_BUDGET / line_len;
    assert!((expected..expected + 500).contains(&kept), "{kept}");
    for (n, line) in lines[..kept].iter().enumerate() {
        assert_eq!(*line, event_line("PLAIN", &n.to_string(), 0));
    }
    assert_eq!(lines[kept], GREETING);
    assert!(lines[kept + 1].contains("Expecting capabilities negotiation"));
    w.send(a, capabilities_request("") + &note_req("n", 2));
    w.expect(a, &["{\"return\": {}}", &ok(2)]);
    w.emit(&EVENT_PLAIN, "again");
    w.expect(a, &[event_line("PLAIN", "again", 0)]);
}

#[test]
fn a_session_that_starts_anew_answers_what_was_asked_before() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, req("hold", 1) + &note_req("n", 2) + &note_req("n", 3));
    w.send(a, "{'execute': 'note', 'id'");
    w.settle();
    a.limit(&mut w.rt, 0);
    for _ in 0..20_000 {
        w.emit(&EVENT_PLAIN, "x");
    }
    w.release();
    w.settle();
    w.send(a, ": 4}");
    a.limit(&mut w.rt, usize::MAX);
    let text = String::from_utf8(a.recv(&mut w.rt)).unwrap();
    let mut rest = text.lines().skip_while(|line| *line != GREETING).skip(1);
    assert_eq!(rest.next(), Some(&*ok(1)));
    for id in 2..5 {
        let line = rest.next().unwrap();
        assert!(line.starts_with(&format!("{{\"id\": {id}, ")), "{line}");
        assert!(
            line.contains("Expecting capabilities negotiation"),
            "{line}"
        );
    }
    assert_eq!(rest.next(), None);
    w.expect_notes(&[]);
    assert_eq!(w.rt.state.reports.borrow().len(), 1);
}

#[test]
fn a_socket_is_closed_and_listens_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let mut w = World::new();
    let form = format!("unix:{},server=on,wait=off", path.display());
    w.rt.monitor_parse(&form, MonitorMode::Control, false)
        .unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let request = capabilities_request("") + &req("hold", 1) + &note_req("unread", 2);
    std::io::Write::write_all(&mut client, request.as_bytes()).unwrap();
    w.settle();
    for n in 0..60_000 {
        w.emit(&EVENT_PLAIN, &n.to_string());
        if n % 1000 == 0 {
            w.settle();
        }
    }
    assert_eq!(
        *w.rt.state.reports.borrow(),
        [format!(
            "monitor on chardev 'compat_monitor0': {REASON}, the connection is closed"
        )]
    );
    w.release();
    w.settle();
    // The client can see it, and the events that it gets are in order.
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(GREETING));
    assert_eq!(lines.next(), Some("{\"return\": {}}"));
    let events: Vec<_> = lines.collect();
    for (n, line) in events[..events.len() - 1].iter().enumerate() {
        assert_eq!(*line, event_line("PLAIN", &n.to_string(), 0));
    }
    w.expect_notes(&[]);
    let mut next = UnixStream::connect(&path).unwrap();
    w.settle();
    let mut greeting = [0; GREETING.len()];
    next.read_exact(&mut greeting).unwrap();
    assert_eq!(greeting, GREETING.as_bytes());
}
