//! A dump for `crash`: pages that are compressed one by one, and found by a table. Pages of
//! zeros share one entry's data.
//!
//! ```text
//!   block 0   header            each block is a page
//!   block 1   second header, notes
//!             two bitmaps of the pages that there are
//!             a description of each page
//!             the pages
//! ```
//!
//! The flattened form, which a pipe can take, is a list of pieces of that file, each behind its
//! offset and length.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::Compression;

use super::memory::{GuestMemory, PAGE};
use super::Output;
use qmonitor::qapi::Error;

/// Pages that are looked at in a step, with content and without.
const FULL_PAGES: u64 = 64;
const ZERO_PAGES: u64 = 16 << 10;

const DESCRIPTION: u64 = 24;
const SECOND_HEADER: u64 = 104;
/// A page is compressed by zlib.
const ZLIB: u32 = 1;

/// A dump being written.
pub(crate) struct Kdump {
    pages: u64,
    cpus: u32,
    notes: Vec<u8>,
    is_flat: bool,
    /// The page up to which all is written; `None` before the headers are.
    at: Option<u64>,
    /// Where the description of the next page goes, and its data.
    descriptions: u64,
    data: u64,
    /// The description that all pages of zeros share.
    zero: Option<[u8; DESCRIPTION as usize]>,
}

impl Kdump {
    /// A dump of the first pages of memory.
    pub(crate) fn new(pages: u64, cpus: u32, notes: Vec<u8>, is_flat: bool) -> Self {
        Kdump {
            pages,
            cpus,
            notes,
            is_flat,
            at: None,
            descriptions: 0,
            data: 0,
            zero: None,
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
            self.headers(out)?;
            self.at = Some(0);
            return Ok(Some(0));
        };
        if at >= self.pages {
            if self.is_flat {
                out.append(&[0xff; 16])?;
            }
            return Ok(None);
        }
        let data = memory.next_data(at * PAGE);
        let data = data.map_or(self.pages, |address| (address / PAGE).min(self.pages));
        let count = if data > at {
            let count = (data - at).min(ZERO_PAGES);
            let zero = self.zero_page(out)?;
            self.describe(out, &zero.repeat(count as usize))?;
            count
        } else {
            let count = (self.pages - at).min(FULL_PAGES);
            self.full_pages(memory, out, at, count)?;
            count
        };
        self.at = Some(at + count);
        Ok(Some(count * PAGE))
    }

    fn full_pages(
        &mut self,
        memory: &impl GuestMemory,
        out: &mut Output,
        at: u64,
        count: u64,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; (count * PAGE) as usize];
        let inside = memory.size().saturating_sub(at * PAGE).min(count * PAGE);
        memory.read(at * PAGE, &mut buffer[..inside as usize]);
        let (mut descriptions, mut content) = (Vec::new(), Vec::new());
        for page in buffer.chunks(PAGE as usize) {
            if page.iter().all(|byte| *byte == 0) {
                descriptions.extend_from_slice(&self.zero_page(out)?);
                continue;
            }
            let packed = compressed(page);
            let (bytes, flags) = match &packed {
                Some(packed) => (&packed[..], ZLIB),
                None => (page, 0),
            };
            descriptions.extend_from_slice(&description(self.data, bytes.len(), flags));
            self.data += bytes.len() as u64;
            content.extend_from_slice(bytes);
        }
        let start = self.data - content.len() as u64;
        self.put(out, start, &content)?;
        self.describe(out, &descriptions)
    }

    /// The description of a page of zeros, which is written when the first one comes.
    fn zero_page(&mut self, out: &mut Output) -> Result<[u8; DESCRIPTION as usize], Error> {
        if let Some(zero) = self.zero {
            return Ok(zero);
        }
        // At the start of the data, where a place is kept for it.
        let start = self.data_start();
        self.put(out, start, &[0; PAGE as usize])?;
        let zero = description(start, PAGE as usize, 0);
        self.zero = Some(zero);
        Ok(zero)
    }

    fn describe(&mut self, out: &mut Output, descriptions: &[u8]) -> Result<(), Error> {
        self.put(out, self.descriptions, descriptions)?;
        self.descriptions += descriptions.len() as u64;
        Ok(())
    }

    fn second_header_blocks(&self) -> u64 {
        (SECOND_HEADER + self.notes.len() as u64).div_ceil(PAGE)
    }

    /// The blocks of both bitmaps, which have a bit for each page.
    fn bitmap_blocks(&self) -> u64 {
        2 * self.pages.div_ceil(8 * PAGE)
    }

    fn descriptions_start(&self) -> u64 {
        (1 + self.second_header_blocks() + self.bitmap_blocks()) * PAGE
    }

    fn data_start(&self) -> u64 {
        self.descriptions_start() + self.pages * DESCRIPTION
    }

    fn headers(&mut self, out: &mut Output) -> Result<(), Error> {
        if self.is_flat {
            let mut flat = b"makedumpfile\0\0\0\0".to_vec();
            flat.extend_from_slice(&1u64.to_be_bytes());
            flat.extend_from_slice(&1u64.to_be_bytes());
            flat.resize(PAGE as usize, 0);
            out.append(&flat)?;
        }
        let header = self.header();
        self.put(out, 0, &header)?;
        let mut second = self.second_header();
        second.extend_from_slice(&self.notes);
        self.put(out, PAGE, &second)?;
        let mut bitmap = vec![0xff; (self.pages / 8) as usize];
        if self.pages % 8 > 0 {
            bitmap.push((1 << (self.pages % 8)) - 1);
        }
        let first = (1 + self.second_header_blocks()) * PAGE;
        self.put(out, first, &bitmap)?;
        self.put(out, first + self.bitmap_blocks() / 2 * PAGE, &bitmap)?;
        self.descriptions = self.descriptions_start();
        self.data = self.data_start() + PAGE;
        Ok(())
    }

    fn header(&self) -> Vec<u8> {
        let mut out = b"KDUMP   ".to_vec();
        out.extend_from_slice(&6u32.to_le_bytes());
        // The system's name, release and so on: only the machine is said to be unknown.
        out.resize(out.len() + 4 * 65, 0);
        out.extend_from_slice(b"Unknown");
        out.resize(424, 0);
        let pages = u32::try_from(self.pages).unwrap_or(u32::MAX);
        for word in [
            ZLIB,
            PAGE as u32,
            self.second_header_blocks() as u32,
            self.bitmap_blocks() as u32,
            pages,
            0,
            0,
            0,
            0,
            self.cpus,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    fn second_header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&0u64.to_le_bytes());
        // All pages are dumped but those of zeros, and in one file.
        for word in [1u32, 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        let notes = PAGE + SECOND_HEADER;
        let words = [0, 0, 0, 0, notes, self.notes.len() as u64, 0, 0, 0, 0];
        for word in words.into_iter().chain([self.pages]) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out
    }

    /// Writes a piece of the file at its place, or behind its place.
    fn put(&self, out: &mut Output, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.is_flat {
            return out.write_at(offset, bytes);
        }
        out.append(&offset.to_be_bytes())?;
        out.append(&(bytes.len() as u64).to_be_bytes())?;
        out.append(bytes)
    }
}

fn description(offset: u64, size: usize, flags: u32) -> [u8; DESCRIPTION as usize] {
    let mut out = [0; DESCRIPTION as usize];
    out[..8].copy_from_slice(&offset.to_le_bytes());
    out[8..12].copy_from_slice(&(size as u32).to_le_bytes());
    out[12..16].copy_from_slice(&flags.to_le_bytes());
    out
}

/// A page in fewer bytes; `None` if that cannot be.
fn compressed(page: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(page).ok()?;
    encoder
        .finish()
        .ok()
        .filter(|packed| packed.len() < page.len())
}
