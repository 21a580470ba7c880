//! How often each cluster of an image is used. A cluster without users is free.
//!
//! Counts are written before what they count, so an image whose program was killed has lost
//! clusters at worst, and never one with two owners.

use std::collections::HashMap;
use std::io;

use nix::errno::Errno;

use super::super::bytes::Bytes;
use super::fields::{table, table_bytes, to_index};
use crate::schema::BlkdebugEvent;

/// How many blocks of counts are kept in memory.
const KEPT_BLOCKS: usize = 256;

/// The counts of an image.
#[derive(Debug)]
pub(super) struct Refcounts {
    cluster_bits: u32,
    order: u32,
    /// Where the blocks of counts are.
    table: Vec<u64>,
    /// Blocks by their place in the table.
    blocks: HashMap<u64, Vec<u8>>,
    /// No cluster before this one is free.
    first_free: u64,
    /// Whether the table has moved, which the header does not know yet.
    pub(super) moved: Option<(u64, u32)>,
    offset: u64,
}

impl Refcounts {
    pub(super) fn new(cluster_bits: u32, order: u32, offset: u64, table: Vec<u64>) -> Self {
        Refcounts {
            cluster_bits,
            order,
            table,
            blocks: HashMap::new(),
            first_free: 0,
            moved: None,
            offset,
        }
    }

    pub(super) fn read(
        file: &mut dyn Bytes,
        cluster_bits: u32,
        order: u32,
        offset: u64,
        clusters: u32,
    ) -> io::Result<Self> {
        let mut bytes = vec![0; to_index(u64::from(clusters) << cluster_bits)];
        file.read(offset, &mut bytes)?;
        Ok(Self::new(cluster_bits, order, offset, table(&bytes)))
    }

    fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// How many counts a block has.
    fn per_block(&self) -> u64 {
        (self.cluster_size() * 8) >> self.order
    }

    fn max(&self) -> u64 {
        match self.order {
            6 => i64::MAX.unsigned_abs(),
            order => (1 << (1_u64 << order)) - 1,
        }
    }

    /// The block of counts at a place of the table, if there is one.
    fn block(&mut self, file: &mut dyn Bytes, index: u64) -> io::Result<Option<&mut Vec<u8>>> {
        let entry = self.table.get(to_index(index)).copied().unwrap_or(0) & !511;
        if entry == 0 {
            return Ok(None);
        }
        if entry & (self.cluster_size() - 1) != 0 {
            return Err(Errno::EIO.into());
        }
        if !self.blocks.contains_key(&index) {
            if self.blocks.len() >= KEPT_BLOCKS {
                self.blocks.clear();
            }
            let mut bytes = vec![0; to_index(self.cluster_size())];
            file.happens(BlkdebugEvent::RefblockLoad);
            file.read(entry, &mut bytes)?;
            self.blocks.insert(index, bytes);
        }
        Ok(self.blocks.get_mut(&index))
    }

    /// How often a cluster is used.
    pub(super) fn get(&mut self, file: &mut dyn Bytes, cluster: u64) -> io::Result<u64> {
        let (order, per_block) = (self.order, self.per_block());
        let block = self.block(file, cluster / per_block)?;
        Ok(block.map_or(0, |block| count(block, order, cluster % per_block)))
    }

    /// Changes the counts of clusters.
    pub(super) fn add(
        &mut self,
        file: &mut dyn Bytes,
        first: u64,
        clusters: u64,
        delta: i64,
    ) -> io::Result<()> {
        let per_block = self.per_block();
        let end = first + clusters;
        let mut at = first;
        while at < end {
            let index = at / per_block;
            let stop = end.min((index + 1) * per_block);
            let changed = self.add_in_block(file, index, at % per_block, stop - at, delta);
            if changed.is_err() {
                self.blocks.remove(&index);
            }
            changed?;
            at = stop;
        }
        if delta < 0 {
            self.first_free = self.first_free.min(first);
        }
        Ok(())
    }

    fn add_in_block(
        &mut self,
        file: &mut dyn Bytes,
        index: u64,
        first: u64,
        clusters: u64,
        delta: i64,
    ) -> io::Result<()> {
        let (order, max) = (self.order, self.max());
        let offset = self.table[to_index(index)] & !511;
        let block = self.block(file, index)?.ok_or(Errno::EIO)?;
        for at in first..first + clusters {
            let new = count(block, order, at).checked_add_signed(delta);
            let new = new.filter(|new| *new <= max).ok_or(Errno::EINVAL)?;
            set_count(block, order, at, new);
        }
        let from = (first << order) / 8;
        let end = ((first + clusters) << order).div_ceil(8);
        file.happens(BlkdebugEvent::RefblockUpdatePart);
        file.write(offset + from, &block[to_index(from)..to_index(end)])
    }

    /// Makes a block of counts in a free cluster, which another block counts or this one.
    fn make_block(&mut self, file: &mut dyn Bytes, index: u64, cluster: u64) -> io::Result<()> {
        if index >= self.table.len() as u64 {
            return self.grow_table(file, index);
        }
        let offset = cluster << self.cluster_bits;
        let mut block = vec![0; to_index(self.cluster_size())];
        let counts_itself = cluster / self.per_block() == index;
        if counts_itself {
            set_count(&mut block, self.order, cluster % self.per_block(), 1);
        }
        file.write(offset, &block)?;
        if !counts_itself {
            self.add(file, cluster, 1, 1)?;
        }
        file.write(self.offset + index * 8, &offset.to_be_bytes())?;
        self.table[to_index(index)] = offset;
        self.blocks.insert(index, block);
        Ok(())
    }

    /// Makes a longer table, with a block behind the end of the old one that counts itself
    /// and the table.
    fn grow_table(&mut self, file: &mut dyn Bytes, index: u64) -> io::Result<()> {
        let old = (
            self.offset,
            (self.table.len() as u64 * 8) >> self.cluster_bits,
        );
        let entries = (index + 1).max(self.table.len() as u64 * 2);
        let clusters = (entries * 8).div_ceil(self.cluster_size());
        if clusters >= self.per_block() {
            return Err(Errno::EFBIG.into());
        }
        // All clusters that a missing block would count are free.
        let offset = (index * self.per_block()) << self.cluster_bits;
        let mut block = vec![0; to_index(self.cluster_size())];
        (0..=clusters).for_each(|at| set_count(&mut block, self.order, at, 1));
        file.write(offset, &block)?;
        let mut table = self.table.clone();
        table.resize(to_index(clusters << self.cluster_bits) / 8, 0);
        table[to_index(index)] = offset;
        self.offset = offset + self.cluster_size();
        file.write(self.offset, &table_bytes(&table))?;
        self.moved = Some((self.offset, u32::try_from(clusters).unwrap_or(u32::MAX)));
        self.table = table;
        self.blocks.insert(index, block);
        self.moved_from(file, old)
    }

    /// Has the header name the new table, whose old clusters are free then.
    fn moved_from(&mut self, file: &mut dyn Bytes, old: (u64, u64)) -> io::Result<()> {
        if let Some((offset, clusters)) = self.moved {
            let mut bytes = [0; 12];
            bytes[..8].copy_from_slice(&offset.to_be_bytes());
            bytes[8..].copy_from_slice(&clusters.to_be_bytes());
            file.write(48, &bytes)?;
        }
        self.add(file, old.0 >> self.cluster_bits, old.1, -1)
    }

    /// Takes free clusters in a row, and returns the offset of the first.
    pub(super) fn allocate(&mut self, file: &mut dyn Bytes, clusters: u64) -> io::Result<u64> {
        file.happens(BlkdebugEvent::ClusterAlloc);
        loop {
            let first = self.find_free(file, clusters)?;
            let Some(missing) = self.missing_block(file, first, clusters)? else {
                self.add(file, first, clusters, 1)?;
                if first == self.first_free {
                    self.first_free = first + clusters;
                }
                return Ok(first << self.cluster_bits);
            };
            self.make_block(file, missing, first)?;
        }
    }

    /// The first block that is missing to count clusters in a row.
    fn missing_block(
        &mut self,
        file: &mut dyn Bytes,
        first: u64,
        clusters: u64,
    ) -> io::Result<Option<u64>> {
        for index in first / self.per_block()..=(first + clusters - 1) / self.per_block() {
            if self.block(file, index)?.is_none() {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn run_of_free(&mut self, file: &mut dyn Bytes, first: u64, most: u64) -> io::Result<u64> {
        let mut run = 0;
        while run < most && self.get(file, first + run)? == 0 {
            run += 1;
        }
        Ok(run)
    }

    fn find_free(&mut self, file: &mut dyn Bytes, clusters: u64) -> io::Result<u64> {
        let mut at = self.first_free;
        while self.get(file, at)? != 0 {
            at += 1;
        }
        self.first_free = at;
        loop {
            let run = self.run_of_free(file, at, clusters)?;
            if run == clusters {
                return Ok(at);
            }
            at += run + 1;
        }
    }
}

fn count(block: &[u8], order: u32, at: u64) -> u64 {
    let bits = 1_usize << order;
    let at = to_index(at);
    if bits < 8 {
        let per_byte = 8 / bits;
        let shift = at % per_byte * bits;
        return u64::from(block[at / per_byte] >> shift) & ((1 << bits) - 1);
    }
    let bytes = bits / 8;
    let part = &block[at * bytes..(at + 1) * bytes];
    part.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

fn set_count(block: &mut [u8], order: u32, at: u64, count: u64) {
    let bits = 1_usize << order;
    let at = to_index(at);
    if bits < 8 {
        let per_byte = 8 / bits;
        let shift = at % per_byte * bits;
        let mask = u8::try_from((1_u32 << bits) - 1).unwrap_or(u8::MAX) << shift;
        let byte = &mut block[at / per_byte];
        let new = u8::try_from(count).unwrap_or(u8::MAX) << shift;
        *byte = *byte & !mask | new & mask;
        return;
    }
    let bytes = bits / 8;
    let all = count.to_be_bytes();
    block[at * bytes..(at + 1) * bytes].copy_from_slice(&all[8 - bytes..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_all_widths() {
        for order in 0..=6 {
            let mut block = [0; 64];
            let max = if order == 0 { 1 } else { 3 };
            set_count(&mut block, order, 3, max);
            set_count(&mut block, order, 4, 1);
            set_count(&mut block, order, 3, 1);
            assert_eq!(count(&block, order, 3), 1, "{order}");
            assert_eq!(count(&block, order, 4), 1, "{order}");
            assert_eq!(count(&block, order, 2), 0, "{order}");
        }
    }
}
