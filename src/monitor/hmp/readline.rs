//! QEMU's line editor as a machine: a byte in, bytes to draw and an event out.
//!
//! It holds the line, the history, the key decoder and what it has drawn, and
//! does no input or output itself. One session goes
//!
//! ```text
//! start ──> show_prompt ──> handle_byte, ... ──> Line ──> run the command
//!                 ▲                                              │
//!                 └──────────────────────────────────────────────┘
//! ```
//!
//! # What is drawn
//!
//! After every byte the line is compared with what was last drawn. If its
//! text differs, everything is drawn again: `ESC [ D` once per column the
//! drawn cursor stood to the right of the prompt, the text, `ESC [ K`. If the
//! cursor then stands elsewhere, `ESC [ C` or `ESC [ D` per column brings it
//! there. There are no repeat counts and no knowledge of the terminal's width, so a
//! wrapped line looks broken; both are QEMU's, and clients that match on the
//! echo see the same bytes. In full mode, on a terminal whose width is known, a line
//! that is longer is drawn by `wrapped.rs`.
//!
//! # Full mode
//!
//! [`Readline::set_full`] switches an extension on that QEMU lacks; see `full.rs`.

use super::full::Full;
use super::keys::{Key, KeyDecoder};
use super::line::EditLine;
use super::wrapped::{draw, go};
use super::History;

/// Candidates considered for one completion; QEMU's `READLINE_MAX_COMPLETIONS`.
const READLINE_MAX_COMPLETIONS: usize = 256;

/// Columns a listing of candidates fills.
const LISTING_COLUMNS: usize = 80;

/// The caller's task after a byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadlineEvent {
    /// Nothing; go on with the next byte.
    None,
    /// Enter: run this line, then call [`Readline::show_prompt`]. No further
    /// byte may be fed in between, or its echo comes before the prompt.
    Line(Vec<u8>),
    /// TAB: find candidates for the text in [`Readline::before_cursor`] and call
    /// [`Readline::complete`], or do nothing if there are none.
    Complete,
}

/// The line as the terminal shows it.
#[derive(Clone, Debug, Default)]
struct Drawn {
    text: Vec<u8>,
    /// Columns between the prompt and the cursor.
    column: usize,
}

/// The line editor of one monitor (QEMU's `ReadLineState`).
///
/// ```
/// use qmonitor::monitor::hmp::{Readline, ReadlineEvent};
///
/// let mut rl = Readline::new("(qemu) ");
/// let mut out = Vec::new();
/// rl.show_prompt(&mut out);
/// assert_eq!(rl.handle_byte(b'q', &mut out), ReadlineEvent::None);
/// assert_eq!(rl.handle_byte(b'\n', &mut out), ReadlineEvent::Line(b"q".to_vec()));
/// assert_eq!(out, b"(qemu) q\x1b[K\r\n");
/// ```
#[derive(Clone, Debug)]
pub struct Readline {
    prompt: Vec<u8>,
    line: EditLine,
    drawn: Drawn,
    keys: KeyDecoder,
    history: History,
    full: Option<Full>,
    /// The terminal's width, if it is known.
    width: Option<usize>,
}

impl Readline {
    /// An editor with an empty history. Draws nothing; call
    /// [`show_prompt`](Self::show_prompt) once a client is there to see it.
    pub fn new(prompt: &str) -> Self {
        Self {
            prompt: prompt.as_bytes().to_vec(),
            line: EditLine::default(),
            drawn: Drawn::default(),
            keys: KeyDecoder::new(),
            history: History::new(),
            full: None,
            width: None,
        }
    }

    /// Drops the line being typed and a half read escape sequence, as on a new
    /// connection (QEMU's `readline_restart`). History and prompt stay.
    pub fn restart(&mut self) {
        self.line = EditLine::default();
        self.drawn = Drawn::default();
        self.keys.reset();
        if let Some(full) = &mut self.full {
            full.reset();
        }
    }

    /// Switches the extended keys, UTF-8 and the history search on or off.
    /// Off is the default and what QEMU does. A line being typed is dropped.
    pub fn set_full(&mut self, on: bool) {
        self.full = on.then(Full::new);
        self.restart();
    }

    /// Says how wide the terminal is. In full mode a longer line is drawn in rows.
    pub fn set_columns(&mut self, width: Option<usize>) {
        // What cannot hold the prompt is no terminal.
        self.width = width.filter(|width| *width > self.prompt.len());
    }

    /// Whether they are on.
    pub fn is_full(&self) -> bool {
        self.full.is_some()
    }

    /// The lines run so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The line being edited.
    pub fn line(&self) -> &EditLine {
        &self.line
    }

    /// The text before the cursor, which completion works on.
    pub fn before_cursor(&self) -> &[u8] {
        self.line.before_cursor()
    }

    /// Draws the prompt (QEMU's `readline_show_prompt`). A line already typed is
    /// drawn with the next byte.
    pub fn show_prompt(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.prompt);
        self.drawn = Drawn::default();
    }

    /// Draws prompt and line again where they are, after another program has written
    /// to the terminal.
    pub fn redraw(&mut self, out: &mut Vec<u8>) {
        out.push(b'\r');
        self.show_prompt(out);
        self.update(out);
    }

    /// Takes one byte of input and appends to `out` what it draws (QEMU's
    /// `readline_handle_byte`).
    pub fn handle_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> ReadlineEvent {
        let mut event = ReadlineEvent::None;
        if self.full.is_some() {
            event = self.full_byte(byte, out);
        } else if let Some(key) = self.keys.feed(byte) {
            event = self.handle_key(key, out);
        }
        self.update(out);
        event
    }

    /// Takes one byte in full mode: the search sees a key before the line does.
    fn full_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> ReadlineEvent {
        let Some(full) = &mut self.full else {
            return ReadlineEvent::None;
        };
        let Some(key) = full.feed(byte) else {
            return ReadlineEvent::None;
        };
        match full.filter(key, &mut self.line, &self.history) {
            Some(key) => {
                // The search line must be gone before Enter ends the line.
                self.update(out);
                self.handle_key(key, out)
            }
            None => ReadlineEvent::None,
        }
    }

    fn handle_key(&mut self, key: Key, out: &mut Vec<u8>) -> ReadlineEvent {
        let cursor = self.line.cursor();
        match key {
            Key::Insert(byte) => self.line.insert(&[byte]),
            Key::InsertChar(c) => self.line.insert(c.encode_utf8(&mut [0; 4]).as_bytes()),
            Key::Enter => return self.enter(out),
            Key::Complete => return ReadlineEvent::Complete,
            Key::Bol => self.line.set_cursor(0),
            Key::Eol => self.line.set_cursor(usize::MAX),
            Key::Left => self.line.set_cursor(self.previous(cursor)),
            Key::Right => self.line.set_cursor(self.next(cursor)),
            Key::DeleteChar => self.line.delete_up_to(self.next(cursor)),
            Key::Backspace => self.line.delete_back_to(self.previous(cursor)),
            Key::KillToStart => self.line.delete_back_to(0),
            Key::Backword => self.line.backword(),
            Key::Up => {
                if let Some(entry) = self.history.up() {
                    self.line.set(entry);
                }
            }
            Key::Down => {
                if let Some(entry) = self.history.down() {
                    self.line.set(entry);
                }
            }
            Key::Clear => {
                out.extend_from_slice(b"\x1b[2J\x1b[1;1H");
                self.show_prompt(out);
            }
            Key::KillToEnd
            | Key::WordLeft
            | Key::WordRight
            | Key::KillWord
            | Key::Search
            | Key::Cancel => {
                if let Some(full) = &mut self.full {
                    full.handle_key(key, &mut self.line);
                }
            }
        }
        ReadlineEvent::None
    }

    fn enter(&mut self, out: &mut Vec<u8>) -> ReadlineEvent {
        let line = self.line.take();
        self.history.add(&line);
        self.leave(out);
        self.drawn = Drawn::default();
        ReadlineEvent::Line(line)
    }

    /// Goes to the row below the line.
    fn leave(&mut self, out: &mut Vec<u8>) {
        if let Some(width) = self.wraps(0) {
            let begin = self.prompt.len();
            let end = begin + self.columns(&self.drawn.text);
            go(begin + self.drawn.column, end, width, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The terminal's width, if a line of so many columns, or what is drawn, does not
    /// fit behind the prompt.
    fn wraps(&self, columns: usize) -> Option<usize> {
        let longest = columns.max(self.columns(&self.drawn.text));
        let wraps = |width: &usize| self.is_full() && self.prompt.len() + longest >= *width;
        self.width.filter(wraps)
    }

    /// Completes `word`, the last part of the text before the cursor, with
    /// those `candidates` that start with it (QEMU's `readline_completion`).
    ///
    /// One candidate is filled in, with a blank behind it unless it ends in `/`,
    /// or in `=` or `.` after which an argument's value or its members are to come
    /// (QEMU has none of these).
    /// Several are listed in columns under the line, and what they have in
    /// common is filled in. None: nothing happens. Of more than 256 different
    /// candidates only the first 256 count.
    pub fn complete<C>(
        &mut self,
        word: &[u8],
        candidates: impl IntoIterator<Item = C>,
        out: &mut Vec<u8>,
    ) where
        C: AsRef<[u8]>,
    {
        let mut found: Vec<Vec<u8>> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for candidate in candidates {
            let candidate = candidate.as_ref();
            if candidate.starts_with(word) && seen.insert(candidate.to_vec()) {
                found.push(candidate.to_vec());
                if found.len() == READLINE_MAX_COMPLETIONS {
                    break;
                }
            }
        }
        found.sort();
        match found.as_slice() {
            [] => return,
            [only] => {
                self.insert_bytes(&only[word.len()..]);
                if !matches!(only.last(), Some(b'/' | b'=' | b'.')) {
                    self.insert_bytes(b" ");
                }
            }
            [first, .., last] => {
                // Sorted, so what first and last share is shared by all.
                let common = first.iter().zip(last).take_while(|(a, b)| a == b).count();
                self.insert_bytes(&first[word.len()..common]);
                self.leave(out);
                list_columns(&found, self.width.unwrap_or(LISTING_COLUMNS), out);
                self.show_prompt(out);
            }
        }
        self.update(out);
    }

    /// Inserts byte by byte, so that a full line takes what still fits.
    fn insert_bytes(&mut self, text: &[u8]) {
        for byte in text {
            self.line.insert(&[*byte]);
        }
    }

    fn previous(&self, index: usize) -> usize {
        match &self.full {
            Some(_) => Full::previous(self.line.text(), index),
            None => index.saturating_sub(1),
        }
    }

    fn next(&self, index: usize) -> usize {
        match &self.full {
            Some(_) => Full::next(self.line.text(), index),
            None => index + 1,
        }
    }

    fn columns(&self, text: &[u8]) -> usize {
        match &self.full {
            Some(_) => Full::columns(text),
            None => text.len(),
        }
    }

    /// Draws the difference between the line and what is on the screen.
    fn update(&mut self, out: &mut Vec<u8>) {
        let search = self.full.as_ref().and_then(Full::search_view);
        let (text, cursor) = match &search {
            Some((text, cursor)) => (text.as_slice(), *cursor),
            None => (self.line.text(), self.line.cursor()),
        };
        let column = self.columns(&text[..cursor]);
        if let Some(width) = self.wraps(self.columns(text)) {
            let begin = self.prompt.len();
            let (text, end) = (text.to_vec(), begin + self.columns(text));
            let mut at = begin + self.drawn.column;
            if text != self.drawn.text {
                go(at, begin, width, out);
                draw(&text, end, width, out);
                at = end;
            }
            if at != begin + column {
                go(at, begin + column, width, out);
            }
            self.drawn = Drawn { text, column };
            return;
        }
        if text != self.drawn.text {
            repeat(b"\x1b[D", self.drawn.column, out);
            let columns = self.columns(text);
            out.extend_from_slice(text);
            out.extend_from_slice(b"\x1b[K");
            self.drawn = Drawn {
                text: text.to_vec(),
                column: columns,
            };
        }
        if column > self.drawn.column {
            repeat(b"\x1b[C", column - self.drawn.column, out);
        } else {
            repeat(b"\x1b[D", self.drawn.column - column, out);
        }
        self.drawn.column = column;
    }
}

fn repeat(what: &[u8], count: usize, out: &mut Vec<u8>) {
    for _ in 0..count {
        out.extend_from_slice(what);
    }
}

/// Lists names in columns two wider than the longest, every row ended, the
/// last of a row padded like the others.
fn list_columns(names: &[Vec<u8>], columns: usize, out: &mut Vec<u8>) {
    let longest = names.iter().map(Vec::len).max().unwrap_or(0);
    let width = (longest + 2).max(10).min(columns);
    for row in names.chunks(columns / width) {
        for name in row {
            // A file name may hold a newline; like all output it becomes CR LF.
            for &byte in name {
                if byte == b'\n' {
                    out.push(b'\r');
                }
                out.push(byte);
            }
            repeat(b" ", width.saturating_sub(name.len()), out);
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
#[path = "readline_tests.rs"]
mod tests;
