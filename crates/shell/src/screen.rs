//! What is on the screen while somebody types, so that another thread can write
//! above it.
//!
//! The line editor has a printer for that. While it waits it does not look at keys
//! that it has read and not used, so what is typed fast would wait for the next key.

use std::io::Write;

/// The prompt and the line behind it.
#[derive(Default)]
pub struct Screen {
    prompt: &'static str,
    columns: usize,
    /// The line and the place of the cursor in it; none while nobody types.
    pub line: Option<(String, usize)>,
}

impl Screen {
    /// An empty line begins.
    pub fn begin(&mut self, prompt: &'static str, columns: usize) {
        *self = Screen {
            prompt,
            columns: columns.max(1),
            line: Some((String::new(), 0)),
        };
    }

    /// Shows a text above the line, or just shows it.
    pub fn show_above(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(self.drawn_above(text).as_bytes());
        let _ = out.flush();
    }

    /// Goes to the row of the prompt, clears what is below, writes the text, and the
    /// line again.
    fn drawn_above(&self, text: &str) -> String {
        let Some((line, at)) = &self.line else {
            return format!("{text}\n");
        };
        let before = self.prompt.len() + line[..*at].chars().count();
        let behind = line[*at..].chars().count();
        let mut drawn = up(before / self.columns);
        drawn += &format!("\r\x1b[J{text}\r\n{}{line}", self.prompt);
        // The terminal goes to the next row only with the next letter.
        let end = before + behind;
        if end % self.columns == 0 {
            drawn += " \r\x1b[K";
        }
        drawn += &up(end / self.columns - before / self.columns);
        drawn += &format!("\r\x1b[{}C", before % self.columns);
        if before % self.columns == 0 {
            drawn.truncate(drawn.len() - "\x1b[0C".len());
        }
        drawn
    }
}

fn up(rows: usize) -> String {
    match rows {
        0 => String::new(),
        _ => format!("\x1b[{rows}A"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn screen(columns: usize, line: &str, at: usize) -> Screen {
        let mut screen = Screen::default();
        screen.begin("(QMP) ", columns);
        screen.line = Some((line.into(), at));
        screen
    }

    #[test]
    fn the_line_stands_below_the_text_with_its_cursor() {
        for (columns, line, at, drawn) in [
            (80, "stop", 4, "\r\x1b[J* STOP\r\n(QMP) stop\r\x1b[10C"),
            (80, "stop", 1, "\r\x1b[J* STOP\r\n(QMP) stop\r\x1b[7C"),
            // Two rows, and the cursor in the second; then in the first.
            (8, "stop", 4, "\x1b[1A\r\x1b[J* STOP\r\n(QMP) stop\r\x1b[2C"),
            (8, "stop", 0, "\r\x1b[J* STOP\r\n(QMP) stop\x1b[1A\r\x1b[6C"),
            // The second row is empty.
            (
                10,
                "stop",
                4,
                "\x1b[1A\r\x1b[J* STOP\r\n(QMP) stop \r\x1b[K\r",
            ),
        ] {
            assert_eq!(
                screen(columns, line, at).drawn_above("* STOP"),
                drawn,
                "{columns} {at}"
            );
        }
    }

    #[test]
    fn while_nobody_types_the_text_is_a_line() {
        assert_eq!(Screen::default().drawn_above("* STOP"), "* STOP\n");
    }
}
