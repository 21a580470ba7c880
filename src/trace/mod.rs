//! Trace events: the path of a request, printed one line a step.
//!
//! Each event is a static with a flag. While the flag is down,
//! [`trace_event!`](crate::trace_event) costs one relaxed load and a branch;
//! its arguments are not evaluated. Events are switched by name or by a
//! pattern (`tcp_chr_*`), with `-trace`, with the command
//! `trace-event-set-state`, or from code:
//!
//! ```
//! qmonitor::trace::set_enabled("tcp_chr_*", true);
//! let on: Vec<_> = qmonitor::trace::matching("*read").filter(|e| e.is_enabled()).collect();
//! assert_eq!(on[0].name, "tcp_chr_read");
//! # qmonitor::trace::set_enabled("*", false);
//! ```
//!
//! As in QEMU the events belong to the process, not to one instance. One line
//! is one step, whatever text it shows: control characters are escaped, and
//! long texts are cut.
//!
//! Beside the lines, a [`Recorder`] can take all steps, whichever events are switched
//! on: [`record_file`] writes them for a viewer of traces or as a diagram.

mod chrome;
mod event;
pub mod events;
mod file;
mod lines;
mod mermaid;
mod record;

use std::sync::atomic::AtomicBool;

pub use chrome::ChromeTrace;
pub use event::{Fact, Recorder, Room, Step, TraceEvent};
pub use events::ALL;
pub use file::Translate;
pub use lines::{set_output, set_timestamps};
pub use mermaid::SequenceDiagram;
pub use record::{ignore_this_thread, record, record_file, stop_recording};

/// True while any event is switched on or recorded. Code that would have to do more
/// than look at one event asks this first.
pub fn is_any_wanted() -> &'static AtomicBool {
    &event::ANY
}

/// Notes a step of the named event if it is wanted:
/// `trace_event!(tcp_chr_read, "fd {} got {} bytes", fd, n)`. What a picture needs to
/// know beside the text stands in brackets:
/// `trace_event!(tcp_chr_read, [fd: fd, bytes: n], "fd {fd} got {n} bytes")`.
#[macro_export]
macro_rules! trace_event {
    ($name:ident, [$($fact:ident: $value:expr),+ $(,)?], $($arg:tt)+) => {
        if $crate::trace::events::$name.is_wanted() {
            $crate::trace::happens(
                &$crate::trace::events::$name,
                &[$((stringify!($fact), $crate::trace::Fact::from($value))),+],
                ::std::format_args!($($arg)+),
            );
        }
    };
    ($name:ident, $($arg:tt)+) => {
        if $crate::trace::events::$name.is_wanted() {
            $crate::trace::happens(
                &$crate::trace::events::$name,
                &[],
                ::std::format_args!($($arg)+),
            );
        }
    };
}

/// Prints and records a step, as far as its event is switched on; called by
/// [`trace_event!`](crate::trace_event).
#[cold]
pub fn happens(
    event: &'static TraceEvent,
    facts: &[(&'static str, Fact<'_>)],
    text: std::fmt::Arguments<'_>,
) {
    if record::is_ignored() {
        return;
    }
    if event.is_enabled() {
        lines::print(event.name, text);
    }
    if event.is_recorded() {
        record::take(event, facts, text);
    }
}

/// Whether `name` matches `pattern`, in which `*` stands for any text and `?`
/// for any character.
pub fn glob_match(pattern: &str, name: &str) -> bool {
    let (p, n) = (pattern.as_bytes(), name.as_bytes());
    let (mut i, mut j) = (0, 0);
    // The last star, and how much of the name it matches so far.
    let mut star: Option<(usize, usize)> = None;
    while j < n.len() {
        if i < p.len() && p[i] == b'*' {
            star = Some((i, j));
            i += 1;
        } else if i < p.len() && (p[i] == b'?' || p[i] == n[j]) {
            i += 1;
            j += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            i = at + 1;
            j = taken + 1;
        } else {
            return false;
        }
    }
    p[i..].iter().all(|c| *c == b'*')
}

/// The events whose name matches the pattern.
pub fn matching(pattern: &str) -> impl Iterator<Item = &'static TraceEvent> + '_ {
    ALL.iter()
        .copied()
        .filter(move |e| glob_match(pattern, e.name))
}

/// Switches all events that match the pattern, and returns their number.
pub fn set_enabled(pattern: &str, on: bool) -> usize {
    matching(pattern).map(|e| e.set_enabled(on)).count()
}

/// Carries out one line of an events file or the value of `-trace`: a name or
/// pattern, switched off if it starts with `-`. A plain name that does not
/// exist is an error, a pattern that matches nothing is not
/// (`trace_enable_events`).
pub fn enable_events(line: &str) -> Result<(), crate::qapi::Error> {
    let (pattern, on) = match line.strip_prefix('-') {
        Some(rest) => (rest, false),
        None => (line, true),
    };
    if set_enabled(pattern, on) == 0 && !pattern.contains(['*', '?']) {
        return Err(crate::qapi::Error::new(format!(
            "trace event '{pattern}' does not exist"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, matches) in [
            ("*", "", true),
            ("*", "x", true),
            ("tcp_*", "tcp_chr_read", true),
            ("*_read", "tcp_chr_read", true),
            ("t*r*d", "tcp_chr_read", true),
            ("t*r*x", "tcp_chr_read", false),
            ("tcp_chr_rea?", "tcp_chr_read", true),
            ("tcp_chr_rea", "tcp_chr_read", false),
            ("", "x", false),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob_match(pattern, name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error_and_an_idle_pattern_is_not() {
        let e = enable_events("no_such_event").unwrap_err();
        assert_eq!(e.desc(), "trace event 'no_such_event' does not exist");
        assert!(enable_events("no_such_*").is_ok());
        assert!(enable_events("-no_such_*").is_ok());
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|e| e.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
