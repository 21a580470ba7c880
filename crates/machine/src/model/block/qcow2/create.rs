//! New images.

use std::collections::HashMap;
use std::io;

use super::super::bytes::Bytes;
use super::fields::{table_bytes, to_index};
use super::header::Header;
use super::refcounts::Refcounts;
use super::Qcow2;
use qmonitor::qapi::Error;

/// What a new image is to be like; the defaults are those of `qemu-img create`.
#[derive(Debug, Clone)]
pub struct NewImage {
    /// The size of the disk.
    pub size: u64,
    /// 2 or 3.
    pub version: u32,
    #[allow(missing_docs)]
    pub cluster_size: u64,
    #[allow(missing_docs)]
    pub refcount_bits: u64,
    /// The file of the image below, and its format.
    pub backing: Option<String>,
    #[allow(missing_docs)]
    pub backing_format: Option<String>,
    #[allow(missing_docs)]
    pub lazy_refcounts: bool,
    /// Whether all clusters have their place from the beginning.
    pub preallocated: bool,
}

impl NewImage {
    /// An image with the defaults.
    pub fn new(size: u64) -> Self {
        NewImage {
            size,
            version: 3,
            cluster_size: 65536,
            refcount_bits: 16,
            backing: None,
            backing_format: None,
            lazy_refcounts: false,
            preallocated: false,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let refuse = |text: &'static str| Err(Error::new(text));
        if !self.cluster_size.is_power_of_two() || !(512..=2 << 20).contains(&self.cluster_size) {
            return refuse("Cluster size must be a power of two between 512 and 2048k");
        }
        if self.preallocated && self.backing.is_some() {
            return refuse(
                "Backing file and preallocation can only be used at the same time if extended_l2 \
                 is enabled",
            );
        }
        if self.version < 3 && self.lazy_refcounts {
            return refuse(
                "Lazy refcounts only supported with compatibility level 1.1 and above (use \
                 version=v3 or greater)",
            );
        }
        if !self.refcount_bits.is_power_of_two() || self.refcount_bits > 64 {
            return refuse("Refcount width must be a power of two and may not exceed 64 bits");
        }
        if self.version < 3 && self.refcount_bits != 16 {
            return refuse(
                "Different refcount widths than 16 bits require compatibility level 1.1 or above \
                 (use version=v3 or greater)",
            );
        }
        if self.backing_format.is_some() && self.backing.is_none() {
            return refuse("Backing format cannot be used without backing file");
        }
        Ok(())
    }
}

impl Qcow2 {
    /// Makes an image in a file and opens it. What the file had is gone.
    ///
    /// # Errors
    ///
    /// The wishes contradict each other, or the file cannot be written.
    pub fn create(file: &mut dyn Bytes, new: &NewImage) -> Result<Self, Error> {
        new.check()?;
        let mut header = Header::new(new.version, new.cluster_size.trailing_zeros(), new.size);
        header.refcount_order = new.refcount_bits.trailing_zeros();
        header.backing.clone_from(&new.backing);
        header.backing_format.clone_from(&new.backing_format);
        if new.lazy_refcounts {
            header.set_lazy_refcounts();
        }
        let entries = header.l1_entries_for(new.size);
        if entries * 8 > 32 << 20 {
            return Err(Error::new(format!(
                "The image size is too large for file format 'qcow2' with cluster size {} (try \
                 using a larger cluster size)",
                new.cluster_size
            )));
        }
        let made = Self::write_empty(file, header, entries);
        let mut image = made.map_err(|e| Error::from_io("Could not write qcow2 header", &e))?;
        if new.preallocated {
            let done = image.preallocate(file);
            done.map_err(|e| Error::from_io("Could not preallocate metadata", &e))?;
        }
        Ok(image)
    }

    fn write_empty(file: &mut dyn Bytes, mut header: Header, entries: u64) -> io::Result<Self> {
        let cluster = header.cluster_size();
        header.reftable_offset = cluster;
        header.reftable_clusters = 1;
        // The table is in the second cluster, and the first block of counts is in the third.
        let mut counts = vec![0; to_index(cluster / 8)];
        counts[0] = 2 * cluster;
        file.write(cluster, &table_bytes(&counts))?;
        file.zero(2 * cluster, cluster)?;
        let (bits, order) = (header.cluster_bits, header.refcount_order);
        let mut image = Qcow2 {
            refcounts: Refcounts::new(bits, order, cluster, counts),
            header,
            l1: vec![0; to_index(entries)],
            l2: HashMap::new(),
            snapshots: Vec::new(),
            snapshots_size: 0,
            stored: Vec::new(),
        };
        image.refcounts.add(file, 0, 3, 1)?;
        // A disk of no size has an L1 table as well.
        let l1 = table_bytes(&image.l1);
        let l1 = if l1.is_empty() { vec![0; 8] } else { l1 };
        image.header.l1_offset = image.write_new(file, &l1)?;
        image.header.l1_entries = u32::try_from(l1.len() / 8).unwrap_or(u32::MAX);
        image.l1.resize(l1.len() / 8, 0);
        image.write_header(file)?;
        Ok(image)
    }

    /// Gives all clusters their place.
    fn preallocate(&mut self, file: &mut dyn Bytes) -> io::Result<()> {
        let cluster = self.header.cluster_size();
        let mut at = 0;
        while at < self.header.size {
            let clusters = (self.header.size - at).div_ceil(cluster);
            let (host, made) = self.make_room(file, at, clusters)?;
            self.link(file, at, host, made)?;
            at += made * cluster;
            let end = host + made * cluster;
            if file.length() < end {
                file.set_length(end)?;
            }
        }
        Ok(())
    }
}
