//! Full mode: features that people expect of a line editor today and QEMU's lacks.
//!
//! It is an extension and off by default, since it changes bytes on the wire:
//!
//! * ^K, ^B, ^F, ESC b, ESC f, ESC d, Home, End and Delete in all their
//!   encodings, Ctrl and Alt with the arrows;
//! * UTF-8: a letter is inserted, deleted and stepped over as a whole, and drawn
//!   with the columns it takes. Malformed input is dropped;
//! * ^R searches the history backwards, as in other shells.
//!
//! The redraw protocol is the plain one; only its columns are counted by
//! letter. During a search the line shown is a description of the search, and
//! the line itself stays as it was until a hit is accepted.

use super::keys::{control_key, tilde_key, Key};
use super::line::EditLine;
use super::History;

#[derive(Clone, Debug, Default)]
enum State {
    #[default]
    Norm,
    Esc,
    /// `ESC [`: the parameters so far, and whether a modifier key is held.
    Csi {
        first: u32,
        param: u32,
        params: u8,
    },
    Ss3,
    /// A started UTF-8 sequence and its full length.
    Utf8(Vec<u8>, usize),
}

/// A history search under way.
#[derive(Clone, Debug, Default)]
struct Search {
    query: Vec<u8>,
    /// Number of the entry shown, and its text.
    hit: Option<(usize, Vec<u8>)>,
    failing: bool,
}

impl Search {
    /// Looks for the newest entry older than `before` that contains the query.
    fn look(&mut self, history: &History, before: usize) {
        let hit = history
            .entries()
            .enumerate()
            .take(before)
            .filter(|(_, entry)| contains(entry, &self.query))
            .last();
        self.failing = hit.is_none();
        if let Some((index, entry)) = hit {
            self.hit = Some((index, entry.to_vec()));
        }
    }

    /// The query changed: the entry shown may still match.
    fn refine(&mut self, history: &History) {
        let before = match &self.hit {
            Some((index, _)) => index + 1,
            None => history.entries().len(),
        };
        self.look(history, before);
    }
}

fn contains(entry: &[u8], query: &[u8]) -> bool {
    query.is_empty() || entry.windows(query.len()).any(|part| part == query)
}

/// Decoder and search of the full mode.
#[derive(Clone, Debug, Default)]
pub(super) struct Full {
    state: State,
    search: Option<Search>,
}

impl Full {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Forgets half read sequences and a search.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes one byte; at most one key comes out.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.state) {
            State::Norm => self.norm(byte),
            State::Esc => self.esc(byte),
            State::Csi {
                first,
                param,
                params,
            } => self.csi(byte, first, param, params),
            State::Ss3 => final_key(byte, false),
            State::Utf8(mut bytes, len) => {
                if byte & 0xc0 != 0x80 {
                    return self.norm(byte);
                }
                bytes.push(byte);
                if bytes.len() < len {
                    self.state = State::Utf8(bytes, len);
                    return None;
                }
                let c = std::str::from_utf8(&bytes).ok()?.chars().next()?;
                Some(Key::InsertChar(c))
            }
        }
    }

    fn norm(&mut self, byte: u8) -> Option<Key> {
        match byte {
            2 => Some(Key::Left),
            3 | 7 => Some(Key::Cancel),
            6 => Some(Key::Right),
            11 => Some(Key::KillToEnd),
            18 => Some(Key::Search),
            27 => {
                self.state = State::Esc;
                None
            }
            32..=126 => Some(Key::Insert(byte)),
            0xc2..=0xdf => self.utf8(byte, 2),
            0xe0..=0xef => self.utf8(byte, 3),
            0xf0..=0xf4 => self.utf8(byte, 4),
            _ => control_key(byte),
        }
    }

    fn utf8(&mut self, byte: u8, len: usize) -> Option<Key> {
        self.state = State::Utf8(vec![byte], len);
        None
    }

    fn esc(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => {
                self.state = State::Csi {
                    first: 0,
                    param: 0,
                    params: 0,
                };
                None
            }
            b'O' => {
                self.state = State::Ss3;
                None
            }
            27 => {
                self.state = State::Esc;
                None
            }
            b'b' => Some(Key::WordLeft),
            b'f' => Some(Key::WordRight),
            b'd' => Some(Key::KillWord),
            8 | 127 => Some(Key::Backword),
            _ => None,
        }
    }

    fn csi(&mut self, byte: u8, first: u32, param: u32, params: u8) -> Option<Key> {
        match byte {
            b'0'..=b'9' => {
                let digit = u32::from(byte - b'0');
                self.state = State::Csi {
                    first,
                    param: param.saturating_mul(10).saturating_add(digit),
                    params,
                };
                None
            }
            b';' => {
                self.state = State::Csi {
                    first: if params == 0 { param } else { first },
                    param: 0,
                    params: params.saturating_add(1),
                };
                None
            }
            // Other parameter and intermediate bytes: wait for the end.
            0x20..=0x3f => {
                self.state = State::Csi {
                    first,
                    param,
                    params,
                };
                None
            }
            27 => {
                self.state = State::Esc;
                None
            }
            b'~' => match if params == 0 { param } else { first } {
                7 => Some(Key::Bol),
                8 => Some(Key::Eol),
                number => tilde_key(number),
            },
            // The second parameter is 1 plus the modifier keys held.
            _ => final_key(byte, params == 1 && param > 1),
        }
    }

    /// Gives a key to the search, if one is under way or starts. Returns the key
    /// when it is the line's business, after a search has been accepted.
    pub(super) fn filter(
        &mut self,
        key: Key,
        line: &mut EditLine,
        history: &History,
    ) -> Option<Key> {
        let Some(search) = &mut self.search else {
            if key == Key::Search {
                self.search = Some(Search::default());
                return None;
            }
            return Some(key);
        };
        match key {
            Key::Search => {
                let before = search.hit.as_ref().map(|(index, _)| *index);
                search.look(history, before.unwrap_or(history.entries().len()));
            }
            Key::Insert(byte) => {
                search.query.push(byte);
                search.refine(history);
            }
            Key::InsertChar(c) => {
                search
                    .query
                    .extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                search.refine(history);
            }
            Key::Backspace => {
                let len = Self::previous(&search.query, search.query.len());
                search.query.truncate(len);
                search.hit = None;
                if len > 0 {
                    search.look(history, history.entries().len());
                } else {
                    search.failing = false;
                }
            }
            Key::Cancel => self.search = None,
            _ => {
                if let Some(Search {
                    hit: Some((_, text)),
                    ..
                }) = self.search.take()
                {
                    line.set(&text);
                }
                return Some(key);
            }
        }
        None
    }

    /// The text shown instead of the line during a search, and the cursor in it.
    pub(super) fn search_view(&self) -> Option<(Vec<u8>, usize)> {
        let search = self.search.as_ref()?;
        let mut text = Vec::new();
        if search.failing {
            text.extend_from_slice(b"(failed reverse-i-search)`");
        } else {
            text.extend_from_slice(b"(reverse-i-search)`");
        }
        text.extend_from_slice(&search.query);
        text.extend_from_slice(b"': ");
        if let Some((_, hit)) = &search.hit {
            text.extend_from_slice(hit);
        }
        let end = text.len();
        Some((text, end))
    }

    /// The keys only this mode has.
    pub(super) fn handle_key(&mut self, key: Key, line: &mut EditLine) {
        match key {
            Key::KillToEnd => line.delete_up_to(usize::MAX),
            Key::WordLeft => line.set_cursor(word_left(line)),
            Key::WordRight => line.set_cursor(word_right(line)),
            Key::KillWord => line.delete_up_to(word_right(line)),
            _ => {}
        }
    }

    /// Start of the letter before `index`.
    pub(super) fn previous(text: &[u8], index: usize) -> usize {
        letters(text)
            .map(|(start, _)| start)
            .take_while(|start| *start < index)
            .last()
            .unwrap_or(0)
    }

    /// Start of the letter after the one at `index`.
    pub(super) fn next(text: &[u8], index: usize) -> usize {
        letters(text)
            .map(|(start, _)| start)
            .find(|start| *start > index)
            .unwrap_or(text.len())
    }

    /// Columns the text takes on a terminal.
    pub(super) fn columns(text: &[u8]) -> usize {
        letters(text).map(|(_, width)| width).sum()
    }
}

fn final_key(byte: u8, modified: bool) -> Option<Key> {
    Some(match (byte, modified) {
        (b'A', _) => Key::Up,
        (b'B', _) => Key::Down,
        (b'C', false) => Key::Right,
        (b'D', false) => Key::Left,
        (b'C', true) => Key::WordRight,
        (b'D', true) => Key::WordLeft,
        (b'H', _) => Key::Bol,
        (b'F', _) => Key::Eol,
        _ => return None,
    })
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn word_left(line: &EditLine) -> usize {
    let before = line.before_cursor();
    let end = before
        .iter()
        .rposition(|&b| is_word(b))
        .map_or(0, |i| i + 1);
    before[..end]
        .iter()
        .rposition(|&b| !is_word(b))
        .map_or(0, |i| i + 1)
}

fn word_right(line: &EditLine) -> usize {
    let after = line.after_cursor();
    let start = after
        .iter()
        .position(|&b| is_word(b))
        .unwrap_or(after.len());
    let len = after[start..].iter().position(|&b| !is_word(b));
    line.cursor() + start + len.unwrap_or(after.len() - start)
}

/// Letters of a text with their start and width: a character with the
/// combining ones behind it. A byte that is no UTF-8 (a completed file name may
/// have it) counts as a letter of one column.
fn letters(text: &[u8]) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut index = 0;
    std::iter::from_fn(move || {
        if index >= text.len() {
            return None;
        }
        let start = index;
        let (len, width) = character(&text[index..]);
        index += len;
        while index < text.len() {
            match character(&text[index..]) {
                (len, 0) => index += len,
                _ => break,
            }
        }
        Some((start, width))
    })
}

/// Length and width of the first character of a text that is not empty.
fn character(text: &[u8]) -> (usize, usize) {
    let head = &text[..text.len().min(4)];
    let valid = match std::str::from_utf8(head) {
        Ok(valid) => valid,
        Err(error) => std::str::from_utf8(&head[..error.valid_up_to()]).unwrap_or(""),
    };
    match valid.chars().next() {
        Some(c) => (c.len_utf8(), char_width(c)),
        None => (1, 1),
    }
}

/// Columns of a character, after the broad blocks of Unicode's East Asian
/// width and its combining marks. A rare letter may be off by one column.
fn char_width(c: char) -> usize {
    const COMBINING: &[(u32, u32)] = &[
        (0x300, 0x36f),
        (0x483, 0x489),
        (0x591, 0x5bd),
        (0x610, 0x61a),
        (0x64b, 0x65f),
        (0x1ab0, 0x1aff),
        (0x1dc0, 0x1dff),
        (0x200b, 0x200f),
        (0x20d0, 0x20ff),
        (0xfe00, 0xfe0f),
        (0xfe20, 0xfe2f),
    ];
    const WIDE: &[(u32, u32)] = &[
        (0x1100, 0x115f),
        (0x2e80, 0x303e),
        (0x3041, 0xa4cf),
        (0xa960, 0xa97c),
        (0xac00, 0xd7a3),
        (0xf900, 0xfaff),
        (0xfe30, 0xfe6f),
        (0xff00, 0xff60),
        (0xffe0, 0xffe6),
        (0x1f300, 0x1f64f),
        (0x1f680, 0x1f6ff),
        (0x1f900, 0x1f9ff),
        (0x20000, 0x3fffd),
    ];
    let among = |table: &[(u32, u32)]| {
        table
            .iter()
            .any(|&(first, last)| (first..=last).contains(&u32::from(c)))
    };
    if among(COMBINING) {
        0
    } else if among(WIDE) {
        2
    } else {
        1
    }
}

#[cfg(test)]
#[path = "full_tests.rs"]
mod tests;
