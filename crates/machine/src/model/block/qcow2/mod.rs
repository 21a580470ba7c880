//! Images of the format `qcow2`, versions 2 and 3, written from its public specification.
//!
//! Everything is written at once: counts of clusters first, then clusters, then the entries
//! that name them. Nothing but copies of tables is kept in memory.

mod bitmaps;
mod clusters;
mod compressed;
mod create;
mod fields;
mod header;
mod refcounts;
mod snapshots;

use std::collections::HashMap;
use std::io;

use super::bytes::Bytes;
use fields::{table, to_index};
use qmonitor::qapi::Error;
use refcounts::Refcounts;

pub use bitmaps::StoredBitmap;
pub use clusters::Place;
pub use create::NewImage;
pub use header::Header;
pub use snapshots::Snapshot;

/// An image that is open.
#[derive(Debug)]
pub struct Qcow2 {
    /// Its header.
    pub header: Header,
    l1: Vec<u64>,
    /// L2 tables by their offsets.
    l2: HashMap<u64, Vec<u64>>,
    refcounts: Refcounts,
    /// Its internal snapshots, the oldest first.
    pub snapshots: Vec<Snapshot>,
    /// The bytes that the table of snapshots takes.
    snapshots_size: u64,
    /// The bitmaps in it.
    stored: Vec<StoredBitmap>,
}

impl Qcow2 {
    /// Opens an image.
    ///
    /// # Errors
    ///
    /// It is none, is damaged, or wants what is not known here.
    pub fn open(file: &mut dyn Bytes, read_only: bool) -> Result<Self, Error> {
        let header = Header::read(file, read_only)?;
        let refcounts = Refcounts::read(
            file,
            header.cluster_bits,
            header.refcount_order,
            header.reftable_offset,
            header.reftable_clusters,
        );
        let refcounts =
            refcounts.map_err(|e| Error::from_io("Could not initialize refcount handling", &e))?;
        let mut bytes = vec![0; to_index(u64::from(header.l1_entries) * 8)];
        file.read(header.l1_offset, &mut bytes)
            .map_err(|e| Error::from_io("Could not read L1 table", &e))?;
        let mut image = Qcow2 {
            l1: table(&bytes),
            l2: HashMap::new(),
            refcounts,
            snapshots: Vec::new(),
            snapshots_size: 0,
            stored: Vec::new(),
            header,
        };
        image.read_snapshots(file)?;
        image.read_directory(file)?;
        Ok(image)
    }

    /// Writes the header.
    fn write_header(&mut self, file: &mut dyn Bytes) -> io::Result<()> {
        if let Some((offset, clusters)) = self.refcounts.moved.take() {
            self.header.reftable_offset = offset;
            self.header.reftable_clusters = clusters;
        }
        self.header.write(file)
    }

    /// Names another image below, or none, in the header.
    ///
    /// # Errors
    ///
    /// The name is too long, or the file cannot be written.
    pub fn set_backing_file(
        &mut self,
        file: &mut dyn Bytes,
        backing: Option<&str>,
        format: Option<&str>,
    ) -> io::Result<()> {
        if backing.is_some_and(|name| name.len() > 1023) {
            return Err(nix::errno::Errno::EINVAL.into());
        }
        self.header.backing = backing.map(str::to_owned);
        self.header.backing_format = format.map(str::to_owned);
        self.write_header(file)
    }

    /// Takes clusters in a row for a table, and writes it there.
    fn write_new(&mut self, file: &mut dyn Bytes, bytes: &[u8]) -> io::Result<u64> {
        let clusters = (bytes.len() as u64).div_ceil(self.header.cluster_size());
        if clusters == 0 {
            return Ok(0);
        }
        let offset = self.refcounts.allocate(file, clusters)?;
        let mut whole = bytes.to_vec();
        whole.resize(to_index(clusters << self.header.cluster_bits), 0);
        let written = file.write(offset, &whole);
        if written.is_err() {
            let _ = self.free(file, offset, clusters << self.header.cluster_bits);
        }
        written.map(|()| offset)
    }

    /// Gives the clusters back that a piece of the file touches.
    fn free(&mut self, file: &mut dyn Bytes, offset: u64, length: u64) -> io::Result<()> {
        self.count(file, offset, length, -1)
    }

    fn count(
        &mut self,
        file: &mut dyn Bytes,
        offset: u64,
        length: u64,
        delta: i64,
    ) -> io::Result<()> {
        if length == 0 {
            return Ok(());
        }
        let bits = self.header.cluster_bits;
        let first = offset >> bits;
        let end = (offset + length).div_ceil(self.header.cluster_size());
        self.refcounts.add(file, first, end - first, delta)
    }
}
