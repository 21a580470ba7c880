//! The trace as lines of text.

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longer lines are cut. A message may be as large as the JSON limits allow.
const LINE_MAX: usize = 512;

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

/// Prints one line.
pub(super) fn print(name: &str, text: fmt::Arguments<'_>) {
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
    push_escaped(&mut line, &format!("{name} {text}"));
    line.push('\n');
    // There is nowhere to report that the log cannot be written.
    let _ = match &mut *out {
        Some(writer) => writer.write_all(line.as_bytes()),
        None => std::io::stderr().write_all(line.as_bytes()),
    };
}

/// Appends `text` without a control character, cut if it is long.
pub(super) fn push_escaped(line: &mut String, text: &str) {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_one_line_whatever_it_tells_of() {
        let line = |text: &str| {
            let mut line = String::new();
            push_escaped(&mut line, text);
            line
        };
        assert_eq!(line("a \r\n\x1b\u{85}b é"), "a \\r\\n\\u{1b}\\u{85}b é");
        assert_eq!(line(&"x".repeat(512)), "x".repeat(512));
        let cut = "x".repeat(511) + "... (515 bytes)";
        assert_eq!(line(&("x".repeat(511) + "éé")), cut);
    }
}
