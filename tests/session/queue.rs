//! Which requests wait for which.

use crate::world::*;

const UNEXPECTED: &str = "QMP input member 'exec-oob' is unexpected";

/// The answer that a client without the capability would get at once if its
/// request were read.
fn canary(id: i64) -> (String, String) {
    (oob("note-oob", id), err(&id.to_string(), UNEXPECTED))
}

#[test]
fn without_oob_nothing_is_read_while_a_request_is_under_way() {
    let mut w = World::new();
    let a = w.client("a");
    let (sent, answer) = canary(2);
    w.send(a, req("hold", 1) + &sent + &note_req("n", 3));
    w.expect::<&str>(a, &[]);
    w.release();
    w.expect(a, &[ok(1), answer, ok(3)]);
}

#[test]
fn without_oob_an_error_takes_its_turn_as_well() {
    let mut w = World::new();
    let (a, b) = (w.client("a"), w.client("b"));
    w.send(a, req("hold", 1));
    w.settle();
    let (sent, answer) = canary(2);
    w.send(b, "[1]".to_owned() + &sent);
    w.expect::<&str>(b, &[]);
    w.release();
    let not_an_object = err("", "QMP input must be a JSON object");
    w.expect(b, &[not_an_object, answer]);
}

/// As by QEMU, which looks at a message only after it has answered those before it, unless
/// one takes its time.
#[test]
fn with_oob_what_is_done_at_once_is_answered_first() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(
        a,
        note_req("n", 1) + &oob("note-oob", 2) + &note_req("n", 3),
    );
    w.expect(a, &[ok(1), ok(2), ok(3)]);
}

#[test]
fn with_oob_seven_wait_and_the_session_is_still_read() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, req("hold", 1));
    for id in 2..9 {
        w.send(a, note_req("n", id));
    }
    w.send(a, oob("note-oob", 9));
    w.expect(a, &[ok(9)]);
    w.release();
    let rest: Vec<_> = (1..9).map(ok).collect();
    w.expect(a, &rest);
}

#[test]
fn with_oob_the_eighth_suspends_and_taking_one_off_resumes() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, req("hold", 1) + &req("hold", 2));
    for id in 3..10 {
        w.send(a, note_req("n", id));
    }
    w.send(a, oob("note-oob", 10));
    w.expect::<&str>(a, &[]);
    w.release();
    // The second one leaves the queue without an answer, too.
    w.expect(a, &[ok(1), ok(10)]);
    w.release();
    let rest: Vec<_> = (2..10).map(ok).collect();
    w.expect(a, &rest);
}

#[test]
fn errors_count_in_the_queue_and_wait_their_turn() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, req("hold", 1) + &note_req("n", 2));
    w.send(a, "{'execute': 1, 'id': 3}");
    w.send(a, "{'execute':}");
    w.send(a, "[]".to_owned() + &req("nope", 4) + "\u{1}");
    w.send(a, "{'id': 5}");
    w.send(a, oob("note-oob", 6));
    w.expect(a, &[ok(6)]);
    w.send(a, "12 ");
    w.send(a, oob("note-oob", 7));
    w.expect::<&str>(a, &[]);
    w.release();
    let not_found =
        "{\"id\": 4, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command nope has not been found\"}}";
    w.expect(
        a,
        &[
            ok(1),
            ok(2),
            // The session read it as soon as the queue had seven.
            ok(7),
            err("3", "QMP input member 'execute' must be a string"),
            err("", "JSON parse error, expecting value"),
            err("", "QMP input must be a JSON object"),
            not_found.to_owned(),
            err("", "JSON parse error, stray '\\u0001'"),
            err("5", "QMP input lacks member 'execute'"),
            err("", "QMP input must be a JSON object"),
        ],
    );
}

#[test]
fn monitors_are_served_in_turn() {
    let mut w = World::new();
    let peers = ["a", "b", "c"].map(|label| w.oob_client(label));
    w.send(peers[0], req("hold", 0));
    w.settle();
    for (peer, name) in peers.iter().zip(["a", "b", "c"]) {
        for n in 1..4 {
            w.send(*peer, note_req(&format!("{name}{n}"), n));
        }
        w.settle();
    }
    w.release();
    w.settle();
    w.expect_notes(&["a1", "b1", "c1", "a2", "b2", "c2", "a3", "b3", "c3"]);
    w.expect(peers[0], &[ok(0), ok(1), ok(2), ok(3)]);
    w.expect(peers[1], &[ok(1), ok(2), ok(3)]);
    w.expect(peers[2], &[ok(1), ok(2), ok(3)]);
}

#[test]
fn a_busy_client_does_not_starve_the_others() {
    let mut w = World::new();
    let (a, b) = (w.client("a"), w.client("b"));
    for id in 0..2000 {
        w.send(a, note_req("a", id));
    }
    w.send(b, note_req("b", 0));
    w.settle();
    let turn_of_b = w.rt.state.notes.iter().position(|n| n == "b").unwrap();
    assert!(turn_of_b <= 2, "b was served after {turn_of_b} of a");
    let answers: Vec<_> = (0..2000).map(ok).collect();
    w.expect(a, &answers);
    w.expect(b, &[ok(0)]);
}

#[test]
fn an_in_band_command_under_way_holds_up_all_monitors_but_not_greetings() {
    let mut w = World::new();
    let (a, b, c) = (w.client("a"), w.client("b"), w.monitor("c"));
    w.send(a, req("hold", 1));
    w.settle();
    w.send(b, note_req("b", 1));
    c.open(&mut w.rt);
    w.expect(c, &[GREETING]);
    w.send(c, "{'execute': 'qmp_capabilities'}");
    w.expect::<&str>(b, &[]);
    w.expect::<&str>(c, &[]);
    w.release();
    w.expect(a, &[ok(1)]);
    w.expect(b, &[ok(1)]);
    w.expect(c, &["{\"return\": {}}"]);
}

#[test]
fn out_of_band_overtakes_on_every_monitor() {
    let mut w = World::new();
    let (a, b) = (w.oob_client("a"), w.oob_client("b"));
    w.send(a, req("hold", 1) + &note_req("in", 2) + &oob("note-oob", 3));
    w.expect(a, &[ok(3)]);
    w.send(b, note_req("in", 1) + &oob("note-oob", 2));
    w.expect(b, &[ok(2)]);
    w.release();
    w.expect(a, &[ok(1), ok(2)]);
    w.expect(b, &[ok(1)]);
}

#[test]
fn out_of_band_is_decided_by_the_members_alone() {
    let mut w = World::new();
    let a = w.oob_client("a");
    w.send(a, req("hold", 0));
    w.settle();
    for (id, sent, desc) in [
        (1, oob("note", 1), "The command note does not support OOB"),
        (
            2,
            "{'exec-oob': 7, 'id': 2}".to_owned(),
            "QMP input member 'exec-oob' must be a string",
        ),
        (
            3,
            "{'exec-oob': 'note-oob', 'arguments': 1, 'id': 3}".to_owned(),
            "QMP input member 'arguments' must be an object",
        ),
    ] {
        w.send(a, sent);
        w.expect(a, &[err(&id.to_string(), desc)]);
    }
    // With both members it is in band and waits.
    w.send(a, "{'execute': 'note', 'exec-oob': 'note-oob', 'id': 4}");
    w.expect::<&str>(a, &[]);
    w.release();
    let clash = "QMP input member 'execute' clashes with 'exec-oob'";
    w.expect(a, &[ok(0), err("4", clash)]);
}

#[test]
fn before_negotiation_an_out_of_band_request_is_refused_at_once() {
    let mut w = World::new();
    let (a, b) = (w.client("a"), w.monitor("b"));
    w.send(a, req("hold", 1));
    w.settle();
    b.open(&mut w.rt);
    let (sent, answer) = canary(2);
    w.send(b, sent);
    w.expect(b, &[GREETING, &answer]);
    w.send(b, capabilities_request("'oob'") + &oob("note-oob", 3));
    w.expect::<&str>(b, &[]);
    w.release();
    // By the time the session reads the request behind it, negotiation is over.
    w.expect(b, &["{\"return\": {}}", &ok(3)]);
}

#[test]
fn negotiation_that_fails_leaves_everything_as_it_was() {
    let mut w = World::new();
    let a = w.monitor("a");
    a.open(&mut w.rt);
    w.expect(a, &[GREETING]);
    w.send(a, capabilities_request("'oob', 'nope'"));
    w.expect(
        a,
        &[err("", "Parameter 'null' does not accept value 'nope'")],
    );
    w.emit(&EVENT_PLAIN, "x");
    let (sent, answer) = canary(1);
    w.send(a, note_req("n", 0) + &sent);
    let expecting = "{\"id\": 0, \"error\": {\"class\": \"CommandNotFound\", \
        \"desc\": \"Expecting capabilities negotiation with 'qmp_capabilities'\"}}";
    w.expect(a, &[expecting, &answer]);
    w.expect_notes(&[]);
}

#[test]
fn capabilities_are_forgotten_with_the_connection() {
    let mut w = World::new();
    let a = w.oob_client("a");
    a.close(&mut w.rt);
    w.settle();
    w.connect(a, "");
    let (sent, answer) = canary(1);
    w.send(a, sent);
    w.expect(a, &[answer]);
}

#[test]
fn every_kind_of_id_comes_back() {
    let mut w = World::new();
    let a = w.oob_client("a");
    for (sent, back) in [
        ("0", "0"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615", "18446744073709551615"),
        ("0.1", "0.10000000000000001"),
        ("1e400", "inf"),
        ("true", "true"),
        ("null", "null"),
        ("'\u{e9}\\u0000'", "\"\\u00E9\\u0000\""),
        ("[]", "[]"),
        ("[1, ['two']]", "[1, [\"two\"]]"),
        ("{'a': {'b': null}}", "{\"a\": {\"b\": null}}"),
    ] {
        let answer = format!("{{\"return\": {{}}, \"id\": {back}}}");
        for how in ["execute': 'note'", "exec-oob': 'note-oob'"] {
            w.send(a, format!("{{'{how}, 'id': {sent}}}"));
            w.expect(a, &[&answer]);
        }
        w.send(a, format!("{{'id': {sent}, 'execute': 'hold'}}"));
        w.settle();
        w.release();
        w.expect(a, &[&answer]);
        w.send(a, format!("{{'execute': 'note', 'id': {sent}, 'x': 1}}"));
        w.expect(a, &[err(back, "QMP input member 'x' is unexpected")]);
    }
    w.send(a, "{'execute': 'note', 'id': 1, 'id': 2}");
    w.expect(a, &[err("", "JSON parse error, duplicate key")]);
}

#[test]
fn requests_that_wait_go_with_their_client() {
    let mut w = World::new();
    let (a, b) = (w.oob_client("a"), w.oob_client("b"));
    w.send(b, req("hold", 1));
    w.settle();
    w.send(
        a,
        note_req("a1", 1) + &note_req("a2", 2) + "{'execute': 'no",
    );
    a.close(&mut w.rt);
    w.settle();
    w.connect_blocked(a);
    w.release();
    w.expect(b, &[ok(1)]);
    w.expect(a, &["{\"return\": {}}"]);
    w.send(a, note_req("a3", 3));
    w.expect(a, &[ok(3)]);
    w.expect_notes(&["a3"]);
}

impl World {
    /// Connects and asks for negotiation, which has to wait.
    #[track_caller]
    fn connect_blocked(&mut self, peer: qmonitor::chardev::MemoryPeer) {
        peer.open(&mut self.rt);
        self.send(peer, "{'execute': 'qmp_capabilities'}");
        self.expect(peer, &[GREETING]);
    }
}

#[test]
fn the_same_bytes_come_out_however_they_came_in() {
    let script = [
        capabilities_request("'oob'"),
        note_req("n", 1),
        "{'execute': @ 1}".to_owned(),
        oob("note-oob", 2),
        req("nope", 3),
        "[[[".to_owned(),
        "\u{1}".to_owned(),
        note_req("n", 4),
    ]
    .concat();
    let run = |piece: usize| {
        let mut w = World::new();
        let a = w.monitor("a");
        a.split(&mut w.rt, piece);
        a.open(&mut w.rt);
        w.send(a, &script);
        let text = String::from_utf8(a.recv(&mut w.rt)).unwrap();
        // The time of an out-of-band reply depends on the input so far.
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        let at = lines.iter().position(|l| *l == ok(2)).unwrap();
        lines.remove(at);
        lines
    };
    let whole = run(usize::MAX);
    assert_eq!(whole.last(), Some(&ok(4)));
    for piece in [1, 2, 3, 7, 100] {
        assert_eq!(run(piece), whole, "in pieces of {piece}");
    }
}
