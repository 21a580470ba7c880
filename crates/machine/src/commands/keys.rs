//! Keys on their way to the machine: one after the other, with the times that they are held.
//! `send-key`, `input-send-event` and clients of VNC put them here.

use std::time::Duration;

use crate::model::key_queue::Step;
use crate::model::keys::scan_codes;
use crate::schema::{InputEvent, KeyValue};
use crate::Machine;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// How many steps can be on their way.
const MOST: usize = 1024;

/// How long a key is held by default.
const HOLD: Duration = Duration::from_millis(10);

/// Presses keys one after the other, and lets them go the other way round. A machine that
/// stands does not notice.
pub(super) fn send_keys(rt: &mut Rt, keys: Vec<KeyValue>, hold_time: Option<i64>) {
    let hold = hold_time.and_then(|ms| u64::try_from(ms).ok());
    let hold = hold
        .filter(|ms| *ms > 0)
        .map_or(HOLD, Duration::from_millis);
    let up: Vec<KeyValue> = keys.iter().rev().cloned().collect();
    let steps = keys.into_iter().map(|key| (key, true));
    for (key, down) in steps.chain(up.into_iter().map(|key| (key, false))) {
        push(rt, [Step::Key(key, down), Step::Wait(hold)]);
    }
    run(rt);
}

/// Carries out input of any kind that the devices take. It overtakes what waits.
pub(super) fn send_events(rt: &mut Rt, events: Vec<InputEvent>) {
    for event in events {
        // No guest reads what a pointer does.
        if let InputEvent::Key(key) = event {
            deliver(rt, &key.data.key, key.data.down);
        }
    }
}

fn deliver(rt: &mut Rt, key: &KeyValue, down: bool) {
    if rt.state.run.is_running() && rt.state.keys_go_to_board() {
        rt.state.ps2.send(&scan_codes(key, down));
    }
}

/// Presses a key, or lets it go.
pub(super) fn send_key(rt: &mut Rt, key: KeyValue, down: bool) {
    push(rt, [Step::Key(key, down)]);
    run(rt);
}

fn push<const N: usize>(rt: &mut Rt, steps: [Step; N]) {
    let queue = &mut rt.state.keys;
    if rt.state.run.is_running() && queue.steps.len() + N <= MOST {
        queue.steps.extend(steps);
    }
}

/// Goes on until something has to be waited for.
fn run(rt: &mut Rt) {
    while !rt.state.keys.waits {
        match rt.state.keys.steps.pop_front() {
            None => return,
            Some(Step::Key(key, down)) => deliver(rt, &key, down),
            Some(Step::Wait(time)) => wait(rt, time),
        }
    }
}

fn wait(rt: &mut Rt, time: Duration) {
    let timer = match rt.state.keys.timer {
        Some(timer) => timer,
        None => {
            let go_on = |rt: &mut Rt| {
                rt.state.keys.waits = false;
                run(rt);
            };
            let timer = rt
                .main_loop_mut()
                .timer_new(ClockType::Virtual, "keys", go_on);
            *rt.state.keys.timer.insert(timer)
        }
    };
    rt.state.keys.waits = true;
    rt.main_loop_mut().timer_mod_in(timer, time);
}
