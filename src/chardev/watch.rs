//! The watches of a chardev (QEMU's `chr->gsource`).
//!
//! A backend names what it waits for, its *slot*, and sets, replaces or clears the watch of
//! that slot with [`chr_set_watch`](super::chr_set_watch). The chardev owns its watches:
//! they go with it, so a backend need not clear them in `finalize`.

use crate::main_loop::WatchId;

/// The reason for which a chardev waits. It has at most one watch for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WatchSlot {
    /// Input, or a step of a handshake.
    Read,
    /// The end of the connection.
    Hangup,
    /// Input that the backend has read and the front end could not take yet.
    Rest,
    /// Room for output that the backend holds back itself.
    Write,
    /// A client at the door.
    Accept,
    /// The end of an attempt to connect.
    Connect,
}

/// A chardev's watches, by slot.
#[derive(Debug, Default)]
pub(super) struct Watches([Option<WatchId>; SLOTS]);

const SLOTS: usize = WatchSlot::Connect as usize + 1;

impl Watches {
    pub(super) fn take(&mut self, slot: WatchSlot) -> Option<WatchId> {
        self.0[slot as usize].take()
    }

    /// Enters the watch of a slot that has none.
    pub(super) fn put(&mut self, slot: WatchSlot, watch: WatchId) {
        self.0[slot as usize] = Some(watch);
    }

    pub(super) fn into_ids(self) -> impl Iterator<Item = WatchId> {
        self.0.into_iter().flatten()
    }

    pub(super) fn has(&self, slot: WatchSlot) -> bool {
        self.0[slot as usize].is_some()
    }
}
