//! Internal snapshots: copies of the L1 table, and with it of the disk.
//!
//! A snapshot shares clusters with the disk, so they are counted once more; what has several
//! users is copied before it is written.

use std::io;

use nix::errno::Errno;

use super::super::bytes::Bytes;
use super::clusters::{COMPRESSED, COPIED, OFFSET};
use super::fields::{be16, be32, be64, table, table_bytes, to_index};
use super::Qcow2;

/// Largest L1 table of a snapshot that is read.
const MAX_L1: u64 = 32 << 20;

/// An internal snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its number, as a text.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, in seconds and nanoseconds.
    pub date: (u32, u32),
    /// The machine's clock then, in nanoseconds.
    pub vm_clock: u64,
    /// How many bytes of a saved machine it has.
    pub vm_state_size: u64,
    /// How many instructions had been executed, if they were counted.
    pub icount: Option<u64>,
    /// The size of the disk.
    pub disk_size: u64,
    l1_offset: u64,
    l1_entries: u32,
    /// What other programs keep with it.
    extra: Vec<u8>,
}

impl Snapshot {
    fn read(bytes: &[u8], disk_size: u64) -> Option<(Self, usize)> {
        let (id, name) = (usize::from(be16(bytes, 12)), usize::from(be16(bytes, 14)));
        let extra = be32(bytes, 36) as usize;
        let end = 40 + extra + id + name;
        let text = |at: usize, length: usize| {
            let bytes = bytes.get(at..at + length)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        };
        let has = |at: usize| (extra >= at + 8).then(|| be64(bytes, 40 + at));
        let snapshot = Snapshot {
            id: text(40 + extra, id)?,
            name: text(40 + extra + id, name)?,
            date: (be32(bytes, 16), be32(bytes, 20)),
            vm_clock: be64(bytes, 24),
            vm_state_size: has(0).unwrap_or(u64::from(be32(bytes, 32))),
            disk_size: has(8).unwrap_or(disk_size),
            icount: has(16).filter(|count| *count != u64::MAX),
            l1_offset: be64(bytes, 0),
            l1_entries: be32(bytes, 8),
            extra: bytes.get(64..40 + extra).unwrap_or(&[]).to_vec(),
        };
        Some((snapshot, end.div_ceil(8) * 8))
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let length = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
        bytes.extend_from_slice(&self.l1_offset.to_be_bytes());
        bytes.extend_from_slice(&self.l1_entries.to_be_bytes());
        bytes.extend_from_slice(&length(self.id.len()));
        bytes.extend_from_slice(&length(self.name.len()));
        bytes.extend_from_slice(&self.date.0.to_be_bytes());
        bytes.extend_from_slice(&self.date.1.to_be_bytes());
        bytes.extend_from_slice(&self.vm_clock.to_be_bytes());
        let small = u32::try_from(self.vm_state_size).unwrap_or(0);
        bytes.extend_from_slice(&small.to_be_bytes());
        let extra = 24 + u32::try_from(self.extra.len()).unwrap_or(0);
        bytes.extend_from_slice(&extra.to_be_bytes());
        bytes.extend_from_slice(&self.vm_state_size.to_be_bytes());
        bytes.extend_from_slice(&self.disk_size.to_be_bytes());
        bytes.extend_from_slice(&self.icount.unwrap_or(u64::MAX).to_be_bytes());
        bytes.extend_from_slice(&self.extra);
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.resize(bytes.len().div_ceil(8) * 8, 0);
    }
}

impl Qcow2 {
    pub(super) fn read_snapshots(
        &mut self,
        file: &mut dyn Bytes,
    ) -> Result<(), qmonitor::qapi::Error> {
        let failed = |e: &io::Error| qmonitor::qapi::Error::from_io("Could not read snapshots", e);
        let mut at = self.header.snapshots_offset;
        let start = at;
        for _ in 0..self.header.snapshots {
            let mut head = [0; 40];
            file.read(at, &mut head).map_err(|e| failed(&e))?;
            let extra = be32(&head, 36) as usize;
            let texts = usize::from(be16(&head, 12)) + usize::from(be16(&head, 14));
            if extra > 1024 {
                return Err(failed(&Errno::EFBIG.into()));
            }
            let mut bytes = vec![0; 40 + extra + texts];
            file.read(at, &mut bytes).map_err(|e| failed(&e))?;
            let read = Snapshot::read(&bytes, self.header.size);
            let (snapshot, length) = read.ok_or_else(|| failed(&Errno::EINVAL.into()))?;
            self.snapshots.push(snapshot);
            at += length as u64;
        }
        self.snapshots_size = at - start;
        Ok(())
    }

    /// Writes the table of snapshots anew, then the header, then gives the old table back.
    fn write_snapshots(&mut self, file: &mut dyn Bytes) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.snapshots.iter().for_each(|s| s.write(&mut bytes));
        let new = self.write_new(file, &bytes)?;
        let old = (self.header.snapshots_offset, self.snapshots_size);
        self.header.snapshots_offset = new;
        self.header.snapshots = u32::try_from(self.snapshots.len()).map_err(|_| Errno::EFBIG)?;
        self.snapshots_size = bytes.len() as u64;
        self.write_header(file)?;
        self.free(file, old.0, old.1)
    }

    /// The snapshot with that number or that name, as a word of a client means either.
    pub fn snapshot(&self, word: &str) -> Option<&Snapshot> {
        let mut list = self.snapshots.iter();
        let by_id = list.find(|s| s.id == word);
        by_id.or_else(|| self.snapshots.iter().find(|s| s.name == word))
    }

    /// Makes a snapshot of the disk as it is, and returns its number.
    ///
    /// # Errors
    ///
    /// There is no space, or the file cannot be written.
    pub fn snapshot_create(
        &mut self,
        file: &mut dyn Bytes,
        name: &str,
        date: (u32, u32),
        vm_clock: u64,
        vm_state_size: u64,
    ) -> io::Result<String> {
        let numbers = self
            .snapshots
            .iter()
            .map(|s| s.id.parse::<u64>().unwrap_or(0));
        let id = (numbers.max().unwrap_or(0) + 1).to_string();
        let l1 = self.l1.clone();
        self.count_tables(file, &l1, 1)?;
        let bytes: Vec<u64> = l1.iter().map(|entry| entry & !COPIED).collect();
        let l1_offset = self.write_new(file, &table_bytes(&bytes))?;
        self.snapshots.push(Snapshot {
            id: id.clone(),
            name: name.to_owned(),
            date,
            vm_clock,
            vm_state_size,
            icount: None,
            disk_size: self.header.size,
            l1_offset,
            l1_entries: self.header.l1_entries,
            extra: Vec::new(),
        });
        let written = self.write_snapshots(file);
        if written.is_err() {
            self.snapshots.pop();
        }
        written?;
        self.renew_copied(file)?;
        Ok(id)
    }

    /// Makes the disk what it was when a snapshot was made.
    ///
    /// # Errors
    ///
    /// There is no such snapshot, or the file cannot be read or written.
    pub fn snapshot_goto(&mut self, file: &mut dyn Bytes, id: &str) -> io::Result<()> {
        let snapshot = self.snapshots.iter().find(|s| s.id == id);
        let snapshot = snapshot.cloned().ok_or(Errno::ENOENT)?;
        if snapshot.disk_size != self.header.size {
            self.set_size(file, snapshot.disk_size)?;
        }
        let mut new = self.read_l1(file, &snapshot)?;
        if new.len() > self.l1.len() {
            self.grow_l1(file, new.len())?;
        }
        new.resize(self.l1.len(), 0);
        self.count_tables(file, &new, 1)?;
        file.write(self.header.l1_offset, &table_bytes(&new))?;
        let old = std::mem::replace(&mut self.l1, new);
        self.count_tables(file, &old, -1)?;
        self.renew_copied(file)
    }

    /// Takes a snapshot away.
    ///
    /// # Errors
    ///
    /// There is no such snapshot, or the file cannot be read or written.
    pub fn snapshot_delete(&mut self, file: &mut dyn Bytes, id: &str) -> io::Result<Snapshot> {
        let at = self.snapshots.iter().position(|s| s.id == id);
        let snapshot = self.snapshots.remove(at.ok_or(Errno::ENOENT)?);
        self.write_snapshots(file)?;
        let l1 = self.read_l1(file, &snapshot)?;
        self.count_tables(file, &l1, -1)?;
        self.free(file, snapshot.l1_offset, l1.len() as u64 * 8)?;
        self.renew_copied(file)?;
        Ok(snapshot)
    }

    fn read_l1(&mut self, file: &mut dyn Bytes, snapshot: &Snapshot) -> io::Result<Vec<u64>> {
        let length = u64::from(snapshot.l1_entries) * 8;
        if length > MAX_L1 {
            return Err(Errno::EFBIG.into());
        }
        let mut bytes = vec![0; to_index(length)];
        file.read(snapshot.l1_offset, &mut bytes)?;
        Ok(table(&bytes))
    }

    /// Changes the counts of all that an L1 table names.
    fn count_tables(&mut self, file: &mut dyn Bytes, l1: &[u64], delta: i64) -> io::Result<()> {
        for entry in l1.iter().map(|entry| entry & OFFSET).filter(|o| *o != 0) {
            let l2 = self.l2_table(file, entry)?.clone();
            // Data in a row is counted at once.
            let mut run = (0, 0);
            for entry in l2 {
                let offset = entry & OFFSET;
                if entry & COMPRESSED != 0 || offset == 0 || offset != run.0 + run.1 {
                    self.count(file, run.0, run.1, delta)?;
                    run = (0, 0);
                }
                if entry & COMPRESSED != 0 {
                    self.count_entry(file, entry, delta)?;
                } else if offset != 0 {
                    let start = if run.1 == 0 { offset } else { run.0 };
                    run = (start, run.1 + self.header.cluster_size());
                }
            }
            self.count(file, run.0, run.1, delta)?;
            self.count(file, entry, 1, delta)?;
            if delta < 0 {
                self.l2.remove(&entry);
            }
        }
        Ok(())
    }

    /// Notes in the tables of the disk which clusters have one user.
    fn renew_copied(&mut self, file: &mut dyn Bytes) -> io::Result<()> {
        for index in 0..self.l1.len() {
            let offset = self.l1[index] & OFFSET;
            if offset == 0 {
                continue;
            }
            let old = self.l2_table(file, offset)?.clone();
            let mut new = old.clone();
            for entry in &mut new {
                if *entry & COMPRESSED == 0 && *entry & OFFSET != 0 {
                    *entry = self.with_copied(file, *entry)?;
                }
            }
            if new != old {
                file.write(offset, &table_bytes(&new))?;
                self.l2.insert(offset, new);
            }
            let entry = self.with_copied(file, self.l1[index])?;
            if entry != self.l1[index] {
                let at = self.header.l1_offset + index as u64 * 8;
                file.write(at, &entry.to_be_bytes())?;
                self.l1[index] = entry;
            }
        }
        Ok(())
    }

    fn with_copied(&mut self, file: &mut dyn Bytes, entry: u64) -> io::Result<u64> {
        let cluster = (entry & OFFSET) >> self.header.cluster_bits;
        let is_own = self.refcounts.get(file, cluster)? == 1;
        Ok(if is_own {
            entry | COPIED
        } else {
            entry & !COPIED
        })
    }

    /// Where bytes of a saved machine are, behind the end of the disk.
    pub fn vm_state_start(&self) -> u64 {
        let entries = self.header.l1_entries_for(self.header.size);
        entries << (self.header.cluster_bits + self.header.l2_bits())
    }
}
