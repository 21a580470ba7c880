//! The line being edited: bytes and a cursor.

/// Bytes a line can hold; QEMU's constant of the same name.
pub const READLINE_CMD_BUF_SIZE: usize = 4095;

/// A line and the cursor in it. All positions are bytes; every operation
/// leaves the cursor within the text.
#[derive(Clone, Debug, Default)]
pub struct EditLine {
    text: Vec<u8>,
    cursor: usize,
}

impl EditLine {
    /// The whole line.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Position of the cursor, in bytes from the start.
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// The line up to the cursor, which completion looks at.
    pub fn before_cursor(&self) -> &[u8] {
        &self.text[..self.cursor]
    }

    /// The line from the cursor on.
    pub fn after_cursor(&self) -> &[u8] {
        &self.text[self.cursor..]
    }

    /// Moves the cursor, at most to the end.
    pub fn set_cursor(&mut self, cursor: usize) {
        self.cursor = cursor.min(self.text.len());
    }

    /// Replaces the line; the cursor goes to its end.
    pub fn set(&mut self, text: &[u8]) {
        self.text.clear();
        self.text
            .extend_from_slice(&text[..text.len().min(READLINE_CMD_BUF_SIZE)]);
        self.cursor = self.text.len();
    }

    /// Empties the line and returns it.
    pub fn take(&mut self) -> Vec<u8> {
        self.cursor = 0;
        std::mem::take(&mut self.text)
    }

    /// Inserts at the cursor; dropped as a whole when the line is full.
    pub fn insert(&mut self, text: &[u8]) {
        if self.text.len() + text.len() > READLINE_CMD_BUF_SIZE {
            return;
        }
        self.text
            .splice(self.cursor..self.cursor, text.iter().copied());
        self.cursor += text.len();
    }

    /// Deletes from `start` to the cursor, which moves to `start`.
    pub fn delete_back_to(&mut self, start: usize) {
        let start = start.min(self.cursor);
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// Deletes from the cursor up to `end`.
    pub fn delete_up_to(&mut self, end: usize) {
        let end = end.clamp(self.cursor, self.text.len());
        self.text.drain(self.cursor..end);
    }

    /// Deletes back over blanks, then over a word (^W). A single blank in front
    /// of the first word goes with it: QEMU never looks at the first byte.
    pub fn backword(&mut self) {
        let before = self.before_cursor();
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let word_end = before.iter().rposition(|byte| !is_blank(byte));
        let start = word_end
            .and_then(|end| before[..=end].iter().skip(1).rposition(is_blank))
            .map_or(0, |index| index + 2);
        self.delete_back_to(start);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Builds a line from text with `|` at the cursor.
    fn line(picture: &str) -> EditLine {
        let cursor = picture.find('|').expect("a cursor in the picture");
        let mut line = EditLine::default();
        line.set(picture.replace('|', "").as_bytes());
        line.set_cursor(cursor);
        line
    }

    #[track_caller]
    fn expect(line: &EditLine, picture: &str) {
        let mut got = String::from_utf8_lossy(line.text()).into_owned();
        got.insert(line.cursor(), '|');
        assert_eq!(got, picture);
    }

    #[test]
    fn backword_deletes_blanks_and_a_word() {
        for (before, after) in [
            ("one two three|", "one two |"),
            ("one two   |", "one |"),
            ("one two|three", "one |three"),
            ("one|", "|"),
            ("   |", "|"),
            (" one|", "|"),
            ("  one|", "  |"),
            (" one two|", " one |"),
            ("|x", "|x"),
        ] {
            let mut line = line(before);
            line.backword();
            expect(&line, after);
        }
    }

    #[test]
    fn deletions_stay_within_the_line() {
        let mut l = line("ab|cd");
        l.delete_up_to(99);
        expect(&l, "ab|");
        l.delete_back_to(99);
        expect(&l, "ab|");
        l.delete_back_to(1);
        expect(&l, "a|");
    }

    #[test]
    fn a_full_line_takes_no_more() {
        let mut line = EditLine::default();
        for _ in 0..READLINE_CMD_BUF_SIZE + 9 {
            line.insert(b"x");
        }
        assert_eq!(line.text().len(), READLINE_CMD_BUF_SIZE);
        line.set_cursor(0);
        line.insert(b"y");
        assert_eq!((line.text()[0], line.cursor()), (b'x', 0));
    }
}
