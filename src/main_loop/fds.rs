//! The table of watched fds.
//!
//! Several watches may share one fd (a chardev reads, writes and waits for
//! hang-up on the same socket), while epoll knows an fd once. So this table
//! merges what the open watches of an fd want, under the fd's number, and both
//! ways of waiting work from it. An entry whose watches or gates changed is put
//! on a list, and only those are looked at again before the next wait.
//!
//! The entry keeps a share of the fd until its last watch goes. It must be taken
//! out of the kernel's set *before* that share is dropped: epoll forgets a
//! closed number by itself only if no duplicate of it is open anywhere, in this
//! process or a child, and otherwise goes on reporting under the old key.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use slab::Slab;

use super::condition::Condition;
use super::watch::SharedFd;
use crate::slots::Key;

/// Which system call waits for an fd when epoll is in use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seat {
    /// None yet, or no watch wants anything of it.
    None,
    /// epoll, registered for this condition.
    Epoll(Condition),
    /// ppoll, because epoll does not take it.
    Ppoll,
}

pub(super) struct FdEntry {
    fd: SharedFd,
    number: RawFd,
    /// The watches on it.
    pub(super) watches: Vec<Key>,
    /// The union of what its open watches want; empty if none is open.
    pub(super) interest: Condition,
    pub(super) seat: Seat,
    pub(super) reports: Reports,
    changed: bool,
}

/// What is known of how the watches of an fd take what epoll reports.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Reports {
    /// The last report was of input and nothing else.
    pub(super) input_only: bool,
    /// A watch has read all of it.
    pub(super) drained: bool,
    /// How many reports in a row were like that.
    pub(super) steady: u8,
    /// The kernel reports changes, not conditions.
    pub(super) is_edge: bool,
}

impl FdEntry {
    pub(super) fn fd(&self) -> &SharedFd {
        &self.fd
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn number(&self) -> RawFd {
        self.number
    }

    /// Whether a watch or its gate has changed since the interest was computed.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }
}

pub(super) struct FdTable {
    entries: Slab<FdEntry>,
    by_number: HashMap<RawFd, usize, BuildHasherDefault<NumberHasher>>,
    changed: Vec<usize>,
    /// Empty lists of watches, kept for their memory: fds come and go.
    spare: Vec<Vec<Key>>,
    /// How many entries have an interest.
    polled: usize,
}

impl FdTable {
    pub(super) fn new() -> Self {
        Self {
            entries: Slab::new(),
            by_number: HashMap::default(),
            changed: Vec::new(),
            spare: Vec::new(),
            polled: 0,
        }
    }

    /// Adds a watch to the entry of its fd. Returns the entry's slot.
    pub(super) fn attach(&mut self, fd: SharedFd, watch: Key) -> usize {
        let number = fd.as_fd().as_raw_fd();
        let (entries, spare) = (&mut self.entries, &mut self.spare);
        let slot = *self.by_number.entry(number).or_insert_with(|| {
            entries.insert(FdEntry {
                fd,
                number,
                watches: spare.pop().unwrap_or_default(),
                interest: Condition::empty(),
                seat: Seat::None,
                reports: Reports::default(),
                changed: false,
            })
        });
        self.entries[slot].watches.push(watch);
        self.mark_changed(slot);
        slot
    }

    /// Takes a watch off the entry of its fd. Returns the entry if that was its
    /// last watch: the caller takes the fd out of the kernel's set, then drops
    /// the entry.
    pub(super) fn detach(&mut self, slot: usize, watch: Key) -> Option<FdEntry> {
        let entry = self.entries.get_mut(slot)?;
        entry.watches.retain(|other| *other != watch);
        if !entry.watches.is_empty() {
            self.mark_changed(slot);
            return None;
        }
        let mut entry = self.entries.remove(slot);
        if self.spare.len() < MAX_SPARE {
            self.spare.push(std::mem::take(&mut entry.watches));
        }
        self.by_number.remove(&entry.number);
        self.polled -= usize::from(!entry.interest.is_empty());
        if entry.changed {
            self.changed.retain(|other| *other != slot);
        }
        Some(entry)
    }

    pub(super) fn mark_changed(&mut self, slot: usize) {
        if let Some(entry) = self.entries.get_mut(slot) {
            if !entry.changed {
                entry.changed = true;
                self.changed.push(slot);
            }
        }
    }

    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Computes the interest of the changed entries again. `wanted` returns
    /// what a watch waits for, or None if it is not open. The slots of the
    /// entries go to `settled`.
    pub(super) fn settle(
        &mut self,
        wanted: impl Fn(Key) -> Option<Condition>,
        settled: &mut Vec<usize>,
    ) {
        for slot in self.changed.drain(..) {
            let entry = &mut self.entries[slot];
            entry.changed = false;
            let mut interest = Condition::empty();
            for watch in &entry.watches {
                if let Some(condition) = wanted(*watch) {
                    interest |= condition | ALWAYS;
                }
            }
            self.polled -= usize::from(!entry.interest.is_empty());
            self.polled += usize::from(!interest.is_empty());
            entry.interest = interest;
            settled.push(slot);
        }
    }

    pub(super) fn get(&self, slot: usize) -> Option<&FdEntry> {
        self.entries.get(slot)
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut FdEntry> {
        self.entries.get_mut(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &FdEntry)> {
        self.entries.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut FdEntry)> {
        self.entries.iter_mut()
    }

    /// The number of fds to wait for.
    pub(super) fn polled(&self) -> usize {
        self.polled
    }
}

/// How many empty lists are kept.
const MAX_SPARE: usize = 8;

/// Hashes numbers of fds. The kernel gives out the lowest that is free, so they need no
/// more than to be spread.
#[derive(Default)]
struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_i32(i32::from(*byte));
        }
    }

    fn write_i32(&mut self, number: i32) {
        let number = u64::from(number.unsigned_abs());
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Reported even if not asked for, as the kernel does.
pub(super) const ALWAYS: Condition = Condition::HUP.with(Condition::ERR);
