//! Shared by the tests of this room: a tiny terminal and ways to type at it.

use super::{FormatState, HmpEnv, Readline, ReadlineEvent};
use crate::qapi::QDict;

/// Types bytes; a finished line is dropped and the next prompt drawn.
pub(super) fn type_at(rl: &mut Readline, bytes: &[u8], out: &mut Vec<u8>) {
    for &byte in bytes {
        if let ReadlineEvent::Line(_) = rl.handle_byte(byte, out) {
            rl.show_prompt(out);
        }
    }
}

/// A terminal of unlimited size that knows what the editor may send:
/// CR, LF, cursor left and right, erase to the end of the line, clear and home.
#[derive(Default)]
pub(super) struct Screen {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Screen {
    pub(super) fn new() -> Self {
        Self {
            rows: vec![Vec::new()],
            ..Self::default()
        }
    }

    /// What bytes leave on an empty screen, one character each.
    pub(super) fn replay(bytes: &[u8]) -> Self {
        let mut screen = Self::new();
        screen.show(bytes);
        screen
    }

    /// Plays bytes, one character each. They end with no part of a sequence.
    #[track_caller]
    pub(super) fn show(&mut self, bytes: &[u8]) {
        self.play(bytes.iter().map(|&byte| char::from(byte)));
    }

    /// Plays UTF-8 text whose letters take one column each.
    pub(super) fn replay_utf8(bytes: &[u8]) -> Self {
        let mut screen = Self::new();
        screen.play(std::str::from_utf8(bytes).expect("UTF-8 output").chars());
        screen
    }

    #[track_caller]
    fn play(&mut self, mut chars: impl Iterator<Item = char>) {
        while let Some(c) = chars.next() {
            match c {
                '\r' => self.column = 0,
                '\n' => {
                    self.row += 1;
                    if self.rows.len() <= self.row {
                        self.rows.push(Vec::new());
                    }
                }
                '\x1b' => {
                    assert_eq!(chars.next(), Some('['));
                    let sequence: String = {
                        let mut text = String::new();
                        for c in chars.by_ref() {
                            text.push(c);
                            if c.is_ascii_alphabetic() {
                                break;
                            }
                        }
                        text
                    };
                    self.sequence(&sequence);
                }
                c => self.put(c),
            }
        }
    }

    #[track_caller]
    fn sequence(&mut self, sequence: &str) {
        match sequence {
            "C" => self.column += 1,
            "D" => {
                assert!(self.column > 0, "cursor driven off the screen");
                self.column -= 1;
            }
            "K" => self.rows[self.row].truncate(self.column),
            "2J" => self.rows = vec![Vec::new(); self.rows.len()],
            "1;1H" => (self.row, self.column) = (0, 0),
            other => panic!("unexpected sequence ESC [ {other}"),
        }
    }

    fn put(&mut self, c: char) {
        let row = &mut self.rows[self.row];
        while row.len() <= self.column {
            row.push(' ');
        }
        row[self.column] = c;
        self.column += 1;
    }

    /// Rows with anything on them.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.rows.iter().map(|row| row.iter().collect()).collect();
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// The row the cursor is in.
    pub(super) fn last_line(&self) -> String {
        self.rows[self.row].iter().collect()
    }

    /// Column of the cursor.
    pub(super) fn column(&self) -> usize {
        self.column
    }
}

/// Output as text.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Surroundings for the parser: one register; option groups keep their text
/// under their own name and refuse `bad`.
#[derive(Default)]
pub(super) struct TestEnv {
    pub(super) format: FormatState,
    pub(super) preconfig: bool,
}

impl HmpEnv for TestEnv {
    fn format(&mut self) -> &mut FormatState {
        &mut self.format
    }

    fn preconfig(&self) -> bool {
        self.preconfig
    }

    fn register(&self, name: &str) -> Result<i64, String> {
        match name {
            "eip" => Ok(0xfff0),
            _ => Err("unknown register".to_string()),
        }
    }

    fn options(&mut self, group: &'static str, text: &str) -> Result<QDict, String> {
        match text {
            "bad" => Err(format!("bad {group}")),
            _ => Ok([(group, text)].into_iter().collect()),
        }
    }
}
