//! Ports with devices behind them that tell the host something: a test presses them where a
//! system in the machine would. `pvpanic` says that the system has crashed, the watchdog
//! `ib700` that it no longer answers; the keyboard controller has what was typed.

use std::time::Duration;

use super::run_state::{emit, main_loop_should_exit};
use crate::model::qtest::c_number;
use crate::schema::{
    qapi_event_send_guest_crashloaded, qapi_event_send_guest_panicked,
    qapi_event_send_guest_pvshutdown, qapi_event_send_watchdog, GuestPanicAction, RunState,
    ShutdownCause, WatchdogAction,
};
use crate::Machine;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// The ports of the watchdog: one stops it, the other starts it.
const IB700_STOP: u64 = 0x441;
const IB700_START: u64 = 0x443;

/// The ports of the keyboard controller.
const KEYBOARD_DATA: u64 = 0x60;
const KEYBOARD_STATUS: u64 = 0x64;

/// Bits of the port of `pvpanic`.
const PANICKED: u64 = 1;
const CRASHLOADED: u64 = 2;
const PVSHUTDOWN: u64 = 4;

/// Carries out a request about such a port; `None` if nothing is there.
pub(super) fn request(rt: &mut Rt, words: &[&str]) -> Option<String> {
    let number = |text: &str| c_number(text);
    match *words {
        ["inb", port, ..] => {
            let value = read(rt, number(port)?)?;
            Some(format!("OK 0x{value:04x}"))
        }
        ["outb", port, value, ..] => {
            write(rt, number(port)?, number(value)? & 0xff)?;
            Some("OK".to_owned())
        }
        _ => None,
    }
}

fn read(rt: &mut Rt, port: u64) -> Option<u64> {
    let m = &mut rt.state;
    match port {
        KEYBOARD_DATA if m.has_ps2() => Some(m.ps2.read().into()),
        KEYBOARD_STATUS if m.has_ps2() => Some(m.ps2.status().into()),
        _ => {
            let device = m.plugged("pvpanic")?;
            let is_here = m.size_property(device, "ioport") == port;
            is_here.then(|| m.size_property(device, "events"))
        }
    }
}

fn write(rt: &mut Rt, port: u64, value: u64) -> Option<()> {
    if matches!(port, IB700_START | IB700_STOP) {
        rt.state.plugged("ib700")?;
        set_watchdog(rt, (port == IB700_START).then_some(value));
        return Some(());
    }
    let device = rt.state.plugged("pvpanic")?;
    let is_here = rt.state.size_property(device, "ioport") == port;
    is_here.then(|| {
        if value & PANICKED != 0 {
            panicked(rt);
        } else if value & CRASHLOADED != 0 {
            qapi_event_send_guest_crashloaded(rt, GuestPanicAction::Run, None);
        } else if value & PVSHUTDOWN != 0 {
            qapi_event_send_guest_pvshutdown(rt);
            rt.state.run.shutdown_request(ShutdownCause::GuestShutdown);
            main_loop_should_exit(rt);
        }
    })
}

/// The system in the machine has crashed.
fn panicked(rt: &mut Rt) {
    let action = rt.state.run.panic_action();
    qapi_event_send_guest_panicked(rt, action, None);
    if action == GuestPanicAction::Run {
        return;
    }
    let events = rt.state.run.vm_stop(RunState::GuestPanicked);
    emit(rt, &events);
    if action == GuestPanicAction::Poweroff {
        rt.state.run.shutdown_request(ShutdownCause::GuestPanic);
        main_loop_should_exit(rt);
    }
}

/// Starts the watchdog, or stops it. Each step of the value takes two seconds off thirty.
fn set_watchdog(rt: &mut Rt, value: Option<u64>) {
    let timer = match rt.state.watchdog {
        Some(timer) => timer,
        None => {
            let main_loop = rt.main_loop_mut();
            let timer = main_loop.timer_new(ClockType::Virtual, "watchdog", expired);
            *rt.state.watchdog.insert(timer)
        }
    };
    match value {
        Some(value) => {
            let seconds = 30 - 2 * (value & 0xf);
            let time = Duration::from_secs(seconds);
            rt.main_loop_mut().timer_mod_in(timer, time);
        }
        None => {
            rt.main_loop_mut().timer_del(timer);
        }
    }
}

/// The system in the machine no longer answers (`watchdog_perform_action`).
fn expired(rt: &mut Rt) {
    let action = rt.state.run.actions().watchdog;
    qapi_event_send_watchdog(rt, action);
    match action {
        WatchdogAction::Reset => {
            rt.state.run.reset_request(ShutdownCause::GuestReset);
            main_loop_should_exit(rt);
        }
        WatchdogAction::Shutdown => {
            rt.state.run.powerdown_request();
            main_loop_should_exit(rt);
        }
        WatchdogAction::Poweroff => rt.request_exit(0),
        WatchdogAction::Pause => {
            let events = rt.state.run.vm_stop(RunState::Watchdog);
            emit(rt, &events);
        }
        WatchdogAction::Debug => eprintln!("watchdog: timer fired"),
        // An NMI has no effect on a processor that executes nothing.
        WatchdogAction::None | WatchdogAction::InjectNmi => {}
    }
}

/// A reset stops the watchdog, and forgets what was typed.
pub(super) fn reset(rt: &mut Rt) {
    rt.state.ps2.reset();
    if let Some(timer) = rt.state.watchdog {
        rt.main_loop_mut().timer_del(timer);
    }
}
