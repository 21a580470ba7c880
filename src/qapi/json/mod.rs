//! QEMU's dialect of JSON: a streaming parser and a writer.
//!
//! It is not quite JSON. Strings may stand in single quotes; floats may
//! overflow to an infinity, which prints as `inf`; a zero is not followed by an
//! exponent; noncharacters are refused, C0 80 is U+0000; names may not repeat.
//! Error texts are part of the protocol. The rooms:
//!
//! | file | what | QEMU's name |
//! |---|---|---|
//! | `lexer` | bytes to tokens, one byte at a time | JSON lexer |
//! | `fast` | bytes to tokens, where they lie in the input as a whole | |
//! | `plain_request` | requests of plain members, without a tree | |
//! | `stream` | where messages end, limits, recovery | JSON streamer |
//! | `parser` | tokens to values | JSON parser |
//! | `dialect`, `places` | how errors are told: by QEMU 10.0, by QEMU 11.1 | |
//! | `string`, `number`, `utf8` | what tokens mean | |
//! | `checked` | checking the encoding of many strings at once | |
//! | `writer` | values to bytes, laid out | JSON writer |
//! | `emit` | the bytes themselves | |
//! | `name` | names of members, ready to be written | |
//! | `scan` | finding the next special byte, many bytes at a time | |
//!
//! The outcome does not depend on how the input is cut into pieces. No input causes
//! a panic, and [`JsonLimits`] bounds the memory held.

mod checked;
mod dialect;
mod emit;
mod fast;
mod lexer;
mod name;
mod number;
mod parser;
mod places;
mod plain_request;
mod scan;
mod stream;
mod string;
#[cfg(test)]
mod tests;
mod utf8;
mod writer;

pub use dialect::Dialect;
pub use name::MemberName;
pub use plain_request::PlainRequest;
pub use stream::{JsonLimits, JsonMessageParser};
pub use utf8::{is_noncharacter, mod_utf8_codepoint, mod_utf8_lossy};
pub use writer::{qobject_to_json, JsonWriter};

use super::error::Error;
use super::qobject::QObject;

/// Parses a text that is exactly one value (`qobject_from_json`).
///
/// # Errors
///
/// Returns the first error in the text. A text without a value gives "Expecting a
/// JSON value"; anything but white space after the value gives "Expecting at most
/// one JSON value".
///
/// ```
/// use qmonitor::qapi::json::qobject_from_json;
///
/// assert_eq!(qobject_from_json(b" 12 ").unwrap(), 12.into());
/// let error = |text: &[u8]| qobject_from_json(text).unwrap_err().to_string();
/// assert_eq!(error(b""), "Expecting a JSON value");
/// assert_eq!(error(b"1 2"), "Expecting at most one JSON value");
/// assert_eq!(error(b"[1"), "JSON parse error, premature EOI");
/// ```
pub fn qobject_from_json(text: &[u8]) -> Result<QObject, Error> {
    qobject_from_json_in(Dialect::default(), text)
}

/// The same as [`qobject_from_json`] in another dialect.
///
/// # Errors
///
/// As there, in the words of the dialect.
pub fn qobject_from_json_in(dialect: Dialect, text: &[u8]) -> Result<QObject, Error> {
    let mut parser = JsonMessageParser::with_dialect(JsonLimits::QEMU, dialect);
    let mut at = 0;
    let mut next = || {
        let (used, outcome) = parser.parse(&text[at..]);
        at += used;
        outcome.or_else(|| parser.flush())
    };
    let Some(first) = next() else {
        return Err(Error::new("Expecting a JSON value"));
    };
    let value = first?;
    match next() {
        None => Ok(value),
        Some(_) => Err(Error::new("Expecting at most one JSON value")),
    }
}
