//! What the first bytes of an image say: its format, and what the format says of the disk.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::schema::BlockdevDriver;
use qmonitor::qapi::Error;

/// Enough for the headers that are read.
const HEADER: usize = 1024;

/// What a header tells of the disk in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its size in bytes.
    pub virtual_size: u64,
}

/// Formats by the bytes at an offset.
const MAGIC: &[(BlockdevDriver, usize, &[u8])] = &[
    (BlockdevDriver::Luks, 0, b"LUKS\xba\xbe"),
    (BlockdevDriver::Qed, 0, b"QED\0"),
    (BlockdevDriver::Vdi, 64, b"\x7f\x10\xda\xbe"),
    (BlockdevDriver::Vhdx, 0, b"vhdxfile"),
    (BlockdevDriver::Vmdk, 0, b"KDMV"),
    (BlockdevDriver::Vmdk, 0, b"# Disk DescriptorFile"),
    (BlockdevDriver::Vpc, 0, b"conectix"),
    (BlockdevDriver::Parallels, 0, b"WithoutFreeSpace"),
    (BlockdevDriver::Bochs, 0, b"Bochs Virtual HD Image"),
];

fn read_start(file: &File) -> Vec<u8> {
    let mut bytes = vec![0; HEADER];
    // A pipe has no offsets, and nothing to tell.
    let read = file.read_at(&mut bytes, 0).unwrap_or(0);
    bytes.truncate(read);
    bytes
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut number = [0; N];
    if let Some(part) = bytes.get(at..at + N) {
        number.copy_from_slice(part);
    }
    number
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(number(bytes, at))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(number(bytes, at))
}

fn le64(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(number(bytes, at))
}

/// The format that an image seems to have (`bdrv_probe_all`); `raw` if nothing is known.
pub fn probe(file: &File) -> BlockdevDriver {
    let bytes = read_start(file);
    if bytes.starts_with(b"QFI\xfb") {
        return match be32(&bytes, 4) {
            1 => BlockdevDriver::Qcow,
            _ => BlockdevDriver::Qcow2,
        };
    }
    let found = MAGIC
        .iter()
        .find(|(_, at, magic)| bytes.get(*at..at + magic.len()) == Some(*magic));
    found.map_or(BlockdevDriver::Raw, |(format, ..)| *format)
}

/// Reads the header of an image of that format.
///
/// # Errors
///
/// It has another format.
pub fn header(format: BlockdevDriver, file: &File) -> Result<Header, Error> {
    let bytes = read_start(file);
    let has = |at: usize, magic: &[u8]| bytes.get(at..at + magic.len()) == Some(magic);
    let plain = |virtual_size| Header { virtual_size };
    match format {
        BlockdevDriver::Qed => {
            if !has(0, b"QED\0") {
                return Err(Error::new("Image not in QED format"));
            }
            Ok(plain(le64(&bytes, 48)))
        }
        BlockdevDriver::Vdi => {
            if !has(64, b"\x7f\x10\xda\xbe") {
                return Err(Error::new(
                    "Image not in VDI format (bad signature 00000000)",
                ));
            }
            Ok(plain(le64(&bytes, 368)))
        }
        BlockdevDriver::Vmdk => {
            if !has(0, b"KDMV") {
                return Err(Error::new("Image not in VMDK format"));
            }
            Ok(plain(le64(&bytes, 12).saturating_mul(512)))
        }
        BlockdevDriver::Vpc => {
            if !has(0, b"conectix") {
                return Err(Error::new("Invalid footer"));
            }
            Ok(plain(be64(&bytes, 48)))
        }
        format => Err(Error::new(format!("Unknown driver '{}'", format.as_str()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn image(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn headers_tell_format_and_size() {
        let file = image(b"QFI\xfb\0\0\0\x03");
        assert_eq!(probe(&file), BlockdevDriver::Qcow2);
        let mut qed = vec![0; 64];
        qed[..4].copy_from_slice(b"QED\0");
        qed[48..56].copy_from_slice(&(10_u64 << 20).to_le_bytes());
        let file = image(&qed);
        assert_eq!(probe(&file), BlockdevDriver::Qed);
        let read = header(BlockdevDriver::Qed, &file).unwrap();
        assert_eq!(read.virtual_size, 10 << 20);
        let raw = image(b"x");
        assert_eq!(probe(&raw), BlockdevDriver::Raw);
        let e = header(BlockdevDriver::Qed, &raw).unwrap_err();
        assert_eq!(e.desc(), "Image not in QED format");
    }
}
