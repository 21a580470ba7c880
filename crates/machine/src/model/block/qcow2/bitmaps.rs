//! Dirty bitmaps that are kept in an image.
//!
//! While the image is open for writing they are marked as in use. A bitmap that is found so
//! was not written at the end, and has lost changes.

use std::io;

use nix::errno::Errno;

use super::super::bytes::Bytes;
use super::super::granules::{Bitmap, Granules};
use super::fields::{be16, be32, be64, table, table_bytes, to_index};
use super::header::{Directory, AUTOCLEAR_BITMAPS};
use super::Qcow2;
use qmonitor::qapi::Error;

const IN_USE: u32 = 1;
const AUTO: u32 = 2;
/// The only kind of bitmap.
const DIRTY_TRACKING: u8 = 1;
/// Most bitmaps, the longest directory, and the largest bitmap of an image.
const MAX_BITMAPS: u32 = 65535;
const MAX_DIRECTORY: u64 = 64 << 20;
const MAX_TABLE: u32 = 0x800_0000 / 8;
/// The table of a bitmap has this for a cluster of ones.
const ALL_ONES: u64 = 1;

/// A bitmap in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBitmap {
    /// Its name.
    pub name: String,
    /// The size of a granule is so many times doubled.
    pub granularity_bits: u32,
    flags: u32,
    table_offset: u64,
    table_entries: u32,
}

impl StoredBitmap {
    /// Whether the image was not closed after it was opened for writing.
    pub fn is_in_use(&self) -> bool {
        self.flags & IN_USE != 0
    }

    /// Whether it records writes.
    pub fn is_auto(&self) -> bool {
        self.flags & AUTO != 0
    }

    fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let (name, extra) = (usize::from(be16(bytes, 18)), be32(bytes, 20) as usize);
        let at = 24 + extra;
        let text = bytes.get(at..at + name)?;
        let bitmap = StoredBitmap {
            name: String::from_utf8_lossy(text).into_owned(),
            granularity_bits: u32::from(bytes[17]),
            flags: be32(bytes, 12),
            table_offset: be64(bytes, 0),
            table_entries: be32(bytes, 8),
        };
        let known = bytes[16] == DIRTY_TRACKING
            && (9..=31).contains(&bitmap.granularity_bits)
            && bitmap.table_entries <= MAX_TABLE;
        known.then(|| (bitmap, (at + name).div_ceil(8) * 8))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let name = u16::try_from(self.name.len()).unwrap_or(u16::MAX);
        let bits = u8::try_from(self.granularity_bits).unwrap_or(16);
        bytes.extend_from_slice(&self.table_offset.to_be_bytes());
        bytes.extend_from_slice(&self.table_entries.to_be_bytes());
        bytes.extend_from_slice(&self.flags.to_be_bytes());
        bytes.extend_from_slice(&[DIRTY_TRACKING, bits]);
        bytes.extend_from_slice(&name.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.resize(bytes.len().div_ceil(8) * 8, 0);
    }
}

impl Qcow2 {
    /// The bitmaps in the image.
    pub fn stored_bitmaps(&self) -> &[StoredBitmap] {
        &self.stored
    }

    pub(super) fn read_directory(&mut self, file: &mut dyn Bytes) -> Result<(), Error> {
        let Some(directory) = self.header.bitmaps else {
            return Ok(());
        };
        let refuse = |what: &str| Err(Error::new(format!("bitmaps_ext: {what}")));
        if directory.count == 0 {
            return refuse("found bitmaps extension with zero bitmaps");
        }
        if directory.count > MAX_BITMAPS {
            return refuse("invalid number of bitmaps");
        }
        if directory.size > MAX_DIRECTORY {
            return refuse("too large bitmap directory");
        }
        if directory.offset % self.header.cluster_size() != 0 {
            return refuse("invalid bitmap directory offset");
        }
        let mut bytes = vec![0; to_index(directory.size)];
        file.read(directory.offset, &mut bytes)
            .map_err(|e| Error::from_io("Failed to read bitmap directory", &e))?;
        let mut at = 0;
        for _ in 0..directory.count {
            let read = bytes.get(at..).filter(|rest| rest.len() >= 24);
            let (bitmap, length) = read
                .and_then(StoredBitmap::read)
                .ok_or_else(|| Error::new("Broken bitmap directory"))?;
            self.stored.push(bitmap);
            at += length;
        }
        Ok(())
    }

    /// Reads the bitmaps that the image has.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn load_bitmaps(&mut self, file: &mut dyn Bytes) -> io::Result<Vec<Bitmap>> {
        let stored = self.stored.clone();
        let load = |stored: StoredBitmap| {
            let mut set = Granules::new(1 << stored.granularity_bits, self.header.size);
            if !stored.is_in_use() {
                self.load_bitmap(file, &stored, &mut set)?;
            }
            Ok(Bitmap {
                owner: None,
                set,
                enabled: stored.is_auto(),
                persistent: true,
                busy: false,
                inconsistent: stored.is_in_use(),
                name: Some(stored.name),
            })
        };
        stored.into_iter().map(load).collect()
    }

    fn load_bitmap(
        &self,
        file: &mut dyn Bytes,
        stored: &StoredBitmap,
        set: &mut Granules,
    ) -> io::Result<()> {
        let cluster = self.header.cluster_size();
        let mut bytes = vec![0; stored.table_entries as usize * 8];
        file.read(stored.table_offset, &mut bytes)?;
        // A cluster has a bit for each of these bytes of the disk.
        let covers = (cluster * 8) << stored.granularity_bits;
        for (at, entry) in (0..).zip(table(&bytes)) {
            match entry {
                0 => {}
                ALL_ONES => set.insert(at * covers, covers),
                offset => {
                    let mut bits = vec![0; to_index(cluster)];
                    file.read(offset, &mut bits)?;
                    set.load(at * cluster * 8, &bits);
                }
            }
        }
        Ok(())
    }

    /// Marks all bitmaps of the image as in use, before anything is written.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn mark_bitmaps(&mut self, file: &mut dyn Bytes) -> io::Result<()> {
        if self.stored.is_empty() || self.stored.iter().all(StoredBitmap::is_in_use) {
            return Ok(());
        }
        self.stored.iter_mut().for_each(|b| b.flags |= IN_USE);
        let mut bytes = Vec::new();
        self.stored
            .iter()
            .for_each(|bitmap| bitmap.write(&mut bytes));
        match self.header.bitmaps {
            // Other programs may keep more with a bitmap than is known here.
            Some(directory) if directory.size == bytes.len() as u64 => {
                file.write(directory.offset, &bytes)
            }
            _ => self.write_directory(file, self.stored.clone()),
        }
    }

    /// Writes bitmaps in place of those in the image.
    ///
    /// # Errors
    ///
    /// There is no space, or the file cannot be written.
    pub fn store_bitmaps(&mut self, file: &mut dyn Bytes, bitmaps: &[Bitmap]) -> io::Result<()> {
        if bitmaps.is_empty() && self.stored.is_empty() {
            return Ok(());
        }
        if self.header.version < 3 {
            return Err(Errno::ENOTSUP.into());
        }
        let mut list = Vec::new();
        for bitmap in bitmaps {
            let entries = self.store_bits(file, &bitmap.set)?;
            let table_offset = self.write_new(file, &table_bytes(&entries))?;
            let flag = |set: bool, flag: u32| if set { flag } else { 0 };
            list.push(StoredBitmap {
                name: bitmap.name.clone().unwrap_or_default(),
                granularity_bits: bitmap.set.granularity().trailing_zeros(),
                flags: flag(bitmap.inconsistent, IN_USE) | flag(bitmap.enabled, AUTO),
                table_offset,
                table_entries: u32::try_from(entries.len()).unwrap_or(u32::MAX),
            });
        }
        let old = std::mem::take(&mut self.stored);
        self.write_directory(file, list)?;
        for bitmap in old {
            self.free_bits(file, &bitmap)?;
        }
        Ok(())
    }

    /// Takes a bitmap out of the image, if it is there.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn remove_bitmap(&mut self, file: &mut dyn Bytes, name: &str) -> io::Result<()> {
        let Some(at) = self.stored.iter().position(|b| b.name == name) else {
            return Ok(());
        };
        let mut list = self.stored.clone();
        let gone = list.remove(at);
        self.write_directory(file, list)?;
        self.free_bits(file, &gone)
    }

    fn store_bits(&mut self, file: &mut dyn Bytes, set: &Granules) -> io::Result<Vec<u64>> {
        let cluster = to_index(self.header.cluster_size());
        let mut bytes: Vec<u8> = set.words().iter().flat_map(|w| w.to_le_bytes()).collect();
        bytes.resize(
            to_index(set.granules().div_ceil(8)).div_ceil(cluster) * cluster,
            0,
        );
        let mut entries = Vec::new();
        for bits in bytes.chunks(cluster) {
            entries.push(if bits.iter().all(|byte| *byte == 0) {
                0
            } else if bits.iter().all(|byte| *byte == 0xff) {
                ALL_ONES
            } else {
                self.write_new(file, bits)?
            });
        }
        Ok(entries)
    }

    fn free_bits(&mut self, file: &mut dyn Bytes, bitmap: &StoredBitmap) -> io::Result<()> {
        let mut bytes = vec![0; bitmap.table_entries as usize * 8];
        file.read(bitmap.table_offset, &mut bytes)?;
        for offset in table(&bytes).into_iter().filter(|o| *o > ALL_ONES) {
            self.free(file, offset, 1)?;
        }
        self.free(file, bitmap.table_offset, bytes.len() as u64)
    }

    /// Writes the directory in a new place, then the header, then gives the old one back.
    fn write_directory(
        &mut self,
        file: &mut dyn Bytes,
        stored: Vec<StoredBitmap>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        stored.iter().for_each(|bitmap| bitmap.write(&mut bytes));
        let offset = self.write_new(file, &bytes)?;
        let old = self.header.bitmaps.take();
        self.header.autoclear &= !AUTOCLEAR_BITMAPS;
        if !stored.is_empty() {
            self.header.autoclear |= AUTOCLEAR_BITMAPS;
            self.header.bitmaps = Some(Directory {
                count: u32::try_from(stored.len()).unwrap_or(u32::MAX),
                size: bytes.len() as u64,
                offset,
            });
        }
        self.stored = stored;
        self.write_header(file)?;
        old.map_or(Ok(()), |old| self.free(file, old.offset, old.size))
    }
}
