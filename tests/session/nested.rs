//! Monitors that talk to monitors: chardev, monitor, chardev, monitor on one
//! stack, and in a circle.

use std::time::Duration;

use qmonitor::chardev::{
    label, qemu_chr_fe_init, qemu_chr_fe_set_handlers, qemu_chr_fe_write, CharHandlers, ChardevId,
};
use qmonitor::monitor::{monitor_remove, MonitorId, MonitorMode, MonitorOptions};
use qmonitor::qapi::{Call, Error, QmpCommandOptions};

use crate::wire::wire;
use crate::world::*;

/// Handlers for the ends of wires: they keep their input.
const LISTEN: CharHandlers<Rt> = CharHandlers::new(
    |_, _| usize::MAX,
    |rt, n, bytes| rt.state.heard[n as usize].extend(bytes),
    |_, _, _| {},
);

fn monitor_on(w: &mut World, chr: ChardevId) -> MonitorId {
    let options = MonitorOptions {
        mode: Some(MonitorMode::Control),
        ..MonitorOptions::new(label(&w.rt, chr))
    };
    w.rt.monitor_init(&options).unwrap()
}

/// `say` writes to the n-th end at once and notes when that is done.
fn say(rt: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    let args = call.take_args();
    let text = args.get_str("text").unwrap_or_default().to_owned();
    let fe = rt.state.ends[int(&args, "to") as usize];
    let written = qemu_chr_fe_write(rt, fe, text.as_bytes());
    rt.state
        .notes
        .push(format!("said {}", written.is_ok_and(|n| n == text.len())));
    Ok(())
}

/// A monitor at the end of a wire whose other end is `ends[n]`; negotiated.
fn wired(w: &mut World, piece: usize) -> (usize, MonitorId) {
    let n = w.rt.state.ends.len();
    let labels = [format!("monitor{n}"), format!("end{n}")];
    let [chr, end] = wire(&mut w.rt, [&labels[0], &labels[1]], piece);
    let fe = qemu_chr_fe_init(&mut w.rt, end).unwrap();
    w.rt.state.ends.push(fe);
    w.rt.state.heard.push(Vec::new());
    qemu_chr_fe_set_handlers(&mut w.rt, fe, Some(LISTEN), n as u64);
    let id = monitor_on(w, chr);
    write(w, n, &capabilities_request("'oob'"));
    w.settle();
    assert_eq!(heard(w, n), [GREETING, "{\"return\": {}}"]);
    (n, id)
}

fn write(w: &mut World, n: usize, text: &str) {
    let fe = w.rt.state.ends[n];
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let written = qemu_chr_fe_write(&mut w.rt, fe, left).unwrap();
        left = &left[written..];
    }
}

fn heard(w: &mut World, n: usize) -> Vec<String> {
    let text = String::from_utf8(std::mem::take(&mut w.rt.state.heard[n])).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn say_req(how: &str, to: usize, text: &str, id: i64) -> String {
    let text = text.replace('\\', "\\\\").replace('\'', "\\'");
    format!("{{'{how}': 'say', 'arguments': {{'to': {to}, 'text': '{text}'}}, 'id': {id}}}")
}

fn note_oob(tag: &str, id: i64) -> String {
    note_req(tag, id).replace("'execute': 'note'", "'exec-oob': 'note-oob'")
}

fn world() -> World {
    let mut w = World::new();
    immediate(&mut w.rt, "say", OOB, say);
    w
}

#[test]
fn two_monitors_and_the_first_again_in_one_stack() {
    let mut w = world();
    let (a, b) = (wired(&mut w, usize::MAX).0, wired(&mut w, usize::MAX).0);
    let innermost = note_oob("innermost", 1);
    let back = say_req("exec-oob", a, &innermost, 2);
    let there = say_req("exec-oob", b, &back, 3);
    write(&mut w, a, &there);
    // All of it happened before the first write returned.
    w.expect_notes(&["innermost", "said true", "said true"]);
    w.settle();
    assert_eq!(heard(&mut w, a), [ok(1), ok(3)]);
    assert_eq!(heard(&mut w, b), [ok(2)]);
}

#[test]
fn the_same_in_band_takes_turns() {
    let mut w = world();
    let (a, b) = (wired(&mut w, usize::MAX).0, wired(&mut w, usize::MAX).0);
    let back = say_req("execute", a, &note_req("last", 1), 2);
    write(&mut w, a, &say_req("execute", b, &back, 3));
    w.settle();
    w.expect_notes(&["said true", "said true", "last"]);
    assert_eq!(heard(&mut w, a), [ok(3), ok(1)]);
    assert_eq!(heard(&mut w, b), [ok(2)]);
}

#[test]
fn a_command_that_feeds_its_own_session() {
    let mut w = world();
    let a = wired(&mut w, usize::MAX).0;
    let inner = note_oob("inner", 1);
    write(&mut w, a, &say_req("exec-oob", a, &inner, 2));
    w.settle();
    w.expect_notes(&["inner", "said true"]);
    assert_eq!(heard(&mut w, a), [ok(1), ok(2)]);
    // With a request behind it the session has input already and takes none.
    let busy = say_req("exec-oob", a, &inner, 3) + &note_req("behind", 4);
    write(&mut w, a, &busy);
    w.settle();
    w.expect_notes(&["said false", "behind"]);
    assert_eq!(heard(&mut w, a), [ok(3), ok(4)]);
}

#[test]
fn a_nested_command_leaves_the_current_monitor_as_it_was() {
    use qmonitor::chardev::ChardevHost;
    let mut w = world();
    immediate(
        &mut w.rt,
        "claim",
        QmpCommandOptions::NONE,
        |rt, call| -> Result<(), Error> {
            say(rt, call)?;
            let fd = rt.monitor_get_fd("mine").expect("a monitor is served")?;
            drop(fd);
            Ok(())
        },
    );
    let a = w.client("a");
    let b = wired(&mut w, usize::MAX).0;
    w.send(a, "{'execute': 'getfd', 'arguments': {'fdname': 'mine'}}");
    let null = std::fs::File::open("/dev/null").unwrap();
    a.send_fd(&mut w.rt, null.into());
    w.expect(a, &["{\"return\": {}}"]);
    let claim = say_req("execute", b, &note_oob("n", 1), 2).replace("'say'", "'claim'");
    w.send(a, claim);
    w.expect(a, &[ok(2)]);
    w.expect_notes(&["n", "said true"]);
    assert!(w.rt.monitor_get_fd("mine").is_none(), "nobody is served");
}

#[test]
fn a_nested_command_removes_the_monitor_that_it_came_through() {
    let mut w = world();
    immediate(&mut w.rt, "leave-oob", OOB, |rt, _| {
        let id = rt.state.leaver.take().unwrap();
        monitor_remove(rt, id);
        Ok(())
    });
    let (a, id) = wired(&mut w, usize::MAX);
    let b = wired(&mut w, usize::MAX).0;
    w.rt.state.leaver = Some(id);
    let there = say_req("exec-oob", b, &oob("leave-oob", 1), 2);
    write(&mut w, a, &there);
    w.settle();
    assert_eq!(heard(&mut w, b), [ok(1)]);
    assert_eq!(heard(&mut w, a), Vec::<String>::new());
    let chr = qmonitor::chardev::qemu_chr_find(&w.rt, "monitor0").unwrap();
    monitor_on(&mut w, chr);
    w.settle();
    assert_eq!(heard(&mut w, a), [GREETING]);
}

#[test]
fn an_event_from_inside_a_flush_keeps_the_order() {
    // All input makes B emit an event, and A gets it while its own output is
    // being written piece by piece.
    let mut w = world();
    let (a, _) = wired(&mut w, 3);
    let fe = w.rt.state.ends[a];
    let loud = CharHandlers {
        read: |rt: &mut Rt, n, bytes: &[u8]| {
            rt.state.heard[n as usize].extend(bytes);
            if bytes.contains(&b'!') {
                let data = Default::default();
                qmonitor::monitor::qapi_event_emit(rt, &EVENT_PLAIN, data);
            }
        },
        ..LISTEN
    };
    qemu_chr_fe_set_handlers(&mut w.rt, fe, Some(loud), a as u64);
    for id in 0..5 {
        write(
            &mut w,
            a,
            &format!("{{'exec-oob': 'note-oob', 'id': '{id}!'}}"),
        );
    }
    w.settle();
    let lines = heard(&mut w, a);
    assert_eq!(lines.len(), 10);
    for (id, line) in lines[..5].iter().enumerate() {
        assert_eq!(*line, format!("{{\"return\": {{}}, \"id\": \"{id}!\"}}"));
    }
    let event = "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": \"PLAIN\"}";
    assert_eq!(lines[5..], [event; 5]);
}

/// An overrun flushes in the middle of everything.
#[test]
fn a_burst_from_inside_a_flush_keeps_the_order() {
    let mut w = world();
    let (a, _) = wired(&mut w, 1000);
    let fe = w.rt.state.ends[a];
    let loud = CharHandlers {
        read: |rt: &mut Rt, n, bytes: &[u8]| {
            rt.state.heard[n as usize].extend(bytes);
            if bytes.starts_with(b"{\"return") {
                for id in 0..20_000 {
                    let mut data = qmonitor::qapi::QDict::new();
                    data.insert("id", id.to_string());
                    qmonitor::monitor::qapi_event_emit(rt, &EVENT_PLAIN, data);
                }
            }
        },
        ..LISTEN
    };
    qemu_chr_fe_set_handlers(&mut w.rt, fe, Some(loud), a as u64);
    write(
        &mut w,
        a,
        "{'execute': 'big', 'arguments': {'size': 3000}, 'id': 1}",
    );
    while w.rt.turn(Some(Duration::ZERO)).unwrap() {}
    let lines = heard(&mut w, a);
    let reply = format!("{{\"return\": \"{}\", \"id\": 1}}", "x".repeat(3000));
    assert_eq!(lines[0], reply);
    for (id, line) in lines[1..lines.len() - 1].iter().enumerate() {
        assert_eq!(*line, event_line("PLAIN", &id.to_string(), 0));
    }
    // No client had a chance to read them in between.
    assert_eq!(lines.last().unwrap(), GREETING);
}

#[test]
fn a_client_that_changes_while_it_is_written_to() {
    use qmonitor::chardev::{qemu_chr_be_event, qemu_chr_find, ChrEvent};
    let mut w = world();
    let (a, _) = wired(&mut w, 10);
    let fe = w.rt.state.ends[a];
    let fickle = CharHandlers {
        read: |rt: &mut Rt, n, bytes: &[u8]| {
            rt.state.heard[n as usize].extend(bytes);
            if bytes.starts_with(b"{\"return") {
                let chr = qemu_chr_find(rt, "monitor0").unwrap();
                qemu_chr_be_event(rt, chr, ChrEvent::Closed);
                qemu_chr_be_event(rt, chr, ChrEvent::Opened);
                rt.state.heard[n as usize].extend(b"|");
            }
        },
        ..LISTEN
    };
    qemu_chr_fe_set_handlers(&mut w.rt, fe, Some(fickle), a as u64);
    write(&mut w, a, &note_oob("n", 1));
    w.settle();
    assert_eq!(heard(&mut w, a), [format!("{{\"return\":|{GREETING}")]);
}

#[test]
fn a_conversation_without_end_does_not_stop_the_loop() {
    // Two monitors wired to each other: each takes the other's output for
    // requests and answers with an error, which the other takes for a request
    // again.
    let mut w = world();
    let [one, two] = wire(&mut w.rt, ["one", "two"], usize::MAX);
    monitor_on(&mut w, one);
    monitor_on(&mut w, two);
    let bystander = w.monitor("bystander");
    bystander.open(&mut w.rt);
    for _ in 0..100 {
        w.rt.turn(Some(Duration::ZERO)).unwrap();
    }
    let got = bystander.output(&mut w.rt);
    assert_eq!(String::from_utf8(got).unwrap(), format!("{GREETING}\r\n"));
    assert!(w.rt.turn(Some(Duration::ZERO)).unwrap(), "they still talk");
}
