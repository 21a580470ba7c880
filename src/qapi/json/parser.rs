//! The parser: tokens of one message in, its value or first error out.
//!
//! It keeps the containers that are open on a stack of its own and so works
//! token by token: nothing is parsed twice, and depth costs no stack of the
//! thread. Where the message ends is not its business (see [`super::stream`]);
//! after an error it takes the remaining tokens without looking at them.
//!
//! The trap is the names of members. QEMU parses them as it does any value
//! and only then finds that it got no string, so `{[1 2]:3}` is "expected
//! separator in list", and `{[1]:3}` is "key is not a string in object" at the
//! end of `[1]`. A duplicate is noticed once its value is there.

use super::super::qobject::{QDict, QObject};

/// A token as the parser takes it.
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
    /// A string or keyword that means nothing, and what to say if a value is
    /// expected here.
    Bad(String),
}

/// A container that is open.
#[derive(Debug)]
enum Frame {
    List(Vec<QObject>),
    /// The members, and the name that waits for its value.
    Dict(QDict, Option<String>),
}

/// What may come next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of the container just opened.
    First,
    Colon,
    /// A comma or the end of the container.
    Separator,
    /// Nothing any more: there is a value, or an error.
    Nothing,
}

/// The state between tokens.
#[derive(Debug)]
pub(super) struct Parser {
    frames: Vec<Frame>,
    expect: Expect,
    outcome: Option<Result<QObject, String>>,
}

impl Parser {
    pub(super) fn new() -> Self {
        Parser {
            frames: Vec::new(),
            expect: Expect::Value,
            outcome: None,
        }
    }

    /// Whether the value is complete, or will never be.
    pub(super) fn is_decided(&self) -> bool {
        self.expect == Expect::Nothing
    }

    /// The outcome of the message, which is at its end; ready for the next.
    pub(super) fn finish(&mut self) -> Result<QObject, String> {
        let outcome = self.outcome.take();
        self.reset();
        outcome.unwrap_or_else(|| Err("premature EOI".to_owned()))
    }

    /// Forgets the message.
    pub(super) fn reset(&mut self) {
        self.frames.clear();
        self.expect = Expect::Value;
        self.outcome = None;
    }

    /// Takes the next token.
    #[inline]
    pub(super) fn push(&mut self, token: Token) {
        match self.expect {
            Expect::Value | Expect::First => match token {
                Token::Value(value) => self.complete(value),
                Token::BeginObject => self.open(Frame::Dict(QDict::new(), None)),
                Token::BeginArray => self.open(Frame::List(Vec::new())),
                Token::EndObject | Token::EndArray if self.expect == Expect::First => {
                    self.close(token, "expecting value");
                }
                Token::Bad(error) => self.fail(error),
                _ => self.fail("expecting value"),
            },
            Expect::Separator => match token {
                Token::Comma => self.expect = Expect::Value,
                _ => self.close(token, ""),
            },
            Expect::Colon => match token {
                Token::Colon => self.expect = Expect::Value,
                _ => self.fail("missing : in object pair"),
            },
            Expect::Nothing => {}
        }
    }

    fn open(&mut self, frame: Frame) {
        self.frames.push(frame);
        self.expect = Expect::First;
    }

    /// Closes the innermost container if the token does that.
    fn close(&mut self, token: Token, error: &str) {
        match (self.frames.pop(), token) {
            (Some(Frame::List(list)), Token::EndArray) => self.complete(QObject::List(list)),
            (Some(Frame::Dict(dict, _)), Token::EndObject) => self.complete(QObject::Dict(dict)),
            _ if !error.is_empty() => self.fail(error),
            (Some(Frame::List(_)), _) => self.fail("expected separator in list"),
            _ => self.fail("expected separator in dict"),
        }
    }

    /// Puts a value where it belongs.
    #[inline]
    fn complete(&mut self, value: QObject) {
        match self.frames.last_mut() {
            Some(Frame::List(list)) => {
                list.push(value);
                self.expect = Expect::Separator;
            }
            Some(Frame::Dict(dict, name)) => match name.take() {
                Some(name) => match dict.try_insert(name, value) {
                    Ok(()) => self.expect = Expect::Separator,
                    Err(_) => self.fail("duplicate key"),
                },
                None => match value {
                    QObject::String(text) => {
                        *name = Some(text);
                        self.expect = Expect::Colon;
                    }
                    _ => self.fail("key is not a string in object"),
                },
            },
            None => {
                self.expect = Expect::Nothing;
                self.outcome = Some(Ok(value));
            }
        }
    }

    #[cold]
    fn fail(&mut self, error: impl Into<String>) {
        self.frames = Vec::new();
        self.expect = Expect::Nothing;
        self.outcome = Some(Err(error.into()));
    }
}
