//! Commands that are answered later, never, or by a panic.

use std::cell::RefCell;
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::eventfd::{EfdFlags, EventFd};
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, TimeSource, Watch};
use qmonitor::monitor::qapi_event_emit;
use qmonitor::qapi::{
    Call, Error, QDict, QObject, QmpCommand, QmpCommandFunc, QmpCommandOptions, RawResponder,
    Responder, SpecialFeatures,
};

use crate::fd_guard::FdGuard;
use crate::world::*;

const ABANDONED: &str = "The command was abandoned without an answer";

fn value(n: i64) -> Result<QObject, Error> {
    Ok(n.into())
}

fn add(w: &mut World, name: &'static str, func: fn(&mut Rt, &mut Call<'_>, RawResponder)) {
    deferred(&mut w.rt, name, QmpCommandOptions::NONE, func);
}

#[test]
fn answered_within_the_handler() {
    let mut w = World::new();
    add(&mut w, "now", |_, _, responder| responder.respond(value(7)));
    let a = w.client("a");
    w.send(a, req("now", 1) + &note_req("n", 2));
    w.expect(a, &["{\"return\": 7, \"id\": 1}", &ok(2)]);
}

#[test]
fn answered_with_an_error() {
    let mut w = World::new();
    add(&mut w, "fail", |_, _, responder| {
        responder.respond(Err(Error::new("not today")));
    });
    let a = w.client("a");
    w.send(a, req("fail", 1));
    w.expect(a, &[err("1", "not today")]);
}

#[test]
fn answered_by_a_typed_responder_nothing_is_an_empty_object() {
    let mut w = World::new();
    add(&mut w, "unit", |_, call, raw| {
        Responder::<()>::new(raw, call.policy()).respond(Ok(()));
    });
    let a = w.client("a");
    w.send(a, req("unit", 1));
    w.expect(a, &[ok(1)]);
}

#[test]
fn answered_from_a_timer() {
    let mut w = World::new();
    add(&mut w, "after", |rt, call, responder| {
        let ms = int(&call.take_args(), "ms");
        let clock = ClockType::Virtual;
        let mut responder = Some(responder);
        let timer = rt.main_loop_mut().timer_new(clock, "after", move |_| {
            responder.take().unwrap().respond(value(ms));
        });
        let delay = Duration::from_millis(ms.try_into().unwrap());
        rt.main_loop_mut().timer_mod_in(timer, delay);
    });
    let a = w.client("a");
    w.send(
        a,
        "{'execute': 'after', 'arguments': {'ms': 100}, 'id': 'x'}",
    );
    w.expect::<&str>(a, &[]);
    w.advance(99);
    w.expect::<&str>(a, &[]);
    w.advance(1);
    w.expect(a, &["{\"return\": 100, \"id\": \"x\"}"]);
}

#[test]
fn answered_from_a_watch() {
    let mut w = World::new();
    add(&mut w, "ready", |rt, _, responder| {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap();
        let fd = Rc::new(fd);
        let mut waiting = Some(responder);
        let watch = Watch::new("ready", fd.clone(), Condition::IN, move |_, _| {
            waiting.take().unwrap().respond(value(1));
            Flow::Remove
        });
        rt.main_loop_mut().add_watch(watch);
        rt.main_loop_mut().bh_schedule_oneshot("write", move |_| {
            fd.write(1).unwrap();
        });
    });
    let a = w.client("a");
    w.send(a, req("ready", 1));
    w.expect(a, &["{\"return\": 1, \"id\": 1}"]);
}

thread_local! {
    /// Threads of the command `work`.
    static WORKERS: RefCell<Vec<JoinHandle<()>>> = const { RefCell::new(Vec::new()) };
}

fn work(_: &mut Rt, _: &mut Call<'_>, responder: RawResponder) {
    let worker = std::thread::spawn(move || responder.respond(value(42)));
    WORKERS.with_borrow_mut(|workers| workers.push(worker));
}

fn join_workers() {
    for worker in WORKERS.take() {
        worker.join().unwrap();
    }
}

#[test]
fn answered_from_another_thread() {
    let mut w = World::new();
    add(&mut w, "work", work);
    let a = w.client("a");
    w.send(a, req("work", 1));
    w.settle();
    join_workers();
    w.expect(a, &["{\"return\": 42, \"id\": 1}"]);
}

#[test]
fn another_thread_ends_the_wait_of_the_loop() {
    let mut w = World::with_time(TimeSource::system());
    add(&mut w, "work", work);
    let a = w.client("a");
    w.send(a, req("work", 1));
    let mut got = Vec::new();
    while got.is_empty() {
        // Without the wake-up this would never end.
        w.rt.turn(None).unwrap();
        got = a.output(&mut w.rt);
    }
    assert_eq!(got, b"{\"return\": 42, \"id\": 1}\r\n");
    join_workers();
}

#[test]
fn many_threads_answer_each_its_own() {
    let mut w = World::new();
    deferred(&mut w.rt, "work-oob", OOB, |_, call, responder| {
        let n = int(&call.take_args(), "n");
        let worker = std::thread::spawn(move || responder.respond(value(n)));
        WORKERS.with_borrow_mut(|workers| workers.push(worker));
    });
    let a = w.oob_client("a");
    for n in 0..50 {
        let args = format!("'arguments': {{'n': {n}}}");
        w.send(a, format!("{{'exec-oob': 'work-oob', {args}, 'id': {n}}}"));
    }
    w.settle();
    join_workers();
    let text = String::from_utf8(a.recv(&mut w.rt)).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_by_key(|line| line.len());
    let mut expected: Vec<_> = (0..50)
        .map(|n| format!("{{\"return\": {n}, \"id\": {n}}}"))
        .collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn an_answer_after_the_program_has_ended_goes_nowhere() {
    let _fds = FdGuard::new(); // the responder keeps one open
    let mut w = World::new();
    let a = w.client("a");
    w.send(a, req("hold", 1));
    w.settle();
    let responder = w.rt.state.held.pop_front().unwrap();
    drop(w);
    responder.respond(value(1));
}

#[test]
fn dropped_without_an_answer_is_an_error() {
    let mut w = World::new();
    let a = w.client("a");
    w.send(a, req("hold", 1) + &note_req("n", 2));
    w.settle();
    w.rt.state.held.clear();
    w.expect(a, &[err("1", ABANDONED), ok(2)]);
}

#[test]
fn success_that_needs_no_response_has_none_when_it_comes_later_either() {
    let mut w = World::new();
    let silent = QmpCommandOptions {
        no_success_response: true,
        ..QmpCommandOptions::NONE
    };
    deferred(&mut w.rt, "silent", silent, |rt, _, responder| {
        rt.state.held.push_back(responder);
    });
    immediate(&mut w.rt, "silent-now", silent, |_, _| Ok(()));
    let a = w.client("a");
    w.send(
        a,
        req("silent", 1) + &req("silent-now", 2) + &note_req("n", 3),
    );
    w.settle();
    w.release();
    w.expect(a, &[ok(3)]);
    w.send(a, req("silent", 4));
    w.settle();
    w.rt.state.held.clear();
    w.expect(a, &[err("4", ABANDONED)]);
}

#[test]
fn an_answer_never_reaches_the_next_client_whose_requests_wait_for_it() {
    let mut w = World::new();
    let (a, b) = (w.client("a"), w.client("b"));
    w.send(a, req("hold", 1));
    w.settle();
    hang_up(&mut w, a);
    a.open(&mut w.rt);
    w.send(a, capabilities_request("") + &note_req("a", 2));
    w.expect(a, &[GREETING]);
    w.send(b, note_req("b", 3));
    w.expect::<&str>(b, &[]);
    w.release();
    w.expect(a, &["{\"return\": {}}", &ok(2)]);
    w.expect(b, &[ok(3)]);
    // Nor with an `id` that the next client happens to use as well.
    w.send(a, req("hold", 9));
    w.settle();
    hang_up(&mut w, a);
    a.open(&mut w.rt);
    w.send(a, capabilities_request("") + &req("hold", 9));
    w.expect(a, &[GREETING]);
    w.rt.state.held.clear();
    w.expect(a, &["{\"return\": {}}"]);
    w.release();
    w.expect(a, &[ok(9)]);
}

/// The client leaves while the session does not read. (The session notices the
/// close of a peer in memory only when it reads, as with a half-closed socket.)
fn hang_up(w: &mut World, peer: qmonitor::chardev::MemoryPeer) {
    use qmonitor::chardev::{qemu_chr_be_event, ChrEvent};
    qemu_chr_be_event(&mut w.rt, peer.chardev(), ChrEvent::Closed);
}

#[test]
fn the_answer_is_dropped_while_nobody_is_connected() {
    let mut w = World::new();
    let a = w.client("a");
    w.send(a, req("hold", 1));
    w.settle();
    hang_up(&mut w, a);
    w.release();
    w.settle();
    w.connect(a, "");
}

#[test]
fn the_answer_to_a_monitor_that_is_gone_is_dropped_and_the_others_go_on() {
    let mut w = World::new();
    let (a, id) = w.monitor_with("a", false);
    w.connect(a, "");
    let b = w.client("b");
    w.send(a, req("hold", 1));
    w.settle();
    w.send(b, note_req("b", 2));
    w.settle();
    qmonitor::monitor::monitor_remove(&mut w.rt, id);
    // In the slot of the former one.
    w.monitor_on(a, false);
    w.expect(a, &[GREETING]);
    w.release();
    w.expect::<&str>(a, &[]);
    w.expect(b, &[ok(2)]);
    w.send(a, capabilities_request(""));
    w.expect(a, &["{\"return\": {}}"]);
}

#[test]
fn out_of_band_answers_come_in_any_order_and_do_not_end_the_one_in_band() {
    let mut w = World::new();
    let (a, b) = (w.oob_client("a"), w.oob_client("b"));
    w.send(a, oob("hold-oob", 1) + &oob("hold-oob", 2));
    w.settle();
    w.send(a, req("hold", 3) + &note_req("n", 4));
    w.settle();
    w.send(b, note_req("b", 5));
    w.settle();
    let mut held: Vec<_> = w.rt.state.held.drain(..).collect();
    held.remove(1).respond(value(0));
    w.expect(a, &["{\"return\": 0, \"id\": 2}"]);
    w.expect::<&str>(b, &[]);
    held.remove(1).respond(value(0));
    w.expect(a, &["{\"return\": 0, \"id\": 3}", &ok(4)]);
    w.expect(b, &[ok(5)]);
    held.remove(0).respond(value(0));
    w.expect(a, &["{\"return\": 0, \"id\": 1}"]);
}

#[test]
fn an_out_of_band_command_of_a_former_client_is_forgotten() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, oob("hold-oob", 1));
    a.close(&mut w.rt);
    w.settle();
    w.connect(a, "");
    w.release();
    w.send(a, note_req("n", 2));
    w.expect(a, &[ok(2)]);
}

#[test]
fn one_deferred_command_after_another() {
    let mut w = World::new();
    let a = w.client("a");
    w.send(a, (1..6).map(|id| req("hold", id)).collect::<String>());
    for id in 1..6 {
        w.settle();
        assert_eq!(w.rt.state.held.len(), 1);
        w.release();
        w.expect(a, &[ok(id)]);
    }
}

/// Every client still gets its replies.
#[track_caller]
fn expect_sane(w: &mut World, peers: &[qmonitor::chardev::MemoryPeer]) {
    for (peer, id) in peers.iter().zip(100..) {
        w.send(*peer, req("hold", id) + &note_req("n", id + 1000));
        w.settle();
        w.release();
        w.expect(*peer, &[ok(id), ok(id + 1000)]);
    }
}

#[test]
fn a_panic_is_an_error_and_everybody_lives_on() {
    let mut w = World::new();
    immediate(&mut w.rt, "burst", OOB, |rt, call| {
        qapi_event_emit(rt, &EVENT_PLAIN, QDict::new());
        call.ret(&vec![1i64]);
        panic!("on purpose");
    });
    let (a, b) = (w.oob_client("a"), w.client("b"));
    let failed = "Command 'burst' failed: its handler panicked";
    let event =
        "{\"timestamp\": {\"seconds\": 0, \"microseconds\": 0}, \"event\": \"PLAIN\"}".to_owned();
    w.send(a, req("burst", 1) + &note_req("n", 2) + &oob("burst", 3));
    w.expect(
        a,
        &[
            event.clone(),
            err("1", failed),
            ok(2),
            event.clone(),
            err("3", failed),
        ],
    );
    w.expect(b, &[event.clone(), event]);
    expect_sane(&mut w, &[a, b]);
}

#[test]
fn a_panic_of_a_deferred_command_is_an_error_and_everybody_lives_on() {
    let mut w = World::new();
    deferred(&mut w.rt, "burst", OOB, |_, _, _responder| {
        panic!("on purpose");
    });
    // It may have passed the responder on before.
    deferred(&mut w.rt, "hold-burst", OOB, |rt, _, responder| {
        rt.state.held.push_back(responder);
        panic!("on purpose");
    });
    deferred(&mut w.rt, "answer-burst", OOB, |_, _, responder| {
        responder.respond(value(1));
        panic!("on purpose");
    });
    let (a, b) = (w.oob_client("a"), w.client("b"));
    w.send(b, req("burst", 1));
    w.expect(b, &[err("1", ABANDONED)]);
    w.send(a, oob("burst", 2));
    w.expect(a, &[err("2", ABANDONED)]);
    w.send(b, req("answer-burst", 3));
    w.expect(b, &["{\"return\": 1, \"id\": 3}"]);
    w.send(b, req("hold-burst", 4));
    w.expect::<&str>(b, &[]);
    w.release();
    w.expect(b, &[ok(4)]);
    expect_sane(&mut w, &[a, b]);
}

#[test]
fn a_panic_in_negotiation_mode_leaves_the_session_there() {
    let mut w = World::new();
    let features = SpecialFeatures::NONE;
    w.rt.commands_mut().register(QmpCommand {
        name: "burst",
        options: QmpCommandOptions::NONE,
        features,
        func: QmpCommandFunc::Immediate(|_, _| panic!("on purpose")),
    });
    let a = w.client("a");
    w.send(a, req("burst", 1));
    w.expect(
        a,
        &[err("1", "Command 'burst' failed: its handler panicked")],
    );
    a.close(&mut w.rt);
    w.settle();
    w.connect(a, "'oob'");
    expect_sane(&mut w, &[a]);
}
