//! The parser: tokens of one message in, its value or first error out.
//!
//! It keeps the open containers on its own stack and works token by token: nothing
//! is parsed twice, and depth costs no stack of the thread. It does not decide
//! where the message ends (see [`super::stream`]); after an error it ignores the
//! remaining tokens.
//!
//! The trap is the names of members. QEMU parses a name like any value and only
//! then finds that it is not a string, so `{[1 2]:3}` is "expected separator in
//! list", and `{[1]:3}` is "key is not a string in object" at the end of `[1]`. A
//! duplicate name is found only after its value. That is so in [`Dialect::Qemu10`];
//! in the other one, the first token that cannot stand where it does is the error.

use std::borrow::Cow;

use super::super::qobject::{Name, QDict, QObject};
use super::dialect::Dialect;

/// A token for the parser.
#[derive(Debug)]
pub(super) enum Token {
    /// `{`
    BeginObject,
    /// `}`
    EndObject,
    /// `[`
    BeginArray,
    /// `]`
    EndArray,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// A string, number or keyword.
    Value(QObject),
    /// A string without a meaning, and the error text if a value or name is
    /// expected here.
    BadString(String),
    /// The same of a keyword.
    BadKeyword(String),
}

/// An open container.
#[derive(Debug)]
pub(super) enum Frame {
    List(Vec<QObject>),
    /// The members, and the name that waits for its value.
    Dict(QDict, Option<Name>),
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expect {
    Value,
    /// A value, or the end of the container just opened.
    First,
    Colon,
    /// A comma or the end of the container.
    Separator,
    /// Nothing more: there was an error.
    Nothing,
}

/// The state between tokens.
#[derive(Debug)]
pub(super) struct Parser {
    pub(super) frames: Vec<Frame>,
    pub(super) expect: Expect,
    dialect: Dialect,
    error: Option<String>,
}

/// An array begins with room for so many. glibc serves what takes up to 120 bytes in a third
/// of the instructions, and four would take 128.
const FIRST_ELEMENTS: usize = 3;

/// Levels whose memory is kept from one message to the next.
const IDLE_LEVELS: usize = 16;

impl Parser {
    pub(super) fn new(dialect: Dialect) -> Self {
        Parser {
            frames: Vec::new(),
            expect: Expect::Value,
            dialect,
            error: None,
        }
    }

    /// Whether there was an error, so that what follows does not matter.
    #[inline]
    pub(super) fn has_failed(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// Returns the error of a message that ended without a value, and gets ready
    /// for the next message.
    pub(super) fn finish(&mut self) -> String {
        let error = self.error.take();
        self.reset();
        error.unwrap_or_else(|| match self.dialect {
            Dialect::Qemu10 => "premature EOI".to_owned(),
            Dialect::Qemu11 => "premature end of input".to_owned(),
        })
    }

    /// Whether there was an error that nobody has taken.
    pub(super) fn has_error(&self) -> bool {
        self.error.is_some()
    }

    /// Takes the error that the last token made.
    pub(super) fn take_error(&mut self) -> Option<String> {
        self.error.take()
    }

    /// Ignores the remaining tokens.
    pub(super) fn give_up(&mut self) {
        self.frames = Vec::new();
        self.expect = Expect::Nothing;
    }

    /// Forgets the message.
    pub(super) fn reset(&mut self) {
        self.frames = Vec::new();
        self.expect = Expect::Value;
        self.error = None;
    }

    /// Takes the next token. If it completes the message's value, returns the value
    /// and is ready for the next message.
    pub(super) fn push(&mut self, token: Token) -> Option<QObject> {
        let at_end = matches!(self.expect, Expect::First | Expect::Separator);
        if let Some(error) = self.refuses(&token) {
            return self.fail(error);
        }
        match (self.expect, token) {
            (Expect::Nothing, _) => None,
            (_, Token::EndObject) if at_end && self.in_dict() => self.close(),
            (_, Token::EndArray) if at_end && self.in_list() => self.close(),
            (Expect::Separator, Token::Comma) | (Expect::Colon, Token::Colon) => {
                self.expect = Expect::Value;
                None
            }
            (Expect::Separator | Expect::Colon, _) => self.fail(self.missing()),
            (_, Token::Value(value)) => self.complete(value),
            (_, Token::BeginObject) => {
                self.open(Frame::Dict(QDict::new(), None));
                None
            }
            (_, Token::BeginArray) => {
                self.open(Frame::List(Vec::new()));
                None
            }
            (_, Token::BadString(error) | Token::BadKeyword(error)) => self.fail(error),
            (_, _) => self.fail("expecting value"),
        }
    }

    /// What is wrong where another token was expected than a value.
    fn missing(&self) -> &'static str {
        match (self.dialect, self.expect == Expect::Colon, self.in_list()) {
            (Dialect::Qemu10, true, _) => "missing : in object pair",
            (Dialect::Qemu10, false, true) => "expected separator in list",
            (Dialect::Qemu10, false, false) => "expected separator in dict",
            (Dialect::Qemu11, true, _) => "expecting ':'",
            (Dialect::Qemu11, false, true) => "expected ',' or ']'",
            (Dialect::Qemu11, false, false) => "expected ',' or '}'",
        }
    }

    /// The error of a token that [`Dialect::Qemu11`] refuses as such, while the other
    /// one first completes what it is part of.
    fn refuses(&self, token: &Token) -> Option<&'static str> {
        if self.dialect == Dialect::Qemu10 {
            return None;
        }
        let wants_name = matches!(self.expect, Expect::First | Expect::Value)
            && matches!(self.frames.last(), Some(Frame::Dict(_, None)));
        let may_be = match token {
            Token::Value(QObject::String(_)) | Token::BadString(_) => true,
            Token::EndObject => self.expect == Expect::First,
            _ => false,
        };
        (wants_name && !may_be).then_some("expecting key")
    }

    /// Opens a container.
    #[inline]
    pub(super) fn open(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.expect = Expect::First;
    }

    /// Whether the innermost container is an object.
    #[inline]
    pub(super) fn in_dict(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Dict(..)))
    }

    /// Whether the innermost container is an array.
    #[inline]
    pub(super) fn in_list(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::List(_)))
    }

    /// Closes the innermost container.
    #[inline]
    pub(super) fn close(&mut self) -> Option<QObject> {
        match self.frames.pop()? {
            Frame::List(list) => self.complete(QObject::List(list)),
            Frame::Dict(dict, _) => self.complete(QObject::Dict(dict)),
        }
    }

    /// Stores a value in the innermost container. Outside of all containers it
    /// returns the value.
    #[inline(always)]
    pub(super) fn complete(&mut self, value: QObject) -> Option<QObject> {
        match self.frames.last_mut() {
            Some(Frame::List(list)) => {
                if list.capacity() == 0 {
                    *list = Vec::with_capacity(FIRST_ELEMENTS);
                }
                list.push(value);
                self.expect = Expect::Separator;
                None
            }
            Some(Frame::Dict(dict, name @ Some(_))) => {
                let is_new = name.take().is_some_and(|n| dict.try_insert(n, value));
                if is_new {
                    self.expect = Expect::Separator;
                    None
                } else {
                    self.fail("duplicate key")
                }
            }
            Some(Frame::Dict(_, name)) => match value {
                QObject::String(text) => {
                    *name = Some(Name::new(&text));
                    self.expect = Expect::Colon;
                    None
                }
                _ => self.fail("key is not a string in object"),
            },
            None => {
                self.expect = Expect::Value;
                if self.frames.capacity() > IDLE_LEVELS {
                    self.frames = Vec::new();
                }
                Some(value)
            }
        }
    }

    /// Like [`complete`](Self::complete) for a string, which may be the name of a
    /// member.
    #[inline(always)]
    pub(super) fn complete_string(&mut self, text: Cow<'_, str>) -> Option<QObject> {
        match self.frames.last_mut() {
            Some(Frame::Dict(_, name @ None)) => {
                *name = Some(Name::new(&text));
                self.expect = Expect::Colon;
                None
            }
            _ => self.complete(QObject::String(text.into_owned())),
        }
    }

    #[cold]
    fn fail(&mut self, error: impl Into<String>) -> Option<QObject> {
        self.give_up();
        self.error = Some(error.into());
        None
    }
}
