//! Where a token stands: line and column, as [`Dialect::Qemu11`] tells them.
//!
//! Lines are counted from the start of the stream and end with their newline;
//! columns are bytes. Both begin with 1.
//!
//! The trap is the byte that ends a token without belonging to it, or that ends
//! recovery: QEMU has counted it before it starts the next token with it, so that
//! token's column is one too large.

use std::fmt;

use super::lexer::Start;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: usize,
    column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[derive(Debug)]
pub(super) struct Places {
    /// The place of the next byte.
    next: Place,
    /// The place of the token under way, or of the last one.
    token: Place,
}

const FIRST: Place = Place { line: 1, column: 1 };

impl Places {
    pub(super) fn new() -> Self {
        Places {
            next: FIRST,
            token: FIRST,
        }
    }

    /// The place of the token under way, or of the last one.
    pub(super) fn token(&self) -> Place {
        self.token
    }

    /// Goes past bytes in which a token may have started.
    pub(super) fn pass(&mut self, bytes: &[u8], start: Option<Start>) {
        let Some(start) = start else {
            return self.advance(bytes);
        };
        self.advance(&bytes[..start.at]);
        self.token = self.next;
        self.token.column += usize::from(start.seen);
        self.advance(&bytes[start.at..]);
    }

    /// The end of the stream is a token too. `seen` if it ended the one before.
    pub(super) fn end(&mut self, seen: bool) {
        self.token = self.next;
        self.token.column += usize::from(seen);
    }

    fn advance(&mut self, bytes: &[u8]) {
        match bytes.iter().rposition(|&b| b == b'\n') {
            None => self.next.column += bytes.len(),
            Some(last) => {
                self.next.line += bytes.iter().filter(|&&b| b == b'\n').count();
                self.next.column = bytes.len() - last;
            }
        }
    }
}
