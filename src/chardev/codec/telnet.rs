//! Telnet as far as QEMU speaks it: the server sends an opening and strips the
//! client's commands. It never answers options, and sends output as it is.
//!
//! Pure: bytes in, bytes out, the same result however the input is cut.
//!
//! ```text
//!              0xff             X
//!     text ──────────▶ command ─────▶ argument
//!      ▲                 │ 0xff: one 0xff     │ any byte,
//!      ├─────────────────┤ 0xf3: break        │ dropped
//!      └─────────────────┴────────────────────┘
//! ```
//!
//! *Every* other command takes one byte with it, even without an argument (in 3270 mode
//! all but two), and the
//! text of a subnegotiation comes through as input. QEMU does so, and clients have
//! got used to it.

/// A telnet server's opening: it echoes, suppresses go-ahead, and wants binary both ways.
pub const TELNET_OPENING: &[u8] = b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00";

/// The opening of a server for 3270 terminals: end-of-record and binary both ways, and
/// a question for the terminal's type.
pub const TN3270_OPENING: &[u8] =
    b"\xff\xfd\x19\xff\xfb\x19\xff\xfd\x00\xff\xfb\x00\xff\xfd\x18\xff\xfa\x18\x01\xff\xf0";

const IAC: u8 = 0xff;
const IAC_BREAK: u8 = 0xf3;
const IAC_EOR: u8 = 0xef;
const IAC_NOP: u8 = 0xf1;
const IAC_IP: u8 = 0xf4;
const IAC_SB: u8 = 0xfa;
const IAC_SE: u8 = 0xf0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text,
    Command,
    Argument,
}

/// Takes telnet's commands out of input.
///
/// ```
/// use qmonitor::chardev::telnet::TelnetDecoder;
///
/// let mut decoder = TelnetDecoder::new(false);
/// let mut text = Vec::new();
/// let breaks = decoder.decode(b"qu\xff\xfd\x03it\xff\xf3", &mut text);
/// assert_eq!((text.as_slice(), breaks), (&b"quit"[..], 1));
/// ```
#[derive(Debug, Clone)]
pub struct TelnetDecoder {
    state: State,
    tn3270: bool,
}

impl TelnetDecoder {
    /// With `tn3270` the commands that frame a record come through as 0xff twice. QEMU
    /// means to keep them, but it writes 0xff over the byte that it is about to copy if it
    /// reads byte by byte, as it does for a monitor. "No operation" and "interrupt" have no
    /// argument there.
    pub fn new(tn3270: bool) -> Self {
        TelnetDecoder {
            state: State::Text,
            tn3270,
        }
    }

    /// The opening of a server that reads with this decoder.
    pub(in crate::chardev) fn opening(&self) -> &'static [u8] {
        if self.tn3270 {
            TN3270_OPENING
        } else {
            TELNET_OPENING
        }
    }

    /// Appends the text of `input` to `out`; returns the number of breaks. The second
    /// half of a kept command makes `out` one byte longer than `input`.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        let mut breaks = 0;
        for &byte in input {
            self.state = match (self.state, byte) {
                (State::Text, IAC) => State::Command,
                (State::Text, _) => {
                    out.push(byte);
                    State::Text
                }
                (State::Command, IAC) => {
                    out.push(IAC);
                    State::Text
                }
                (State::Command, IAC_BREAK) => {
                    breaks += 1;
                    State::Text
                }
                (State::Command, IAC_EOR | IAC_SB | IAC_SE) if self.tn3270 => {
                    out.extend([IAC, IAC]);
                    State::Text
                }
                (State::Command, IAC_NOP | IAC_IP) if self.tn3270 => State::Text,
                (State::Command, _) => State::Argument,
                (State::Argument, _) => State::Text,
            };
        }
        breaks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(tn3270: bool, pieces: &[&[u8]]) -> (Vec<u8>, usize) {
        let mut decoder = TelnetDecoder::new(tn3270);
        let mut out = Vec::new();
        let breaks = pieces.iter().map(|p| decoder.decode(p, &mut out)).sum();
        (out, breaks)
    }

    #[test]
    fn what_comes_through() {
        for (tn3270, input, text, breaks) in [
            (false, &b"abc"[..], &b"abc"[..], 0),
            (false, b"x\xff\xffy", b"x\xffy", 0),
            (false, b"\xff\xf3a", b"a", 1),
            (
                false,
                b"\xff\xfd\x03p\xff\xfb\x18 \xff\xfe\x011\n",
                b"p 1\n",
                0,
            ),
            // No operation has no argument, but eats a byte all the same.
            (false, b"\xff\xf1ab", b"b", 0),
            (false, b"\xff\xfa\x18\x00xt\xff\xf0b", b"\x00xt", 0),
            (true, b"\xff\xefa", b"\xff\xffa", 0),
            (true, b"\xff\xfa\x18\xff\xf0", b"\xff\xff\x18\xff\xff", 0),
            (true, b"x\xff\xf1y\xff\xf4z", b"xyz", 0),
            (true, b"\xff\xfd\x18a", b"a", 0),
        ] {
            assert_eq!(
                decode(tn3270, &[input]),
                (text.to_vec(), breaks),
                "{input:x?}"
            );
        }
    }

    proptest! {
        #[test]
        fn splits_make_no_difference(
            input in prop::collection::vec(prop_oneof![Just(0xffu8), 0xefu8..=0xff, any::<u8>()], 0..64),
            at in 0usize..64,
            tn3270 in any::<bool>(),
        ) {
            let (a, b) = input.split_at(at.min(input.len()));
            prop_assert_eq!(decode(tn3270, &[a, b]), decode(tn3270, &[&input]));
        }
    }
}
