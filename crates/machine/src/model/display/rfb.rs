//! The remote framebuffer protocol (RFC 6143), from the server's side: bytes in, bytes out.

use super::auth::Challenge;
use super::{challenge, Screen};

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// It need not.
    None,
    /// By a password.
    Vnc,
    /// By SASL. There is no mechanism for it, so each try fails.
    Sasl,
}

/// What a client did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RfbEvent {
    /// It answers the challenge; nothing more is read until
    /// [`decide`](Rfb::decide) is called.
    Answer(Challenge),
    /// It is let in, and wants to share the screen or not.
    Initialized(bool),
    /// It pressed a key, by its number in X11, or let it go.
    Key(u32, bool),
    /// The same by its number in the set of scan codes of a PC.
    Code(u32, bool),
    /// It moved the pointer or pressed a button of it.
    Pointer,
    /// It is refused, once the bytes are sent.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Version,
    Security,
    Response,
    Decision,
    Init,
    Messages,
    Ended,
}

/// How a client wants pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    bytes: usize,
    big_endian: bool,
    max: [u16; 3],
    shift: [u8; 3],
}

const NATIVE: Format = Format {
    bytes: 4,
    big_endian: false,
    max: [255; 3],
    shift: [16, 8, 0],
};

/// A client's session.
#[derive(Debug)]
pub struct Rfb {
    phase: Phase,
    security: Security,
    /// The client's version of the protocol: 3, 7 or 8 behind the point.
    minor: u8,
    name: String,
    challenge: Challenge,
    input: Vec<u8>,
    output: Vec<u8>,
    format: Format,
}

const VERSION: &[u8; 12] = b"RFB 003.008\n";
const CHALLENGE: usize = 16;

/// Extensions that QEMU's own clients ask for: how the pointer moves, and keys by their codes.
const OURS: &[i32] = &[-257, -258];

/// The longest text that a client may paste.
const MAX_TEXT: usize = 1 << 20;

impl Rfb {
    /// A session whose greeting waits to be sent.
    pub fn new(security: Security, name: &str) -> Self {
        Rfb {
            phase: Phase::Version,
            security,
            minor: 8,
            name: name.to_owned(),
            challenge: challenge(),
            input: Vec::new(),
            output: VERSION.to_vec(),
            format: NATIVE,
        }
    }

    /// Takes what there is to send.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Takes what the client sent, and tells what it did.
    pub fn feed(&mut self, bytes: &[u8], screen: &Screen) -> Vec<RfbEvent> {
        self.input.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(length) = self.length() {
            if self.input.len() < length {
                break;
            }
            let message: Vec<u8> = self.input.drain(..length).collect();
            events.extend(self.message(&message, screen));
        }
        events
    }

    /// How long the next message is, as far as that is known.
    fn length(&self) -> Option<usize> {
        let input = &self.input;
        let counted = |at: usize, unit: usize, min: usize| {
            let count = input.get(at..at + 2)?;
            Some(min + unit * usize::from(u16::from_be_bytes([count[0], count[1]])))
        };
        match self.phase {
            Phase::Version => Some(VERSION.len()),
            Phase::Security | Phase::Init => Some(1),
            Phase::Response => Some(CHALLENGE),
            Phase::Decision | Phase::Ended => None,
            Phase::Messages => match input.first()? {
                0 => Some(20),
                2 => counted(2, 4, 4),
                3 => Some(10),
                4 => Some(8),
                5 => Some(6),
                6 => {
                    let count = input.get(4..8)?;
                    let count = u32::from_be_bytes([count[0], count[1], count[2], count[3]]);
                    Some(8 + (count as usize).min(MAX_TEXT))
                }
                // A message that QEMU's own clients send.
                255 => match input.get(1)? {
                    0 => Some(12),
                    _ => Some(4),
                },
                _ => Some(1),
            },
        }
    }

    fn message(&mut self, bytes: &[u8], screen: &Screen) -> Option<RfbEvent> {
        match self.phase {
            Phase::Version => self.version(bytes),
            Phase::Security => self.choose(bytes[0]),
            Phase::Response => {
                self.phase = Phase::Decision;
                bytes.try_into().ok().map(RfbEvent::Answer)
            }
            Phase::Init => {
                self.phase = Phase::Messages;
                self.greet(screen);
                Some(RfbEvent::Initialized(bytes[0] != 0))
            }
            Phase::Messages => self.command(bytes, screen),
            Phase::Decision | Phase::Ended => None,
        }
    }

    /// What the client has to encrypt.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Lets a client in that has answered the challenge, or refuses it.
    pub fn decide(&mut self, is_right: bool) -> Option<RfbEvent> {
        if !is_right {
            return Some(self.refuse());
        }
        self.output.extend_from_slice(&0u32.to_be_bytes());
        self.phase = Phase::Init;
        None
    }

    /// Ends the session; what is left to send is dropped.
    pub fn end(&mut self) {
        self.output.clear();
        self.phase = Phase::Ended;
    }

    fn version(&mut self, bytes: &[u8]) -> Option<RfbEvent> {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let minor = text.strip_prefix("RFB 003.").map(|rest| rest.trim_end());
        self.minor = match minor.and_then(|minor| minor.parse().ok()) {
            Some(8) => 8,
            Some(7) => 7,
            // Clients of old call themselves 4 and 5.
            Some(3..=5) => 3,
            // No type of security: that is how clients learn it.
            Some(_) => {
                self.output.extend_from_slice(&0u32.to_be_bytes());
                self.phase = Phase::Ended;
                return Some(RfbEvent::Refused);
            }
            None => {
                self.phase = Phase::Ended;
                return Some(RfbEvent::Refused);
            }
        };
        let kind = self.kind();
        if self.minor == 3 {
            self.output
                .extend_from_slice(&u32::from(kind).to_be_bytes());
            return self.choose(kind);
        }
        self.output.extend_from_slice(&[1, kind]);
        self.phase = Phase::Security;
        None
    }

    fn kind(&self) -> u8 {
        match self.security {
            Security::None => 1,
            Security::Vnc => 2,
            Security::Sasl => 20,
        }
    }

    fn choose(&mut self, kind: u8) -> Option<RfbEvent> {
        if kind != self.kind() {
            return Some(self.refuse());
        }
        match self.security {
            Security::None => {
                if self.minor == 8 {
                    self.output.extend_from_slice(&0u32.to_be_bytes());
                }
                self.phase = Phase::Init;
            }
            Security::Vnc => {
                let challenge = self.challenge;
                self.output.extend_from_slice(&challenge);
                self.phase = Phase::Response;
            }
            Security::Sasl => return Some(self.refuse()),
        }
        None
    }

    fn refuse(&mut self) -> RfbEvent {
        self.output.extend_from_slice(&1u32.to_be_bytes());
        if self.minor == 8 {
            // QEMU sends the end of the string as well.
            self.text("Authentication failed\0");
        }
        self.phase = Phase::Ended;
        RfbEvent::Refused
    }

    fn text(&mut self, text: &str) {
        self.output
            .extend_from_slice(&(text.len() as u32).to_be_bytes());
        self.output.extend_from_slice(text.as_bytes());
    }

    /// The size of the screen, how pixels look, and the name.
    fn greet(&mut self, screen: &Screen) {
        self.output.extend_from_slice(&screen.width.to_be_bytes());
        self.output.extend_from_slice(&screen.height.to_be_bytes());
        self.output.extend_from_slice(&[32, 24, 0, 1]);
        for max in NATIVE.max {
            self.output.extend_from_slice(&max.to_be_bytes());
        }
        self.output.extend_from_slice(&NATIVE.shift);
        self.output.extend_from_slice(&[0; 3]);
        let name = self.name.clone();
        self.text(&name);
    }

    fn command(&mut self, bytes: &[u8], screen: &Screen) -> Option<RfbEvent> {
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        match bytes[0] {
            0 => {
                let bytes_of_pixel = match bytes[4] {
                    8 => 1,
                    16 => 2,
                    _ => 4,
                };
                self.format = Format {
                    bytes: bytes_of_pixel,
                    big_endian: bytes[6] != 0,
                    max: [word(8), word(10), word(12)],
                    shift: [bytes[14] & 31, bytes[15] & 31, bytes[16] & 31],
                };
                None
            }
            // Nothing changes, so only who asks for everything gets something.
            3 if bytes[1] == 0 => {
                self.update(screen, [word(2), word(4), word(6), word(8)]);
                None
            }
            4 => {
                let key = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
                Some(RfbEvent::Key(key, bytes[1] != 0))
            }
            5 => Some(RfbEvent::Pointer),
            2 => {
                let encodings = bytes[4..].chunks_exact(4);
                let encodings = encodings.map(|e| i32::from_be_bytes([e[0], e[1], e[2], e[3]]));
                let ours = encodings.filter(|e| OURS.contains(e));
                for encoding in ours.collect::<Vec<_>>() {
                    self.acknowledge(encoding, screen);
                }
                None
            }
            255 if bytes[1] == 0 => {
                let code = u32::from_be_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
                Some(RfbEvent::Code(code, word(2) != 0))
            }
            3 | 6 | 255 => None,
            _ => {
                self.phase = Phase::Ended;
                Some(RfbEvent::Refused)
            }
        }
    }

    /// Says by an empty rectangle that an extension is there. Its first number is zero as long
    /// as the pointer moves relatively: only a running system makes use of a tablet.
    fn acknowledge(&mut self, encoding: i32, screen: &Screen) {
        self.output.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, 0]);
        self.output.extend_from_slice(&screen.width.to_be_bytes());
        self.output.extend_from_slice(&screen.height.to_be_bytes());
        self.output.extend_from_slice(&encoding.to_be_bytes());
    }

    /// One rectangle of raw pixels, as far as it is on the screen.
    fn update(&mut self, screen: &Screen, [x, y, width, height]: [u16; 4]) {
        let (x, y) = (x.min(screen.width), y.min(screen.height));
        let width = width.min(screen.width - x);
        let height = height.min(screen.height - y);
        self.output.extend_from_slice(&[0, 0, 0, 1]);
        for word in [x, y, width, height, 0, 0] {
            self.output.extend_from_slice(&word.to_be_bytes());
        }
        let format = self.format;
        for row in y..y + height {
            for column in x..x + width {
                let pixel = format.pixel(screen.pixel(column, row));
                self.output.extend_from_slice(&pixel[..format.bytes]);
            }
        }
    }
}

impl Format {
    fn pixel(&self, colours: [u8; 3]) -> [u8; 4] {
        let parts = colours.iter().zip(self.max).zip(self.shift);
        let number = parts.fold(0, |number: u32, ((colour, max), shift)| {
            number | (u32::from(*colour) * u32::from(max) / 255) << shift
        });
        if self.big_endian {
            (number << (32 - 8 * self.bytes)).to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn session(security: Security) -> Rfb {
        let mut rfb = Rfb::new(security, "QEMU");
        assert_eq!(rfb.take_output(), VERSION);
        rfb
    }

    #[test]
    fn a_client_is_let_in_and_shown_the_screen() {
        let mut rfb = session(Security::None);
        assert_eq!(rfb.feed(b"RFB 003.008\n", &Screen::TEXT), []);
        assert_eq!(rfb.take_output(), [1, 1]);
        assert_eq!(rfb.feed(&[1], &Screen::TEXT), []);
        assert_eq!(rfb.take_output(), [0; 4]);
        assert_eq!(rfb.feed(&[1], &Screen::TEXT), [RfbEvent::Initialized(true)]);
        let greeting = rfb.take_output();
        assert_eq!(greeting[..4], [0x02, 0xd0, 0x01, 0x90]);
        assert!(greeting.ends_with(b"\0\0\0\x04QEMU"));
        // A request in pieces, and a key behind it.
        assert_eq!(rfb.feed(&[3, 0, 0, 0, 0], &Screen::TEXT), []);
        let rest = [0, 0, 2, 0, 1, 4, 1, 0, 0, 0, 0, 0xff, 0x0d];
        assert_eq!(
            rfb.feed(&rest, &Screen::TEXT),
            [RfbEvent::Key(0xff0d, true)]
        );
        assert_eq!(rfb.take_output().len(), 16 + 2 * 4);
    }

    #[test]
    fn old_clients_are_not_asked_and_wrong_answers_fail() {
        let mut rfb = session(Security::None);
        rfb.feed(b"RFB 003.003\n", &Screen::TEXT);
        assert_eq!(rfb.take_output(), [0, 0, 0, 1]);
        let mut rfb = session(Security::Vnc);
        rfb.feed(b"RFB 003.008\n\x02", &Screen::TEXT);
        assert_eq!(rfb.take_output().len(), 2 + CHALLENGE);
        assert_eq!(
            rfb.feed(&[0; CHALLENGE + 1], &Screen::TEXT),
            [RfbEvent::Answer([0; CHALLENGE])]
        );
        assert_eq!(rfb.decide(false), Some(RfbEvent::Refused));
        assert!(rfb.take_output().ends_with(b"\x16Authentication failed\0"));
    }

    #[test]
    fn clients_of_qemu_send_keys_by_their_codes() {
        let mut rfb = session(Security::None);
        rfb.feed(b"RFB 003.008\n\x01\x01", &Screen::TEXT);
        rfb.take_output();
        let encodings = [2, 0, 0, 2, 0, 0, 0, 0, 0xff, 0xff, 0xfe, 0xfe];
        assert_eq!(rfb.feed(&encodings, &Screen::TEXT), []);
        let answer = [
            0, 0, 0, 1, 0, 0, 0, 0, 2, 0xd0, 1, 0x90, 0xff, 0xff, 0xfe, 0xfe,
        ];
        assert_eq!(rfb.take_output(), answer);
        let key = [255, 0, 0, 1, 0, 0, 0, 0x61, 0, 0, 0, 30];
        assert_eq!(rfb.feed(&key, &Screen::TEXT), [RfbEvent::Code(30, true)]);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rfb = session(Security::None);
            rfb.feed(b"RFB 003.008\n\x01\x01", &Screen { width: 9, height: 9 });
            rfb.feed(&bytes, &Screen { width: 9, height: 9 });
        }
    }
}
