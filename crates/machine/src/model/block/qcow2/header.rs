//! The header of an image, and its extensions.

use std::io;

use nix::errno::Errno;

use super::super::bytes::Bytes;
use super::fields::{be32, be64, to_index};
use crate::schema::Qcow2CompressionType;
use qmonitor::qapi::Error;

const MAGIC: u32 = 0x5146_49fb;
/// Length of the header of version 2, and of 3 as it is written here.
const V2_LENGTH: usize = 72;
const V3_LENGTH: u32 = 112;
/// Length that a header of version 3 has at least.
const V3_SHORTEST: u32 = 104;
/// Kinds of extensions.
const BACKING_FORMAT: u32 = 0xe279_2aca;
const FEATURE_NAMES: u32 = 0x6803_f857;
const BITMAPS: u32 = 0x2385_2875;
/// Largest tables that are read.
const MAX_REFTABLE: u64 = 8 << 20;
pub(super) const MAX_L1: u64 = 32 << 20;
const MAX_SNAPSHOTS: u32 = 65536;

/// Features that a program must know.
const CORRUPT: u64 = 2;
const DATA_FILE: u64 = 4;
const COMPRESSION: u64 = 8;
const EXTENDED_L2: u64 = 16;
const KNOWN: u64 = 31;
/// A feature that a program need not know.
const LAZY_REFCOUNTS: u64 = 1;
/// A feature whose data is stale if a program that does not know it writes.
pub(super) const AUTOCLEAR_BITMAPS: u64 = 1;

/// Names of features for programs that do not know them: kind, bit, name.
const NAMES: [(u8, u8, &str); 8] = [
    (0, 0, "dirty bit"),
    (0, 1, "corrupt bit"),
    (0, 2, "external data file"),
    (0, 3, "compression type"),
    (0, 4, "extended L2 entries"),
    (1, 0, "lazy refcounts"),
    (2, 0, "bitmaps"),
    (2, 1, "raw external data"),
];

/// Where the directory of the bitmaps in the image is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Directory {
    pub(super) count: u32,
    pub(super) size: u64,
    pub(super) offset: u64,
}

/// The header of an image.
#[derive(Debug, Clone)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The size of a cluster is so many times doubled.
    pub cluster_bits: u32,
    /// The size of the disk.
    pub size: u64,
    /// The file of the image below, as the image names it.
    pub backing: Option<String>,
    #[allow(missing_docs)]
    pub backing_format: Option<String>,
    pub(super) l1_entries: u32,
    pub(super) l1_offset: u64,
    pub(super) reftable_offset: u64,
    pub(super) reftable_clusters: u32,
    pub(super) snapshots: u32,
    pub(super) snapshots_offset: u64,
    pub(super) incompatible: u64,
    pub(super) compatible: u64,
    pub(super) autoclear: u64,
    /// A count of references has two to the power of this bits.
    pub refcount_order: u32,
    pub(super) compression: u8,
    encryption: u32,
    pub(super) bitmaps: Option<Directory>,
    /// Extensions that are not known here, which stay.
    unknown: Vec<(u32, Vec<u8>)>,
}

fn refuse<T>(text: impl Into<String>) -> Result<T, Error> {
    Err(Error::new(text.into()))
}

impl Header {
    /// The header of a new image.
    pub(super) fn new(version: u32, cluster_bits: u32, size: u64) -> Self {
        Header {
            version,
            cluster_bits,
            size,
            backing: None,
            backing_format: None,
            l1_entries: 0,
            l1_offset: 0,
            reftable_offset: 0,
            reftable_clusters: 0,
            snapshots: 0,
            snapshots_offset: 0,
            incompatible: 0,
            compatible: 0,
            autoclear: 0,
            refcount_order: 4,
            compression: 0,
            encryption: 0,
            bitmaps: None,
            unknown: Vec::new(),
        }
    }

    /// Reads the header.
    ///
    /// # Errors
    ///
    /// It is none, contradicts itself, or wants what is not known here.
    pub(super) fn read(file: &mut dyn Bytes, read_only: bool) -> Result<Self, Error> {
        let failed = |e: io::Error| Error::from_io("Could not read qcow2 header", &e);
        let mut bytes = [0; V3_LENGTH as usize];
        file.read(0, &mut bytes).map_err(failed)?;
        let length = Self::check_start(&bytes)?;
        let mut header = Self::parse(&bytes, length);
        header.check_features(read_only)?;
        header.check_tables()?;
        let backing = (be64(&bytes, 8), be32(&bytes, 16));
        let end = match backing {
            (0, _) => header.cluster_size(),
            (offset, _) => offset.min(header.cluster_size()),
        };
        header.read_extensions(file, u64::from(length), end)?;
        header.check_places()?;
        if backing.0 != 0 {
            if backing.1 > 1023 || u64::from(backing.1) > header.cluster_size() - backing.0 {
                return refuse("Backing file name too long");
            }
            let mut name = vec![0; backing.1 as usize];
            file.read(backing.0, &mut name).map_err(failed)?;
            header.backing = Some(String::from_utf8_lossy(&name).into_owned());
        }
        Ok(header)
    }

    /// Checks what tells how to read the rest, and returns the length of the header.
    fn check_start(bytes: &[u8]) -> Result<u32, Error> {
        if be32(bytes, 0) != MAGIC {
            return refuse("Image is not in qcow2 format");
        }
        let version = be32(bytes, 4);
        if !(2..=3).contains(&version) {
            return refuse(format!("Unsupported qcow2 version {version}"));
        }
        let bits = be32(bytes, 20);
        if !(9..=21).contains(&bits) {
            return refuse(format!("Unsupported cluster size: 2^{bits}"));
        }
        let length = match version {
            2 => V2_LENGTH as u32,
            _ => be32(bytes, 100),
        };
        if version == 3 && length < V3_SHORTEST {
            return refuse("qcow2 header too short");
        }
        if length > 1 << bits {
            return refuse("qcow2 header exceeds cluster size");
        }
        if be64(bytes, 8) > 1 << bits {
            return refuse("Invalid backing file offset");
        }
        Ok(length)
    }

    fn parse(bytes: &[u8], length: u32) -> Self {
        let version = be32(bytes, 4);
        let v3 = |number: u64| if version == 3 { number } else { 0 };
        Header {
            l1_entries: be32(bytes, 36),
            l1_offset: be64(bytes, 40),
            reftable_offset: be64(bytes, 48),
            reftable_clusters: be32(bytes, 56),
            snapshots: be32(bytes, 60),
            snapshots_offset: be64(bytes, 64),
            incompatible: v3(be64(bytes, 72)),
            compatible: v3(be64(bytes, 80)),
            autoclear: v3(be64(bytes, 88)),
            refcount_order: if version == 3 { be32(bytes, 96) } else { 4 },
            encryption: be32(bytes, 32),
            compression: if length > V3_SHORTEST { bytes[104] } else { 0 },
            ..Header::new(version, be32(bytes, 20), be64(bytes, 24))
        }
    }

    fn check_features(&self, read_only: bool) -> Result<(), Error> {
        let unknown = self.incompatible & !KNOWN;
        if unknown != 0 {
            return refuse(format!(
                "Unsupported qcow2 feature(s): Unknown incompatible feature: {unknown:x}"
            ));
        }
        if self.incompatible & CORRUPT != 0 && !read_only {
            return refuse("qcow2: Image is corrupt; cannot be opened read/write");
        }
        let has_bit = self.incompatible & COMPRESSION != 0;
        match (self.compression, has_bit) {
            (0, true) => {
                return refuse("qcow2: Compression type incompatible feature bit must not be set")
            }
            (1.., false) => {
                return refuse("qcow2: Compression type incompatible feature bit must be set")
            }
            (2.., true) => {
                let kind = self.compression;
                return refuse(format!("qcow2: unknown compression type: {kind}"));
            }
            _ => {}
        }
        if self.incompatible & DATA_FILE != 0 {
            return refuse("'data-file' is required for this image");
        }
        if self.incompatible & EXTENDED_L2 != 0 {
            return refuse("this machine cannot read qcow2 images with extended L2 entries");
        }
        if self.refcount_order > 6 {
            return refuse("Reference count entry width too large; may not exceed 64 bits");
        }
        Ok(())
    }

    fn check_tables(&self) -> Result<(), Error> {
        if u64::from(self.reftable_clusters) << self.cluster_bits > MAX_REFTABLE {
            return refuse("Reference count table too large");
        }
        if self.reftable_clusters == 0 {
            return refuse("Image does not contain a reference count table");
        }
        if !self.is_aligned(self.reftable_offset) {
            return refuse("Reference count table offset invalid");
        }
        if self.snapshots > MAX_SNAPSHOTS {
            return refuse("Snapshot table too large");
        }
        if self.snapshots > 0 && self.snapshots_offset % 8 != 0 {
            return refuse("Snapshot table offset invalid");
        }
        if u64::from(self.l1_entries) * 8 > MAX_L1 {
            return refuse("Active L1 table too large");
        }
        Ok(())
    }

    fn check_places(&self) -> Result<(), Error> {
        match self.encryption {
            0 => {}
            1 => {
                return refuse(
                    "Use of AES-CBC encrypted qcow2 images is no longer supported in system \
                     emulators",
                )
            }
            2 => return refuse("Parameter 'encrypt.key-secret' is required for cipher"),
            method => return refuse(format!("Unsupported encryption method {method}")),
        }
        if self.size > i64::MAX.unsigned_abs() {
            return refuse("Could not refresh total sector count: File too large");
        }
        let needed = self.l1_entries_for(self.size);
        if needed > u64::from(u32::MAX >> 1) {
            return refuse("Image is too big");
        }
        if u64::from(self.l1_entries) < needed {
            return refuse("L1 table is too small");
        }
        if !self.is_aligned(self.l1_offset) {
            return refuse("Active L1 table offset invalid");
        }
        Ok(())
    }

    fn is_aligned(&self, offset: u64) -> bool {
        offset % self.cluster_size() == 0
    }

    fn read_extensions(&mut self, file: &mut dyn Bytes, start: u64, end: u64) -> Result<(), Error> {
        let failed = |e: io::Error| Error::from_io("Could not read qcow2 header extension", &e);
        let mut at = start;
        while at < end {
            let mut head = [0; 8];
            file.read(at, &mut head).map_err(failed)?;
            let (kind, length) = (be32(&head, 0), be32(&head, 4));
            at += 8;
            if at > end || u64::from(length) > end - at {
                return refuse("Header extension too large");
            }
            if kind == 0 {
                break;
            }
            if kind == BACKING_FORMAT && length >= 16 {
                return refuse(format!(
                    "ERROR: ext_backing_format: len={length} too large (>=16)"
                ));
            }
            let mut data = vec![0; length as usize];
            file.read(at, &mut data).map_err(failed)?;
            at += u64::from(length).div_ceil(8) * 8;
            match kind {
                BACKING_FORMAT => {
                    self.backing_format = Some(String::from_utf8_lossy(&data).into_owned());
                }
                FEATURE_NAMES => {}
                // A program that does not know bitmaps has written, so they are stale.
                BITMAPS if self.autoclear & AUTOCLEAR_BITMAPS != 0 => {
                    self.bitmaps = Some(Directory {
                        count: be32(&data, 0),
                        size: be64(&data, 8),
                        offset: be64(&data, 16),
                    });
                }
                BITMAPS => {}
                kind => self.unknown.push((kind, data)),
            }
        }
        Ok(())
    }

    /// Writes the header.
    ///
    /// # Errors
    ///
    /// What belongs into it does not fit in a cluster, or the file cannot be written.
    pub(super) fn write(&self, file: &mut dyn Bytes) -> io::Result<()> {
        let mut bytes = self.encode();
        if let Some(backing) = &self.backing {
            let at = bytes.len() as u64;
            bytes[8..16].copy_from_slice(&at.to_be_bytes());
            let length = u32::try_from(backing.len()).unwrap_or(u32::MAX);
            bytes[16..20].copy_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(backing.as_bytes());
        }
        let cluster = to_index(self.cluster_size());
        if bytes.len() > cluster {
            return Err(Errno::ENOSPC.into());
        }
        // What was longer before is gone, but a large cluster need not be written whole.
        bytes.resize(cluster.min(4096).max(bytes.len()), 0);
        file.write(0, &bytes)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; V2_LENGTH];
        let mut put = |at: usize, number: &[u8]| {
            bytes[at..at + number.len()].copy_from_slice(number);
        };
        put(0, &MAGIC.to_be_bytes());
        put(4, &self.version.to_be_bytes());
        put(20, &self.cluster_bits.to_be_bytes());
        put(24, &self.size.to_be_bytes());
        put(36, &self.l1_entries.to_be_bytes());
        put(40, &self.l1_offset.to_be_bytes());
        put(48, &self.reftable_offset.to_be_bytes());
        put(56, &self.reftable_clusters.to_be_bytes());
        put(60, &self.snapshots.to_be_bytes());
        put(64, &self.snapshots_offset.to_be_bytes());
        if self.version == 3 {
            bytes.extend_from_slice(&self.incompatible.to_be_bytes());
            bytes.extend_from_slice(&self.compatible.to_be_bytes());
            bytes.extend_from_slice(&self.autoclear.to_be_bytes());
            bytes.extend_from_slice(&self.refcount_order.to_be_bytes());
            bytes.extend_from_slice(&V3_LENGTH.to_be_bytes());
            bytes.extend_from_slice(&[self.compression, 0, 0, 0, 0, 0, 0, 0]);
        }
        if let Some(format) = self
            .backing_format
            .as_ref()
            .filter(|_| self.backing.is_some())
        {
            extend(&mut bytes, BACKING_FORMAT, format.as_bytes());
        }
        // The smallest clusters have no space for them.
        if self.version == 3 && self.cluster_bits > 9 {
            extend(&mut bytes, FEATURE_NAMES, &feature_names());
        }
        if let Some(directory) = self.bitmaps {
            let mut data = [0; 24];
            data[..4].copy_from_slice(&directory.count.to_be_bytes());
            data[8..16].copy_from_slice(&directory.size.to_be_bytes());
            data[16..].copy_from_slice(&directory.offset.to_be_bytes());
            extend(&mut bytes, BITMAPS, &data);
        }
        for (kind, data) in &self.unknown {
            extend(&mut bytes, *kind, data);
        }
        extend(&mut bytes, 0, &[]);
        bytes
    }

    #[allow(missing_docs)]
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// How many entries an L2 table has, of two to the power of this.
    pub(super) fn l2_bits(&self) -> u32 {
        self.cluster_bits - 3
    }

    /// How many entries the L1 table of a disk of that size has.
    pub(super) fn l1_entries_for(&self, size: u64) -> u64 {
        size.div_ceil(1 << (self.cluster_bits + self.l2_bits()))
    }

    #[allow(missing_docs)]
    pub fn has_lazy_refcounts(&self) -> bool {
        self.compatible & LAZY_REFCOUNTS != 0
    }

    pub(super) fn set_lazy_refcounts(&mut self) {
        self.compatible |= LAZY_REFCOUNTS;
    }

    /// Whether the image is known to be damaged.
    pub fn is_corrupt(&self) -> bool {
        self.incompatible & CORRUPT != 0
    }

    /// How clusters are compressed.
    pub fn compression(&self) -> Qcow2CompressionType {
        match self.compression {
            1 => Qcow2CompressionType::Zstd,
            _ => Qcow2CompressionType::Zlib,
        }
    }
}

fn extend(bytes: &mut Vec<u8>, kind: u32, data: &[u8]) {
    bytes.extend_from_slice(&kind.to_be_bytes());
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().div_ceil(8) * 8, 0);
}

fn feature_names() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, bit, name) in NAMES {
        let end = bytes.len() + 48;
        bytes.extend_from_slice(&[kind, bit]);
        bytes.extend_from_slice(name.as_bytes());
        bytes.resize(end, 0);
    }
    bytes
}
