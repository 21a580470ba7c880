//! Sessions: an embedder's own handlers, in process.

use std::io::{Read, Write};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::eventfd::EventFd;
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, TimeSource, Watch};
use qmonitor::qapi::{
    Call, Error, ErrorClass, QDict, QObject, QmpCommand, QmpCommandFunc, QmpCommandOptions,
    RawResponder, SpecialFeatures,
};
use qmonitor::Runtime;
use qmonitor_client::{ClientError, QmpClient, QmpCommands};
use qmonitor_testkit::qmp;
use qmonitor_testkit::session::{assert_json, Session};

use crate::pages::{blocks, page};

const SECOND: Duration = Duration::from_secs(1);

/// The embedder's state.
#[derive(Default)]
struct Oven {
    degrees: i64,
    held: Vec<RawResponder>,
    ticks: u32,
}

type Rt = Runtime<Oven>;

fn degrees(call: &mut Call<'_>) -> i64 {
    let args = call.take_args();
    args.get("degrees").map_or(0, |value| match value {
        QObject::Num(qmonitor::qapi::QNum::I64(n)) => *n,
        other => panic!("{other:?}"),
    })
}

fn heat(rt: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    let degrees = degrees(call);
    if degrees > 300 {
        return Err(Error::with_class(
            ErrorClass::DeviceNotActive,
            "too hot".to_owned(),
        ));
    }
    rt.state.degrees = degrees;
    let timer = rt
        .main_loop_mut()
        .timer_new(ClockType::Realtime, "hot", move |rt: &mut Rt| {
            let data = QDict::from_iter([("degrees", degrees)]);
            rt.send_event(None, "HOT", &data);
        });
    rt.main_loop_mut().timer_mod_in(timer, 90 * SECOND);
    Ok(())
}

fn query_oven(rt: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    call.ret_raw(format!("{{\"degrees\": {}}}", rt.state.degrees).as_bytes());
    Ok(())
}

/// Answers from a thread.
fn weigh(_: &mut Rt, _: &mut Call<'_>, responder: RawResponder) {
    std::thread::spawn(move || {
        for _ in 0..1000 {
            std::thread::yield_now();
        }
        responder.respond(Ok(qmp!({"grams": 750})));
    });
}

/// Answers from a timer.
fn bake(rt: &mut Rt, _: &mut Call<'_>, responder: RawResponder) {
    let mut responder = Some(responder);
    let timer = rt
        .main_loop_mut()
        .timer_new(ClockType::Realtime, "bake", move |_: &mut Rt| {
            if let Some(responder) = responder.take() {
                responder.respond(Ok(qmp!({"done": true})));
            }
        });
    rt.main_loop_mut().timer_mod_in(timer, 3600 * SECOND);
}

fn hold(rt: &mut Rt, _: &mut Call<'_>, responder: RawResponder) {
    rt.state.held.push(responder);
}

fn large(_: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    call.ret(&"x".repeat(10_000));
    Ok(())
}

/// A timer that is always armed.
fn tick(rt: &mut Rt, _: &mut Call<'_>) -> Result<(), Error> {
    fn again(rt: &mut Rt) {
        rt.state.ticks += 1;
        rt.send_event(None, "TICK", &QDict::new());
        let next = rt
            .main_loop_mut()
            .timer_new(ClockType::Realtime, "tick", again);
        rt.main_loop_mut().timer_mod_in(next, SECOND);
    }
    again(rt);
    Ok(())
}

fn oven_in(time: TimeSource) -> Rt {
    let mut rt = Runtime::with_time(Oven::default(), time).unwrap();
    let commands = [
        ("heat", QmpCommandFunc::Immediate(heat)),
        ("query-oven", QmpCommandFunc::Immediate(query_oven)),
        ("large", QmpCommandFunc::Immediate(large)),
        ("tick", QmpCommandFunc::Immediate(tick)),
        ("weigh", QmpCommandFunc::Deferred(weigh)),
        ("bake", QmpCommandFunc::Deferred(bake)),
        ("hold", QmpCommandFunc::Deferred(hold)),
    ];
    for (name, func) in commands {
        rt.commands_mut().register(QmpCommand {
            name,
            options: QmpCommandOptions::NONE,
            features: SpecialFeatures::NONE,
            func,
        });
    }
    rt
}

fn oven() -> Session<Oven> {
    Session::negotiated(oven_in(TimeSource::simulated()))
}

/// The message of a test that fails.
fn message(test: impl FnOnce()) -> String {
    let failed = catch_unwind(AssertUnwindSafe(test)).expect_err("it fails");
    *failed.downcast::<String>().expect("a message")
}

#[test]
fn commands_answer_and_events_come_at_their_time() {
    for time in [TimeSource::simulated(), TimeSource::manual_from(0)] {
        let mut session = Session::negotiated(oven_in(time));
        assert_eq!(session.ask(qmp!("heat", degrees = 180)), Ok(qmp!({})));
        let state = session.ask(qmp!("query-oven")).unwrap();
        assert_json(&state, &qmp!({"degrees": 180.0}));
        assert_eq!(session.state().degrees, 180);
        assert_eq!(session.now(), Duration::ZERO);
        session.advance(89 * SECOND);
        assert_eq!(session.events(), []);
        assert_eq!(session.event("HOT"), qmp!(event "HOT", degrees = 180));
        assert_eq!(session.now(), 90 * SECOND);
        session.advance(SECOND / 2);
        assert_eq!(session.now(), 90 * SECOND + SECOND / 2);
    }
}

#[test]
fn errors_are_the_commands() {
    let mut session = oven();
    let error = session.ask(qmp!("heat", degrees = 301)).unwrap_err();
    assert_eq!(
        (error.class(), error.desc()),
        (ErrorClass::DeviceNotActive, "too hot")
    );
    let error = session.ask(qmp!("heta")).unwrap_err();
    assert_eq!(error.class(), ErrorClass::CommandNotFound);
}

#[test]
fn what_happens_meanwhile_is_kept() {
    let mut session = oven();
    session.ask(qmp!("tick")).unwrap();
    let sent = session.send(qmp!("query-oven"));
    session.advance(2 * SECOND);
    assert_eq!(session.answer(sent), Ok(qmp!({"degrees": 0})));
    assert_eq!(session.events().len(), 3);
    assert_eq!(session.state().ticks, 3);
    assert_eq!(session.events(), []);
}

#[test]
fn worker_threads_answer_while_simulated_time_stands_still() {
    for time in [TimeSource::simulated(), TimeSource::manual_from(0)] {
        let mut session = Session::negotiated(oven_in(time));
        // A timer is armed, to which time could jump.
        session.ask(qmp!("heat", degrees = 100)).unwrap();
        for _ in 0..20 {
            assert_eq!(session.ask(qmp!("weigh")), Ok(qmp!({"grams": 750})));
        }
        assert_eq!(session.now(), Duration::ZERO);
        assert_eq!(session.events(), []);
    }
}

#[test]
fn worker_threads_cause_events_while_simulated_time_stands_still() {
    let mut session = oven();
    session.ask(qmp!("heat", degrees = 100)).unwrap();
    let main_loop = session.rt().main_loop_mut();
    let door = main_loop.bh_new("door", |rt: &mut Rt| {
        rt.send_event(None, "DOOR", &QDict::new());
    });
    let door = main_loop.bh_handle(door);
    let thread = std::thread::spawn(move || door.schedule());
    assert_eq!(session.event_now("DOOR"), qmp!(event "DOOR"));
    assert_eq!(session.now(), Duration::ZERO);
    thread.join().unwrap();
    let text = message(|| {
        session.patience(SECOND / 100);
        session.event_now("HOT");
    });
    assert!(text.contains("the next timer is due in 90s"), "{text}");
}

#[test]
fn a_timer_answers_when_time_passes() {
    let mut session = oven();
    let sent = session.send(qmp!("bake"));
    session.advance(3600 * SECOND);
    assert_eq!(session.answer(sent), Ok(qmp!({"done": true})));
    session.let_time_pass(true);
    assert_eq!(session.ask(qmp!("bake")), Ok(qmp!({"done": true})));
    assert_eq!(session.now(), 7200 * SECOND);
    assert_eq!(session.ask(qmp!("weigh")), Ok(qmp!({"grams": 750})));
}

#[test]
fn what_never_comes_is_a_message() {
    let text = message(|| {
        let mut session = oven();
        session.ask(qmp!("heat", degrees = 5)).unwrap();
        session.patience(SECOND / 100);
        session.ask(qmp!("hold")).unwrap();
    });
    assert_eq!(
        text,
        "waited for the answer to hold, but nothing happened within 10ms of real time\n\
         nothing came meanwhile\n\
         not answered: hold\n\
         the next timer is due in 90s; advance() and let_time_pass() move the clock"
    );
    let text = message(|| {
        let mut session = oven();
        session.seed(7);
        session.turn_limit(1000);
        session.ask(qmp!("tick")).unwrap();
        session.event("TOCK");
    });
    let first = "waited for the event TOCK, but the limit of 1000 turns is reached\nmeanwhile:\n";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.contains("lines before)\n  .. 1s\n  <- {\"timestamp\""),
        "{text}"
    );
    assert!(
        text.ends_with("\nseed 7; to replay: QMONITOR_SEED=7"),
        "{text}"
    );
    let text = message(|| {
        let mut session = oven();
        session.close();
        session.event("HOT");
    });
    assert!(
        text.contains("but the connection is closed\nnothing came"),
        "{text}"
    );
    let text = message(|| {
        Session::negotiated(oven_in(TimeSource::system())).advance(SECOND);
    });
    assert!(text.contains("TimeSource::simulated()"), "{text}");
}

#[test]
fn a_client_that_stops_reading_gets_the_rest_later() {
    let mut session = oven();
    session.stop_reading(100);
    let sent = session.send(qmp!("large"));
    session.settle();
    assert_eq!(session.part().len(), 100);
    let text = message(|| {
        session.patience(SECOND / 100);
        let _ = session.answer(sent);
    });
    assert!(text.contains("waited for the answer to large"), "{text}");
    session.read_on();
    let large = session.answer(sent).unwrap();
    assert_eq!(large.as_str().map(str::len), Some(10_000));
}

#[test]
fn a_client_that_leaves_in_mid_reply_can_come_back() {
    for after in [0, 1, 15, 9_000] {
        let mut session = oven();
        session.hang_up(after);
        session.send(qmp!("large"));
        session.settle();
        assert!(!session.is_open());
        assert_eq!(session.part().len(), after);
        session.reconnect();
        assert!(session.negotiate().contains_key("QMP"));
        assert_eq!(session.ask(qmp!("query-oven")), Ok(qmp!({"degrees": 0})));
    }
}

#[test]
fn requests_arrive_in_pieces() {
    let mut session = oven();
    session.split(1);
    session.ask(qmp!("heat", degrees = 77)).unwrap();
    assert_eq!(session.state().degrees, 77);
}

#[test]
fn differences_are_named() {
    let text = message(|| {
        let got = qmp!({"a": [1, {"b": "x"}], "more": null});
        assert_json(&got, &qmp!({"a": [1, {"b": "y", "c": 2}, 3]}));
    });
    assert_eq!(
        text,
        "this is not what was expected:\n  \
         a[1].b is \"x\", not \"y\"\n  \
         a[1].c is missing (expected 2)\n  \
         a has 2 elements, not 3\n  \
         more was not expected (null)\n\
         got {\"a\": [1, {\"b\": \"x\"}], \"more\": null}"
    );
}

#[test]
fn a_sweep_has_an_order_for_each_seed() {
    let mut transcripts = std::collections::BTreeSet::new();
    let mut sweep = || {
        let make = || oven_in(TimeSource::simulated());
        Session::sweep(0..20, make, |session| {
            for name in ["LEFT", "RIGHT"] {
                let fd = EventFd::from_value(1).unwrap();
                let watch = Watch::new(
                    "light",
                    Rc::new(fd),
                    Condition::IN,
                    move |rt: &mut Rt, _| {
                        rt.send_event(None, name, &QDict::new());
                        Flow::Remove
                    },
                );
                session.rt().main_loop_mut().add_watch(watch);
            }
            session.settle();
            transcripts.insert(session.transcript());
        });
    };
    sweep();
    sweep();
    assert_eq!(transcripts.len(), 2, "both orders, the same in each sweep");
    let mut ran = 0;
    let text = message(|| {
        let make = || oven_in(TimeSource::simulated());
        Session::sweep(0..9, make, |session| {
            ran += 1;
            session.patience(Duration::ZERO);
            if ran == 4 {
                session.event("NEVER");
            }
        });
    });
    assert!(text.ends_with("QMONITOR_SEED=3"), "{text}");
}

fn baked(degrees: i64) -> Session<Oven> {
    let mut session = oven();
    session.ask(qmp!("heat", degrees = degrees)).unwrap();
    session.event("HOT");
    session
}

/// Not a test by itself: [`golden_transcripts_are_compared_and_renewed`] runs it, with the
/// variable in its environment.
#[test]
#[ignore = "run by another test"]
fn golden_child() {
    let path = std::env::var_os("GOLDEN_PATH").expect("run by another test");
    baked(200).golden(path);
}

#[test]
fn golden_transcripts_are_compared_and_renewed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/heat.qmp");
    let text = message(|| baked(200).golden(&path));
    assert!(
        text.ends_with("; QMONITOR_GOLDEN=write writes it"),
        "{text}"
    );
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "session::golden_child", "--ignored"])
        .env("GOLDEN_PATH", &path)
        .env("QMONITOR_GOLDEN", "write")
        .output()
        .unwrap();
    assert!(child.status.success(), "{child:?}");
    let kept = std::fs::read_to_string(&path).unwrap();
    let tail = "-> {\"execute\": \"heat\", \"arguments\": {\"degrees\": 200}, \"id\": 2}\n\
                <- {\"return\": {}, \"id\": 2}\n\
                .. 90s\n\
                <- {\"timestamp\": \"...\", \"event\": \"HOT\", \"data\": {\"degrees\": 200}}\n";
    assert!(kept.ends_with(tail), "{kept}");
    baked(200).golden(&path);
    let text = message(|| baked(201).golden(&path));
    assert!(text.contains("QMONITOR_GOLDEN=write renews it\n"), "{text}");
    assert!(text.contains("- <- {\"timestamp\": \"...\""), "{text}");
    assert!(text.contains("+ -> {\"execute\": \"heat\""), "{text}");
}

#[test]
fn the_typed_client_works_over_a_session() {
    let mut session = Session::connect(oven_in(TimeSource::simulated()));
    let mut client = QmpClient::connect(&mut session).unwrap();
    assert_eq!(client.query_version().unwrap().qemu.major, 10);
    match client.query_status() {
        Err(ClientError::Refused(e)) => assert_eq!(e.class(), ErrorClass::CommandNotFound),
        other => panic!("{other:?}"),
    }
    drop(client);
    session.ask(qmp!("heat", degrees = 1)).unwrap();
    assert_eq!(session.event("HOT").data.len(), 1);
}

#[test]
fn what_the_typed_client_waits_for_comes_or_fails() {
    use qmonitor_client::Execute;

    let session = Session::connect(oven_in(TimeSource::simulated()));
    let mut client = QmpClient::connect(session).unwrap();
    let grams = client.qmp_execute("weigh", QDict::new()).unwrap();
    assert_eq!(grams, qmp!({"grams": 750}));
    client.qmp_execute("heat", QDict::new()).unwrap();
    assert_eq!(client.next_event().unwrap().timestamp, (90, 0));
    let mut session = client.into_inner();
    session.patience(SECOND / 100);
    let e = session.read(&mut [0; 10]).unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::TimedOut);
    assert!(e.to_string().contains("waited for a message"), "{e}");
    session.hang_up(5);
    session.write_all(b"{'execute': 'large'}").unwrap();
    let mut text = String::new();
    session.read_to_string(&mut text).unwrap();
    assert_eq!(text.len(), 5);
    assert!(session.write_all(b"{}").is_err());
}

#[test]
fn a_failing_wait_looks_as_the_page_shows() {
    let text = message(|| {
        let mut rt = oven_in(TimeSource::simulated());
        let done = |rt: &mut Rt| rt.send_event(None, "TEA_REDAY", &QDict::new());
        let timer = rt
            .main_loop_mut()
            .timer_new(ClockType::Virtual, "tea", done);
        let mut session = Session::negotiated(rt);
        session.patience(SECOND / 100);
        session
            .rt()
            .main_loop_mut()
            .timer_mod_in(timer, 240 * SECOND);
        session.event("TEA_READY");
    });
    let shown = blocks(&page(), "message").remove(0);
    assert_eq!(text.replace("10ms", "10s") + "\n", shown);
}
