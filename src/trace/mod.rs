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

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// One trace event (QEMU's `TraceEvent`).
#[derive(Debug)]
pub struct TraceEvent {
    /// Its name: that of QEMU's function where QEMU has such a step.
    pub name: &'static str,
    /// A sentence about it.
    pub about: &'static str,
    enabled: AtomicBool,
}

impl TraceEvent {
    /// Whether it prints.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.enabled.load(Ordering::Relaxed)
    }

    /// Switches it on or off.
    pub fn set_enabled(&self, on: bool) {
        self.enabled.store(on, Ordering::Relaxed);
    }

    /// Prints a line of this event, whether it is enabled or not; called by
    /// [`trace_event!`](crate::trace_event).
    #[cold]
    pub fn print(&self, args: fmt::Arguments<'_>) {
        let mut out = OUTPUT.lock().unwrap_or_else(|e| e.into_inner());
        let mut line = String::new();
        if TIMESTAMPS.load(Ordering::Relaxed) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.unwrap_or_default();
            line = format!(
                "{}@{}.{:06}:",
                std::process::id(),
                now.as_secs(),
                now.subsec_micros()
            );
        }
        push_line(&mut line, &format!("{} {args}", self.name));
        // There is nowhere to report that the log cannot be written.
        let _ = match &mut *out {
            Some(writer) => writer.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
    }
}

/// Longer lines are cut. A message may be as large as the JSON limits allow.
const LINE_MAX: usize = 512;

/// Appends `text` as one line.
fn push_line(line: &mut String, text: &str) {
    let fits = |(i, c): (usize, char)| i + c.len_utf8();
    let ends = text.char_indices().map(fits);
    let end = ends.take_while(|end| *end <= LINE_MAX).last().unwrap_or(0);
    for c in text[..end].chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    if end < text.len() {
        let _ = write!(line, "... ({} bytes)", text.len());
    }
    line.push('\n');
}

static OUTPUT: Mutex<Option<Box<dyn Write + Send>>> = Mutex::new(None);
static TIMESTAMPS: AtomicBool = AtomicBool::new(false);

/// Sends trace lines to `writer` instead of standard error (`-D FILE`);
/// `None` goes back to standard error.
pub fn set_output(writer: Option<Box<dyn Write + Send>>) {
    *OUTPUT.lock().unwrap_or_else(|e| e.into_inner()) = writer;
}

/// Puts `PID@SECONDS.MICROS:` in front of each line (`-msg timestamp=on`).
pub fn set_timestamps(on: bool) {
    TIMESTAMPS.store(on, Ordering::Relaxed);
}

/// Prints a line of the named event if it is enabled:
/// `trace_event!(tcp_chr_read, "fd {} got {} bytes", fd, n)`.
#[macro_export]
macro_rules! trace_event {
    ($name:ident, $($arg:tt)+) => {
        if $crate::trace::events::$name.is_enabled() {
            $crate::trace::events::$name.print(::std::format_args!($($arg)+));
        }
    };
}

macro_rules! declare {
    ($($name:ident $about:literal;)*) => {
        /// The events, each a static.
        #[allow(non_upper_case_globals)]
        pub mod events {
            use super::{AtomicBool, TraceEvent};
            $(
                #[doc = $about]
                pub static $name: TraceEvent = TraceEvent {
                    name: stringify!($name),
                    about: $about,
                    enabled: AtomicBool::new(false),
                };
            )*
        }
        /// All events, in the order in which a request meets them.
        pub static ALL: &[&TraceEvent] = &[$(&events::$name),*];
    };
}

declare! {
    monitor_parse "An option became a chardev and a monitor.";
    chardev_new "A chardev was made.";
    chardev_finalize "A chardev was taken down.";
    socket_listen "A listening socket was made.";
    socket_connect "A connection was asked for.";
    watch_add "The main loop began to watch a descriptor.";
    watch_remove "The main loop stopped watching a descriptor.";
    watch_dispatch "A watched descriptor is ready, its handler runs.";
    timer_dispatch "A timer is due, its handler runs.";
    bh_dispatch "A bottom half runs.";
    tcp_chr_accept "A client's connection was accepted.";
    tcp_chr_new_client "A connection became the chardev's; listening ends.";
    tcp_chr_connect "The chardev is open; its handler is now tcp_chr_read.";
    tcp_chr_read "Bytes arrived on a socket.";
    tcp_chr_disconnect "The connection ended.";
    chr_read "Bytes arrived on another backend.";
    monitor_qmp_event "A QMP monitor heard of its chardev.";
    monitor_qmp_read "A QMP monitor was given bytes.";
    handle_qmp_command "A message is complete.";
    monitor_qmp_cmd_in_band "A request was queued.";
    monitor_qmp_cmd_out_of_band "A request is carried out at once.";
    monitor_suspend "A monitor takes no more input.";
    monitor_resume "A monitor takes input again.";
    monitor_qmp_bh_dispatcher "The dispatcher takes up a request.";
    qmp_dispatch "A request is looked at.";
    do_qmp_dispatch "The command was found; its function is called.";
    qmp_dispatch_done "The command's function returned.";
    monitor_qmp_respond "A greeting or reply was put into the output buffer.";
    monitor_qapi_event_emit "An event goes out.";
    monitor_qapi_event_queue "An event is held back by its rate limit.";
    monitor_flush "A monitor's output is handed to its chardev.";
    chr_write "A backend is given bytes to write, or refused some.";
    tcp_chr_write "Bytes were written to a socket.";
    tcp_chr_tls_authz "An authorization is asked whether a TLS peer may come in.";
    monitor_event "A human monitor heard of its chardev.";
    monitor_read "A human monitor was given bytes.";
    handle_hmp_command "A line was typed at a human monitor.";
    hmp_command "An HMP command's function is called.";
    runstate_set "The machine's state changed.";
    qemu_system_shutdown_request "Someone asked the machine to end.";
    system_signal "A signal asked the program to end.";
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
    fn a_step_is_one_line_whatever_it_tells_of() {
        let line = |text: &str| {
            let mut line = String::new();
            push_line(&mut line, text);
            line
        };
        assert_eq!(line("a \r\n\x1b\u{85}b é"), "a \\r\\n\\u{1b}\\u{85}b é\n");
        assert_eq!(line(&"x".repeat(512)), "x".repeat(512) + "\n");
        let cut = "x".repeat(511) + "... (515 bytes)\n";
        assert_eq!(line(&("x".repeat(511) + "éé")), cut);
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = ALL.iter().map(|e| e.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
