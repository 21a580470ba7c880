//! Signals that end the program, and signals that must not.

use crate::Machine;
use qmonitor::main_loop::{Host, Signal, SignalInfo};
use qmonitor::qapi::Error;
use qmonitor::trace_event;
use qmonitor::Runtime;

/// The signals that ask a program to end.
const ENDING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];

/// QEMU uses these itself, so they do it no harm. Scripts send them to see whether the
/// program lives.
const HARMLESS: [Signal; 3] = [Signal::SIGUSR1, Signal::SIGALRM, Signal::SIGIO];

/// Has the signals that end a program call `killed`.
///
/// # Errors
///
/// There can be no more descriptors.
pub(super) fn watch_signals(
    rt: &mut Runtime<Machine>,
    killed: impl Fn(&mut Runtime<Machine>, SignalInfo) + 'static,
) -> Result<(), Error> {
    let signals = [ENDING, HARMLESS].concat();
    let watched = rt.main_loop_mut().add_signals(&signals, move |rt, info| {
        trace_event!(system_signal, "{:?} from pid {}", info.signal, info.pid);
        if ENDING.contains(&info.signal) {
            killed(rt, info);
        }
    });
    watched
        .and_then(|_| rt.watch_job_control())
        .map(|_| ())
        .map_err(|e| Error::from_io("signals cannot be watched", &e))
}

/// The line that tells operators who ended the program. A key of the terminal has no
/// sender.
pub(super) fn terminating(info: SignalInfo) -> String {
    let (signal, pid) = (info.signal as i32, info.pid);
    if pid == 0 {
        return format!("terminating on signal {signal}");
    }
    let name = sender(pid).unwrap_or_else(|| "<unknown process>".to_owned());
    format!("terminating on signal {signal} from pid {pid} ({name})")
}

/// The first word of a process's command line.
fn sender(pid: u32) -> Option<String> {
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let name = words.split(|byte| *byte == 0).next()?;
    (!name.is_empty()).then(|| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_of_a_signal_is_named_if_there_is_one() {
        let from = |pid| {
            terminating(SignalInfo {
                signal: Signal::SIGTERM,
                pid,
                uid: 0,
            })
        };
        assert_eq!(from(0), "terminating on signal 15");
        let own = std::process::id();
        let line = from(own);
        let program = std::env::args().next().unwrap();
        let expected = format!("terminating on signal 15 from pid {own} ({program})");
        assert_eq!(line, expected);
        // No process has this number.
        let line = from(u32::MAX >> 1);
        assert!(line.ends_with("(<unknown process>)"), "{line}");
    }
}
