//! Plain requests, recognised without a tree.
//!
//! Most messages that clients send are `{"execute": "NAME"}`, with an `id` and
//! arguments that hold no containers. Such a message is taken here in one pass over
//! its bytes: nothing is built but what the command needs. Anything unusual (cut off
//! by the end of the input, a member that no request has, a name twice, a nested
//! container, an escape in the command's name, whatever is wrong) is left to the
//! parser. So there is one grammar and one place for each error text. `tests.rs`
//! and the fuzz targets compare the two ways.

use std::borrow::Cow;

use super::super::arguments::{Arguments, PlainArguments, Span, Value};
use super::super::qobject::{Name, QDict, QObject};
use super::checked::Checked;
use super::fast::{self, number_or_keyword};
use super::scan;
use super::stream::JsonMessageParser;

/// A request whose members are plain.
#[derive(Debug, PartialEq)]
pub struct PlainRequest<'a> {
    /// The bytes it takes of the input, with white space before and after it.
    pub len: usize,
    /// The value of `execute`: the ASCII text between the quotes.
    pub command: &'a [u8],
    /// The value of `arguments`; empty without them.
    pub arguments: Arguments,
    /// The value of `id`.
    pub id: Option<QObject>,
}

/// A request with arguments has two levels of nesting.
const LEVELS: usize = 2;

/// Few commands are given more arguments.
const USUAL_ARGUMENTS: usize = 4;

impl JsonMessageParser {
    /// The request at the start of `input`, if it is whole and plain and no other
    /// message is under way. The parser's state does not change: the caller goes on
    /// behind the request, or gives the same input to [`parse`](Self::parse).
    ///
    /// ```
    /// use qmonitor::qapi::json::JsonMessageParser;
    ///
    /// let parser = JsonMessageParser::default();
    /// let input = b"{\"execute\": \"stop\", \"id\": 1}\n{\"execute\": {}}";
    /// let request = parser.plain_request(input).unwrap();
    /// assert_eq!(request.command, b"stop");
    /// assert_eq!(request.id, Some(1.into()));
    /// assert!(parser.plain_request(&input[request.len..]).is_none());
    /// ```
    #[inline]
    pub fn plain_request<'a>(&self, input: &'a [u8]) -> Option<PlainRequest<'a>> {
        self.plain_request_into(input, &mut None)
    }

    /// The same. The memory of `spare`, if there is some, becomes that of the arguments.
    #[inline]
    pub(crate) fn plain_request_into<'a>(
        &self,
        input: &'a [u8],
        spare: &mut Option<Box<PlainArguments>>,
    ) -> Option<PlainRequest<'a>> {
        if !self.is_between_messages() || self.nesting_limit() < LEVELS {
            return None;
        }
        let room = self.room().min(input.len());
        request(&input[..room], spare)
    }
}

// Positions are passed by value, from one function to the next: in a struct that others
// are given the address of, each step would go through memory.

#[inline(always)]
fn request<'a>(
    input: &'a [u8],
    spare: &mut Option<Box<PlainArguments>>,
) -> Option<PlainRequest<'a>> {
    let (mut command, mut arguments, mut id) = (None, None, None);
    let mut checked = Checked::new(input);
    let (mut at, mut goes_on);
    if let Some(start) = usual_start(input) {
        let (name, end) = plain_string(input, start)?;
        command = Some(name);
        (goes_on, at) = next_member(input, end)?;
    } else {
        (goes_on, at) = (true, token(input, 0, b'{')?);
    }
    while goes_on {
        at = skip_blanks(input, at);
        if let (Some(value), None) = (member(input, at, b"\"execute\""), command) {
            let (name, end) = plain_string(input, value)?;
            (command, at) = (Some(name), end);
        } else if let (Some(value), None) = (member(input, at, b"\"id\""), &id) {
            let (value, end) = scalar(&mut checked, input, value)?;
            (id, at) = (Some(value), end);
        } else if let (Some(value), None) = (member(input, at, b"\"arguments\""), &arguments) {
            let (members, end) = members(&mut checked, input, value, spare)?;
            (arguments, at) = (Some(members), end);
        } else {
            return None;
        }
        (goes_on, at) = next_member(input, at)?;
    }
    Some(PlainRequest {
        len: skip_blanks(input, at),
        command: command?,
        arguments: arguments.unwrap_or_default(),
        id,
    })
}

/// The place of the command's name in quotes, if the request starts as nearly all do.
#[inline(always)]
fn usual_start(input: &[u8]) -> Option<usize> {
    const WITH_BLANK: &[u8] = b"{\"execute\": ";
    const WITHOUT: &[u8] = b"{\"execute\":";
    if input.starts_with(WITH_BLANK) {
        Some(WITH_BLANK.len())
    } else if input.starts_with(WITHOUT) {
        Some(WITHOUT.len())
    } else {
        None
    }
}

/// Arguments without containers inside.
#[inline(always)]
fn members<'a>(
    checked: &mut Checked<'a>,
    input: &'a [u8],
    at: usize,
    spare: &mut Option<Box<PlainArguments>>,
) -> Option<(Arguments, usize)> {
    let mut plain = spare.take().unwrap_or_default();
    if let Some(len) = plain_members(&input[at..], &mut plain) {
        return Some((Arguments::Plain(plain), at + len));
    }
    *spare = Some(plain);
    let (members, end) = flat_object(checked, input, at)?;
    Some((Arguments::Members(members), end))
}

/// The length of an object of few plain members, which are noted.
#[inline(always)]
fn plain_members(input: &[u8], into: &mut PlainArguments) -> Option<usize> {
    let input = PlainArguments::window(input);
    into.begin();
    let mut at = token(input, 0, b'{')?;
    loop {
        let Some((name, end)) = plain_place(input, at) else {
            // After a comma a name must follow.
            return into.is_empty().then(|| token(input, at, b'}'))?;
        };
        let start = token(input, end, b':')?;
        let value;
        (value, at) = match plain_place(input, start) {
            Some((text, end)) => (Value::Text(text), end),
            None => plain_scalar(input, start)?,
        };
        into.push(input, name, value).then_some(())?;
        let goes_on;
        (goes_on, at) = next_member(input, at)?;
        if !goes_on {
            into.end(&input[..at]);
            return Some(at);
        }
    }
}

/// The place of the text of a plain string.
#[inline(always)]
fn plain_place(input: &[u8], at: usize) -> Option<(Span, usize)> {
    let (text, end) = plain_string(input, at)?;
    let close = end - 1;
    Some((Span::new(close - text.len(), close)?, end))
}

#[inline(never)]
fn plain_scalar(input: &[u8], at: usize) -> Option<(Value, usize)> {
    let at = skip_blanks(input, at);
    if *input.get(at)? == b'"' {
        return None;
    }
    let (value, len) = number_or_keyword(&input[at..])?;
    Some((value.try_into().ok()?, at + len))
}

/// An object without containers inside.
fn flat_object<'a>(
    checked: &mut Checked<'a>,
    input: &'a [u8],
    at: usize,
) -> Option<(QDict, usize)> {
    let mut at = token(input, at, b'{')?;
    if let Some(end) = token(input, at, b'}') {
        return Some((QDict::new(), end));
    }
    let mut dict = QDict::with_capacity(USUAL_ARGUMENTS);
    loop {
        let (name, end) = name(checked, input, at)?;
        let value = token(input, end, b':')?;
        let (value, end) = scalar(checked, input, value)?;
        dict.try_insert(name, value).then_some(())?;
        let goes_on;
        (goes_on, at) = next_member(input, end)?;
        if !goes_on {
            return Some((dict, at));
        }
    }
}

#[inline(always)]
fn name<'a>(checked: &mut Checked<'a>, input: &'a [u8], at: usize) -> Option<(Name, usize)> {
    if let Some((text, end)) = plain_string(input, at) {
        if let Some(name) = Name::short_ascii(text) {
            return Some((name, end));
        }
    }
    let (text, end) = string(checked, input, skip_blanks(input, at))?;
    Some((Name::new(&text), end))
}

#[inline(always)]
fn scalar<'a>(checked: &mut Checked<'a>, input: &'a [u8], at: usize) -> Option<(QObject, usize)> {
    if let Some((text, end)) = plain_string(input, at) {
        // A check of its own costs less than one of all that follows: its copy is
        // aligned.
        let text = String::from_utf8(text.to_vec()).ok()?;
        return Some((QObject::String(text), end));
    }
    unusual_scalar(checked, input, at)
}

#[inline(never)]
fn unusual_scalar<'a>(
    checked: &mut Checked<'a>,
    input: &'a [u8],
    at: usize,
) -> Option<(QObject, usize)> {
    let at = skip_blanks(input, at);
    if *input.get(at)? == b'"' {
        let (text, end) = string(checked, input, at)?;
        return Some((QObject::String(text.into_owned()), end));
    }
    let (value, len) = number_or_keyword(&input[at..])?;
    Some((value, at + len))
}

/// The string that begins at a quote.
fn string<'a>(
    checked: &mut Checked<'a>,
    input: &'a [u8],
    at: usize,
) -> Option<(Cow<'a, str>, usize)> {
    if *input.get(at)? != b'"' {
        return None;
    }
    fast::string(checked, input, at)
}

/// The text of a string that is ASCII and has no escapes.
#[inline(always)]
fn plain_string(input: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let start = token(input, at, b'"')?;
    let rest = input.get(start..)?;
    let len = scan::plain_name(rest);
    if *rest.get(len)? != b'"' {
        return None;
    }
    Some((&rest[..len], start + len + 1))
}

/// The place of the value of the member that is next, if that has this name, in quotes.
#[inline(always)]
fn member(input: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    if !input.get(at..)?.starts_with(name) {
        return None;
    }
    token(input, at + name.len(), b':')
}

/// Whether another member follows; else the object has ended.
#[inline(always)]
fn next_member(input: &[u8], at: usize) -> Option<(bool, usize)> {
    match *input.get(at)? {
        b',' => Some((true, at + 1)),
        b'}' => Some((false, at + 1)),
        _ => next_member_after_blanks(input, at),
    }
}

#[inline(never)]
fn next_member_after_blanks(input: &[u8], at: usize) -> Option<(bool, usize)> {
    let at = skip_blanks(input, at);
    let byte = *input.get(at)?;
    matches!(byte, b',' | b'}').then_some((byte == b',', at + 1))
}

/// Takes a byte that must come next, and white space before it.
#[inline(always)]
fn token(input: &[u8], at: usize, byte: u8) -> Option<usize> {
    let first = *input.get(at)?;
    if first == byte {
        return Some(at + 1);
    }
    // None or one is usual.
    if first == b' ' && input.get(at + 1) == Some(&byte) {
        return Some(at + 2);
    }
    token_after_blanks(input, at, byte)
}

#[inline(never)]
fn token_after_blanks(input: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = skip_blanks(input, at);
    (*input.get(at)? == byte).then_some(at + 1)
}

#[inline(always)]
fn skip_blanks(input: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = input.get(at) {
        at += 1;
    }
    at
}
