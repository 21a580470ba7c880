//! From the backend to the front end: input and events.
//!
//! Each of these can run any code of the host. A backend that goes on
//! afterwards must look its chardev up again.

use super::class::{CharHandlers, ChardevId, ChrEvent, PeerEnd};
use super::host::ChardevHost;
use super::watch::WatchSlot;
use crate::main_loop::Watch;

/// One of the handlers of a front end, copied out, with its opaque value.
#[inline]
pub(super) fn handler<H: ChardevHost, T>(
    h: &H,
    id: ChardevId,
    tag: usize,
    pick: impl FnOnce(&CharHandlers<H>) -> T,
) -> Option<(T, u64)> {
    let fe = h.chardevs().get(id)?.frontends.get(tag)?.as_ref()?;
    Some((pick(fe.handlers.as_ref()?), fe.opaque))
}

/// How many bytes the front end takes now; 0 without one
/// (`qemu_chr_be_can_write`).
pub fn qemu_chr_be_can_write<H: ChardevHost>(h: &H, id: ChardevId) -> usize {
    if let Some(tap) = &h.chardevs().tap {
        if !tap.may_read(h, id) {
            return 0;
        }
    }
    let can_read = handler(h, id, 0, |fe| fe.can_read);
    can_read.map_or(0, |(can_read, opaque)| can_read(h, opaque))
}

/// How many bytes of a new peer's input need no look for descriptors; see
/// [`CharHandlers::safe_start`].
pub(super) fn qemu_chr_be_safe_start<H: ChardevHost>(h: &H, id: ChardevId) -> usize {
    handler(h, id, 0, |fe| fe.safe_start).map_or(0, |(safe_start, _)| safe_start)
}

/// Gives input to the front end (`qemu_chr_be_write`). No more than
/// [`qemu_chr_be_can_write`] said.
pub fn qemu_chr_be_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) {
    if let Some(tap) = h.chardevs().tap() {
        tap.read(h, id, buf);
    }
    if let Some((read, opaque)) = handler(h, id, 0, |fe| fe.read) {
        read(h, opaque, buf);
    }
}

/// Gives the chardev of a new client to the front end of a chardev that
/// serves several ([`ChardevClass::serves_clients`](super::ChardevClass)).
/// The front end takes the client in by attaching another front end to that chardev.
pub fn qemu_chr_be_new_client<H: ChardevHost>(h: &mut H, id: ChardevId, client: ChardevId) {
    if let Some((Some(new_client), opaque)) = handler(h, id, 0, |fe| fe.new_client) {
        new_client(h, opaque, client);
    }
}

/// Whether a peer's connection may be ended, now that its input has: whether
/// all front ends have done what they owe it.
pub fn qemu_chr_be_drained<H: ChardevHost>(h: &H, id: ChardevId, end: PeerEnd) -> bool {
    if let Some(tap) = &h.chardevs().tap {
        if end == PeerEnd::HalfClosed && tap.holds_output(h, id) {
            return false;
        }
    }
    let tags = h.chardevs().get(id).map_or(0, |chr| chr.frontends.len());
    (0..tags)
        .filter_map(|tag| handler(h, id, tag, |fe| fe.drained))
        .all(|(drained, opaque)| drained.is_none_or(|drained| drained(h, opaque, end)))
}

/// Notes that the backend opened or closed, and tells whoever is concerned
/// (`qemu_chr_be_event`).
pub fn qemu_chr_be_event<H: ChardevHost>(h: &mut H, id: ChardevId, event: ChrEvent) {
    let Some(chr) = h.chardevs_mut().get_mut(id) else {
        return;
    };
    match event {
        ChrEvent::Opened => chr.be_open = true,
        ChrEvent::Closed => chr.be_open = false,
        ChrEvent::Break | ChrEvent::MuxIn | ChrEvent::MuxOut => {}
    }
    if h.chardevs().tap().is_none_or(|tap| tap.event(h, id, event)) {
        send_event_to_class(h, id, event);
    }
}

/// Passes an event on to the front end, or to the class that stands in for it.
pub(super) fn send_event_to_class<H: ChardevHost>(h: &mut H, id: ChardevId, event: ChrEvent) {
    match h.chardevs().get(id).and_then(|chr| chr.class.chr_be_event) {
        Some(chr_be_event) => chr_be_event(h, id, event),
        None => send_event(h, id, 0, event),
    }
}

/// Tells one front end.
pub(super) fn send_event<H: ChardevHost>(h: &mut H, id: ChardevId, tag: usize, event: ChrEvent) {
    if let Some((heard, opaque)) = handler(h, id, tag, |fe| fe.event) {
        heard(h, opaque, event);
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
        chr.watches.put(slot, new);
    }
}

/// Whether a chardev waits for something in this slot.
pub fn chr_has_watch<H: ChardevHost>(h: &H, id: ChardevId, slot: WatchSlot) -> bool {
    let chr = h.chardevs().get(id);
    chr.is_some_and(|chr| chr.watches.has(slot))
}

/// Removes all watches of a chardev, such as one that is about to go.
pub(super) fn chr_free_watches<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(chr) = h.chardevs_mut().get_mut(id) else {
        return;
    };
    let watches = std::mem::take(&mut chr.watches);
    for watch in watches.into_ids() {
        h.main_loop_mut().remove_watch(watch);
    }
}
