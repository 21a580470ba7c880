//! The command history, with its odd corners.
//!
//! Entries are unique: running a line again moves it to the end. The place reached
//! with Up survives Enter
//!
//! * when the line was empty (Up, ^U, Enter, Up goes one further back),
//! * when the line equals the last entry of a full history.
//!
//! In every other case Enter forgets the place and the next Up starts from the
//! newest entry.

/// Number of lines the history keeps; QEMU's constant of the same name.
pub const READLINE_MAX_CMDS: usize = 64;

/// The lines run so far, oldest first, and the place reached with Up and Down.
#[derive(Clone, Debug, Default)]
pub struct History {
    entries: Vec<Vec<u8>>,
    position: Option<usize>,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lines, oldest first; `info history` numbers them from 0
    /// (QEMU's `readline_get_history`).
    pub fn entries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.entries.iter().map(Vec::as_slice)
    }

    /// Stores a line that was run (QEMU's `readline_hist_add`). Empty lines
    /// are ignored, an older equal line moves to the end, the oldest of
    /// [`READLINE_MAX_CMDS`] lines makes room for a new one.
    pub fn add(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        match self.entries.iter().position(|entry| entry == line) {
            Some(index) if index + 1 == READLINE_MAX_CMDS => return,
            Some(index) => {
                let entry = self.entries.remove(index);
                self.entries.push(entry);
            }
            None => {
                if self.entries.len() == READLINE_MAX_CMDS {
                    self.entries.remove(0);
                }
                self.entries.push(line.to_vec());
            }
        }
        self.position = None;
    }

    /// One entry back; `None` when there is nothing older and the line stays.
    pub fn up(&mut self) -> Option<&[u8]> {
        let place = self.position.unwrap_or(self.entries.len());
        let older = place.checked_sub(1)?;
        self.position = Some(older);
        self.entries.get(older).map(Vec::as_slice)
    }

    /// One entry forward: past the newest it is the empty line. `None` when
    /// Up was not used before and the line stays.
    pub fn down(&mut self) -> Option<&[u8]> {
        let next = self.position? + 1;
        match self.entries.get(next) {
            Some(entry) => {
                self.position = Some(next);
                Some(entry)
            }
            None => {
                self.position = None;
                Some(b"")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&str]) -> History {
        let mut history = History::new();
        for line in lines {
            history.add(line.as_bytes());
        }
        history
    }

    fn texts(history: &History) -> Vec<String> {
        history
            .entries()
            .map(|entry| String::from_utf8_lossy(entry).into_owned())
            .collect()
    }

    #[test]
    fn equal_lines_are_stored_once_and_move_to_the_end() {
        assert_eq!(texts(&with(&["one", "one", "two", "one"])), ["two", "one"]);
    }

    #[test]
    fn empty_lines_are_not_stored_but_blanks_are() {
        assert_eq!(texts(&with(&["", "  ", ""])), ["  "]);
    }

    #[test]
    fn the_oldest_of_64_is_dropped() {
        let lines: Vec<String> = (0..70).map(|n| format!("c{n}")).collect();
        let history = with(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(texts(&history), lines[6..]);
    }

    #[test]
    fn up_stays_on_the_oldest() {
        let mut history = with(&["one", "two"]);
        assert_eq!(history.up(), Some(&b"two"[..]));
        assert_eq!(history.up(), Some(&b"one"[..]));
        assert_eq!(history.up(), None);
        assert_eq!(history.down(), Some(&b"two"[..]));
        assert_eq!(history.down(), Some(&b""[..]));
        assert_eq!(history.down(), None);
    }

    #[test]
    fn an_empty_history_leaves_the_line_alone() {
        let mut history = History::new();
        assert_eq!(history.down(), None);
        assert_eq!(history.up(), None);
        assert_eq!(history.down(), None);
    }

    #[test]
    fn an_empty_line_keeps_the_place() {
        let mut history = with(&["one", "two", "three"]);
        history.up();
        history.up();
        history.add(b"");
        assert_eq!(history.up(), Some(&b"one"[..]));
    }

    #[test]
    fn the_last_of_a_full_history_keeps_the_place() {
        let lines: Vec<String> = (0..64).map(|n| format!("c{n}")).collect();
        let mut history = with(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        history.up();
        history.add(b"c63");
        assert_eq!(history.up(), Some(&b"c62"[..]));
        history.add(b"c5");
        assert_eq!(history.up(), Some(&b"c5"[..]));
    }
}
