//! Faults, played in process.

use std::time::Duration;

use qmonitor_testkit::{qmp, Mock, Sim, Slice};

fn connected(scenario: &str) -> Sim {
    let mut sim = Sim::of(scenario);
    sim.connect();
    sim
}

fn negotiated(scenario: &str) -> Sim {
    let mut sim = connected(scenario);
    sim.send(qmp!("qmp_capabilities"));
    sim.recv();
    sim
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[test]
fn a_greeting_comes_late_or_never_or_after_an_event() {
    let mut sim = connected("faults: [slow-greeting]");
    assert_eq!(sim.recv(), "");
    sim.advance(Duration::from_secs(2));
    assert_eq!(sim.recv(), "");
    sim.advance(Duration::from_secs(1));
    assert!(sim.recv().starts_with("{\"QMP\""));
    let mut sim = connected("faults: [no-greeting]");
    sim.send(qmp!("qmp_capabilities"));
    assert_eq!(sim.recv(), "{\"return\": {}}\r\n");
    let mut sim = connected("faults: [early-event]");
    let text = sim.recv();
    let lines = lines(&text);
    assert!(lines[0].contains("\"event\": \"STOP\"") && lines[1].starts_with("{\"QMP\""));
}

#[test]
fn a_silent_server_accepts_and_says_nothing() {
    let mut sim = connected("faults: [silent]");
    sim.send(qmp!("qmp_capabilities"));
    sim.send(qmp!("query-name"));
    assert_eq!(sim.recv(), "");
    assert_eq!(
        sim.received().commands(),
        ["qmp_capabilities", "query-name"]
    );
}

#[test]
fn output_comes_in_pieces() {
    let mut sim = connected("faults: [chop]");
    let mut pieces = Vec::new();
    sim.pipe(|piece| pieces.push(piece.to_vec()));
    assert!(pieces.iter().all(|piece| piece.len() == 1));
    assert!(pieces.concat().starts_with(b"{\"QMP\""));
    let mut sim = connected("seed: 3\nfaults: {some: {at: output, do: {slice: random}}}");
    let mut pieces = Vec::new();
    sim.pipe(|piece| pieces.push(piece.len()));
    assert!(
        pieces.len() > 1 && pieces.iter().any(|len| *len > 1),
        "{pieces:?}"
    );
}

#[test]
fn messages_come_together() {
    let mut sim = negotiated("faults: {together: {at: output, do: {hold-for: 5}}}");
    for _ in 0..7 {
        sim.send(qmp!("query-name"));
    }
    let mut pieces = Vec::new();
    sim.pipe(|piece| pieces.push(piece.iter().filter(|byte| **byte == b'\n').count()));
    assert_eq!(pieces, [5, 2]);
}

#[test]
fn a_reply_comes_twice_or_with_the_id_of_another() {
    let mut sim = negotiated("faults: {twice: {at: reply, of: query-name, do: {duplicate: 1}}}");
    sim.send_raw("{'execute':'query-name','id':1}");
    let once = "{\"return\": {}, \"id\": 1}\r\n";
    assert_eq!(sim.recv(), once.repeat(2));
    let mut sim = negotiated("faults: {stale: {at: reply, of: query-name, do: {id: stale}}}");
    sim.send_raw("{'execute':'query-uuid','id':1}");
    sim.recv();
    sim.send_raw("{'execute':'query-name','id':2}");
    assert_eq!(sim.recv(), once);
    let mut sim = negotiated("faults: {other: {at: reply, do: {id: wrong}}}");
    sim.send_raw("{'execute':'query-name','id':2}");
    assert_eq!(sim.recv(), "{\"return\": {}, \"id\": \"wrong\"}\r\n");
}

#[test]
fn a_storm_of_events_comes_before_a_reply() {
    let mut sim = negotiated("faults: [storm]");
    sim.send(qmp!("query-name"));
    let text = sim.recv();
    assert_eq!(text.matches("RTC_CHANGE").count(), 50);
    assert!(text.ends_with("{\"return\": {}}\r\n"));
}

#[test]
fn a_reply_is_padded_and_still_says_the_same() {
    let mut sim = negotiated("faults: {big: {at: reply, of: query-name, do: {pad: 64KiB}}}");
    sim.send(qmp!("query-name"));
    let text = sim.recv();
    assert!(text.len() > 65536);
    let value: qmonitor_testkit::serde_json::Value =
        qmonitor_testkit::serde_json::from_str(&text).unwrap();
    assert_eq!(value.to_string(), "{\"return\":{}}");
}

#[test]
fn a_request_is_swallowed_and_later_ones_are_not() {
    let mut sim = negotiated("faults: {deaf: {at: request, of: query-name, nth: 1, do: silence}}");
    sim.send_raw("{'execute':'query-name','id':1}{'execute':'query-name','id':2}");
    assert_eq!(sim.recv(), "{\"return\": {}, \"id\": 2}\r\n");
}

#[test]
fn a_reply_is_lost_or_late_while_its_command_was_carried_out() {
    let mut sim = negotiated("faults: {lost: {at: reply, of: stop, do: drop}}");
    sim.send(qmp!("stop"));
    let text = sim.recv();
    assert!(text.contains("STOP") && !text.contains("return"), "{text}");
    let mut sim = negotiated("faults: {late: {at: reply, of: query-name, do: {delay: 1s}}}");
    sim.send(qmp!("query-name"));
    sim.send(qmp!("stop"));
    let text = sim.recv();
    assert!(
        text.contains("STOP") && !text.contains("return"),
        "an event overtakes: {text}"
    );
    sim.advance(Duration::from_secs(1));
    assert_eq!(sim.recv(), "{\"return\": {}}\r\n".repeat(2));
}

#[test]
fn events_are_dropped_or_doubled() {
    let mut sim = negotiated("faults: {lost: {at: event, of: STOP, do: drop}}");
    sim.send(qmp!("stop"));
    assert_eq!(sim.recv(), "{\"return\": {}}\r\n");
    let mut sim = negotiated("faults: {double: {at: event, of: STOP, do: {duplicate: 2}}}");
    sim.send(qmp!("stop"));
    assert_eq!(sim.recv().matches("\"STOP\"").count(), 3);
}

#[test]
fn half_a_reply_is_sent_and_the_connection_ends() {
    let mut sim =
        negotiated("faults: {die: {at: reply, of: query-name, do: [{send: half}, close]}}");
    sim.send(qmp!("query-name"));
    sim.send(qmp!("query-uuid"));
    assert_eq!(sim.recv(), "{\"return");
    sim.send(qmp!("query-name"));
    assert_eq!(sim.recv(), "", "nobody is there any more");
}

#[test]
fn reading_stops() {
    let mut sim = negotiated("faults: {deaf: {at: request, of: query-name, do: stop-reading}}");
    sim.send(qmp!("query-name"));
    assert_eq!(sim.recv(), "{\"return\": {}}\r\n");
    sim.send(qmp!("query-name"));
    assert_eq!(sim.recv(), "");
    assert_eq!(sim.received().count(&qmp!("query-name")), 1);
}

#[test]
fn a_fault_is_off_until_it_is_switched_on() {
    let mut sim = negotiated("faults: {twice: {at: reply, do: {duplicate: 1}, enabled: false}}");
    sim.send(qmp!("query-name"));
    assert_eq!(sim.recv(), "{\"return\": {}}\r\n");
    sim.fault("twice");
    sim.send(qmp!("query-name"));
    assert_eq!(sim.recv(), "{\"return\": {}}\r\n".repeat(2));
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let play = |seed: u64| {
        let mut all = Vec::new();
        let faults = [
            "{at: reply, probability: 0.5, do: {duplicate: 1}}",
            Slice::random(),
        ];
        Mock::machine().sweep(seed..seed + 1, |sim| {
            for fault in faults {
                sim.fault(fault);
            }
            sim.connect();
            sim.send(qmp!("qmp_capabilities"));
            for _ in 0..8 {
                sim.send(qmp!("query-status"));
            }
            sim.pipe(|piece| {
                all.extend_from_slice(piece);
                all.push(b'|');
            });
        });
        all
    };
    assert_eq!(play(1), play(1));
    assert_ne!(play(1), play(2));
}
