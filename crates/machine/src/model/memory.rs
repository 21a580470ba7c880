//! Physical memory, as far as a monitor looks at it.
//!
//! The machine has at most one piece of memory, at address zero. Nothing runs here that would
//! write to it; what comes with a migration or from a test ([`qtest`](super::qtest)) is kept
//! in pages of its own, so memory that was never written costs nothing.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::unistd::{lseek, Whence};

use super::dump::GuestMemory;
use super::pages::Pages;
use super::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// Bytes read at once while copying or adding up.
const CHUNK: usize = 64 * 1024;

/// The contents of a piece of memory.
pub struct Ram {
    size: u64,
    /// Where the contents are; without, all is zero.
    file: Option<(File, u64)>,
    /// What was written. It hides the file.
    written: Pages,
    /// How often something was written.
    changes: u64,
}

impl Ram {
    /// Memory of that many bytes that was never written to.
    pub fn zero(size: u64) -> Self {
        Ram {
            size,
            file: None,
            written: Pages::default(),
            changes: 0,
        }
    }

    /// Memory that is `size` bytes of a file, from `offset` on. Beyond the end
    /// of the file it reads as zero.
    pub fn file(file: File, offset: u64, size: u64) -> Self {
        Ram {
            size,
            file: Some((file, offset)),
            written: Pages::default(),
            changes: 0,
        }
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads what is at `address`; false if not all of it is inside.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let end = address.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return false;
        }
        let is_read = self.read_below(address, buffer);
        if is_read && !self.written.is_empty() {
            self.written.read(address, buffer);
        }
        is_read
    }

    /// Writes at `address`; false, and nothing is written, if not all of it is inside. The
    /// file stays as it is, as with memory that is not shared.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let end = address.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > self.size) {
            return false;
        }
        let mut written = std::mem::take(&mut self.written);
        let is_zero = self.file.is_none();
        written.write(address, bytes, is_zero, |at, page| {
            let within = usize::try_from(self.size - at).unwrap_or(usize::MAX);
            let end = within.min(page.len());
            // What cannot be read is zero.
            self.read_below(at, &mut page[..end]);
        });
        self.written = written;
        self.changes += 1;
        true
    }

    /// How often something was written.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Reads what was there before anything was written.
    fn read_below(&self, address: u64, buffer: &mut [u8]) -> bool {
        buffer.fill(0);
        let mut done = 0;
        while let (Some((file, offset)), true) = (&self.file, done < buffer.len()) {
            match file.read_at(&mut buffer[done..], offset + address + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// The first address from `address` on where there may be something other than zero.
    pub fn next_data(&self, address: u64) -> Option<u64> {
        let written = self.written.first_from(address);
        let in_file = self.file.as_ref().and_then(|(file, offset)| {
            // A file that cannot tell of its holes may have something anywhere.
            let at = i64::try_from(offset + address).ok()?;
            match lseek(file, at, Whence::SeekData) {
                Ok(at) => (at as u64).checked_sub(*offset),
                Err(Errno::ENXIO) => None,
                Err(_) => Some(address),
            }
        });
        let first = match (written, in_file) {
            (Some(a), Some(b)) => a.min(b),
            (a, b) => a.or(b)?,
        };
        (first < self.size).then_some(first)
    }
}

impl Machine {
    /// The object that holds the machine's memory.
    pub(crate) fn main_memory(&self) -> Option<ObjectId> {
        self.link(self.machine_object, "memory-backend")
    }

    /// The objects that are the machine's memory, one after the other.
    pub(crate) fn memory_objects(&self) -> Vec<ObjectId> {
        let of_nodes: Vec<_> = self.numa.memory().collect();
        if of_nodes.is_empty() || self.main_memory().is_some() {
            return self.main_memory().into_iter().collect();
        }
        of_nodes
    }

    /// The first address from `address` on where there may be something other than zero.
    pub(crate) fn next_data(&self, address: u64) -> Option<u64> {
        let mut base = 0;
        for id in self.memory_objects() {
            let ram: &Ram = self.payload(id)?;
            let from = address.saturating_sub(base);
            if let Some(at) = ram.next_data(from).filter(|_| from < ram.size()) {
                return Some(base + at);
            }
            base += ram.size();
        }
        None
    }

    /// How often memory was written to.
    pub(crate) fn memory_changes(&self) -> u64 {
        let pieces = self.memory_objects().into_iter();
        let changes = pieces.filter_map(|id| self.payload::<Ram>(id).map(Ram::changes));
        changes.sum()
    }

    /// How much memory the machine has, in bytes.
    pub fn ram_size(&self) -> u64 {
        let pieces = self.memory_objects().into_iter();
        let sizes = pieces.filter_map(|id| self.payload::<Ram>(id).map(Ram::size));
        sizes.sum()
    }

    /// The pieces of memory behind some addresses: the object, where in it, and how many
    /// bytes.
    fn pieces(&self, address: u64, length: usize) -> Vec<(ObjectId, u64, usize)> {
        let mut pieces = Vec::new();
        let (mut base, mut at, mut left) = (0, address, length);
        for id in self.memory_objects() {
            let size = self.payload::<Ram>(id).map_or(0, Ram::size);
            if left > 0 && at - base < size {
                let inside = size - (at - base);
                let bytes = usize::try_from(inside).map_or(left, |n| n.min(left));
                pieces.push((id, at - base, bytes));
                at += bytes as u64;
                left -= bytes;
            }
            base += size;
            if at < base {
                break;
            }
        }
        pieces
    }

    /// The name of the object that is the machine's memory.
    pub fn ram_name(&self) -> Option<&str> {
        self.object(self.main_memory()?).map(|object| object.name())
    }

    /// Reads physical memory; false if some of the addresses have none
    /// (`address_space_read`).
    pub fn physical_memory_read(&self, address: u64, buffer: &mut [u8]) -> bool {
        let mut rest = buffer;
        for (id, at, length) in self.pieces(address, rest.len()) {
            let (piece, after) = rest.split_at_mut(length);
            if !self
                .payload::<Ram>(id)
                .is_some_and(|ram| ram.read(at, piece))
            {
                return false;
            }
            rest = after;
        }
        rest.is_empty() && address <= self.ram_size()
    }

    /// Writes to physical memory; false, and nothing is written, if some of the addresses have
    /// none (`address_space_write`).
    pub fn physical_memory_write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let pieces = self.pieces(address, bytes.len());
        if pieces.iter().map(|piece| piece.2).sum::<usize>() < bytes.len() {
            return false;
        }
        let mut rest = bytes;
        for (id, at, length) in pieces {
            let (piece, after) = rest.split_at(length);
            let ram = self.payload_mut::<Ram>(id);
            if !ram.is_some_and(|ram| ram.write(at, piece)) {
                return false;
            }
            rest = after;
        }
        true
    }

    /// How many of `size` bytes from `address` on are memory.
    fn mapped(&self, address: u64, size: u64) -> u64 {
        self.ram_size().saturating_sub(address).min(size)
    }

    /// Reads `size` bytes in pieces, as far as they are memory.
    fn for_each_chunk(&self, address: u64, size: u64, mut f: impl FnMut(&[u8]) -> bool) {
        let end = address + self.mapped(address, size);
        let mut at = address;
        let mut buffer = vec![0; CHUNK];
        while at < end {
            let length = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            let piece = &mut buffer[..length];
            if !self.physical_memory_read(at, piece) {
                piece.fill(0);
            }
            if !f(piece) {
                return;
            }
            at += length as u64;
        }
    }

    /// The checksum that BSD's `sum` prints (HMP `sum`). Where there is no
    /// memory, bytes are zero.
    pub fn checksum(&self, address: u64, size: u32) -> u16 {
        let size = u64::from(size);
        let mut sum = 0u16;
        self.for_each_chunk(address, size, |piece| {
            for byte in piece {
                sum = sum.rotate_right(1).wrapping_add(u16::from(*byte));
            }
            true
        });
        // Zero bytes only rotate.
        let missing = size - self.mapped(address, size);
        sum.rotate_right((missing % 16) as u32)
    }

    /// Writes physical memory to a file (`pmemsave`). Where there is no memory
    /// the file has zeros.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written.
    pub fn pmemsave(&self, address: u64, size: u64, filename: &str) -> Result<(), Error> {
        let mut file = File::create(filename)
            .map_err(|e| Error::from_io(format!("Could not open '{filename}'"), &e))?;
        let mut result = Ok(());
        self.for_each_chunk(address, size, |piece| {
            result = file.write_all(piece);
            result.is_ok()
        });
        // Missing memory is a hole in the file, which costs no space.
        if result.is_ok() && self.mapped(address, size) < size {
            result = file.set_len(size);
        }
        result.map_err(|_| Error::new(format!("writing memory to '{filename}' failed")))
    }

    /// The same for what a processor sees (`memsave`), where all must be memory.
    ///
    /// # Errors
    ///
    /// The file cannot be made or written; there is less memory.
    pub fn memsave(&self, address: u64, size: u64, filename: &str) -> Result<(), Error> {
        if self.mapped(address, size) < size {
            File::create(filename)
                .map_err(|e| Error::from_io(format!("Could not open '{filename}'"), &e))?;
            return Err(Error::new(format!(
                "Invalid addr 0x{address:016x}/size {size} specified"
            )));
        }
        self.pmemsave(address, size, filename)
    }
}

impl GuestMemory for Machine {
    fn size(&self) -> u64 {
        self.ram_size()
    }

    fn next_data(&self, address: u64) -> Option<u64> {
        Machine::next_data(self, address)
    }

    fn read(&self, address: u64, buffer: &mut [u8]) -> bool {
        self.physical_memory_read(address, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MachineOptions;
    use qmonitor::qapi::{CompatPolicy, QDict, QObject};

    /// Where the last 16 bytes of the memory are, which is one page.
    const LAST: u64 = 4096 - 16;

    fn machine_with(contents: &[u8; 16]) -> (Machine, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ram");
        std::fs::write(&path, [&[0; LAST as usize][..], contents].concat()).unwrap();
        let mut m = Machine::new(MachineOptions::default());
        let options: QDict = [
            ("qom-type", QObject::from("memory-backend-file")),
            ("id", "ram".into()),
            ("size", 4096u64.into()),
            ("mem-path", path.to_str().unwrap().into()),
        ]
        .into_iter()
        .collect();
        m.object_add(options, CompatPolicy::default()).unwrap();
        m.init_memory(None, Some("ram")).unwrap();
        (m, dir)
    }

    #[test]
    fn memory_ends_where_it_ends() {
        let (m, _dir) = machine_with(b"0123456789abcdef");
        let mut four = [0; 4];
        assert!(m.physical_memory_read(LAST + 12, &mut four));
        assert_eq!(&four, b"cdef");
        assert!(!m.physical_memory_read(LAST + 13, &mut four));
        assert!(!m.physical_memory_read(u64::MAX - 1, &mut four));
        assert!(m.physical_memory_read(LAST + 16, &mut []));
    }

    #[test]
    fn what_is_written_is_read_and_the_rest_stays() {
        let (mut m, _dir) = machine_with(b"0123456789abcdef");
        assert!(m.physical_memory_write(LAST + 2, b"xy"));
        assert!(!m.physical_memory_write(LAST + 15, b"zz"));
        let mut all = [0; 16];
        assert!(m.physical_memory_read(LAST, &mut all));
        assert_eq!(&all, b"01xy456789abcdef");
        let mut ram = Ram::zero(3 * 4096);
        assert_eq!(ram.next_data(0), None);
        assert!(ram.write(0, &[0; 8192]));
        assert_eq!(ram.next_data(0), None, "zeros cost nothing");
        assert!(ram.write(8190, b"abc"));
        assert_eq!(
            (ram.next_data(0), ram.next_data(9000)),
            (Some(4096), Some(9000))
        );
        let mut five = [1; 5];
        assert!(ram.read(8189, &mut five));
        assert_eq!(&five, b"\0abc\0");
    }

    #[test]
    fn checksums_take_missing_memory_for_zero() {
        let bytes = b"\x11\"3DUfw\x88\x00\x01\x7f\x80\xff\xfe'\\";
        let (m, _dir) = machine_with(bytes);
        assert_eq!(m.checksum(LAST, 16), 51965);
        assert_eq!(m.checksum(LAST, 1), 17);
        assert_eq!(m.checksum(LAST, 0), 0);
        assert_eq!(m.checksum(0x20000, 4), 0);
        assert_eq!(m.checksum(LAST, 17), m.checksum(LAST, 16).rotate_right(1));
    }

    #[test]
    fn pmemsave_pads_with_zeros() {
        let (m, dir) = machine_with(b"0123456789abcdef");
        let out = dir.path().join("out");
        m.pmemsave(LAST + 10, 10, out.to_str().unwrap()).unwrap();
        assert_eq!(std::fs::read(&out).unwrap(), b"abcdef\0\0\0\0");
        let error = m.pmemsave(0, 1, "/nosuch/x").unwrap_err();
        assert_eq!(
            error.desc(),
            "Could not open '/nosuch/x': No such file or directory"
        );
    }

    #[test]
    fn memory_in_use_cannot_be_deleted() {
        let (mut m, _dir) = machine_with(&[0; 16]);
        let error = m.object_del("ram").unwrap_err();
        assert_eq!(error.desc(), "object 'ram' is in use, can not be deleted");
    }
}
