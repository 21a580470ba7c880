//! The message parser: bytes in, messages out (QEMU's JSON streamer).
//!
//! # Where a message ends
//!
//! A message does not end where its value ends. It ends where the braces and,
//! counted apart, the brackets are balanced, or where one of the counts goes
//! negative. So `{"a":1]` is a message, an erroneous one; so is a lone `}`, `,` or
//! number; and `{[}` is not finished. Only the first error of a message is
//! reported. A complete value balances both counts, so nothing can follow it within
//! the message.
//!
//! A lexical error is an outcome of its own. It drops the message begun, with its
//! nesting, and the parser starts afresh.
//!
//! # Limits
//!
//! A message may have up to 2^21 tokens, less than 64 MiB of token text (white
//! space does not count) and up to 1024 levels of nesting. An unfinished token
//! breaks the size limit once it is longer than the limit. The token that breaks a
//! limit is dropped together with the message. The parser then starts afresh, as
//! after a lexical error but without recovery.
//!
//! # The dialects
//!
//! All of the above is [`Dialect::Qemu10`]. In [`Dialect::Qemu11`] a message ends at
//! the same places, but its first error is told at once, be it of the parser or of a
//! limit. The rest of the message is skipped: to the end that the counts give it,
//! or to a lexical error, which is not told then.
//!
//! # Splits
//!
//! The outcomes do not depend on how the input is cut into pieces: the lexer
//! resumes at any byte, the parser at any token. Complete plain tokens take the
//! [fast path](super::fast) past the lexer; any other token falls back to the
//! lexer, for that one token. So no byte is examined more than a constant number of
//! times.

use super::super::error::Error;
use super::super::qobject::QObject;
use super::dialect::Dialect;
use super::lexer::{Lexeme, Lexer};
use super::parser::{Parser, Token};
use super::places::Places;
use super::string::{unquote, unquote_plain};
use super::utf8::mod_utf8_lossy;
use super::{fast, number};

/// How large one message may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonLimits {
    /// Bytes of token text, white space not counted; reaching it is an error.
    pub token_size: usize,
    /// Number of tokens.
    pub token_count: usize,
    /// Levels of nesting, objects and arrays together. Values above QEMU's 1024
    /// count as 1024, because values are dropped and written by recursion.
    pub nesting: usize,
}

const MAX_NESTING: usize = 1024;

impl JsonLimits {
    /// QEMU's limits: 64 MiB, 2^21 tokens, 1024 levels.
    pub const QEMU: Self = JsonLimits {
        token_size: 64 << 20,
        token_count: 1 << 21,
        nesting: MAX_NESTING,
    };
}

/// The default is [`JsonLimits::QEMU`].
impl Default for JsonLimits {
    fn default() -> Self {
        Self::QEMU
    }
}

/// Parses a stream of messages in QEMU's dialect of JSON (`JSONMessageParser`).
///
/// The caller drives it: it passes bytes, gets back the first outcome and the
/// number of bytes used, and passes the rest when it likes.
///
/// ```
/// use qmonitor::qapi::json::JsonMessageParser;
///
/// let mut parser = JsonMessageParser::default();
/// let input = b"{'execute': 'stop'} {]";
/// let (used, message) = parser.parse(input);
/// let message = message.unwrap().unwrap();
/// assert_eq!(message.as_dict().unwrap().get_str("execute"), Some("stop"));
/// let (_, error) = parser.parse(&input[used..]);
/// let error = error.unwrap().unwrap_err();
/// assert_eq!(error.desc(), "JSON parse error, expecting value");
/// ```
#[derive(Debug)]
pub struct JsonMessageParser {
    limits: JsonLimits,
    dialect: Dialect,
    places: Places,
    lexer: Lexer,
    pub(super) parser: Parser,
    /// Open braces and brackets, less those closed.
    braces: isize,
    brackets: isize,
    /// Tokens of the message so far.
    token_count: usize,
    token_size: usize,
}

/// A complete message, or its error.
pub(super) type Outcome = Result<QObject, Error>;

impl Default for JsonMessageParser {
    fn default() -> Self {
        Self::new(JsonLimits::default())
    }
}

impl JsonMessageParser {
    /// A parser at the start of a stream, in the dialect of QEMU 10.0.
    pub fn new(limits: JsonLimits) -> Self {
        Self::with_dialect(limits, Dialect::default())
    }

    /// A parser at the start of a stream.
    ///
    /// ```
    /// use qmonitor::qapi::json::{Dialect, JsonLimits, JsonMessageParser};
    ///
    /// let mut parser = JsonMessageParser::with_dialect(JsonLimits::QEMU, Dialect::Qemu11);
    /// let (_, error) = parser.parse(b"{'a' 1}");
    /// let error = error.unwrap().unwrap_err();
    /// assert_eq!(error.desc(), "1:6: JSON parse error, expecting ':'");
    /// ```
    pub fn with_dialect(limits: JsonLimits, dialect: Dialect) -> Self {
        let nesting = limits.nesting.min(MAX_NESTING);
        JsonMessageParser {
            limits: JsonLimits { nesting, ..limits },
            dialect,
            places: Places::new(),
            lexer: Lexer::new(limits.token_size),
            parser: Parser::new(dialect),
            braces: 0,
            brackets: 0,
            token_count: 0,
            token_size: 0,
        }
    }

    /// Takes bytes of `input` up to the end of the first message or error. Returns
    /// their number and the outcome (`json_message_parser_feed`). `None` means that
    /// all of `input` was taken and more is needed.
    ///
    /// A number or keyword outside of any container is complete only with the
    /// byte after it, which is not taken.
    ///
    /// # Errors
    ///
    /// The texts are QEMU's: "JSON parse error, …" or "JSON … limit
    /// exceeded". After an error the parser is ready to go on.
    pub fn parse(&mut self, input: &[u8]) -> (usize, Option<Result<QObject, Error>>) {
        let mut at = 0;
        while at < input.len() {
            // The fast path does not note where its tokens start.
            let is_fast = !self.dialect.has_places();
            if is_fast && self.lexer.at_start() && !self.parser.has_failed() {
                let (used, message) = fast::parse(self, &input[at..]);
                at += used;
                if let Some(message) = message {
                    return (at, Some(Ok(message)));
                }
            }
            let (used, outcome) = self.parse_one(&input[at..]);
            at += used;
            if outcome.is_some() {
                return (at, outcome);
            }
        }
        (at, None)
    }

    /// Takes bytes at the start of `input` that cannot end the string under way, if
    /// one is, and returns their number: none of them completes anything. It is for
    /// callers that would have to keep the input until they call
    /// [`parse`](Self::parse).
    #[inline]
    pub fn take_plain(&mut self, input: &[u8]) -> usize {
        let used = self.lexer.take_plain(input);
        if self.dialect.has_places() {
            self.places.pass(&input[..used], None);
        }
        used
    }

    /// Goes past a [plain request](Self::plain_request) that consists of `bytes`.
    #[inline]
    pub fn pass(&mut self, bytes: &[u8]) {
        if self.dialect.has_places() {
            self.lexer.forget_seen();
            self.places.pass(bytes, None);
        }
    }

    /// Takes one token by way of the lexer.
    pub(super) fn parse_one(&mut self, input: &[u8]) -> (usize, Option<Outcome>) {
        let (used, lexeme) = self.lexer.next(input);
        if self.dialect.has_places() {
            self.places.pass(&input[..used], self.lexer.start());
        }
        (used, lexeme.and_then(|lexeme| self.take(lexeme)))
    }

    /// Handles the end of input: it completes a number or keyword; any other
    /// unfinished message is an error (`json_message_parser_flush`). Call it until
    /// it returns `None`; then the parser is as new.
    ///
    /// A QMP session does not call it, but drops unfinished input.
    pub fn flush(&mut self) -> Option<Result<QObject, Error>> {
        let lexeme = self.lexer.finish();
        let ends_token = lexeme.is_some();
        if let Some(lexeme) = lexeme {
            let outcome = self.take(lexeme);
            if outcome.is_some() {
                return outcome;
            }
        }
        if self.token_count == 0 {
            return None;
        }
        self.places.end(ends_token);
        self.end()
    }

    /// Forgets the unfinished message; the next byte starts a new stream.
    pub fn reset(&mut self) {
        self.lexer.reset();
        self.forget_message();
        self.places = Places::new();
    }

    /// Bytes of the unfinished message: the text of its tokens so far.
    pub fn buffered(&self) -> usize {
        self.token_size + self.lexer.buffered()
    }

    fn take(&mut self, lexeme: Lexeme) -> Option<Outcome> {
        let text = self.lexer.text();
        let len = self.lexer.len();
        let token = match lexeme {
            Lexeme::Structural(b'{') => Token::BeginObject,
            Lexeme::Structural(b'}') => Token::EndObject,
            Lexeme::Structural(b'[') => Token::BeginArray,
            Lexeme::Structural(b']') => Token::EndArray,
            Lexeme::Structural(b':') => Token::Colon,
            Lexeme::Structural(_) => Token::Comma,
            Lexeme::Stray => return self.stray(),
            Lexeme::TooLong => return self.exceed("JSON token size limit exceeded"),
            // After an error the meaning of a token does not matter.
            _ if self.parser.has_failed() => Token::Value(QObject::Null),
            Lexeme::String => {
                let text = match self.lexer.take_large() {
                    Some(text) if self.lexer.is_plain() => unquote_plain(text),
                    Some(text) => unquote(&text),
                    None => unquote(self.lexer.text()),
                };
                text.map_or_else(Token::BadString, |text| Token::Value(text.into()))
            }
            Lexeme::Number => Token::Value(number::parse(&mod_utf8_lossy(text)).into()),
            Lexeme::Keyword => keyword(text),
        };
        self.push(token, len)
    }

    fn stray(&mut self) -> Option<Outcome> {
        // QEMU formats the token as a C string.
        let text = self.lexer.sent();
        let text = text.split(|&b| b == 0).next();
        let shown = mod_utf8_lossy(text.unwrap_or_default());
        let text = format!("stray '{shown}'");
        let error = match self.dialect {
            Dialect::Qemu10 => Some(Error::new(text).prepend("JSON parse error, ")),
            Dialect::Qemu11 if self.parser.has_failed() => None,
            Dialect::Qemu11 => Some(self.parse_error(text)),
        };
        self.forget_message();
        error.map(Err)
    }

    /// Takes a token of `len` bytes.
    fn push(&mut self, token: Token, len: usize) -> Option<Outcome> {
        match token {
            Token::BeginObject => self.braces += 1,
            Token::EndObject => self.braces -= 1,
            Token::BeginArray => self.brackets += 1,
            Token::EndArray => self.brackets -= 1,
            _ => {}
        }
        if let Some(limit) = self.exceeds(len) {
            return self.exceed(limit);
        }
        self.token_size = self.token_size.saturating_add(len);
        self.token_count += 1;
        if let Some(message) = self.parser.push(token) {
            self.restart_counts();
            return Some(Ok(message));
        }
        if self.has_ended() {
            return self.end();
        }
        if self.dialect.has_places() {
            return self.parser.take_error().map(|e| Err(self.parse_error(e)));
        }
        None
    }

    /// The limit that one more token of `len` bytes would break.
    fn exceeds(&self, len: usize) -> Option<&'static str> {
        let nesting = usize::try_from(self.braces + self.brackets).unwrap_or(0);
        if self.dialect.has_places() && self.parser.has_failed() {
            None
        } else if len >= self.limits.token_size - self.token_size {
            Some("JSON token size limit exceeded")
        } else if self.token_count >= self.limits.token_count {
            Some("JSON token count limit exceeded")
        } else {
            (nesting > self.limits.nesting).then_some("JSON nesting depth limit exceeded")
        }
    }

    fn has_ended(&self) -> bool {
        let balanced = self.braces == 0 && self.brackets == 0;
        balanced || self.braces < 0 || self.brackets < 0
    }

    /// Whether no message is under way: the next byte starts one.
    #[inline]
    pub(super) fn is_between_messages(&self) -> bool {
        self.token_count == 0 && self.lexer.at_start() && !self.parser.has_failed()
    }

    /// This many bytes break no limit, whatever tokens they hold.
    pub(super) fn room(&self) -> usize {
        let size = self.limits.token_size - self.token_size;
        let count = self.limits.token_count - self.token_count;
        size.min(count).saturating_sub(1)
    }

    /// The number of levels allowed.
    pub(super) fn nesting_limit(&self) -> usize {
        self.limits.nesting
    }

    /// Counts tokens that the fast path gave to the parser without [`Self::push`].
    /// Together they broke no limit.
    pub(super) fn account(&mut self, tokens: usize, size: usize, braces: isize, brackets: isize) {
        self.token_count += tokens;
        self.token_size += size;
        self.braces += braces;
        self.brackets += brackets;
    }

    /// Ends a message without a value. Returns its error, if that was not told.
    #[cold]
    fn end(&mut self) -> Option<Outcome> {
        let was_told = self.parser.has_failed() && !self.parser.has_error();
        let error = self.parser.finish();
        self.restart_counts();
        (!was_told).then(|| Err(self.parse_error(error)))
    }

    #[cold]
    fn exceed(&mut self, error: &'static str) -> Option<Outcome> {
        match self.dialect {
            Dialect::Qemu10 => self.forget_message(),
            Dialect::Qemu11 if self.parser.has_failed() => return None,
            Dialect::Qemu11 if self.has_ended() => self.forget_message(),
            Dialect::Qemu11 => self.parser.give_up(),
        }
        Some(Err(Error::new(error)))
    }

    fn parse_error(&self, text: String) -> Error {
        let error = parse_error(text);
        if self.dialect.has_places() {
            error.prepend(format!("{}: ", self.places.token()))
        } else {
            error
        }
    }

    fn forget_message(&mut self) {
        self.parser.reset();
        self.restart_counts();
    }

    pub(super) fn restart_counts(&mut self) {
        self.braces = 0;
        self.brackets = 0;
        self.token_count = 0;
        self.token_size = 0;
        // The next token may come much later.
        self.lexer.discard_delivered();
    }
}

fn keyword(text: &[u8]) -> Token {
    Token::Value(match text {
        b"true" => QObject::Bool(true),
        b"false" => QObject::Bool(false),
        b"null" => QObject::Null,
        _ => return Token::BadKeyword(format!("invalid keyword '{}'", mod_utf8_lossy(text))),
    })
}

/// QEMU formats the text of a parse error in a buffer of 1024 bytes.
const PARSE_ERROR_MAX: usize = 1023;

fn parse_error(mut text: String) -> Error {
    while text.len() > PARSE_ERROR_MAX {
        text.pop();
    }
    Error::new(text).prepend("JSON parse error, ")
}
