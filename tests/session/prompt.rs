//! Commands of the human monitor that finish later.

use qmonitor::chardev::MemoryPeer;
use qmonitor::monitor::hmp::{Hmp, HmpArgs, HmpRow};
use qmonitor::monitor::version::Identity;
use qmonitor::monitor::{monitor_remove, MonitorId, MonitorMode, MonitorOptions};
use qmonitor::qapi::{Error, QDict, QObject, QmpCommandOptions, Responder};

use crate::world::*;

const BANNER: &str = "QEMU 10.0.2 monitor - type 'help' for more information\r\n";
const PROMPT: &str = "(qemu) ";

/// A person at the prompt.
#[track_caller]
fn person(w: &mut World) -> (MemoryPeer, MonitorId) {
    let peer = MemoryPeer::new(&mut w.rt, "person").unwrap();
    let options = MonitorOptions {
        mode: Some(MonitorMode::Readline),
        ..w.options(peer)
    };
    let id = w.rt.monitor_init(&options).unwrap();
    peer.open(&mut w.rt);
    assert_eq!(seen(w, peer), format!("{BANNER}{PROMPT}"));
    (peer, id)
}

/// What has come on the terminal since.
fn seen(w: &mut World, peer: MemoryPeer) -> String {
    String::from_utf8(peer.recv(&mut w.rt)).unwrap()
}

/// What has come behind the echo of a line.
#[track_caller]
fn seen_behind(w: &mut World, peer: MemoryPeer, line: &str) -> String {
    let text = seen(w, peer);
    let behind = text.split_once(&format!("{line}\x1b[K\r\n"));
    behind.unwrap_or_else(|| panic!("{text:?}")).1.to_owned()
}

/// Answers the oldest `hold`.
#[track_caller]
fn answer(w: &mut World, answer: Result<QObject, Error>) {
    let responder = w.rt.state.held.pop_front().expect("one is held");
    responder.respond(answer);
}

fn hmp_req(line: &str, id: i64) -> String {
    format!(
        "{{'execute': 'human-monitor-command', 'arguments': {{'command-line': '{line}'}}, \
         'id': {id}}}"
    )
}

#[test]
fn the_prompt_waits_and_what_is_typed_meanwhile_is_kept() {
    let mut w = World::new();
    let (a, _) = person(&mut w);
    let b = w.client("b");
    w.send(a, "qmp hold\nqmp note tag=typed");
    assert_eq!(seen_behind(&mut w, a, "qmp hold"), "");
    // Among it keys that would end another program.
    w.send(a, "-ahead\x03\x04\n");
    assert_eq!(seen(&mut w, a), "");
    w.expect_notes(&[]);
    // Programs are served meanwhile.
    w.send(b, note_req("program", 1));
    w.expect(b, &[ok(1)]);
    w.expect_notes(&["program"]);
    answer(&mut w, Ok(7.into()));
    let text = seen(&mut w, a);
    assert!(text.starts_with("7\r\n(qemu) q"), "{text:?}");
    assert!(text.ends_with("qmp note tag=typed-ahead\x1b[K\r\n(qemu) "));
    w.expect_notes(&["typed-ahead"]);
}

#[test]
fn an_answer_may_be_an_error_or_nothing() {
    let mut w = World::new();
    let (a, _) = person(&mut w);
    for (given, shown) in [
        (Err(Error::new("not today")), "Error: not today\r\n"),
        (Ok(QDict::new().into()), ""),
    ] {
        w.send(a, "qmp hold\n");
        assert_eq!(seen_behind(&mut w, a, "qmp hold"), "");
        answer(&mut w, given);
        assert_eq!(seen(&mut w, a), format!("{shown}{PROMPT}"));
    }
    w.send(a, "qmp hold\n");
    w.settle();
    w.rt.state.held.clear();
    let shown = seen_behind(&mut w, a, "qmp hold");
    let abandoned = "Error: The command was abandoned without an answer\r\n";
    assert_eq!(shown, format!("{abandoned}{PROMPT}"));
}

#[test]
fn an_answer_that_is_there_at_once_is_shown_at_once() {
    let mut w = World::new();
    deferred(
        &mut w.rt,
        "now",
        QmpCommandOptions::NONE,
        |_, _, responder| {
            responder.respond(Ok(7.into()));
        },
    );
    let (a, _) = person(&mut w);
    w.send(a, "qmp now\n");
    assert_eq!(seen_behind(&mut w, a, "qmp now"), "7\r\n(qemu) ");
    let b = w.client("b");
    w.send(b, hmp_req("qmp now", 1));
    w.expect(b, &["{\"return\": \"7\\r\\n\", \"id\": 1}"]);
}

#[test]
fn human_monitor_command_is_answered_when_its_line_has_finished() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, hmp_req("qmp hold", 1) + &note_req("behind", 2));
    w.send(a, oob("note-oob", 3));
    w.expect(a, &[ok(3)]);
    answer(&mut w, Ok(7.into()));
    w.expect(a, &["{\"return\": \"7\\r\\n\", \"id\": 1}", &ok(2)]);
    // A line that finishes at once is answered before the program ends.
    w.send(a, hmp_req("quit", 4));
    w.expect(a, &["{\"return\": \"\", \"id\": 4}"]);
    assert_eq!(w.rt.run().unwrap(), 0);
}

#[test]
fn the_reply_to_a_client_that_has_left_is_dropped() {
    let mut w = World::new();
    let a = w.client("a");
    w.send(a, hmp_req("qmp hold", 1));
    w.settle();
    a.close(&mut w.rt);
    assert!(!w.is_open(a));
    a.open(&mut w.rt);
    w.expect(a, &[GREETING]);
    // In band, so it waits for the command of the client before.
    w.send(a, capabilities_request(""));
    w.expect::<&str>(a, &[]);
    answer(&mut w, Ok(7.into()));
    w.expect(a, &["{\"return\": {}}"]);
}

#[test]
fn the_next_client_does_not_wait_for_a_command_of_the_last() {
    let mut w = World::new();
    let (a, _) = person(&mut w);
    w.send(a, "qmp hold\n");
    assert_eq!(seen_behind(&mut w, a, "qmp hold"), "");
    a.close(&mut w.rt);
    assert!(!w.is_open(a));
    a.open(&mut w.rt);
    assert_eq!(seen(&mut w, a), format!("{BANNER}{PROMPT}"));
    w.send(a, "qmp hold\n");
    assert_eq!(seen_behind(&mut w, a, "qmp hold"), "");
    answer(&mut w, Ok(1.into()));
    assert_eq!(seen(&mut w, a), "", "that was for the client that has left");
    answer(&mut w, Ok(2.into()));
    assert_eq!(seen(&mut w, a), "2\r\n(qemu) ");
}

#[test]
fn what_a_client_has_typed_is_carried_out_although_it_has_left() {
    let mut w = World::new();
    let (a, _) = person(&mut w);
    w.send(a, "qmp hold\nqmp note tag=behind\n");
    w.settle();
    a.close(&mut w.rt);
    assert!(w.is_open(a), "there is a line to be carried out");
    answer(&mut w, Ok(7.into()));
    assert!(!w.is_open(a));
    w.expect_notes(&["behind"]);
}

#[test]
fn a_client_that_only_reads_on_gets_its_answer() {
    let mut w = World::new();
    let (a, _) = person(&mut w);
    w.send(a, "qmp hold\nqmp note tag=behind\n");
    w.settle();
    a.half_close(&mut w.rt);
    assert!(w.is_open(a), "it is owed an answer");
    answer(&mut w, Ok(7.into()));
    assert!(seen(&mut w, a).contains("7\r\n(qemu) "));
    w.expect_notes(&["behind"]);
    assert!(!w.is_open(a));
}

#[test]
fn a_monitor_removed_while_its_command_is_under_way() {
    let mut w = World::new();
    let (a, id) = person(&mut w);
    w.send(a, "qmp hold\n");
    assert_eq!(seen_behind(&mut w, a, "qmp hold"), "");
    monitor_remove(&mut w.rt, id);
    // The chardev is free, and its next monitor does not hear the answer.
    w.monitor_on(a, false);
    w.expect(a, &[GREETING]);
    answer(&mut w, Ok(7.into()));
    w.expect::<&str>(a, &[]);
}

/// Asks twice, and adds what it was told.
fn hmp_sum(hmp: &mut Hmp<'_, Bench>, _args: &HmpArgs) {
    hmp.print("first\n");
    let responder = hmp.defer(|hmp, first: Result<i64, Error>| {
        let Some(first) = hmp.handle_error(first) else {
            return;
        };
        hmp.print("second\n");
        let responder = hmp.defer(move |hmp, second: Result<i64, Error>| {
            if let Some(second) = hmp.handle_error(second) {
                hmp.print(format!("{}\n", first + second));
            }
        });
        keep(hmp, responder);
    });
    keep(hmp, responder);
}

/// Keeps a typed responder among those that are not.
fn keep(hmp: &mut Hmp<'_, Bench>, responder: Responder<i64>) {
    hmp.rt.state.typed.push_back(responder);
}

fn say(w: &mut World, number: i64) {
    let responder = w.rt.state.typed.pop_front().expect("one is kept");
    responder.respond(Ok(number));
}

#[test]
fn a_command_of_one_s_own_finishes_in_pieces() {
    let mut w = World::new();
    let row = HmpRow::new("sum", "", "add two numbers").coroutine();
    w.rt.hmp_mut().table.add(row, hmp_sum);
    let (a, _) = person(&mut w);
    w.send(a, "sum\n");
    assert_eq!(seen_behind(&mut w, a, "sum"), "first\r\n");
    say(&mut w, 3);
    assert_eq!(seen(&mut w, a), "second\r\n");
    say(&mut w, 4);
    assert_eq!(seen(&mut w, a), "7\r\n(qemu) ");
    let b = w.client("b");
    w.send(b, hmp_req("sum", 1));
    w.settle();
    say(&mut w, 30);
    w.expect::<&str>(b, &[]);
    say(&mut w, 40);
    let output = "first\\r\\nsecond\\r\\n70\\r\\n";
    w.expect(b, &[format!("{{\"return\": \"{output}\", \"id\": 1}}")]);
}

#[test]
#[should_panic(expected = "HMP command 'sum' is no coroutine")]
fn a_row_declares_that_its_command_may_finish_later() {
    let mut w = World::new();
    let row = HmpRow::new("sum", "", "add two numbers");
    w.rt.hmp_mut().table.add(row, hmp_sum);
    let (a, _) = person(&mut w);
    w.send(a, "sum\n");
    w.settle();
}

/// A program that ends does not wait for the command, and shows no prompt.
#[test]
fn a_command_under_way_does_not_delay_the_end() {
    let mut w = World::new();
    let (a, _) = person(&mut w);
    w.send(a, "qmp hold\n");
    assert_eq!(seen_behind(&mut w, a, "qmp hold"), "");
    w.rt.request_exit(0);
    answer(&mut w, Ok(7.into()));
    assert_eq!(w.rt.run().unwrap(), 0);
    assert!(!String::from_utf8(a.output(&mut w.rt))
        .unwrap()
        .contains(PROMPT));
}

#[test]
fn a_program_may_have_a_name_of_its_own() {
    let mut w = World::new();
    w.rt.set_identity(Identity {
        package: "thermostat-1.2".into(),
        banner: "Thermostat 1.2".into(),
        prompt: "> ".into(),
    });
    let peer = MemoryPeer::new(&mut w.rt, "person").unwrap();
    let options = MonitorOptions {
        mode: Some(MonitorMode::Readline),
        ..w.options(peer)
    };
    w.rt.monitor_init(&options).unwrap();
    peer.open(&mut w.rt);
    assert_eq!(seen(&mut w, peer), "Thermostat 1.2\r\n> ");
    let program = w.monitor("program");
    program.open(&mut w.rt);
    let greeting = seen(&mut w, program);
    assert!(
        greeting.contains("\"package\": \"thermostat-1.2\""),
        "{greeting}"
    );
    w.send(program, capabilities_request("") + &req("query-version", 1));
    let reply = seen(&mut w, program);
    assert!(reply.contains("\"package\": \"thermostat-1.2\""), "{reply}");
}
