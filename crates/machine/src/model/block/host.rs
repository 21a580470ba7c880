//! Files and devices of the host, at the bottom of nodes.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};

use nix::errno::Errno;
use nix::fcntl::{fallocate, fcntl, FallocateFlags, FcntlArg, OFlag};
use nix::unistd::{lseek, Whence};

use super::bytes::{Extent, ExtentKind};
use qmonitor::qapi::Error;

/// Zeros to write where the host cannot make them.
static ZEROS: [u8; 65536] = [0; 65536];

/// Opens a file of the host.
///
/// # Errors
///
/// The host's, or it is a directory.
pub fn open_file(filename: &str, read_only: bool, direct: bool) -> Result<File, Error> {
    let failed = |e: &io::Error| Error::from_io(format!("Could not open '{filename}'"), e);
    let flags = if direct { nix::libc::O_DIRECT } else { 0 };
    let file = File::options()
        .read(true)
        .write(!read_only)
        .custom_flags(flags)
        .open(filename)
        .map_err(|e| failed(&e))?;
    if direct {
        // The host was asked whether it can do without its cache. Pieces of all sizes are read
        // and written here, which only the cache allows.
        let buffered = OFlag::from_bits_truncate(fcntl(&file, FcntlArg::F_GETFL).unwrap_or(0));
        let buffered = buffered.difference(OFlag::O_DIRECT);
        fcntl(&file, FcntlArg::F_SETFL(buffered)).map_err(|e| failed(&e.into()))?;
    }
    if file.metadata().map_err(|e| failed(&e))?.is_dir() {
        Err(failed(&Errno::EISDIR.into()))
    } else {
        Ok(file)
    }
}

/// Its length; a block device has no length, but an end.
pub fn length(mut file: &File) -> u64 {
    file.seek(SeekFrom::End(0)).unwrap_or(0)
}

/// The space that it takes on the host, in bytes.
pub fn space(file: &File) -> u64 {
    let metadata = file.metadata();
    metadata.map_or(0, |metadata| metadata.blocks() * 512)
}

/// Reads bytes; behind the end are zeros.
pub fn read(file: &File, mut offset: u64, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match file.read_at(into, offset) {
            Ok(0) => {
                into.fill(0);
                break;
            }
            Ok(read) => {
                offset += read as u64;
                into = &mut into[read..];
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Makes bytes zero: a hole if the host has holes.
pub fn zero(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let end = offset + length;
    if self::length(file) < end && !file.metadata()?.file_type().is_block_device() {
        file.set_len(end)?;
    }
    punch(file, offset, length).or_else(|_| zero_by_writing(file, offset, length))
}

fn zero_by_writing(file: &File, mut offset: u64, mut length: u64) -> io::Result<()> {
    while length > 0 {
        let piece = ZEROS
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX));
        file.write_all_at(&ZEROS[..piece], offset)?;
        offset += piece as u64;
        length -= piece as u64;
    }
    Ok(())
}

/// Gives space back to the host.
///
/// # Errors
///
/// The host has no holes there.
pub fn punch(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    let signed = |n: u64| i64::try_from(n).map_err(|_| io::Error::from(Errno::EFBIG));
    Ok(fallocate(file, flags, signed(offset)?, signed(length)?)?)
}

/// Whether a piece has data, and how long that goes on.
pub fn status(file: &File, offset: u64, length: u64) -> Extent {
    let seek = |whence| lseek(file, i64::try_from(offset).unwrap_or(i64::MAX), whence);
    let (next, kind) = match seek(Whence::SeekData) {
        Ok(data) if data.unsigned_abs() > offset => (data.unsigned_abs(), ExtentKind::Zero),
        Ok(_) => match seek(Whence::SeekHole) {
            Ok(hole) if hole.unsigned_abs() > offset => (hole.unsigned_abs(), ExtentKind::Data),
            _ => (offset + length, ExtentKind::Data),
        },
        // There is no data up to the end.
        Err(Errno::ENXIO) => (offset + length, ExtentKind::Zero),
        Err(_) => (offset + length, ExtentKind::Data),
    };
    Extent {
        length: length.min(next - offset),
        kind,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_past_the_cache_are_read_in_pieces_of_all_sizes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(4096).unwrap();
        // A host may refuse it.
        let opened = open_file(&file.path().display().to_string(), false, true);
        if let Ok(opened) = opened {
            read(&opened, 3, &mut [0; 5]).unwrap();
        }
    }

    #[test]
    fn holes_are_zeros_and_data_is_data() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[1; 4096], 65536).unwrap();
        zero(&file, 65536 + 4096, 65536).unwrap();
        assert_eq!(length(&file), 2 * 65536 + 4096);
        let extent = |offset, length| status(&file, offset, length);
        assert_eq!(extent(65536, 100).kind, ExtentKind::Data);
        let mut bytes = [9; 8];
        read(&file, 65536 + 4092, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 1, 1, 1, 0, 0, 0, 0]);
        read(&file, 1 << 20, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 8]);
        let before = extent(0, 1 << 20);
        let whole = before.kind == ExtentKind::Zero && before.length == 65536;
        let without_holes = before.kind == ExtentKind::Data;
        assert!(whole || without_holes, "{before:?}");
    }
}
