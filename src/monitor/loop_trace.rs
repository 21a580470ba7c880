//! The steps of the main loop as trace events, which the loop does not know.

use std::fmt;
use std::os::fd::RawFd;
use std::time::Duration;

use crate::main_loop::{LoopEvent, LoopTrace};
use crate::trace_event;

/// What the loop calls at each step.
pub(super) fn loop_trace() -> LoopTrace {
    let mut running = None;
    Box::new(move |event, name| {
        match event {
            LoopEvent::WatchRuns(_) | LoopEvent::TimerRuns(_) | LoopEvent::BhRuns(_) => {
                running = Some(name);
            }
            LoopEvent::Returns | LoopEvent::TurnBegins(_) => running = None,
            _ => {}
        }
        trace_main_loop(event, name, running);
    })
}

/// The descriptor of a watch, as a line shows it.
struct Fd(Option<RawFd>);

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(fd) => write!(f, "fd {fd}"),
            None => f.write_str("no fd"),
        }
    }
}

/// How long the loop may wait, as a line shows it.
struct Limit(Option<Duration>);

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("sleeps"),
            Some(Duration::ZERO) => f.write_str("looks"),
            Some(limit) => write!(f, "sleeps up to {} ms", limit.as_millis()),
        }
    }
}

/// Prints and records a step. `running` is the callback in which it is taken.
fn trace_main_loop(event: LoopEvent, name: &'static str, running: Option<&'static str>) {
    match event {
        LoopEvent::TurnBegins(turn) => {
            trace_event!(main_loop_wait, [turn: turn], "turn {turn}");
        }
        LoopEvent::WaitBegins(limit) => {
            let ns = limit.map(|limit| limit.as_nanos() as u64);
            trace_event!(os_host_main_loop_wait, [limit_ns: ns], "{}", Limit(limit));
        }
        LoopEvent::WaitEnds => trace_event!(os_host_main_loop_wait_done, "goes on"),
        LoopEvent::WatchAdded(fd) => {
            trace_event!(watch_add, [fd: fd, callback: name], "{} for {name}", Fd(fd));
        }
        LoopEvent::WatchRemoved(fd) => {
            trace_event!(watch_remove, [fd: fd, callback: name], "{} for {name}", Fd(fd));
        }
        LoopEvent::GateOpens(fd) => {
            trace_event!(watch_gate, [fd: fd, callback: name, gate: "open"],
                "{} for {name} opens", Fd(fd));
        }
        LoopEvent::GateCloses(fd) => {
            trace_event!(watch_gate, [fd: fd, callback: name, gate: "closed"],
                "{} for {name} closes", Fd(fd));
        }
        LoopEvent::WatchRuns(fd) => {
            trace_event!(watch_dispatch, [fd: fd, callback: name], "{} to {name}", Fd(fd));
        }
        LoopEvent::TimerArmed(timer, ns) => {
            trace_event!(timer_mod, [timer: timer, callback: name, in_ns: ns],
                "{name} in {} ms", ns / 1_000_000);
        }
        LoopEvent::TimerDisarmed(timer) => {
            trace_event!(timer_del, [timer: timer, callback: name], "{name}");
        }
        LoopEvent::TimerRuns(timer) => {
            trace_event!(timer_dispatch, [timer: timer, callback: name], "{name}");
        }
        LoopEvent::BhScheduled(bh) => {
            let by = running.unwrap_or("no callback");
            trace_event!(bh_schedule, [bh: bh, callback: name, by: by], "{name} by {by}");
        }
        LoopEvent::BhCalled(bh) => {
            let by = "another thread";
            trace_event!(bh_schedule, [bh: bh, callback: name, by: by], "{name} by {by}");
        }
        LoopEvent::BhRuns(bh) => {
            trace_event!(bh_dispatch, [bh: bh, callback: name], "{name}");
        }
        LoopEvent::Returns => trace_event!(dispatch_done, [callback: name], "{name}"),
    }
}
