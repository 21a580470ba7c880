//! Faults, stubs and clients mixed by a seed: nothing panics, everything ends, and the same seed
//! gives the same bytes.

use std::time::Duration;

use qmonitor_testkit::scenario::BUILT_IN_NAMES;
use qmonitor_testkit::{qmp, Sim};

/// Enough to choose by.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const FAULTS: [&str; 14] = [
    "{at: reply, probability: 0.3, do: drop}",
    "{at: reply, probability: 0.3, do: {delay: 50ms}}",
    "{at: reply, probability: 0.3, do: [{id: stale}, {pad: 100}]}",
    "{at: reply, nth: 4, do: [{send: half}, close]}",
    "{at: reply, nth: 5, do: reset}",
    "{at: request, probability: 0.2, do: silence}",
    "{at: request, probability: 0.2, do: {delay: 20ms}}",
    "{at: request, nth: 3, do: close}",
    "{at: request, probability: 0.2, do: {events: 3, event: STOP}}",
    "{at: event, probability: 0.5, do: {duplicate: 2}}",
    "{at: event, probability: 0.5, do: {delay: 10ms}}",
    "{at: event, probability: 0.2, do: drop}",
    "{at: output, do: {slice: random}}",
    "{at: connect, probability: 0.5, do: close}",
];

const STUBS: &str = "
stubs:
  - {when: {execute: query-block}, hold: gate}
  - {when: {execute: query-name}, delay: 30ms, reply: {return: {}}, then: [{delay: 5ms, event: STOP}]}
  - {when: {execute: device_del, arguments: {id: $x}}, before: [{event: STOP}], reply: {error: {desc: $x}}}
  - {when: {hmp: {any: true}}, text: hello}
";

const INPUT: [&str; 10] = [
    "{'execute':'query-block','id':1}",
    "{'execute':'query-name'}",
    "{'execute':'device_del','arguments':{'id':'d'},'id':'x'}",
    "{'execute':'stop'}{'execute':'cont','id':2}",
    "{'execute':'human-monitor-command','arguments':{'command-line':'info version'}}",
    "{'exec-oob':'migrate-pause','id':3}",
    "{]",
    "[1] 5 \"x\"",
    "{'execute':'nope','id':null}",
    "{'execute': 'query-sta",
];

fn play(seed: u64) -> Vec<u8> {
    let dice = &mut Dice(seed);
    let mut sim = Sim::of(&format!("seed: {seed}\n{STUBS}"));
    for _ in 0..dice.roll(4) {
        if dice.roll(2) == 0 {
            sim.fault(BUILT_IN_NAMES[dice.roll(BUILT_IN_NAMES.len() as u64) as usize]);
        } else {
            sim.fault(FAULTS[dice.roll(FAULTS.len() as u64) as usize]);
        }
    }
    let mut all = Vec::new();
    for _ in 0..1 + dice.roll(3) {
        sim.connect();
        let enable = "{'execute':'qmp_capabilities','arguments':{'enable':['oob']}}";
        sim.send_raw(if dice.roll(2) == 0 {
            enable
        } else {
            "{'execute':'qmp_capabilities'}"
        });
        for _ in 0..dice.roll(12) {
            match dice.roll(8) {
                0 => sim.advance(Duration::from_millis(dice.roll(60))),
                1 => drop(sim.release("gate")),
                2 => sim.emit(&qmp!(event "STOP")),
                3 => sim.pipe(|piece| all.extend_from_slice(piece)),
                _ => sim.send_raw(INPUT[dice.roll(INPUT.len() as u64) as usize]),
            }
        }
        if dice.roll(2) == 0 {
            sim.close();
        }
        sim.pipe(|piece| {
            all.extend_from_slice(piece);
            all.push(b'|');
        });
    }
    sim.advance(Duration::from_secs(10));
    sim.pipe(|piece| all.extend_from_slice(piece));
    all.extend_from_slice(format!("{:?}", sim.received()).as_bytes());
    all
}

#[test]
fn no_mixture_panics_and_each_is_the_same_again() {
    let mut all = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let once = play(seed);
        assert!(once == play(seed), "seed {seed}");
        all.insert(once);
    }
    assert!(all.len() > 50, "seeds differ");
}
