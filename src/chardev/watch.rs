//! The watches of a chardev (QEMU's `chr->gsource`).
//!
//! A backend names what it waits for, its *slot*, and sets, replaces or clears the watch of
//! that slot. The chardev owns its watches: they go with it, so a backend need not clear
//! them in `finalize`.

use super::host::ChardevHost;
use super::table::ChardevId;
use crate::main_loop::{Watch, WatchId};

/// What a watch of a chardev waits for. A chardev has one watch of each.
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

/// A chardev's watches: a handful, and set only when something changes.
#[derive(Debug, Default)]
pub(super) struct Watches(Vec<(WatchSlot, WatchId)>);

impl Watches {
    fn take(&mut self, slot: WatchSlot) -> Option<WatchId> {
        let at = self.0.iter().position(|(other, _)| *other == slot)?;
        Some(self.0.swap_remove(at).1)
    }

    pub(super) fn has(&self, slot: WatchSlot) -> bool {
        self.0.iter().any(|(other, _)| *other == slot)
    }
}

/// Has the main loop wait for something on behalf of a chardev, in place of what it waited
/// for in this slot before; with `None`, it waits no more. A chardev that is gone gets no
/// watch.
///
/// A callback that ends its own watch calls this with `None` before it returns
/// [`Flow::Remove`](crate::main_loop::Flow::Remove).
pub fn chr_set_watch<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    slot: WatchSlot,
    watch: Option<Watch<H>>,
) {
    let Some(chr) = h.chardevs_mut().get_mut(id) else {
        return;
    };
    if let Some(old) = chr.watches.take(slot) {
        h.main_loop_mut().remove_watch(old);
    }
    let Some(watch) = watch else { return };
    let new = h.main_loop_mut().add_watch(watch);
    if let Some(chr) = h.chardevs_mut().get_mut(id) {
        chr.watches.0.push((slot, new));
    }
}

/// Whether a chardev waits for something in this slot.
pub fn chr_has_watch<H: ChardevHost>(h: &H, id: ChardevId, slot: WatchSlot) -> bool {
    let chr = h.chardevs().get(id);
    chr.is_some_and(|chr| chr.watches.has(slot))
}

/// Removes all watches of a chardev that is about to go.
pub(super) fn chr_free_watches<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(chr) = h.chardevs_mut().get_mut(id) else {
        return;
    };
    let watches = std::mem::take(&mut chr.watches);
    for (_, watch) in watches.0 {
        h.main_loop_mut().remove_watch(watch);
    }
}
