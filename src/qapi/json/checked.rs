//! Input that is checked to be UTF-8 ahead of its use.

/// Input, of which a stretch is known to be UTF-8.
///
/// Most strings are short, and a check costs much for its start and little for its
/// length. So one check takes in the strings that follow, too.
pub(super) struct Checked<'a> {
    input: &'a [u8],
    /// The stretch, and where it starts.
    text: &'a str,
    start: usize,
    /// How far the next check looks. Little at first: more may be another message,
    /// which will be checked again.
    ahead: usize,
}

const FIRST_LOOK: usize = 64;
const LONGEST_LOOK: usize = 4096;

impl<'a> Checked<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Checked {
            input,
            text: "",
            start: 0,
            ahead: FIRST_LOOK,
        }
    }

    /// The bytes between two positions, unless they are badly encoded. Positions
    /// must not go back.
    #[inline(always)]
    pub(super) fn text(&mut self, from: usize, to: usize) -> Option<&'a str> {
        if to > self.start + self.text.len() {
            self.look(from, to);
        }
        self.text
            .get(from.checked_sub(self.start)?..to.checked_sub(self.start)?)
    }

    /// The same without a look ahead. Where there is text beyond ASCII, there is more
    /// of it, which takes long to check.
    pub(super) fn text_alone(&mut self, from: usize, to: usize) -> Option<&'a str> {
        self.ahead = 0;
        self.text(from, to)
    }

    #[inline(never)]
    fn look(&mut self, from: usize, to: usize) {
        let mut end = self.input.len().min(to.max(from + self.ahead));
        // Not into the middle of a character.
        while end > to
            && self
                .input
                .get(end)
                .is_some_and(|b| (0x80..0xc0).contains(b))
        {
            end -= 1;
        }
        self.ahead = LONGEST_LOOK.min(2 * self.ahead);
        let bytes = self.input.get(from..end).unwrap_or_default();
        self.start = from;
        self.text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => std::str::from_utf8(&bytes[..e.valid_up_to()]).unwrap_or_default(),
        };
    }
}
