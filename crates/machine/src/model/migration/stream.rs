//! The stream of a migration: our own format, which no other program reads.
//!
//! ```text
//!   "QMONMIG\n"  version: u32
//!   section*
//!
//!   section:  kind: u8   length of the name: u16   length of the content: u32
//!             name   content   checksum: u32
//! ```
//!
//! Numbers are big-endian. The checksum is the CRC-32 of the section in front of it. The
//! first section is [`CONFIGURATION`], the last is [`END`], whose content is the number of
//! sections before it; what follows is not part of the stream.
//!
//! [`Decoder`] takes the bytes in pieces of any size and gives the same sections and the
//! same error however they are cut.

use flate2::Crc;

/// What each stream begins with.
pub const MAGIC: &[u8; 8] = b"QMONMIG\n";

/// What QEMU's streams begin with.
const QEMU: &[u8] = b"QEVM";

/// The version of the format.
pub const VERSION: u32 = 1;

/// The machine's type, and what else must be the same on both sides.
pub const CONFIGURATION: u8 = 1;
/// A piece of memory and its size.
pub const MEMORY: u8 = 2;
/// Bytes of a piece of memory, behind their offset: u64.
pub const PAGES: u8 = 3;
/// A device and its state.
pub const DEVICE: u8 = 4;
/// The state of the machine itself.
pub const MACHINE: u8 = 5;
/// The machine runs at the other side from here on; the rest of its memory follows.
pub const POSTCOPY: u8 = 6;
/// This stream goes on where another one broke off after [`POSTCOPY`].
pub const RESUME: u8 = 7;
/// The end.
pub const END: u8 = 0xff;

const HEADER: usize = 7;
const CHECKSUM: usize = 4;

/// No section is longer: a wrong length must not make us wait for gigabytes.
const LONGEST: usize = 4 << 20;

/// Why a stream cannot be read. QEMU prints both, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamError {
    /// The kind of error, in the words of strerror(3).
    pub kind: &'static str,
    /// What is wrong.
    pub what: String,
}

impl StreamError {
    /// The stream says something that is not true here.
    pub fn invalid(what: impl Into<String>) -> Self {
        StreamError {
            kind: "Invalid argument",
            what: what.into(),
        }
    }

    /// The bytes are not what was sent.
    fn damaged(what: impl Into<String>) -> Self {
        StreamError {
            kind: "Input/output error",
            what: what.into(),
        }
    }
}

/// A section that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// One of the kinds above.
    pub kind: u8,
    /// The device or the memory that it is about.
    pub name: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// Writes a stream.
#[derive(Debug, Default)]
pub struct Encoder {
    sections: u64,
}

impl Encoder {
    /// Begins a stream.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
    }

    /// Adds a section, whose content comes in parts. Names are shorter than 64 KiB and
    /// contents than [`LONGEST`].
    fn section(&mut self, out: &mut Vec<u8>, kind: u8, name: &str, content: &[&[u8]]) {
        let start = out.len();
        let length: usize = content.iter().map(|part| part.len()).sum();
        out.push(kind);
        out.extend_from_slice(&(name.len() as u16).to_be_bytes());
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(name.as_bytes());
        for part in content {
            out.extend_from_slice(part);
        }
        let checksum = checksum(&out[start..]);
        out.extend_from_slice(&checksum.to_be_bytes());
        self.sections += 1;
    }

    /// Adds what must be the same on both sides; the first section.
    pub fn configuration(&mut self, out: &mut Vec<u8>, machine_type: &str, options: &[u8]) {
        self.section(out, CONFIGURATION, machine_type, &[options]);
    }

    /// Adds a piece of memory, whose pages follow.
    pub fn memory(&mut self, out: &mut Vec<u8>, name: &str, size: u64) {
        self.section(out, MEMORY, name, &[&size.to_be_bytes()]);
    }

    /// Adds what is at an offset of a piece of memory.
    pub fn pages(&mut self, out: &mut Vec<u8>, name: &str, offset: u64, content: &[u8]) {
        self.section(out, PAGES, name, &[&offset.to_be_bytes(), content]);
    }

    /// Adds the state of a device.
    pub fn device(&mut self, out: &mut Vec<u8>, name: &str, state: &[u8]) {
        self.section(out, DEVICE, name, &[state]);
    }

    /// Adds the state of the machine.
    pub fn machine(&mut self, out: &mut Vec<u8>, state: &[u8]) {
        self.section(out, MACHINE, "", &[state]);
    }

    /// Lets the machine run at the other side.
    pub fn postcopy(&mut self, out: &mut Vec<u8>) {
        self.section(out, POSTCOPY, "", &[]);
    }

    /// Goes on with an earlier stream.
    pub fn resume(&mut self, out: &mut Vec<u8>) {
        self.section(out, RESUME, "", &[]);
    }

    /// Ends the stream.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        let count = self.sections.to_be_bytes();
        self.section(out, END, "", &[&count]);
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Reads a stream.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// How many of the bytes have been read.
    at: usize,
    has_begun: bool,
    has_ended: bool,
    sections: u64,
}

impl Decoder {
    /// Takes the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.at);
        self.at = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// Whether the end was read.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The next section; `None` if more bytes are needed, or after the end.
    ///
    /// # Errors
    ///
    /// These bytes are no stream of this program, or were damaged.
    pub fn next(&mut self) -> Result<Option<Section>, StreamError> {
        if self.has_ended || !self.begins()? {
            return Ok(None);
        }
        let rest = &self.bytes[self.at..];
        let Some(header) = rest.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [kind, n0, n1, c0, c1, c2, c3] = *header;
        let name_length = usize::from(u16::from_be_bytes([n0, n1]));
        let length = u32::from_be_bytes([c0, c1, c2, c3]) as usize;
        if !(CONFIGURATION..=RESUME).contains(&kind) && kind != END {
            return Err(StreamError::invalid(format!("Unknown section type {kind}")));
        }
        if length > LONGEST {
            let what = format!("a section of {length} bytes is too long");
            return Err(StreamError::damaged(what));
        }
        let body = HEADER + name_length + length;
        let Some((section, behind)) = rest.split_at_checked(body) else {
            return Ok(None);
        };
        let Some(sum) = behind.first_chunk::<CHECKSUM>() else {
            return Ok(None);
        };
        if checksum(section) != u32::from_be_bytes(*sum) {
            let what = format!("section {} has a wrong checksum", self.sections);
            return Err(StreamError::damaged(what));
        }
        let (name, content) = section[HEADER..].split_at(name_length);
        let section = Section {
            kind,
            name: String::from_utf8_lossy(name).into_owned(),
            content: content.to_vec(),
        };
        self.at += body + CHECKSUM;
        self.count(&section)?;
        Ok(Some(section))
    }

    /// Reads the beginning; false if more bytes are needed.
    fn begins(&mut self) -> Result<bool, StreamError> {
        if self.has_begun {
            return Ok(true);
        }
        let known = self.bytes.len().min(MAGIC.len());
        let seen = &self.bytes[..known];
        if !MAGIC.starts_with(seen) {
            if seen.len() < QEMU.len() && QEMU.starts_with(seen) {
                return Ok(false);
            }
            return Err(StreamError::invalid(if seen.starts_with(QEMU) {
                "Not a migration stream of this program, but of QEMU"
            } else {
                "Not a migration stream"
            }));
        }
        let Some(version) = self.bytes[known..].first_chunk::<4>() else {
            return Ok(false);
        };
        let version = u32::from_be_bytes(*version);
        if version != VERSION {
            let what = format!("Unsupported migration stream version {version}, not {VERSION}");
            return Err(StreamError::invalid(what));
        }
        self.has_begun = true;
        self.at = MAGIC.len() + 4;
        Ok(true)
    }

    fn count(&mut self, section: &Section) -> Result<(), StreamError> {
        if self.sections == 0 && section.kind != CONFIGURATION {
            return Err(StreamError::invalid("Configuration section missing"));
        }
        if section.kind == END {
            if section.content != self.sections.to_be_bytes() {
                let what = format!("not all sections have come, only {}", self.sections);
                return Err(StreamError::damaged(what));
            }
            self.has_ended = true;
        }
        self.sections += 1;
        Ok(())
    }

    /// What is wrong with a stream that has no more bytes and no end.
    pub fn cut(&self) -> StreamError {
        if self.has_begun {
            StreamError::damaged(format!("the stream ends after {} sections", self.sections))
        } else {
            StreamError::invalid("Not a migration stream: it ends before it has begun")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        encoder.begin(&mut out);
        encoder.section(&mut out, CONFIGURATION, "none", &[b"{}"]);
        encoder.section(&mut out, PAGES, "ram", &[&[0; 8], b"content"]);
        encoder.end(&mut out);
        out
    }

    /// Reads pieces of a stream to its end, or to the error.
    fn read<'a>(
        pieces: impl IntoIterator<Item = &'a [u8]>,
    ) -> (Vec<Section>, Result<(), StreamError>) {
        let (mut decoder, mut sections) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.feed(piece);
            loop {
                match decoder.next() {
                    Ok(Some(section)) => sections.push(section),
                    Ok(None) => break,
                    Err(e) => return (sections, Err(e)),
                }
            }
        }
        let end = decoder.has_ended().then_some(()).ok_or(decoder.cut());
        (sections, end)
    }

    #[test]
    fn pieces_of_any_size_give_the_same_sections() {
        let stream = sample();
        let (whole, end) = read([&stream[..]]);
        end.unwrap();
        assert_eq!(whole.len(), 3);
        assert_eq!(whole[1].content, b"\0\0\0\0\0\0\0\0content");
        for size in 1..stream.len() {
            let (sections, end) = read(stream.chunks(size));
            end.unwrap();
            assert_eq!(sections, whole, "{size}");
        }
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_is_not_whole() {
        let stream = sample();
        for length in 0..stream.len() {
            let (sections, end) = read([&stream[..length]]);
            // The name and the version of the form come first.
            let kind = if length < MAGIC.len() + 4 {
                "Invalid argument"
            } else {
                "Input/output error"
            };
            assert_eq!(end.unwrap_err().kind, kind, "{length}");
            assert!(sections.len() < 3);
        }
    }

    #[test]
    fn a_changed_byte_anywhere_is_found() {
        let stream = sample();
        for at in 0..stream.len() {
            let mut changed = stream.clone();
            changed[at] ^= 0x40;
            let (_, end) = read([&changed[..]]);
            assert!(end.is_err(), "{at}");
        }
    }

    #[test]
    fn foreign_streams() {
        for (bytes, what) in [
            (&b"hello world"[..], "Not a migration stream"),
            (
                b"QEVM\0\0\0\x03",
                "Not a migration stream of this program, but of QEMU",
            ),
            (
                b"QMONMIG\n\0\0\0\x02",
                "Unsupported migration stream version 2, not 1",
            ),
            (b"QMONMIG\n\0\0\0\x01abcdefg", "Unknown section type 97"),
        ] {
            let (_, end) = read([bytes]);
            let error = end.unwrap_err();
            assert_eq!(
                (error.kind, error.what.as_str()),
                ("Invalid argument", what)
            );
        }
        let (mut encoder, mut out) = (Encoder::default(), Vec::new());
        encoder.begin(&mut out);
        encoder.section(&mut out, DEVICE, "", &[]);
        let (_, end) = read([&out[..]]);
        assert_eq!(end.unwrap_err().what, "Configuration section missing");
    }
}
