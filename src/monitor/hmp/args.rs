//! What arguments a command takes, and reading them off the line.
//!
//! QEMU writes a signature as a string, `"fmt:/,addr:i,index:i."`. Here it
//! is a table of [`HmpArg`]s:
//!
//! ```
//! use qmonitor::monitor::hmp::{ArgKind, CompletionKind, HmpArg};
//!
//! const SCREENDUMP: &[HmpArg] = &[
//!     HmpArg::new("filename", ArgKind::File),
//!     HmpArg::new("format", ArgKind::FlagValue('f')),
//!     HmpArg::new("device", ArgKind::Str).optional(),
//!     HmpArg::new("head", ArgKind::Int32).optional(),
//! ];
//! const SET_LINK: &[HmpArg] = &[
//!     HmpArg::new("name", ArgKind::Str).completes(CompletionKind::NetClients),
//!     HmpArg::new("up", ArgKind::OnOff),
//! ];
//! ```
//!
//! Arguments are read in this order, each once. A flag stands before the
//! arguments that follow it in the table. A flag that comes too late is an
//! unknown option if other flags may still come, else it is read as the next
//! argument.

use super::completion::CompletionKind;
use super::cursor::{is_blank, Cursor, StringError};
use super::expr::expression;
use super::format::FormatArg;
use super::parse::{HmpEnv, LineError};
use super::seconds::seconds;
use super::size::size_mib;
use super::values::{HmpArgs, HmpValue};

/// The shape of one argument; the letter is QEMU's in `args_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// A word or a double-quoted string (`s`).
    Str,
    /// A file name: a string with another error text and completion (`F`).
    File,
    /// A block device name, likewise (`B`).
    Block,
    /// Everything up to the end of the line, blanks and quotes included (`S`).
    RestOfLine,
    /// An expression (`l`).
    Int,
    /// An expression whose upper 32 bits must be clear (`i`).
    Int32,
    /// An expression, not negative, in MiB (`M`); the value is in bytes.
    MiB,
    /// A number with an optional fraction and unit, MiB without one (`o`);
    /// the value is in bytes.
    Size,
    /// A time, with an optional fraction and one of the units `ms`, `us` and `ns`
    /// (`T`); the value is in seconds.
    Seconds,
    /// `on` or `off` (`b`).
    OnOff,
    /// A switch such as `-n`; always optional.
    Flag(char),
    /// A switch with a string behind it, such as `-f png`; always optional.
    FlagValue(char),
    /// `/` with count, format and size (`/`); always there, from memory if not
    /// from the line.
    Format,
    /// Like [`Int32`](Self::Int32), introduced by a dot; always optional.
    DotIndex,
    /// `key=value,...` for the option group of this name (`O`), read by
    /// [`HmpEnv::options`]; an empty one if nothing is given.
    Options(&'static str),
}

/// One argument of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HmpArg {
    /// The name a handler asks for it by.
    pub name: &'static str,
    /// Its shape.
    pub kind: ArgKind,
    /// Whether the line may end before it.
    pub optional: bool,
    /// What TAB offers for it.
    pub completion: CompletionKind,
    /// What the full editor offers for it where `completion` is nothing.
    pub full_completion: CompletionKind,
}

impl HmpArg {
    /// A required argument.
    pub const fn new(name: &'static str, kind: ArgKind) -> Self {
        Self {
            name,
            kind,
            optional: false,
            completion: match kind {
                ArgKind::File => CompletionKind::Files,
                ArgKind::Block => CompletionKind::BlockDevices,
                ArgKind::OnOff => CompletionKind::OnOff,
                _ => CompletionKind::Nothing,
            },
            full_completion: CompletionKind::Nothing,
        }
    }

    /// The same argument, which may be left out.
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same argument with candidates for TAB.
    pub const fn completes(mut self, completion: CompletionKind) -> Self {
        self.completion = completion;
        self
    }

    /// The same argument with candidates that QEMU does not offer, so only the full
    /// editor does.
    pub const fn completes_in_full(mut self, completion: CompletionKind) -> Self {
        self.full_completion = completion;
        self
    }

    /// The letter of a flag.
    pub(super) fn flag(&self) -> Option<u8> {
        match self.kind {
            ArgKind::Flag(letter) | ArgKind::FlagValue(letter) => u8::try_from(letter).ok(),
            _ => None,
        }
    }
}

/// Reads the arguments of the command called `name` (QEMU's
/// `monitor_parse_arguments`).
pub(super) fn parse_arguments(
    name: &str,
    args: &'static [HmpArg],
    cursor: &mut Cursor<'_>,
    env: &mut dyn HmpEnv,
) -> Result<HmpArgs, LineError> {
    let mut parser = ArgParser {
        name,
        args,
        cursor,
        env,
    };
    let mut values = HmpArgs::new(args);
    for (i, arg) in args.iter().enumerate() {
        parser.args = &args[i..];
        if let Some(value) = parser.parse(arg)? {
            values.insert(arg.name, value);
        }
    }
    parser.cursor.skip_blanks();
    if parser.cursor.at_end() {
        Ok(values)
    } else {
        Err(parser.fail("extraneous characters at the end of line"))
    }
}

struct ArgParser<'p, 'line> {
    name: &'p str,
    /// The argument to be read and those behind it.
    args: &'static [HmpArg],
    cursor: &'p mut Cursor<'line>,
    env: &'p mut dyn HmpEnv,
}

impl ArgParser<'_, '_> {
    /// `NAME: reason`.
    fn fail(&self, reason: &str) -> LineError {
        LineError::line(format!("{}: {reason}", self.name))
    }

    fn parse(&mut self, arg: &HmpArg) -> Result<Option<HmpValue>, LineError> {
        self.cursor.skip_blanks();
        match arg.kind {
            ArgKind::Format => FormatArg::parse(self.cursor, self.env.format())
                .map(|format| Some(HmpValue::Format(format)))
                .map_err(LineError::line),
            ArgKind::Flag(_) | ArgKind::FlagValue(_) => self.flag(arg),
            ArgKind::DotIndex => {
                if self.cursor.peek() != Some(b'.') {
                    return Ok(None);
                }
                self.cursor.advance(1);
                self.int32().map(Some)
            }
            ArgKind::Options(group) => self.options(group).map(Some),
            _ if arg.optional && self.cursor.at_end() => Ok(None),
            kind => self.required(kind).map(Some),
        }
    }

    fn required(&mut self, kind: ArgKind) -> Result<HmpValue, LineError> {
        match kind {
            ArgKind::File => self.string("filename"),
            ArgKind::Block => self.string("block device name"),
            ArgKind::RestOfLine => match self.cursor.take_rest() {
                b"" => Err(self.fail("string expected")),
                rest => Ok(HmpValue::string(rest.to_vec())),
            },
            ArgKind::Int => self.expression().map(HmpValue::Int),
            ArgKind::Int32 => self.int32(),
            ArgKind::MiB => match self.expression()? {
                ..=-1 => Err(LineError::line("enter a positive value")),
                value => Ok(HmpValue::Int(value.wrapping_mul(1 << 20))),
            },
            ArgKind::Size => size_mib(self.cursor)
                .map(HmpValue::Int)
                .ok_or_else(|| LineError::line("invalid size")),
            ArgKind::Seconds => match seconds(self.cursor) {
                Ok(value) => Ok(HmpValue::Number(value)),
                Err(reason) => Err(self.fail(reason)),
            },
            ArgKind::OnOff => match self.cursor.take_while(|byte| !is_blank(byte)) {
                b"on" => Ok(HmpValue::Bool(true)),
                b"off" => Ok(HmpValue::Bool(false)),
                _ => Err(LineError::line("Expected 'on' or 'off'")),
            },
            _ => self.string("string"),
        }
    }

    fn string(&mut self, what: &str) -> Result<HmpValue, LineError> {
        match self.cursor.string() {
            Ok(text) => Ok(HmpValue::string(text)),
            Err(error) => Err(self
                .fail(&format!("{what} expected"))
                .with_stdout(error.into_stdout())),
        }
    }

    fn expression(&mut self) -> Result<i64, LineError> {
        let env = &*self.env;
        expression(self.cursor, &|name| {
            env.register(&String::from_utf8_lossy(name))
        })
        .map_err(LineError::line)
    }

    fn int32(&mut self) -> Result<HmpValue, LineError> {
        let value = self.expression()?;
        if u32::try_from(value).is_ok() {
            return Ok(HmpValue::Int(value));
        }
        Err(LineError::line(format!(
            "'{}' has failed: integer is for 32-bit values",
            self.name
        )))
    }

    fn flag(&mut self, arg: &HmpArg) -> Result<Option<HmpValue>, LineError> {
        if self.cursor.peek() != Some(b'-') {
            return Ok(None);
        }
        let letter = self.cursor.peek_second();
        if letter != arg.flag() {
            return match letter {
                // Only flags that may still come are known here.
                Some(_) if self.args.iter().any(|arg| arg.flag() == letter) => Ok(None),
                Some(letter) => {
                    let mut text = format!("{}: unsupported option -", self.name).into_bytes();
                    text.push(letter);
                    Err(LineError::line(text))
                }
                // In C the end of the line is a NUL that takes the newline with it.
                None => Err(LineError::text(format!(
                    "{}: unsupported option -",
                    self.name
                ))),
            };
        }
        self.cursor.advance(2);
        match arg.kind {
            ArgKind::FlagValue(letter) => match self.cursor.string() {
                Ok(value) => Ok(Some(HmpValue::string(value))),
                Err(error) => Err(self
                    .fail(&format!("value expected for -{letter}"))
                    .with_stdout(error.into_stdout())),
            },
            _ => Ok(Some(HmpValue::Bool(true))),
        }
    }

    /// Options are read while no monitor is current: the reason for a failure
    /// goes to the server's standard error.
    fn options(&mut self, group: &'static str) -> Result<HmpValue, LineError> {
        let text = match self.cursor.string() {
            Ok(text) => text,
            Err(StringError::Missing) => Vec::new(),
            Err(error) => return Err(LineError::default().with_stdout(error.into_stdout())),
        };
        self.env
            .options(group, &String::from_utf8_lossy(&text))
            .map(HmpValue::Options)
            .map_err(|reason| LineError::default().with_stderr(reason))
    }
}
