//! Where the clusters of the disk are in the file: tables of two levels.

use std::io;

use nix::errno::Errno;

use super::super::bytes::Bytes;
use super::fields::{table, table_bytes, to_index};
use super::header::MAX_L1;
use super::Qcow2;
use crate::schema::BlkdebugEvent;

/// The cluster or table has one user, so it may be written where it is.
pub(super) const COPIED: u64 = 1 << 63;
pub(super) const COMPRESSED: u64 = 1 << 62;
/// The cluster is zeros, whatever it has in the file.
pub(super) const ZERO: u64 = 1;
/// The offset in an entry.
pub(super) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// How many L2 tables are kept in memory.
const KEPT_TABLES: usize = 128;

/// Where a piece of the disk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// At this offset of the file.
    Data(u64),
    /// It is zeros.
    Zero,
    /// Not in this image.
    Unallocated,
    /// In a compressed cluster: its offset in the file, and the most bytes it takes.
    Compressed {
        #[allow(missing_docs)]
        offset: u64,
        #[allow(missing_docs)]
        length: u64,
    },
}

impl Qcow2 {
    fn l1_index(&self, guest: u64) -> usize {
        to_index(guest >> (self.header.cluster_bits + self.header.l2_bits()))
    }

    fn l2_index(&self, guest: u64) -> usize {
        let entries = 1_u64 << self.header.l2_bits();
        to_index((guest >> self.header.cluster_bits) % entries)
    }

    /// Checks the offset of a table or cluster.
    fn check_offset(&self, offset: u64) -> io::Result<u64> {
        if offset % self.header.cluster_size() == 0 {
            Ok(offset)
        } else {
            Err(Errno::EIO.into())
        }
    }

    /// An L2 table, read if it is not in memory.
    pub(super) fn l2_table(
        &mut self,
        file: &mut dyn Bytes,
        offset: u64,
    ) -> io::Result<&mut Vec<u64>> {
        self.check_offset(offset)?;
        if !self.l2.contains_key(&offset) {
            if self.l2.len() >= KEPT_TABLES {
                self.l2.clear();
            }
            let mut bytes = vec![0; to_index(self.header.cluster_size())];
            file.happens(BlkdebugEvent::L2Load);
            file.read(offset, &mut bytes)?;
            self.l2.insert(offset, table(&bytes));
        }
        self.l2.get_mut(&offset).ok_or_else(|| Errno::EIO.into())
    }

    /// Where the disk's bytes from an offset on are, and for how many bytes, at most a
    /// length. Bytes behind the end of the disk are of a saved machine.
    ///
    /// # Errors
    ///
    /// A table cannot be read or is damaged.
    pub fn place(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        length: u64,
    ) -> io::Result<(Place, u64)> {
        let bits = self.header.cluster_bits;
        let cluster = self.header.cluster_size();
        let index = self.l2_index(guest);
        let entries = 1_u64 << self.header.l2_bits();
        let in_cluster = guest % cluster;
        // What one table knows.
        let most = length.min(((entries - index as u64) << bits) - in_cluster);
        let l1 = self.l1.get(self.l1_index(guest)).copied().unwrap_or(0) & OFFSET;
        if l1 == 0 {
            return Ok((Place::Unallocated, most));
        }
        let version = self.header.version;
        let table = self.l2_table(file, l1)?;
        let first = place_of(version, bits, table[index]);
        let mut run = cluster - in_cluster;
        if !matches!(first, Place::Compressed { .. }) {
            let mut at = index + 1;
            while run < most && follows(first, place_of(version, bits, table[at]), run + in_cluster)
            {
                run += cluster;
                at += 1;
            }
        }
        let place = match first {
            Place::Data(offset) => Place::Data(self.check_offset(offset)? + in_cluster),
            place => place,
        };
        Ok((place, run.min(most)))
    }

    /// The L2 table for an offset of the disk, which has one user and may be written.
    pub(super) fn own_l2(&mut self, file: &mut dyn Bytes, guest: u64) -> io::Result<u64> {
        let index = self.l1_index(guest);
        if index >= self.l1.len() {
            self.grow_l1(file, index + 1)?;
        }
        let entry = self.l1[index];
        let old = entry & OFFSET;
        if old != 0 && entry & COPIED != 0 {
            return Ok(old);
        }
        let table = match old {
            0 => vec![0; 1 << self.header.l2_bits()],
            old => self.l2_table(file, old)?.clone(),
        };
        let new = self.write_new(file, &table_bytes(&table))?;
        self.l2.insert(new, table);
        let at = self.header.l1_offset + index as u64 * 8;
        file.happens(BlkdebugEvent::L1Update);
        file.write(at, &(new | COPIED).to_be_bytes())?;
        self.l1[index] = new | COPIED;
        if old != 0 {
            self.free(file, old, 1)?;
        }
        Ok(new)
    }

    /// Makes the L1 table longer, in a new place.
    pub(super) fn grow_l1(&mut self, file: &mut dyn Bytes, entries: usize) -> io::Result<()> {
        let mut l1 = self.l1.clone();
        l1.resize(entries, 0);
        let new = self.write_new(file, &table_bytes(&l1))?;
        let old = (self.header.l1_offset, u64::from(self.header.l1_entries) * 8);
        self.l1 = l1;
        self.header.l1_offset = new;
        self.header.l1_entries = u32::try_from(entries).map_err(|_| Errno::EFBIG)?;
        self.write_header(file)?;
        self.free(file, old.0, old.1)
    }

    /// Where a write may go that needs no new cluster, and how many bytes of it.
    pub fn own_place(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        length: u64,
    ) -> io::Result<Option<(u64, u64)>> {
        let bits = self.header.cluster_bits;
        let cluster = self.header.cluster_size();
        let (l1, index) = (self.l1_index(guest), self.l2_index(guest));
        let entry = self.l1.get(l1).copied().unwrap_or(0);
        if entry & COPIED == 0 || entry & OFFSET == 0 {
            return Ok(None);
        }
        let table = self.l2_table(file, entry & OFFSET)?;
        let is_own = |entry: u64| entry & COPIED != 0 && entry & (COMPRESSED | ZERO) == 0;
        let first = table[index];
        if !is_own(first) {
            return Ok(None);
        }
        let host = first & OFFSET;
        let in_cluster = guest % cluster;
        let mut run = cluster - in_cluster;
        let mut at = index + 1;
        while run < length
            && table.get(at).is_some_and(|e| {
                is_own(*e) && e & OFFSET == host + ((at - index) as u64) * (1 << bits)
            })
        {
            run += cluster;
            at += 1;
        }
        Ok(Some((
            self.check_offset(host)? + in_cluster,
            run.min(length),
        )))
    }

    /// How many clusters from one on have to be new for a write of so many, in one table.
    pub(super) fn clusters_to_make(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        most: u64,
    ) -> io::Result<u64> {
        let entries = 1_u64 << self.header.l2_bits();
        let most = most.min(entries - self.l2_index(guest) as u64);
        let cluster = self.header.cluster_size();
        let mut clusters = 1;
        while clusters < most
            && self
                .own_place(file, guest + clusters * cluster, 1)?
                .is_none()
        {
            clusters += 1;
        }
        Ok(clusters)
    }

    /// Takes clusters for a write of whole clusters from an offset on, and returns where
    /// they are and how many. They belong to the disk with [`link`](Self::link).
    ///
    /// # Errors
    ///
    /// There is no space, or the file cannot be written.
    pub fn make_room(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        clusters: u64,
    ) -> io::Result<(u64, u64)> {
        let clusters = self.clusters_to_make(file, guest, clusters)?;
        self.own_l2(file, guest)?;
        Ok((self.refcounts.allocate(file, clusters)?, clusters))
    }

    /// Gives clusters of [`make_room`](Self::make_room) back that could not be written.
    pub fn unmake_room(&mut self, file: &mut dyn Bytes, host: u64, clusters: u64) {
        let _ = self.free(file, host, clusters << self.header.cluster_bits);
    }

    /// Gives the disk the clusters that were taken for it, in place of those it had.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn link(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        host: u64,
        clusters: u64,
    ) -> io::Result<()> {
        let bits = self.header.cluster_bits;
        let new: Vec<u64> = (0..clusters)
            .map(|n| (host + (n << bits)) | COPIED)
            .collect();
        self.set_entries(file, guest, &new)
    }

    /// Sets entries of one L2 table, and gives back what they named.
    pub(super) fn set_entries(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        new: &[u64],
    ) -> io::Result<()> {
        let offset = self.own_l2(file, guest)?;
        let index = self.l2_index(guest);
        let table = self.l2_table(file, offset)?;
        let places = index..index + new.len();
        let old = table[places.clone()].to_vec();
        table[places].copy_from_slice(new);
        file.happens(BlkdebugEvent::L2Update);
        let written = file.write(offset + index as u64 * 8, &table_bytes(new));
        if written.is_err() {
            // What is in the file counts.
            self.l2.remove(&offset);
        }
        written?;
        for (old, new) in old.into_iter().zip(new) {
            if old & OFFSET != new & OFFSET || old & COMPRESSED != 0 {
                self.count_entry(file, old, -1)?;
            }
        }
        Ok(())
    }

    /// Changes the counts of the clusters that an entry of an L2 table names.
    pub(super) fn count_entry(
        &mut self,
        file: &mut dyn Bytes,
        entry: u64,
        delta: i64,
    ) -> io::Result<()> {
        if entry & COMPRESSED != 0 {
            let (offset, length) = compressed_place(self.header.cluster_bits, entry);
            return self.count(file, offset, length, delta);
        }
        match entry & OFFSET {
            0 => Ok(()),
            offset => self.count(file, offset, 1, delta),
        }
    }

    /// Makes whole clusters zeros, or as if never written, and gives back what they have.
    /// An image of version 2 has no zeros, so `false` is returned if they are needed.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn drop_clusters(
        &mut self,
        file: &mut dyn Bytes,
        guest: u64,
        clusters: u64,
        as_zeros: bool,
    ) -> io::Result<bool> {
        if as_zeros && self.header.version < 3 {
            return Ok(false);
        }
        let entries = 1_u64 << self.header.l2_bits();
        let (mut at, end) = (guest, guest + (clusters << self.header.cluster_bits));
        while at < end {
            let index = self.l2_index(at) as u64;
            let here = ((end - at) >> self.header.cluster_bits).min(entries - index);
            let has_table = self
                .l1
                .get(self.l1_index(at))
                .is_some_and(|e| e & OFFSET != 0);
            if as_zeros || has_table {
                let entry = if as_zeros { ZERO } else { 0 };
                self.set_entries(file, at, &vec![entry; to_index(here)])?;
            }
            at += here << self.header.cluster_bits;
        }
        Ok(true)
    }

    /// Makes the disk larger or smaller.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn set_size(&mut self, file: &mut dyn Bytes, size: u64) -> io::Result<()> {
        let cluster = self.header.cluster_size();
        if self.header.l1_entries_for(size) * 8 > MAX_L1 {
            return Err(Errno::EFBIG.into());
        }
        if size < self.header.size {
            let first = size.div_ceil(cluster) * cluster;
            let end = self.header.size.div_ceil(cluster) * cluster;
            self.drop_clusters(file, first, (end - first) / cluster, false)?;
        }
        let entries = to_index(self.header.l1_entries_for(size));
        if entries > self.l1.len() {
            self.grow_l1(file, entries)?;
        }
        self.header.size = size;
        self.write_header(file)
    }
}

fn place_of(version: u32, bits: u32, entry: u64) -> Place {
    if entry & COMPRESSED != 0 {
        let (offset, length) = compressed_place(bits, entry);
        return Place::Compressed { offset, length };
    }
    if entry & ZERO != 0 && version >= 3 {
        return Place::Zero;
    }
    match entry & OFFSET {
        0 => Place::Unallocated,
        offset => Place::Data(offset),
    }
}

/// Whether a place goes on with the next cluster.
fn follows(first: Place, next: Place, distance: u64) -> bool {
    match (first, next) {
        (Place::Data(first), Place::Data(next)) => next == first + distance,
        (Place::Zero, Place::Zero) | (Place::Unallocated, Place::Unallocated) => true,
        _ => false,
    }
}

/// Where a compressed cluster is, and the most bytes that it takes.
pub(super) fn compressed_place(bits: u32, entry: u64) -> (u64, u64) {
    let split = 62 - (bits - 8);
    let offset = entry & ((1 << split) - 1);
    let sectors = entry >> split & ((1 << (bits - 8)) - 1);
    (offset, (sectors + 1) * 512 - offset % 512)
}
