//! Bytes to keys, exactly as QEMU's readline reads them.
//!
//! A machine of four states. Its peculiarities are interface, since they show
//! on the screen: parameters are one decimal number, so a `;` ends a sequence
//! and what follows is typed text; ESC inside a sequence ends it without
//! starting a new one; byte 0x9b (the one-byte CSI of 8-bit terminals, also
//! the tail of some UTF-8 letters) starts a sequence without clearing the number
//! the last one left behind.

/// The meaning of a byte, or of the last byte of an escape sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Insert this byte at the cursor.
    Insert(u8),
    /// Insert this character; full mode only.
    InsertChar(char),
    /// End of the line typed, CR or LF.
    Enter,
    /// TAB.
    Complete,
    /// Start of line.
    Bol,
    /// End of line.
    Eol,
    /// One position left.
    Left,
    /// One position right.
    Right,
    /// Delete under the cursor.
    DeleteChar,
    /// Delete before the cursor.
    Backspace,
    /// Delete from the start of the line to the cursor (^U).
    KillToStart,
    /// Delete the word before the cursor (^W).
    Backword,
    /// History up.
    Up,
    /// History down.
    Down,
    /// Clear the screen (^L).
    Clear,
    /// Delete from the cursor to the end of the line (^K); full mode only.
    KillToEnd,
    /// To the start of this or the previous word; full mode only.
    WordLeft,
    /// To the end of this or the next word; full mode only.
    WordRight,
    /// Delete to the end of this or the next word; full mode only.
    KillWord,
    /// Search the history backwards (^R); full mode only.
    Search,
    /// Leave a search (^G); full mode only.
    Cancel,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum EscState {
    #[default]
    Norm,
    Esc,
    Csi,
    Ss3,
}

/// The key decoder of QEMU's readline: one byte in, at most one key out.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyDecoder {
    state: EscState,
    param: u32,
}

impl KeyDecoder {
    /// A decoder outside any escape sequence.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets a half read escape sequence.
    pub fn reset(&mut self) {
        self.state = EscState::Norm;
    }

    /// Takes one byte. `None` when it is part of a sequence or not bound.
    pub fn feed(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.state) {
            EscState::Norm => self.norm(byte),
            EscState::Esc => {
                self.state = match byte {
                    b'[' => EscState::Csi,
                    b'O' => EscState::Ss3,
                    _ => EscState::Norm,
                };
                self.param = 0;
                None
            }
            EscState::Csi => self.csi(byte),
            EscState::Ss3 => match byte {
                b'F' => Some(Key::Eol),
                b'H' => Some(Key::Bol),
                _ => None,
            },
        }
    }

    fn norm(&mut self, byte: u8) -> Option<Key> {
        match byte {
            27 => {
                self.state = EscState::Esc;
                None
            }
            0x9b => {
                self.state = EscState::Csi;
                None
            }
            _ => control_key(byte).or((byte >= 32).then_some(Key::Insert(byte))),
        }
    }

    fn csi(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'0'..=b'9' => {
                self.param = self
                    .param
                    .saturating_mul(10)
                    .saturating_add(u32::from(byte - b'0'));
                self.state = EscState::Csi;
                None
            }
            // F and E move in the history, as in QEMU; no terminal sends them for that.
            b'A' | b'F' => Some(Key::Up),
            b'B' | b'E' => Some(Key::Down),
            b'C' => Some(Key::Right),
            b'D' => Some(Key::Left),
            b'~' => tilde_key(self.param),
            _ => None,
        }
    }
}

/// The keys that are one control character (127 included) in both modes.
pub(super) fn control_key(byte: u8) -> Option<Key> {
    Some(match byte {
        1 => Key::Bol,
        4 => Key::DeleteChar,
        5 => Key::Eol,
        8 | 127 => Key::Backspace,
        9 => Key::Complete,
        10 | 13 => Key::Enter,
        12 => Key::Clear,
        14 => Key::Down,
        16 => Key::Up,
        21 => Key::KillToStart,
        23 => Key::Backword,
        _ => return None,
    })
}

/// The key of `ESC [ param ~`.
pub(super) fn tilde_key(param: u32) -> Option<Key> {
    match param {
        1 => Some(Key::Bol),
        3 => Some(Key::DeleteChar),
        4 => Some(Key::Eol),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Key::*;

    #[track_caller]
    fn expect(bytes: &[u8], keys: &[Key]) {
        let mut decoder = KeyDecoder::new();
        let got: Vec<Key> = bytes.iter().filter_map(|&b| decoder.feed(b)).collect();
        assert_eq!(got, keys, "for {bytes:?}");
    }

    #[test]
    fn single_bytes() {
        expect(b"a", &[Insert(b'a')]);
        expect(b"\r\n", &[Enter, Enter]);
        expect(b"\x08\x7f", &[Backspace, Backspace]);
        expect(
            b"\x00\x02\x03\x06\x07\x0b\x0f\x11\x12\x13\x14\x16\x18\x19\x1a\x1c\x1d\x1e\x1f",
            &[],
        );
        expect(b"\xe4\xff", &[Insert(0xe4), Insert(0xff)]);
    }

    #[test]
    fn sequences() {
        expect(b"\x1b[A\x1b[F", &[Up, Up]);
        expect(b"\x1b[B\x1b[E", &[Down, Down]);
        expect(b"\x1b[1~\x1b[3~\x1b[4~", &[Bol, DeleteChar, Eol]);
        expect(b"\x1bOH\x1bOF\x1bOAx", &[Bol, Eol, Insert(b'x')]);
        expect(b"\x1b[17D", &[Left]);
        expect(b"\x1b[H\x1b[5~x", &[Insert(b'x')]);
        expect(b"\x1b[99999999999999999999~x", &[Insert(b'x')]);
    }

    #[test]
    fn sequences_that_break_off() {
        expect(b"\x1b[1;5D", &[Insert(b'5'), Insert(b'D')]);
        expect(b"\x1bbc", &[Insert(b'c')]);
        expect(b"\x1b\x1b[A", &[Insert(b'['), Insert(b'A')]);
        expect(b"\x1b[\x1b[A", &[Insert(b'['), Insert(b'A')]);
        expect(b"\x1b[\rx", &[Insert(b'x')]);
    }

    #[test]
    fn eight_bit_csi_keeps_the_number() {
        expect(b"\x9bD", &[Left]);
        expect(b"\x1b[3\x1b\x9b~", &[DeleteChar]);
        expect(b"\x1b[3A\x1bx\x9b~", &[Up]);
    }
}
