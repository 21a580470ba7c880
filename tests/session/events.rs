//! Which clients get an event, when, and with which time in it.

use qmonitor::qapi::{
    CompatPolicy, CompatPolicyInput, CompatPolicyOutput, EventInfo, SpecialFeatures,
};

use crate::world::*;

const MS: i64 = 1_000_000;

fn plain(id: &str) -> String {
    event_line("PLAIN", id, 0)
}

#[test]
fn only_sessions_past_negotiation_hear() {
    let mut w = World::new();
    let (a, b, c) = (w.client("a"), w.monitor("b"), w.monitor("c"));
    b.open(&mut w.rt);
    w.expect(b, &[GREETING]);
    w.emit(&EVENT_PLAIN, "1");
    w.expect(a, &[plain("1")]);
    w.expect::<&str>(b, &[]);
    w.expect::<&str>(c, &[]);
    w.send(b, capabilities_request(""));
    w.settle();
    w.emit(&EVENT_PLAIN, "2");
    w.expect(b, &["{\"return\": {}}", &plain("2")]);
    c.open(&mut w.rt);
    w.expect(c, &[GREETING]);
}

#[test]
fn none_is_kept_for_the_next_client() {
    let mut w = World::new();
    let a = w.client("a");
    w.emit(&EVENT_PLAIN, "unsent");
    a.close(&mut w.rt);
    w.settle();
    a.output(&mut w.rt);
    w.emit(&EVENT_PLAIN, "nobody");
    w.connect(a, "");
    w.expect::<&str>(a, &[]);
}

#[test]
fn an_event_that_waits_for_its_flush_goes_with_the_client() {
    use qmonitor::chardev::{qemu_chr_be_event, ChrEvent};
    let mut w = World::new();
    let a = w.client("a");
    w.emit(&EVENT_PLAIN, "late");
    qemu_chr_be_event(&mut w.rt, a.chardev(), ChrEvent::Closed);
    a.open(&mut w.rt);
    w.emit(&EVENT_PLAIN, "early");
    w.expect(a, &[GREETING]);
}

#[test]
fn an_event_comes_before_the_reply_of_the_command_that_causes_it() {
    let mut w = World::new();
    let (a, b) = (w.oob_client("a"), w.client("b"));
    let emit = "{'execute': 'emit', 'arguments': {'id': 'x'}, 'id': 1}";
    w.send(a, note_req("n", 0) + emit + &note_req("n", 2));
    w.expect(a, &[ok(0), plain("x"), ok(1), ok(2)]);
    w.expect(b, &[plain("x")]);
    w.send(a, req("hold", 3));
    w.settle();
    w.emit(&EVENT_PLAIN, "y");
    w.release();
    w.expect(a, &[plain("y"), ok(3)]);
}

#[test]
fn events_are_laid_out_as_each_session_wants() {
    let mut w = World::new();
    let pretty = w.monitor_with("p", true).0;
    let a = w.client("a");
    pretty.open(&mut w.rt);
    w.send(pretty, capabilities_request(""));
    pretty.recv(&mut w.rt);
    w.emit(&EVENT_PLAIN, "x");
    w.expect(a, &[plain("x")]);
    let lines = [
        "{",
        "    \"timestamp\": {",
        "        \"seconds\": 0,",
        "        \"microseconds\": 0",
        "    },",
        "    \"event\": \"PLAIN\",",
        "    \"data\": {",
        "        \"id\": \"x\"",
        "    }",
        "}",
    ];
    w.expect(pretty, &lines);
}

#[test]
fn the_first_goes_out_at_once_and_of_its_second_the_last() {
    let mut w = World::new();
    let a = w.client("a");
    let line = |id: &str, ms: i64| event_line("WATCHDOG", id, ms * MS);
    w.advance(5000);
    w.emit(&EVENT_WATCHDOG, "first");
    w.expect(a, &[line("first", 5000)]);
    for id in ["second", "third", "last"] {
        w.advance(100);
        w.emit(&EVENT_WATCHDOG, id);
    }
    w.advance(699);
    w.expect::<&str>(a, &[]);
    w.advance(1);
    // It goes out at the end of the second, with the time of its origin.
    assert_eq!(w.now_ns(), 6000 * MS);
    w.expect(a, &[line("last", 5300)]);
    // That starts another second.
    w.advance(500);
    w.emit(&EVENT_WATCHDOG, "more");
    w.advance(499);
    w.expect::<&str>(a, &[]);
    w.advance(1);
    w.expect(a, &[line("more", 6500)]);
    // After a second without an event, the next one goes out at once.
    w.advance(1000);
    w.emit(&EVENT_WATCHDOG, "anew");
    w.expect(a, &[line("anew", 8000)]);
}

#[test]
fn each_key_has_seconds_of_its_own() {
    let mut w = World::new();
    let a = w.client("a");
    let line = |id: &str, ms: i64| event_line("VSERPORT_CHANGE", id, ms * MS);
    w.emit(&EVENT_VSERPORT, "p");
    w.emit(&EVENT_WATCHDOG, "w");
    w.emit(&EVENT_VSERPORT, "q");
    let watchdog = event_line("WATCHDOG", "w", 0);
    w.expect(a, &[line("p", 0), watchdog, line("q", 0)]);
    w.advance(500);
    w.emit(&EVENT_VSERPORT, "q");
    w.emit(&EVENT_VSERPORT, "r");
    w.emit(&EVENT_VSERPORT, "p");
    w.expect(a, &[line("r", 500)]);
    w.advance(500);
    w.expect(a, &[line("p", 500), line("q", 500)]);
    w.emit(&EVENT_VSERPORT, "r");
    w.advance(500);
    w.expect(a, &[line("r", 1000)]);
}

#[test]
fn what_is_held_back_is_for_whoever_listens_when_it_is_sent() {
    let mut w = World::new();
    let (a, b, c) = (w.client("a"), w.monitor("b"), w.monitor("c"));
    w.emit(&EVENT_WATCHDOG, "1");
    w.emit(&EVENT_WATCHDOG, "2");
    w.expect(a, &[event_line("WATCHDOG", "1", 0)]);
    a.close(&mut w.rt);
    w.connect(b, "");
    c.open(&mut w.rt);
    w.expect(c, &[GREETING]);
    w.advance(1000);
    w.expect(b, &[event_line("WATCHDOG", "2", 0)]);
    w.expect::<&str>(c, &[]);
    w.connect(a, "");
}

#[test]
fn the_machine_s_clock_and_rate_limits_have_nothing_to_do_with_each_other() {
    use qmonitor::main_loop::{ClockType, Host};
    let mut w = World::new();
    let a = w.client("a");
    w.rt.main_loop_mut().clock_enable(ClockType::Virtual, false);
    w.emit(&EVENT_WATCHDOG, "1");
    w.emit(&EVENT_WATCHDOG, "2");
    w.advance(1000);
    let both = ["1", "2"].map(|id| event_line("WATCHDOG", id, 0));
    w.expect(a, &both);
}

static DEPRECATED: EventInfo = EventInfo {
    name: "WATCHDOG",
    features: SpecialFeatures::DEPRECATED,
};
static UNSTABLE: EventInfo = EventInfo {
    name: "VSERPORT_CHANGE",
    features: SpecialFeatures::UNSTABLE,
};

#[test]
fn policy_hides_events_of_its_kind_only() {
    for (deprecated, unstable) in [(false, false), (true, false), (false, true), (true, true)] {
        let output = |hide: bool| {
            if hide {
                CompatPolicyOutput::Hide
            } else {
                CompatPolicyOutput::Accept
            }
        };
        let mut w = World::new();
        let a = w.client("a");
        w.rt.set_compat_policy(CompatPolicy {
            deprecated_output: output(deprecated),
            unstable_output: output(unstable),
            // The policy for input does not matter for events.
            deprecated_input: CompatPolicyInput::Reject,
            unstable_input: CompatPolicyInput::Reject,
            ..CompatPolicy::default()
        });
        w.emit(&DEPRECATED, "d");
        w.emit(&UNSTABLE, "u");
        w.emit(&EVENT_PLAIN, "p");
        let mut lines = vec![plain("p")];
        if !unstable {
            lines.insert(0, event_line("VSERPORT_CHANGE", "u", 0));
        }
        if !deprecated {
            lines.insert(0, event_line("WATCHDOG", "d", 0));
        }
        w.expect(a, &lines);
    }
}

#[test]
fn a_hidden_event_does_not_use_up_the_second() {
    let mut w = World::new();
    let a = w.client("a");
    let hide = CompatPolicy {
        deprecated_output: CompatPolicyOutput::Hide,
        ..CompatPolicy::default()
    };
    w.rt.set_compat_policy(hide);
    w.emit(&DEPRECATED, "hidden");
    w.rt.set_compat_policy(CompatPolicy::default());
    w.emit(&DEPRECATED, "seen");
    w.expect(a, &[event_line("WATCHDOG", "seen", 0)]);
}

#[test]
fn rate_limits_are_forgotten_when_their_second_is_over() {
    use qmonitor::main_loop::Host;
    let mut w = World::new();
    let a = w.client("a");
    for n in 0..100 {
        w.emit(&EVENT_VSERPORT, &n.to_string());
    }
    assert!(w.rt.main_loop().next_timeout().is_some());
    w.advance(1000);
    a.recv(&mut w.rt);
    assert_eq!(w.rt.main_loop().next_timeout(), None);
}
