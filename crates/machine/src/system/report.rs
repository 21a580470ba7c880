//! Messages of the program on standard error, in QEMU's form:
//! `PROGRAM: -option argument: text`, hints on lines of their own.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use super::cli::{Opt, Word};
use qmonitor::chardev::print_stderr;
use qmonitor::qapi::Error;
use qmonitor::util::time::iso8601;

/// The option that a message is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A word of the command line and its argument, if any: `-chardev null`.
    CommandLine(String),
    /// A line of a configuration file; it follows the program's name without a blank.
    File {
        /// The file as it was named.
        path: String,
        /// The line, the first being 1.
        line: usize,
    },
}

impl Location {
    /// The option as it was written.
    pub(super) fn of(word: &Word) -> Self {
        let words = word.written.iter().chain(&word.arg);
        let words: Vec<&str> = words.map(String::as_str).collect();
        Location::CommandLine(words.join(" "))
    }
}

/// How messages look.
#[derive(Debug, Clone, Default)]
struct Style {
    program: String,
    timestamp: bool,
    guest_name: Option<String>,
}

/// Reports errors and warnings about one part of the command line.
#[derive(Debug, Clone, Default)]
pub struct Reporter {
    style: Style,
}

impl Reporter {
    /// A reporter for a program of this name; of a path the last part counts.
    pub fn new(argv0: &str) -> Self {
        let program = argv0.rsplit('/').next().unwrap_or(argv0).to_owned();
        Reporter {
            style: Style {
                program,
                ..Style::default()
            },
        }
    }

    /// Puts the time in front of each message (`-msg timestamp=on`).
    pub fn set_timestamp(&mut self, on: bool) {
        self.style.timestamp = on;
    }

    /// Puts the guest's name in front of each message (`-msg guest-name=on`).
    pub fn set_guest_name(&mut self, name: Option<String>) {
        self.style.guest_name = name;
    }

    /// The message for an error, its location (`-option argument`) in front.
    pub fn message(&self, location: Option<&Location>, level: &str, e: &Error) -> String {
        let mut text = String::new();
        if self.style.timestamp {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            text.push_str(&iso8601(now.unwrap_or_default().as_micros() as u64));
            text.push(' ');
        }
        if let Some(name) = &self.style.guest_name {
            let _ = write!(text, "{name} ");
        }
        let program = &self.style.program;
        let _ = match location {
            None => write!(text, "{program}: "),
            Some(Location::CommandLine(option)) => write!(text, "{program}: {option}: "),
            Some(Location::File { path, line }) => write!(text, "{program}:{path}:{line}: "),
        };
        let _ = write!(text, "{level}{}\n{}", e.desc(), e.hint());
        text
    }

    /// Prints an error (`error_report_err`).
    pub fn error(&self, location: Option<&Location>, e: &Error) {
        print_stderr(&self.message(location, "", e));
    }

    /// Prints a warning (`warn_report_err`).
    pub fn warning(&self, location: Option<&Location>, e: &Error) {
        print_stderr(&self.message(location, "warning: ", e));
    }
}

/// An option of the command line or of a file, not carried out yet.
pub(super) struct Pending {
    pub opt: Opt,
    pub arg: String,
    /// Named in messages about what the option makes.
    pub location: Option<Location>,
    /// Named in messages about the option's text: for an option of a file, the
    /// option that names the file.
    pub read_at: Option<Location>,
}

impl Pending {
    /// An option that nobody wrote.
    pub(super) fn by_default(opt: Opt, arg: &str) -> Self {
        Pending {
            opt,
            arg: arg.to_owned(),
            location: None,
            read_at: None,
        }
    }

    pub(super) fn failed(&self, e: Error) -> Failure {
        Failure::at(&self.location, e)
    }

    /// Its text is wrong.
    pub(super) fn failed_reading(&self, e: Error) -> Failure {
        Failure::at(&self.read_at, e)
    }

    /// Two messages: the error, and what failed because of it.
    pub(super) fn failed_twice(&self, e: Error, then: String) -> Failure {
        Failure {
            location: self.location.clone(),
            errors: vec![e, Error::new(then)],
            line: None,
        }
    }

    /// Prints warnings about the option.
    pub(super) fn warn(&self, reporter: &Reporter, warnings: &[Error]) {
        for w in warnings {
            reporter.warning(self.location.as_ref(), w);
        }
    }
}

/// Why the program cannot start: one or two messages about one option.
pub(super) struct Failure {
    location: Option<Location>,
    errors: Vec<Error>,
    /// The whole line, for what QEMU prints without the program's name.
    line: Option<String>,
}

impl Failure {
    /// Two messages about no option.
    pub(super) fn twice(e: Error, then: Error) -> Self {
        Failure {
            location: None,
            errors: vec![e, then],
            line: None,
        }
    }

    pub(super) fn at(location: &Option<Location>, e: Error) -> Self {
        Failure {
            location: location.clone(),
            errors: vec![e],
            line: None,
        }
    }

    /// A line as it stands.
    pub(super) fn line(text: String) -> Self {
        Failure {
            location: None,
            errors: Vec::new(),
            line: Some(text),
        }
    }

    /// What is reported.
    pub(super) fn message(&self, reporter: &Reporter) -> String {
        if let Some(line) = &self.line {
            return line.clone();
        }
        let errors = self.errors.iter().filter(|e| !e.desc().is_empty());
        let messages = errors.map(|e| reporter.message(self.location.as_ref(), "", e));
        messages.collect::<String>().trim_end().to_owned()
    }

    pub(super) fn report(&self, reporter: &Reporter) {
        if let Some(line) = &self.line {
            print_stderr(&format!("{line}\n"));
        }
        for e in &self.errors {
            if !e.desc().is_empty() {
                reporter.error(self.location.as_ref(), e);
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(e: Error) -> Self {
        Failure::at(&None, e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_program_and_option() {
        let r = Reporter::new("/usr/bin/qmonitor");
        let e = Error::new("bad").with_hint("Try harder\n");
        assert_eq!(
            r.message(
                Some(&Location::CommandLine("-name x".into())),
                "warning: ",
                &e
            ),
            "qmonitor: -name x: warning: bad\nTry harder\n"
        );
        let (path, line) = ("conf".into(), 7);
        assert_eq!(
            r.message(Some(&Location::File { path, line }), "", &e),
            "qmonitor:conf:7: bad\nTry harder\n"
        );
        assert_eq!(r.message(None, "", &e), "qmonitor: bad\nTry harder\n");
    }
}
