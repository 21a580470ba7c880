//! A dump as an ELF core file: headers, notes, and memory as one segment.
//!
//! ```text
//!     0  ELF header
//!    64  two section headers: none, and the names of sections
//!   192  program headers: the notes, the memory
//!        the notes
//!        the memory
//!        the names of sections
//! ```

use super::memory::{GuestMemory, PAGE};
use super::Output;
use qmonitor::qapi::Error;

const SECTION_HEADERS: u64 = 64;
const PROGRAM_HEADERS: u64 = 192;
const NAMES: &[u8] = b"\0.shstrtab\0";

/// Bytes of memory that are written in a step.
const PIECE: u64 = 1 << 20;

/// A dump being written.
pub(crate) struct Elf {
    start: u64,
    end: u64,
    /// The address up to which memory was written; `None` before the headers were.
    at: Option<u64>,
    notes: Vec<u8>,
}

impl Elf {
    /// A dump of the memory from `start` to `end`.
    pub(crate) fn new(start: u64, end: u64, notes: Vec<u8>) -> Self {
        Elf {
            start,
            end,
            at: None,
            notes,
        }
    }

    /// Writes a piece. Returns how many bytes of memory were written; `None` at the end.
    ///
    /// # Errors
    ///
    /// The file takes no more.
    pub(crate) fn step(
        &mut self,
        memory: &impl GuestMemory,
        out: &mut Output,
    ) -> Result<Option<u64>, Error> {
        let Some(at) = self.at else {
            out.append(&self.headers())?;
            self.at = Some(self.start);
            return Ok(Some(0));
        };
        if at >= self.end {
            out.append(NAMES)?;
            return Ok(None);
        }
        let data = memory.next_data(at);
        let data = data.unwrap_or(self.end).min(self.end);
        let written = if data > at {
            let count = (data - at).min(out.most_zeros());
            out.append_zeros(count)?;
            count
        } else {
            let mut buffer = vec![0; PIECE.min(self.end - at) as usize];
            if !memory.read(at, &mut buffer) {
                buffer.fill(0);
            }
            for page in buffer.chunks(PAGE as usize) {
                if page.iter().all(|byte| *byte == 0) {
                    out.append_zeros(page.len() as u64)?;
                } else {
                    out.append(page)?;
                }
            }
            buffer.len() as u64
        };
        self.at = Some(at + written);
        Ok(Some(written))
    }

    fn headers(&self) -> Vec<u8> {
        let length = self.end - self.start;
        let notes = PROGRAM_HEADERS + 2 * 56;
        let memory = notes + self.notes.len() as u64;
        let mut out = Vec::new();
        out.extend_from_slice(b"\x7fELF\x02\x01\x01");
        out.resize(16, 0);
        // A core file of 32-bit x86: a processor after a reset is in its oldest mode.
        put16(&mut out, &[4, 3]);
        put32(&mut out, &[1]);
        put64(&mut out, &[0, PROGRAM_HEADERS, SECTION_HEADERS]);
        put32(&mut out, &[0]);
        put16(&mut out, &[64, 56, 2, 64, 2, 1]);
        out.resize(out.len() + 64, 0);
        put32(&mut out, &[1, 3]);
        put64(&mut out, &[0, 0, memory + length, NAMES.len() as u64]);
        put32(&mut out, &[0, 0]);
        put64(&mut out, &[0, 0]);
        segment(&mut out, 4, notes, 0, self.notes.len() as u64);
        segment(&mut out, 1, memory, self.start, length);
        out.extend_from_slice(&self.notes);
        out
    }
}

fn segment(out: &mut Vec<u8>, kind: u32, offset: u64, address: u64, length: u64) {
    put32(out, &[kind, 0]);
    put64(out, &[offset, 0, address, length, length, 0]);
}

fn put16(out: &mut Vec<u8>, numbers: &[u16]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put32(out: &mut Vec<u8>, numbers: &[u32]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn put64(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}
