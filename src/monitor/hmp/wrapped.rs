//! Drawing a line that is longer than the terminal is wide.
//!
//! QEMU's protocol moves the cursor to the left, which ends at the left edge: the row
//! above stays, and each key draws the line anew below it. Here places are counted
//! from the left edge of the prompt's row, and the cursor is taken from row to row.

use std::io::Write;

/// Takes the cursor from one place to another.
pub(super) fn go(from: usize, to: usize, width: usize, out: &mut Vec<u8>) {
    let (row, wanted) = (from / width, to / width);
    // A Vec takes all that is written to it.
    let _ = match row.cmp(&wanted) {
        std::cmp::Ordering::Greater => write!(out, "\x1b[{}A", row - wanted),
        std::cmp::Ordering::Less => write!(out, "\x1b[{}B", wanted - row),
        std::cmp::Ordering::Equal => Ok(()),
    };
    out.push(b'\r');
    if to % width > 0 {
        let _ = write!(out, "\x1b[{}C", to % width);
    }
}

/// Draws a text at the cursor and clears what is behind and below it. The cursor is at
/// its end then, which is the place `end`.
pub(super) fn draw(text: &[u8], end: usize, width: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(text);
    if end % width == 0 && !text.is_empty() {
        // A terminal goes to the next row only with the next letter.
        out.extend_from_slice(b" \r");
    }
    out.extend_from_slice(b"\x1b[J");
}

#[cfg(test)]
mod tests {
    use super::super::Readline;

    /// A terminal of a few columns, as far as the editor uses one.
    struct Terminal {
        width: usize,
        rows: Vec<Vec<u8>>,
        row: usize,
        column: usize,
    }

    impl Terminal {
        fn new(width: usize) -> Self {
            Terminal {
                width,
                rows: vec![Vec::new()],
                row: 0,
                column: 0,
            }
        }

        fn take(&mut self, bytes: &[u8]) {
            let text = String::from_utf8(bytes.to_vec()).expect("text");
            let mut chars = text.chars().peekable();
            while let Some(c) = chars.next() {
                match c {
                    '\r' => self.column = 0,
                    '\n' => self.row += 1,
                    '\x1b' => {
                        assert_eq!(chars.next(), Some('['));
                        let mut count = 0;
                        while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
                            count = count * 10 + digit as usize;
                            chars.next();
                        }
                        self.control(chars.next().expect("a letter"), count.max(1));
                    }
                    c => self.put(c),
                }
                while self.rows.len() <= self.row {
                    self.rows.push(Vec::new());
                }
            }
        }

        fn control(&mut self, letter: char, count: usize) {
            match letter {
                'A' => self.row -= count,
                'B' => self.row += count,
                'C' => self.column = (self.column + count).min(self.width - 1),
                'D' => self.column = self.column.min(self.width - 1).saturating_sub(count),
                'J' => {
                    self.rows[self.row].truncate(self.column);
                    self.rows.truncate(self.row + 1);
                }
                'K' => self.rows[self.row].truncate(self.column),
                other => panic!("{other}"),
            }
        }

        fn put(&mut self, c: char) {
            if self.column == self.width {
                (self.row, self.column) = (self.row + 1, 0);
                if self.rows.len() <= self.row {
                    self.rows.push(Vec::new());
                }
            }
            let row = &mut self.rows[self.row];
            if row.len() <= self.column {
                row.resize(self.column + 1, b' ');
            }
            row[self.column] = u8::try_from(c).expect("ASCII");
            self.column += 1;
        }

        fn text(&self) -> String {
            let rows = self.rows.iter();
            let rows = rows.map(|row| String::from_utf8_lossy(row).trim_end().to_owned());
            rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
        }
    }

    /// What the text looks like, row by row.
    fn rows(text: &str, width: usize) -> String {
        let rows = text.as_bytes().chunks(width);
        let rows = rows.map(|row| String::from_utf8_lossy(row).trim_end().to_owned());
        rows.collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    #[test]
    fn each_key_leaves_the_line_and_the_cursor_where_they_belong() {
        let keys: &[u8] =
            b"chardev-add ringbuf,id=abc\x01info \x05\x7f\x7f\x1b[D\x1b[Dxyz\x0b0123456789\x17\x15\
            a line of thirty letters, wide\x01\x1b[C\x1b[C\x04\x10\x05!";
        for width in 8..40 {
            let mut terminal = Terminal::new(width);
            let mut rl = Readline::new("(qemu) ");
            rl.set_full(true);
            rl.set_columns(Some(width));
            let mut out = Vec::new();
            rl.show_prompt(&mut out);
            for (i, key) in keys.iter().enumerate() {
                rl.handle_byte(*key, &mut out);
                terminal.take(&std::mem::take(&mut out));
                let line = String::from_utf8_lossy(rl.line().text());
                let shown = format!("(qemu) {line}");
                assert_eq!(terminal.text(), rows(&shown, width), "{width}, key {i}");
                let place = 7 + rl.line().cursor();
                let at = (terminal.row, terminal.column);
                assert_eq!(at, (place / width, place % width), "{width}, key {i}");
            }
            // The next output begins below all of it.
            rl.handle_byte(0x01, &mut out);
            let line = String::from_utf8_lossy(rl.line().text()).into_owned();
            rl.handle_byte(b'\n', &mut out);
            terminal.take(&out);
            let shown = format!("(qemu) {line}");
            assert_eq!(terminal.row, shown.len() / width + 1, "{width}");
        }
    }

    #[test]
    fn candidates_fill_no_more_than_the_terminal() {
        let mut rl = Readline::new("(qemu) ");
        rl.set_full(true);
        rl.set_columns(Some(20));
        let mut out = Vec::new();
        rl.show_prompt(&mut out);
        rl.complete(
            b"",
            ["balloon", "block", "block-jobs", "blockstats"],
            &mut out,
        );
        let mut terminal = Terminal::new(20);
        terminal.take(&out);
        let shown = "(qemu)\nballoon\nblock\nblock-jobs\nblockstats\n(qemu) b";
        assert_eq!(terminal.text(), shown);
    }
}
