//! The arguments a handler gets.

use super::args::HmpArg;
use super::format::FormatArg;
use crate::qapi::QDict;

/// A parsed argument.
#[derive(Clone, Debug, PartialEq)]
pub enum HmpValue {
    /// A string, and its bytes if they are not UTF-8.
    Str(String, Option<Vec<u8>>),
    /// An integer, or a size in bytes.
    Int(i64),
    /// A time in seconds.
    Number(f64),
    /// `on` or `off`, or a flag that was given.
    Bool(bool),
    /// A `/fmt`.
    Format(FormatArg),
    /// An option group.
    Options(QDict),
}

impl HmpValue {
    pub(super) fn string(bytes: Vec<u8>) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => HmpValue::Str(text, None),
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                HmpValue::Str(text, Some(error.into_bytes()))
            }
        }
    }
}

/// The arguments of one command line, asked for by the names in the command's
/// table row (the `QDict` of QEMU's handlers).
///
/// A getter without `try_` is for arguments that are always there. Asked for
/// one that is absent or of another kind it answers with an empty value; in
/// debug builds it panics, since then handler and table row disagree.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HmpArgs {
    declared: &'static [HmpArg],
    values: Vec<(&'static str, HmpValue)>,
}

impl HmpArgs {
    pub(super) fn new(declared: &'static [HmpArg]) -> Self {
        Self {
            declared,
            values: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, name: &'static str, value: HmpValue) {
        self.values.push((name, value));
    }

    /// The value of an argument, if it was given.
    pub fn get(&self, name: &str) -> Option<&HmpValue> {
        debug_assert!(
            self.declared.iter().any(|arg| arg.name == name),
            "argument '{name}' is not in the command's table row"
        );
        self.values
            .iter()
            .find(|(given, _)| *given == name)
            .map(|(_, value)| value)
    }

    /// A string; bytes that are not UTF-8 are replaced.
    pub fn str(&self, name: &str) -> &str {
        expect_given(name, self.try_str(name), "")
    }

    /// An optional string.
    pub fn try_str(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(HmpValue::Str(text, _)) => Some(text),
            _ => None,
        }
    }

    /// A string as it was typed.
    pub fn bytes(&self, name: &str) -> &[u8] {
        expect_given(name, self.try_bytes(name), b"")
    }

    /// An optional string as it was typed.
    pub fn try_bytes(&self, name: &str) -> Option<&[u8]> {
        match self.get(name) {
            Some(HmpValue::Str(text, None)) => Some(text.as_bytes()),
            Some(HmpValue::Str(_, Some(bytes))) => Some(bytes),
            _ => None,
        }
    }

    /// An integer. MiB and size arguments are in bytes.
    pub fn int(&self, name: &str) -> i64 {
        expect_given(name, self.try_int(name), 0)
    }

    /// An optional integer.
    pub fn try_int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(HmpValue::Int(value)) => Some(*value),
            _ => None,
        }
    }

    /// A time in seconds.
    pub fn number(&self, name: &str) -> f64 {
        expect_given(name, self.try_number(name), 0.0)
    }

    /// An optional time in seconds.
    pub fn try_number(&self, name: &str) -> Option<f64> {
        match self.get(name) {
            Some(HmpValue::Number(value)) => Some(*value),
            _ => None,
        }
    }

    /// `on` is true.
    pub fn bool(&self, name: &str) -> bool {
        expect_given(name, self.try_bool(name), false)
    }

    /// An optional `on` or `off`.
    pub fn try_bool(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(HmpValue::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// Whether a flag was given.
    pub fn flag(&self, name: &str) -> bool {
        self.try_bool(name).unwrap_or(false)
    }

    /// Count, format and size.
    pub fn format(&self, name: &str) -> FormatArg {
        let format = match self.get(name) {
            Some(HmpValue::Format(format)) => Some(*format),
            _ => None,
        };
        let empty = FormatArg {
            count: 0,
            format: super::Format::Hex,
            size: Some(1),
        };
        expect_given(name, format, empty)
    }

    /// An option group's keys and values.
    pub fn options(&self, name: &str) -> QDict {
        let options = match self.get(name) {
            Some(HmpValue::Options(options)) => Some(options.clone()),
            _ => None,
        };
        expect_given(name, options, QDict::default())
    }
}

fn expect_given<T>(name: &str, value: Option<T>, empty: T) -> T {
    debug_assert!(
        value.is_some(),
        "argument '{name}' is absent or of another kind"
    );
    value.unwrap_or(empty)
}
