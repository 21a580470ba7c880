//! Ends: of the program, of a monitor, of a chardev.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use qmonitor::chardev::{qemu_chr_find, ChardevHost};
use qmonitor::main_loop::TimeSource;
use qmonitor::monitor::{
    monitor_remove, qapi_event_emit, MonitorCloseAction, MonitorMode, MonitorOptions,
};
use qmonitor::qapi::QDict;

use crate::world::*;

/// Turns until exit is requested, as `Runtime::run` does.
#[track_caller]
fn until_exit(w: &mut World) {
    for _ in 0..1000 {
        if w.rt.exit_requested().is_some() {
            return;
        }
        w.rt.turn(Some(Duration::ZERO)).unwrap();
    }
    panic!("nobody asked for exit");
}

#[test]
fn quit_is_announced_and_answered_and_what_is_behind_it_not_executed() {
    for capabilities in ["", "'oob'"] {
        let mut w = World::new();
        w.rt.set_quit_handler(|rt| {
            qapi_event_emit(rt, &EVENT_PLAIN, QDict::new());
            rt.request_exit(3);
        });
        let (a, b) = (w.monitor("a"), w.client("b"));
        w.connect(a, capabilities);
        w.send(a, req("quit", 1) + &note_req("behind", 2));
        until_exit(&mut w);
        // Also a reply that comes while the program waits for other clients to
        // read.
        w.send(b, note_req("behind", 3));
        w.send(a, oob("note-oob", 4));
        let event = "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": \"PLAIN\"}";
        w.expect(a, &[event, &ok(1)]);
        w.expect(b, &[event]);
        assert_eq!(w.rt.run().unwrap(), 3);
        w.expect_notes(&[]);
    }
}

#[test]
fn the_first_request_for_exit_wins() {
    let mut w = World::new();
    w.rt.request_exit(1);
    w.rt.request_exit(2);
    assert_eq!(w.rt.run().unwrap(), 1);
}

#[test]
fn all_that_is_owed_is_written_before_the_program_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("q");
    let mut w = World::with_time(TimeSource::system());
    let form = format!("unix:{},server=on,wait=off", path.display());
    w.rt.monitor_parse(&form, MonitorMode::Control, false)
        .unwrap();
    let mut client = UnixStream::connect(&path).unwrap();
    let reader = std::thread::spawn(move || {
        let size = "{'execute': 'big', 'arguments': {'size': 5000000}}";
        let script = capabilities_request("'oob'") + size + "{'execute': 'quit'}";
        std::io::Write::write_all(&mut client, script.as_bytes()).unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        text
    });
    assert_eq!(w.rt.run().unwrap(), 0);
    let text = reader.join().unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[2].len(), 5_000_014);
    assert_eq!(lines[3], "{\"return\": {}}");
    assert!(!path.exists(), "the socket file is removed");
}

#[test]
fn a_client_that_does_not_read_delays_the_end_by_a_second_of_the_loop_s_time() {
    let mut w = World::new();
    let a = w.client("a");
    a.limit(&mut w.rt, 5);
    w.send(a, req("quit", 1));
    let start = Instant::now();
    let before = w.now_ns();
    assert_eq!(w.rt.run().unwrap(), 0);
    assert_eq!(w.now_ns() - before, 1_000_000_000);
    assert!(start.elapsed() < Duration::from_millis(900));
}

#[test]
fn a_command_under_way_does_not_delay_the_end() {
    let mut w = World::new();
    let (a, b) = (w.client("a"), w.oob_client("b"));
    immediate(&mut w.rt, "quit-oob", OOB, |rt, _| {
        rt.request_exit(0);
        Ok(())
    });
    w.send(a, req("hold", 1));
    w.settle();
    w.send(b, oob("quit-oob", 2));
    until_exit(&mut w);
    w.release();
    w.expect(b, &[ok(2)]);
    assert_eq!(w.rt.run().unwrap(), 0);
    assert_eq!(w.now_ns(), 0);
}

#[test]
fn a_chardev_in_use_is_busy_also_for_its_own_monitor() {
    let mut w = World::new();
    let a = w.client("a");
    w.send(
        a,
        "{'execute': 'chardev-remove', 'arguments': {'id': 'a'}, 'id': 1}",
    );
    w.expect(a, &[err("1", "Chardev 'a' is busy")]);
    w.send(a, note_req("n", 2));
    w.expect(a, &[ok(2)]);
}

#[test]
fn a_monitor_removed_by_its_own_command_has_said_what_it_owed_before() {
    for capabilities in ["", "'oob'"] {
        let mut w = World::new();
        let (a, id) = w.monitor_with("a", false);
        let b = w.client("b");
        w.connect(a, capabilities);
        w.rt.state.leaver = Some(id);
        w.send(
            a,
            note_req("a", 1) + &req("leave", 2) + &note_req("behind", 3),
        );
        w.send(b, note_req("b", 4));
        w.expect(a, &[ok(1)]);
        w.expect(b, &[ok(4)]);
        w.expect_notes(&["a", "b"]);
        // The chardev is free again, and a new monitor starts afresh on it.
        w.monitor_on(a, false);
        w.expect(a, &[GREETING]);
        w.send(a, capabilities_request(""));
        w.expect(a, &["{\"return\": {}}"]);
    }
}

#[test]
fn a_monitor_removed_by_another_s_command() {
    let mut w = World::new();
    let (a, id) = w.monitor_with("a", false);
    w.connect(a, "'oob'");
    let b = w.oob_client("b");
    w.rt.state.leaver = Some(id);
    w.send(b, req("hold", 0) + &req("leave", 1));
    w.settle();
    w.send(a, note_req("a", 2) + &note_req("a", 3));
    w.settle();
    w.release();
    w.expect(b, &[ok(0), ok(1)]);
    w.send(
        b,
        "{'execute': 'chardev-remove', 'arguments': {'id': 'a'}, 'id': 4}",
    );
    w.expect(b, &[ok(4)]);
    w.expect_notes(&[]);
}

#[test]
fn a_monitor_removed_while_its_client_does_not_read() {
    let mut w = World::new();
    let (a, id) = w.monitor_with("a", false);
    w.connect(a, "");
    a.limit(&mut w.rt, 5);
    w.send(a, note_req("n", 1));
    w.settle();
    monitor_remove(&mut w.rt, id);
    assert_eq!(a.output(&mut w.rt), b"{\"ret");
    w.expect::<&str>(a, &[]);
}

#[test]
fn removing_what_is_gone_does_nothing() {
    let mut w = World::new();
    let (a, id) = w.monitor_with("a", false);
    monitor_remove(&mut w.rt, id);
    // A new monitor in the same slot is not affected.
    w.monitor_on(a, false);
    monitor_remove(&mut w.rt, id);
    w.connect(a, "");
}

/// One held request and three behind it. With out-of-band execution, two of
/// these fit into the queue.
fn four_requests() -> String {
    req("hold", 0) + &note_req("a", 1) + &note_req("b", 2) + &note_req("c", 3)
}

#[test]
fn who_stops_sending_gets_all_answers_before_the_end() {
    for capabilities in ["", "'oob'"] {
        let mut w = World::new();
        let a = w.monitor("a");
        w.connect(a, capabilities);
        w.send(a, four_requests());
        a.half_close(&mut w.rt);
        assert!(w.is_open(a));
        w.release();
        w.expect(a, &[ok(0), ok(1), ok(2), ok(3)]);
        w.expect_notes(&["a", "b", "c"]);
        assert!(!w.is_open(a));
    }
}

#[test]
fn a_command_of_a_former_client_is_not_waited_for() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, oob("hold-oob", 1));
    w.settle();
    a.close(&mut w.rt);
    w.settle();
    w.connect(a, "");
    a.half_close(&mut w.rt);
    assert!(!w.is_open(a));
}

#[test]
fn who_stops_sending_may_take_its_time_to_read() {
    let mut w = World::new();
    let a = w.client("a");
    a.limit(&mut w.rt, 10);
    w.send(a, note_req("a", 1) + &note_req("b", 2));
    a.half_close(&mut w.rt);
    w.settle();
    assert_eq!(a.output(&mut w.rt), b"{\"return\":");
    w.advance(10_000);
    assert!(w.is_open(a));
    let mut rest = String::new();
    loop {
        let more = a.output(&mut w.rt);
        if more.is_empty() {
            break;
        }
        rest += std::str::from_utf8(&more).unwrap();
        w.settle();
    }
    assert!(rest.ends_with(&format!("{}\r\n", ok(2))), "{rest}");
    assert!(!w.is_open(a));
}

#[test]
fn what_a_client_that_is_gone_has_queued_is_dropped() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, four_requests());
    w.settle();
    a.close(&mut w.rt);
    w.settle();
    w.release();
    w.connect(a, "");
    w.expect_notes(&[]);
}

#[test]
fn with_drain_on_close_it_is_carried_out_and_the_next_client_waits_for_that() {
    for capabilities in ["", "'oob'"] {
        let mut w = World::new();
        let drain = MonitorOptions {
            drain_on_close: Some(true),
            ..MonitorOptions::new("")
        };
        let a = w.client_with(capabilities, drain);
        w.send(a, four_requests());
        a.close(&mut w.rt);
        w.advance(60_000);
        assert!(w.is_open(a), "the next client has to wait");
        w.release();
        assert!(!w.is_open(a));
        w.expect_notes(&["a", "b", "c"]);
    }
}

#[test]
fn what_is_drained_does_not_outlive_the_program() {
    let mut w = World::new();
    let drain = MonitorOptions {
        drain_on_close: Some(true),
        ..MonitorOptions::new("")
    };
    let a = w.client_with("'oob'", drain);
    w.send(a, req("quit", 0) + &note_req("behind", 1));
    a.close(&mut w.rt);
    until_exit(&mut w);
    assert_eq!(w.rt.run().unwrap(), 0);
    assert_eq!(w.now_ns(), 0);
    w.expect_notes(&[]);
}

#[test]
fn a_monitor_can_go_with_its_client_and_take_its_chardev_along() {
    for capabilities in ["", "'oob'"] {
        let mut w = World::new();
        let delete = MonitorOptions {
            close_action: Some(MonitorCloseAction::Delete),
            ..MonitorOptions::new("")
        };
        let b = w.client("b");
        let a = w.client_with(capabilities, delete);
        w.send(a, four_requests());
        w.settle();
        a.close(&mut w.rt);
        w.settle();
        // A command under way does not keep it.
        assert_eq!(qemu_chr_find(&w.rt, "client"), None);
        assert_eq!(w.rt.chardevs().len(), 1);
        w.release();
        w.settle();
        w.expect_notes(&[]);
        w.send(b, note_req("n", 1));
        w.expect(b, &[ok(1)]);
    }
}
