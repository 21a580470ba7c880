//! Stubs and expectations, played in process.

use std::time::Duration;

use qmonitor_testkit::{qmp, Sim};

/// A client of a scenario, past its negotiation.
fn client(scenario: &str) -> Sim {
    let mut sim = Sim::of(scenario);
    sim.connect();
    sim.send(qmp!("qmp_capabilities"));
    let greeting = sim.recv();
    assert!(greeting.starts_with("{\"QMP\""), "{greeting}");
    assert!(greeting.ends_with("{\"return\": {}}\r\n"), "{greeting}");
    sim
}

#[track_caller]
fn answer(sim: &mut Sim, request: &str, expected: &str) {
    sim.send_raw(request);
    assert_eq!(sim.recv(), expected.replace('\n', "\r\n"));
}

#[test]
fn replies_come_one_after_the_other_and_the_last_stays() {
    let sim = &mut client(
        "stubs: [{when: {execute: query-migrate}, replies: [{return: {status: active}}, {return: {status: completed}}]}]",
    );
    answer(
        sim,
        "{'execute':'query-migrate'}",
        "{\"return\": {\"status\": \"active\"}}\n",
    );
    for _ in 0..2 {
        let completed = "{\"return\": {\"status\": \"completed\"}}\n";
        answer(sim, "{'execute':'query-migrate'}", completed);
    }
}

#[test]
fn the_first_stub_that_fits_wins_and_arguments_that_are_not_named_do_not_matter() {
    let sim = &mut client(
        "
stubs:
  - {when: {execute: device_del, arguments: {id: {re: '^d[0-9]$'}}, exact: true}, reply: {return: {}}}
  - {when: {execute: device_del}, reply: {error: {class: DeviceNotFound, desc: gone}}}
  - {when: {execute: device_del}, reply: {return: {}}}
",
    );
    answer(
        sim,
        "{'execute':'device_del','arguments':{'id':'d1'},'id':1}",
        "{\"return\": {}, \"id\": 1}\n",
    );
    let gone = "{\"error\": {\"class\": \"DeviceNotFound\", \"desc\": \"gone\"}}\n";
    answer(sim, "{'execute':'device_del','arguments':{'id':'x'}}", gone);
    answer(
        sim,
        "{'execute':'device_del','arguments':{'id':'d1','x':1}}",
        gone,
    );
}

#[test]
fn events_after_the_reply_wait_for_their_time_and_have_what_was_bound() {
    let sim = &mut client(
        "
start: {seconds: 5}
stubs:
  - when: {execute: device_del, arguments: {id: $dev}}
    reply: {return: {}}
    then: [{delay: 200ms, event: DEVICE_DELETED, data: {device: $dev, path: /machine/peripheral/$dev}}]
",
    );
    answer(
        sim,
        "{'execute':'device_del','arguments':{'id':'d0'}}",
        "{\"return\": {}}\n",
    );
    sim.advance(Duration::from_millis(199));
    assert_eq!(sim.recv(), "");
    sim.advance(Duration::from_millis(1));
    let event = "{\"timestamp\": {\"seconds\": 5, \"microseconds\": 200000}, \"event\": \"DEVICE_DELETED\", \
                 \"data\": {\"device\": \"d0\", \"path\": \"/machine/peripheral/d0\"}}\r\n";
    assert_eq!(sim.recv(), event);
}

#[test]
fn nth_counts_what_fitted_and_the_machine_answers_the_others() {
    let sim = &mut client(
        "stubs: [{when: {execute: query-name, nth: 2}, reply: {return: {name: second}}}]",
    );
    answer(sim, "{'execute':'query-name'}", "{\"return\": {}}\n");
    answer(
        sim,
        "{'execute':'query-name'}",
        "{\"return\": {\"name\": \"second\"}}\n",
    );
    answer(sim, "{'execute':'query-name'}", "{\"return\": {}}\n");
}

#[test]
fn times_ends_a_stub_and_follows_begins_it() {
    let sim = &mut client(
        "
stubs:
  - {when: {execute: query-name}, times: 1, follows: {execute: query-uuid}, reply: {return: {name: x}}}
",
    );
    answer(sim, "{'execute':'query-name'}", "{\"return\": {}}\n");
    sim.send_raw("{'execute':'query-uuid'}");
    sim.recv();
    answer(
        sim,
        "{'execute':'query-name'}",
        "{\"return\": {\"name\": \"x\"}}\n",
    );
    answer(sim, "{'execute':'query-name'}", "{\"return\": {}}\n");
}

#[test]
fn what_is_held_is_answered_when_released_and_out_of_band_overtakes() {
    let mut sim = Sim::of(
        "
stubs:
  - {when: {execute: query-block}, hold: slow}
  - {when: {execute: query-name}, hold: slow, reply: {return: {name: held}}}
",
    );
    sim.connect();
    sim.send_raw("{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}");
    sim.recv();
    sim.send_raw("{'execute':'query-block','id':1}{'execute':'query-name','id':2}");
    sim.send_raw("{'exec-oob':'migrate-pause','id':3}");
    let overtook = sim.recv();
    assert!(
        overtook.contains("\"id\": 3") && !overtook.contains("\"id\": 1"),
        "{overtook}"
    );
    assert_eq!(sim.release("slow"), 1);
    let rest = "{\"return\": [], \"id\": 1}\r\n{\"return\": {\"name\": \"held\"}, \"id\": 2}\r\n";
    assert_eq!(sim.recv(), rest, "after the release all pass");
}

#[test]
fn a_delayed_reply_keeps_later_requests_waiting() {
    let sim = &mut client("stubs: [{when: {execute: query-name}, delay: 1s, reply: {return: {}}}]");
    sim.send_raw("{'execute':'query-name','id':1}{'execute':'query-uuid','id':2}");
    assert_eq!(sim.recv(), "");
    sim.advance(Duration::from_secs(1));
    let replies = sim.recv();
    assert!(
        replies.starts_with("{\"return\": {}, \"id\": 1}\r\n"),
        "{replies}"
    );
    assert!(replies.ends_with("\"id\": 2}\r\n"), "{replies}");
}

#[test]
fn a_command_passes_to_the_machine_between_its_events() {
    let sim = &mut client(
        "
stubs:
  - {when: {execute: stop}, pass: true, before: [{event: POWERDOWN}], then: [{event: WAKEUP}]}
",
    );
    sim.send_raw("{'execute':'stop'}");
    let got = sim.recv();
    let names: Vec<_> = got
        .split("\"event\": ")
        .skip(1)
        .map(|rest| &rest[..6])
        .collect();
    assert_eq!(names, ["\"POWER", "\"STOP\"", "\"WAKEU"], "{got}");
    let reply = got.find("{\"return\": {}}").unwrap();
    assert!(got.find("STOP").unwrap() < reply && reply < got.find("WAKEUP").unwrap());
}

#[test]
fn lines_of_the_human_monitor_have_texts() {
    let sim = &mut client(
        "stubs: [{when: {hmp: {re: '^info balloon'}}, text: \"balloon: actual=64\\r\\n\"}]",
    );
    answer(
        sim,
        "{'execute':'human-monitor-command','arguments':{'command-line':'info balloon'}}",
        "{\"return\": \"balloon: actual=64\\r\\n\"}\n",
    );
}

#[test]
fn the_base_decides_about_the_rest() {
    let sim =
        &mut client("base: strict\nstubs: [{when: {execute: query-name}, reply: {return: {}}}]");
    answer(sim, "{'execute':'query-name'}", "{\"return\": {}}\n");
    let unexpected =
        "{\"error\": {\"class\": \"GenericError\", \"desc\": \"unexpected command\"}}\n";
    answer(sim, "{'execute':'stop'}", unexpected);
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sim.verify()));
    let message = failed.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("unexpected command: stop"), "{message}");
    let sim = &mut client("base: empty");
    let not_found = "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command stop has not been found\"}}\n";
    answer(sim, "{'execute':'stop'}", not_found);
}

#[test]
fn a_profile_speaks_for_its_qemu() {
    let mut sim =
        Sim::of("profile: '11.1'\nstubs: [{when: {execute: qom-list-get}, reply: {return: []}}]");
    sim.connect();
    let greeting = sim.recv();
    assert!(greeting.contains("\"major\": 11"), "{greeting}");
    sim.send(qmp!("qmp_capabilities"));
    sim.send(qmp!("query-qmp-schema"));
    assert!(sim.recv().contains("qom-list-get"));
    answer(
        &mut sim,
        "{'execute':'qom-list-get','arguments':{'paths':[]}}",
        "{\"return\": []}\n",
    );
}

#[test]
fn a_command_that_only_a_stub_has_keeps_to_the_rules_of_the_session() {
    let mut sim = Sim::of("stubs: [{when: {execute: migrate}, reply: {return: {}}}]");
    sim.connect();
    sim.recv();
    let too_early = "{\"error\": {\"class\": \"CommandNotFound\", \
                     \"desc\": \"Expecting capabilities negotiation with 'qmp_capabilities'\"}}\n";
    answer(&mut sim, "{'execute':'migrate'}", too_early);
    let enable = "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}";
    answer(&mut sim, enable, "{\"return\": {}}\n");
    let no_oob = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"The command migrate does not support OOB\"}}\n";
    answer(&mut sim, "{'exec-oob':'migrate'}", no_oob);
    answer(&mut sim, "{'execute':'migrate'}", "{\"return\": {}}\n");
}

#[test]
fn negotiation_can_be_stubbed() {
    let mut sim = Sim::of(
        "stubs: [{when: {execute: qmp_capabilities}, replies: [{error: {desc: 'not now'}}, {return: {}}]}]",
    );
    sim.connect();
    sim.recv();
    let refused = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}}\n";
    answer(&mut sim, "{'execute':'qmp_capabilities'}", refused);
    answer(
        &mut sim,
        "{'execute':'qmp_capabilities'}",
        "{\"return\": {}}\n",
    );
    answer(&mut sim, "{'execute':'query-name'}", "{\"return\": {}}\n");
}

#[track_caller]
fn fails(scenario: &str, requests: &[&str], expected: &str) {
    let mut sim = client(scenario);
    for request in requests {
        sim.send_raw(request);
    }
    sim.recv();
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| sim.verify()));
    match failed {
        Ok(()) => assert_eq!(expected, "", "it held"),
        Err(e) => {
            let message = e.downcast_ref::<String>().unwrap();
            assert!(
                !expected.is_empty() && message.contains(expected),
                "{message}"
            );
        }
    }
}

#[test]
fn expectations_hold_or_tell_what_came() {
    let stop = "{'execute':'stop'}";
    let cont = "{'execute':'cont'}";
    let twice = "expect: [{execute: stop, times: 2}]";
    fails(twice, &[stop, stop], "");
    fails(
        twice,
        &[stop],
        "expected {execute: stop} twice, but it came once",
    );
    fails(
        "expect: [{execute: stop}]",
        &[cont],
        "expected {execute: stop}, but it never came",
    );
    fails("expect: [{never: {execute: stop}}]", &[], "");
    fails(
        "expect: [{never: {execute: stop}}]",
        &[stop],
        "expected {execute: stop} never, but it came once: stop",
    );
    let follows = "expect: [{execute: cont, follows: {execute: stop}}]";
    fails(follows, &[stop, cont], "");
    fails(
        follows,
        &[cont, stop],
        "expected {execute: cont} after {execute: stop}, but cont came before it",
    );
    fails("expect: [{connections: 1}]", &[], "");
    fails(
        "expect: [{connections: 2}]",
        &[],
        "expected clients to connect twice, but they did once",
    );
    let near = "expect: [{execute: device_del, arguments: {id: d0}}]";
    let came = "{'execute':'device_del','arguments':{'id':'d1'}}";
    fails(near, &[came], "near misses:\n  {execute: device_del, arguments: {id: \"d0\"}} was expected; device_del {\"id\": \"d1\"} came");
}

#[test]
fn the_journal_has_what_came_as_it_came() {
    let sim = &mut client("{}");
    sim.send_raw("{'execute':'query-name','id':[1]} {\"execute\": ]} [1] {'x':1}");
    sim.recv();
    let received = sim.received();
    assert_eq!(
        format!("{received:?}"),
        "[1 qmp_capabilities, 2 query-name, 3 \"{\\\"execute\\\": ]\" (JSON parse error, expecting value), \
         4 \"}\" (JSON parse error, expecting value), 5 \"[1]\" (not an object), 6 \"{\\'x\\':1}\" (no command is named)]"
    );
    let entry = &received.entries()[1];
    assert_eq!(entry.raw, b"{'execute':'query-name','id':[1]}");
    assert_eq!(received.count(&qmp!("query-name")), 1);
}
