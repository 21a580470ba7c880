//! Errors as QMP clients see them: a class and a description.

use std::borrow::Cow;
use std::fmt;

/// The error classes of QMP (`QapiErrorClass` in QEMU's `qapi/error.json`).
///
/// Nearly every error is [`GenericError`](ErrorClass::GenericError); the others
/// exist because some clients tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Anything without a class of its own.
    GenericError,
    /// The requested command does not exist, or not in this mode.
    CommandNotFound,
    /// A device has failed to become active.
    DeviceNotActive,
    /// The requested device, object or instance does not exist.
    DeviceNotFound,
    /// A requested KVM feature is missing.
    KvmMissingCap,
}

impl ErrorClass {
    /// The value of the member `class` in an error reply.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorClass::GenericError => "GenericError",
            ErrorClass::CommandNotFound => "CommandNotFound",
            ErrorClass::DeviceNotActive => "DeviceNotActive",
            ErrorClass::DeviceNotFound => "DeviceNotFound",
            ErrorClass::KvmMissingCap => "KVMMissingCap",
        }
    }
}

/// An error with a class, a description and perhaps hints (QEMU's `Error`).
///
/// Descriptions are wire format: clients match on them, so they agree with
/// QEMU's to the letter. Hints are further lines for a person at a terminal;
/// they never go over QMP.
///
/// ```
/// use qmonitor::qapi::{Error, ErrorClass};
///
/// let e = Error::new("Device 'x' is busy");
/// assert_eq!(e.class(), ErrorClass::GenericError);
/// assert_eq!(e.to_string(), "Device 'x' is busy");
/// let e = Error::with_class(ErrorClass::DeviceNotFound, "Device 'x' not found");
/// assert_eq!(e.class().as_str(), "DeviceNotFound");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    class: ErrorClass,
    desc: Cow<'static, str>,
    hint: String,
}

impl Error {
    /// A `GenericError` with this description (`error_setg`).
    pub fn new(desc: impl Into<Cow<'static, str>>) -> Self {
        Self::with_class(ErrorClass::GenericError, desc)
    }

    /// An error of the given class (`error_set`).
    pub fn with_class(class: ErrorClass, desc: impl Into<Cow<'static, str>>) -> Self {
        Error(Box::new(Inner {
            class,
            desc: desc.into(),
            hint: String::new(),
        }))
    }

    /// `WHAT: REASON`, where the reason is the operating system's text for `err`
    /// (`error_setg_errno`).
    pub fn from_io(what: impl fmt::Display, err: &std::io::Error) -> Self {
        Self::new(format!("{what}: {}", strerror(err)))
    }

    /// Puts text in front of the description (`error_prepend`).
    #[must_use]
    pub fn prepend(mut self, prefix: impl fmt::Display) -> Self {
        self.0.desc = Cow::Owned(format!("{prefix}{}", self.0.desc));
        self
    }

    /// Adds a hint: whole lines, each ended by a newline (`error_append_hint`).
    #[must_use]
    pub fn with_hint(mut self, hint: impl AsRef<str>) -> Self {
        self.0.hint.push_str(hint.as_ref());
        self
    }

    /// The class.
    pub fn class(&self) -> ErrorClass {
        self.0.class
    }

    /// The description, without hints.
    pub fn desc(&self) -> &str {
        &self.0.desc
    }

    /// The hints: zero or more lines, each with its newline.
    pub fn hint(&self) -> &str {
        &self.0.hint
    }
}

/// The operating system's text for an error, without the "(os error N)" that Rust
/// appends: QEMU prints `strerror`.
pub fn strerror(err: &std::io::Error) -> String {
    let text = err.to_string();
    match (err.raw_os_error(), text.rfind(" (os error ")) {
        (Some(_), Some(end)) => text[..end].to_owned(),
        _ => text,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.desc)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strerror_drops_the_number() {
        let e = std::io::Error::from_raw_os_error(2);
        assert_eq!(strerror(&e), "No such file or directory");
        assert_eq!(
            Error::from_io("Could not open 'x'", &e).to_string(),
            "Could not open 'x': No such file or directory"
        );
    }

    #[test]
    fn prepend_and_hint_leave_the_class() {
        let e = Error::with_class(ErrorClass::DeviceNotFound, "gone")
            .prepend("x: ")
            .with_hint("try again\n");
        assert_eq!(e.class(), ErrorClass::DeviceNotFound);
        assert_eq!(e.desc(), "x: gone");
        assert_eq!(e.hint(), "try again\n");
    }
}
