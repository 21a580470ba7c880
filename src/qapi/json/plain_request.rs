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

use super::super::qobject::{Name, QDict, QObject};
use super::checked::Checked;
use super::fast::{number_or_keyword, string};
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
    pub arguments: QDict,
    /// The value of `id`.
    pub id: Option<QObject>,
}

/// A request with arguments has two levels of nesting.
const LEVELS: usize = 2;

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
        if !self.is_between_messages() || self.nesting_limit() < LEVELS {
            return None;
        }
        let room = self.room().min(input.len());
        let input = &input[..room];
        let mut cursor = Cursor {
            input,
            checked: Checked::new(input),
            at: 0,
        };
        cursor.request()
    }
}

struct Cursor<'a> {
    input: &'a [u8],
    checked: Checked<'a>,
    at: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    fn request(&mut self) -> Option<PlainRequest<'a>> {
        let (mut command, mut arguments, mut id) = (None, None, None);
        self.token(b'{')?;
        loop {
            self.skip_blanks();
            if self.name(b"\"execute\"") && command.is_none() {
                self.token(b':')?;
                command = Some(self.plain_string()?);
            } else if self.name(b"\"id\"") && id.is_none() {
                self.token(b':')?;
                id = Some(self.scalar()?);
            } else if self.name(b"\"arguments\"") && arguments.is_none() {
                self.token(b':')?;
                arguments = Some(self.flat_object()?);
            } else {
                return None;
            }
            if !self.goes_on()? {
                break;
            }
        }
        self.skip_blanks();
        Some(PlainRequest {
            len: self.at,
            command: command?,
            arguments: arguments.unwrap_or_default(),
            id,
        })
    }

    /// An object without containers inside.
    fn flat_object(&mut self) -> Option<QDict> {
        let mut dict = QDict::new();
        self.token(b'{')?;
        self.skip_blanks();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(dict);
        }
        loop {
            self.skip_blanks();
            let name = Name::new(&self.string()?);
            self.token(b':')?;
            let value = self.scalar()?;
            dict.try_insert(name, value).then_some(())?;
            if !self.goes_on()? {
                return Some(dict);
            }
        }
    }

    fn scalar(&mut self) -> Option<QObject> {
        self.skip_blanks();
        if self.peek()? == b'"' {
            let text = self.string()?;
            return Some(QObject::String(text.into_owned()));
        }
        let (value, len) = number_or_keyword(&self.input[self.at..])?;
        self.at += len;
        Some(value)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        if self.peek()? != b'"' {
            return None;
        }
        let (text, end) = string(&mut self.checked, self.input, self.at)?;
        self.at = end;
        Some(text)
    }

    /// The text of a string that is ASCII and has no escapes.
    #[inline(always)]
    fn plain_string(&mut self) -> Option<&'a [u8]> {
        self.token(b'"')?;
        let rest = &self.input[self.at..];
        let len = scan::plain(rest, b'"');
        let text = &rest[..len];
        self.at += len;
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        Some(text)
    }

    /// Takes a member's name, with its quotes, if it comes next.
    #[inline(always)]
    fn name(&mut self, name: &[u8]) -> bool {
        let is_next = self.input[self.at..].starts_with(name);
        self.at += if is_next { name.len() } else { 0 };
        is_next
    }

    /// Whether another member follows; else the object has ended.
    #[inline(always)]
    fn goes_on(&mut self) -> Option<bool> {
        self.skip_blanks();
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(true),
            b'}' => Some(false),
            _ => None,
        }
    }

    /// Takes a byte that must come next, and white space before it.
    #[inline(always)]
    fn token(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        (self.peek()? == byte).then(|| self.at += 1)
    }

    #[inline(always)]
    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }
}
