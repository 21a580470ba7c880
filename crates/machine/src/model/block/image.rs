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
    /// The size of a cluster of `qcow2`.
    pub cluster_size: Option<u64>,
    /// The image below.
    pub backing: Option<String>,
    /// Version 3 of `qcow2`.
    pub is_v3: bool,
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
    let plain = |virtual_size| Header {
        virtual_size,
        cluster_size: None,
        backing: None,
        is_v3: false,
    };
    match format {
        BlockdevDriver::Qcow2 => {
            if !has(0, b"QFI\xfb") {
                return Err(Error::new("Image is not in qcow2 format"));
            }
            let version = be32(&bytes, 4);
            if !(2..=3).contains(&version) {
                return Err(Error::new(format!("Unsupported qcow2 version {version}")));
            }
            let bits = be32(&bytes, 20);
            if !(9..=21).contains(&bits) {
                return Err(Error::new(format!("Unsupported cluster size: 2^{bits}")));
            }
            let (at, length) = (be64(&bytes, 8), be32(&bytes, 16).min(1023));
            Ok(Header {
                virtual_size: be64(&bytes, 24),
                cluster_size: Some(1 << bits),
                backing: (at != 0).then(|| text_at(file, at, length as usize)),
                is_v3: version == 3,
            })
        }
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

fn text_at(file: &File, at: u64, length: usize) -> String {
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, at).unwrap_or(0);
    bytes.truncate(read);
    String::from_utf8_lossy(&bytes).into_owned()
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
        let mut qcow2 = vec![0; 112];
        qcow2[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        qcow2[8..16].copy_from_slice(&104_u64.to_be_bytes());
        qcow2[16..20].copy_from_slice(&4_u32.to_be_bytes());
        qcow2[20..24].copy_from_slice(&16_u32.to_be_bytes());
        qcow2[24..32].copy_from_slice(&(10_u64 << 20).to_be_bytes());
        qcow2[104..108].copy_from_slice(b"base");
        let file = image(&qcow2);
        assert_eq!(probe(&file), BlockdevDriver::Qcow2);
        let read = header(BlockdevDriver::Qcow2, &file).unwrap();
        assert_eq!(read.virtual_size, 10 << 20);
        assert_eq!(read.cluster_size, Some(65536));
        assert_eq!(read.backing.as_deref(), Some("base"));
        let raw = image(b"x");
        assert_eq!(probe(&raw), BlockdevDriver::Raw);
        let e = header(BlockdevDriver::Qcow2, &raw).unwrap_err();
        assert_eq!(e.desc(), "Image is not in qcow2 format");
    }
}
