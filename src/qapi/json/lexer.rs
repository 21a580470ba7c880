//! The lexer: bytes in, tokens out, exact and resumable at every byte.
//!
//! ```text
//!            { } [ ] : ,                 -> a token of its own
//!            " '         -> Quoted  <-> Escape        ends with its quote
//!            a-z         -> Keyword                   ends before another byte
//!            -           -> Minus
//!  Start     0, - 0      -> Zero        -> Point      ends before another byte
//!            1-9, - 1-9  -> Digits      -> Point, E   ends before another byte
//!            .           Point    -> Fraction -> E
//!            e E         E        -> Sign     -> Exponent
//!            space \t \r \n             -> Start
//! ```
//!
//! A byte without a transition is a lexical error. Its text shows the unfinished
//! token and that byte (`stray '1.}'`), so the byte is used up. The message is
//! dropped and *recovery* begins: the lexer skips bytes up to the next structural
//! character, control character other than tab, or byte FE or FF, and continues
//! with that one. A newline thus ends recovery silently, while a byte 01 is the
//! next lexical error.
//!
//! Traps for readers who expect another dialect:
//! - Zero leads to a fraction only: `0e1` is the integer 0 and the keyword `e`,
//!   and `01` is the lexical error `stray '01'`, found at the `1`.
//! - The lexer takes any escape, and any byte from 20 to FD in a string. The parser
//!   judges them once the message is complete.
//! - Numbers and keywords are complete only when another byte follows.
//! - The byte that is the lexical error does not end the recovery it starts,
//!   even if it is a newline or a brace.

use super::scan;

/// The state after the bytes of the unfinished token, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Recovery,
    /// In a string that ends with this quote.
    Quoted(u8),
    /// After a backslash in such a string.
    Escape(u8),
    Keyword,
    Minus,
    Zero,
    Digits,
    /// After the decimal point: a digit must follow.
    Point,
    Fraction,
    /// After `e`: a sign or digit must follow.
    E,
    /// After the sign of an exponent: a digit must follow.
    Sign,
    Exponent,
}

/// A token or an error. [`Lexer::text`] holds its text until the next call, except
/// for structural tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lexeme {
    /// One of `{ } [ ] : ,`.
    Structural(u8),
    /// A string with its quotes.
    String,
    /// A number.
    Number,
    /// A keyword, known or not.
    Keyword,
    /// A lexical error: the unfinished token and the byte that does not fit.
    Stray,
    /// The unfinished token has passed the limit.
    TooLong,
}

/// Where a token started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Start {
    /// The position in the input of the call.
    pub(super) at: usize,
    /// Whether that byte had been looked at before: it ended the token in front of
    /// it, or recovery.
    pub(super) seen: bool,
}

/// The outcome of one byte.
enum Step {
    /// The byte belongs to the token.
    Take(State),
    /// The byte completes the token.
    Last(Lexeme),
    /// The token ended before this byte.
    Before(Lexeme),
    /// The byte is white space, or skipped in recovery.
    Skip(State),
    /// The byte ends recovery and is processed again.
    Again,
    /// The byte does not fit.
    Reject,
}

impl State {
    fn step(self, byte: u8) -> Step {
        use State::*;
        match self {
            Start => match byte {
                b' ' | b'\t' | b'\r' | b'\n' => Step::Skip(Start),
                b'{' | b'}' | b'[' | b']' | b':' | b',' => Step::Last(Lexeme::Structural(byte)),
                b'"' | b'\'' => Step::Take(Quoted(byte)),
                b'a'..=b'z' => Step::Take(Keyword),
                b'-' => Step::Take(Minus),
                b'0' => Step::Take(Zero),
                b'1'..=b'9' => Step::Take(Digits),
                _ => Step::Reject,
            },
            Recovery => match byte {
                b'{' | b'}' | b'[' | b']' | b':' | b',' | 0xfe | 0xff => Step::Again,
                0..=0x1f if byte != b'\t' => Step::Again,
                _ => Step::Skip(Recovery),
            },
            Quoted(quote) => match byte {
                _ if byte == quote => Step::Last(Lexeme::String),
                b'\\' => Step::Take(Escape(quote)),
                0x20..=0xfd => Step::Take(self),
                _ => Step::Reject,
            },
            Escape(quote) => match byte {
                0x20..=0xfd => Step::Take(Quoted(quote)),
                _ => Step::Reject,
            },
            Keyword => match byte {
                b'a'..=b'z' => Step::Take(Keyword),
                _ => Step::Before(Lexeme::Keyword),
            },
            Minus => match byte {
                b'0' => Step::Take(Zero),
                b'1'..=b'9' => Step::Take(Digits),
                _ => Step::Reject,
            },
            Zero => match byte {
                b'.' => Step::Take(Point),
                b'0'..=b'9' => Step::Reject,
                _ => Step::Before(Lexeme::Number),
            },
            Digits => match byte {
                b'0'..=b'9' => Step::Take(Digits),
                b'.' => Step::Take(Point),
                b'e' | b'E' => Step::Take(E),
                _ => Step::Before(Lexeme::Number),
            },
            Fraction => match byte {
                b'0'..=b'9' => Step::Take(Fraction),
                b'e' | b'E' => Step::Take(E),
                _ => Step::Before(Lexeme::Number),
            },
            Exponent => match byte {
                b'0'..=b'9' => Step::Take(Exponent),
                _ => Step::Before(Lexeme::Number),
            },
            E if matches!(byte, b'+' | b'-') => Step::Take(Sign),
            Point | E | Sign => match (byte, self) {
                (b'0'..=b'9', Point) => Step::Take(Fraction),
                (b'0'..=b'9', _) => Step::Take(Exponent),
                _ => Step::Reject,
            },
        }
    }
}

/// The state between bytes.
#[derive(Debug)]
pub(super) struct Lexer {
    state: State,
    /// Without the opening quote of a string, so that it can become the string.
    text: Vec<u8>,
    /// That quote.
    quote: Option<u8>,
    /// Whether the string is ASCII so far and has no escapes.
    is_plain: bool,
    /// Whether `text` belongs to a token that was already returned.
    delivered: bool,
    /// Where the token started, if it did in the last call.
    start: Option<Start>,
    /// Whether the next byte was looked at already.
    seen: bool,
    limit: usize,
}

impl Lexer {
    /// A lexer that gives up a token once it is longer than `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Lexer {
            state: State::Start,
            text: Vec::new(),
            quote: None,
            is_plain: true,
            delivered: false,
            start: None,
            seen: false,
            limit,
        }
    }

    /// Whether the next byte starts a token (or is white space).
    pub(super) fn at_start(&self) -> bool {
        self.state == State::Start
    }

    /// The text of the token last returned; of a string, what follows the opening
    /// quote.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// The same as it was sent.
    pub(super) fn sent(&self) -> Vec<u8> {
        self.quote.iter().chain(&self.text).copied().collect()
    }

    /// Length of the token as it was sent.
    pub(super) fn len(&self) -> usize {
        self.text.len() + usize::from(self.quote.is_some())
    }

    /// Whether the string last returned is ASCII and has no escapes.
    pub(super) fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Gives away the text of the token last returned, if it is too large for the
    /// buffer to be kept.
    pub(super) fn take_large(&mut self) -> Option<Vec<u8>> {
        (self.text.len() > IDLE_CAPACITY).then(|| std::mem::take(&mut self.text))
    }

    /// The next byte was not looked at.
    pub(super) fn forget_seen(&mut self) {
        self.seen = false;
    }

    /// Where the token returned last, or the one under way, started, if that was in
    /// the last call.
    pub(super) fn start(&self) -> Option<Start> {
        self.start
    }

    /// Length of the unfinished token.
    pub(super) fn buffered(&self) -> usize {
        if self.delivered {
            0
        } else {
            self.len()
        }
    }

    /// Takes bytes up to the end of the first token or error. `None` if there is
    /// none; then all of `input` is used up.
    pub(super) fn next(&mut self, input: &[u8]) -> (usize, Option<Lexeme>) {
        self.discard_delivered();
        self.start = None;
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            let seen = std::mem::take(&mut self.seen);
            if self.state == State::Start {
                self.start = Some(Start { at, seen });
            }
            match self.state.step(byte) {
                Step::Take(state) => {
                    at += self.take(&input[at..], state);
                    if self.len() > self.limit {
                        return (at, Some(self.deliver(Lexeme::TooLong, State::Start)));
                    }
                }
                Step::Last(lexeme) => {
                    self.text.push(byte);
                    return (at + 1, Some(self.deliver(lexeme, State::Start)));
                }
                Step::Before(lexeme) => {
                    self.seen = true;
                    return (at, Some(self.deliver(lexeme, State::Start)));
                }
                Step::Skip(state) => {
                    self.start = None;
                    self.state = state;
                    at += 1;
                }
                Step::Again => {
                    self.seen = true;
                    self.state = State::Start;
                }
                Step::Reject => {
                    self.text.push(byte);
                    return (at + 1, Some(self.deliver(Lexeme::Stray, State::Recovery)));
                }
            }
        }
        (at, None)
    }

    /// Takes the bytes at the start of `input` that a string under way goes on with,
    /// as far as they are plain and within the limit. Returns their number.
    pub(super) fn take_plain(&mut self, input: &[u8]) -> usize {
        let State::Quoted(quote) = self.state else {
            return 0;
        };
        let room = self.limit.saturating_sub(self.len());
        let plain = scan::plain(&input[..input.len().min(room)], quote);
        self.text.extend_from_slice(&input[..plain]);
        plain
    }

    /// Takes the first byte of `input`, which leads to `state`, and within a string
    /// the following bytes that cannot end it, up to the limit.
    fn take(&mut self, input: &[u8], state: State) -> usize {
        let former = std::mem::replace(&mut self.state, state);
        let mut len = 1;
        match state {
            State::Quoted(quote) if former == State::Start => {
                self.quote = Some(quote);
                self.is_plain = true;
                return len;
            }
            State::Quoted(quote) => {
                let room = self.limit.saturating_sub(self.len());
                let rest = &input[1..];
                let rest = &rest[..rest.len().min(room)];
                let plain = scan::plain(rest, quote);
                self.is_plain &= input[0].is_ascii();
                len += plain;
                if rest.get(plain).is_some_and(|b| !b.is_ascii()) {
                    self.is_plain = false;
                    len += scan::plain_or_high(&rest[plain..], quote);
                }
            }
            State::Escape(_) => self.is_plain = false,
            _ => {}
        }
        self.text.extend_from_slice(&input[..len]);
        len
    }

    /// Handles the end of input: it completes a number or keyword; any other
    /// unfinished token is stray.
    pub(super) fn finish(&mut self) -> Option<Lexeme> {
        self.discard_delivered();
        let state = std::mem::replace(&mut self.state, State::Start);
        let lexeme = match state {
            State::Start | State::Recovery => return None,
            State::Keyword => Lexeme::Keyword,
            State::Zero | State::Digits | State::Fraction | State::Exponent => Lexeme::Number,
            _ => Lexeme::Stray,
        };
        Some(self.deliver(lexeme, State::Start))
    }

    /// Forgets everything.
    pub(super) fn reset(&mut self) {
        self.state = State::Start;
        self.seen = false;
        self.delivered = true;
        self.discard_delivered();
    }

    fn deliver(&mut self, lexeme: Lexeme, next: State) -> Lexeme {
        self.state = next;
        self.delivered = true;
        lexeme
    }

    /// Makes room for the next token and frees the memory of a huge one.
    pub(super) fn discard_delivered(&mut self) {
        if self.delivered {
            self.delivered = false;
            self.text.clear();
            self.quote = None;
            self.text.shrink_to(IDLE_CAPACITY);
        }
    }
}

/// Bytes of buffer kept from one token to the next.
const IDLE_CAPACITY: usize = 1024;
