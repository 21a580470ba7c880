//! A tap on the wire between front ends and backends, for test kits.
//!
//! ```text
//!   front end ──write──▶ tap ──▶ backend          front end ◀── tap ◀──read, event── backend
//! ```
//!
//! The tap sees all chardevs of a host. It may keep back what is written and pass it on
//! later with [`chr_write_past_tap`], hide events, and stop reading. Without a tap each of
//! these places costs one comparison.

use std::io;
use std::rc::Rc;

use super::be::send_event_to_class;
use super::class::{ChardevId, ChrEvent};
use super::fe::{chr_write_to_class, watch_fd};
use super::host::ChardevHost;
use crate::main_loop::{Condition, Flow, Watch, WatchId};

/// What a test kit is asked at each place.
pub trait ChardevTap<H> {
    /// A front end writes. None lets the bytes pass; a number tells how many the tap took.
    fn write(&self, h: &mut H, id: ChardevId, buf: &[u8]) -> Option<io::Result<usize>>;

    /// Bytes have come in; the front end gets them next.
    fn read(&self, h: &mut H, id: ChardevId, buf: &[u8]);

    /// Whether bytes may come in at present.
    fn may_read(&self, h: &H, id: ChardevId) -> bool;

    /// The backend opened or closed. Returns whether the front end hears of it; the tap can
    /// tell it later with [`chr_event_past_tap`].
    fn event(&self, h: &mut H, id: ChardevId, event: ChrEvent) -> bool;

    /// Whether the tap keeps back output, so that a connection whose client has sent all must
    /// not end yet.
    fn holds_output(&self, h: &H, id: ChardevId) -> bool;

    /// Whether a server may take its next client.
    fn may_accept(&self, h: &H, id: ChardevId) -> bool;

    /// The front end takes a descriptor that came with the bytes.
    fn descriptor(&self, id: ChardevId);

    /// A client was accepted. Returns whether it is turned away.
    fn turns_away(&self, h: &mut H, id: ChardevId) -> bool;
}

/// A tap, shared with its owner.
pub type SharedTap<H> = Rc<dyn ChardevTap<H>>;

pub(super) fn tap_of<H: ChardevHost>(h: &H) -> Option<SharedTap<H>> {
    h.chardevs().tap.clone()
}

/// Whether the tap, if there is one, lets a server take its next client.
pub(super) fn may_accept<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let tap = h.chardevs().tap.as_ref();
    tap.is_none_or(|tap| tap.may_accept(h, id))
}

/// Whether the tap, if there is one, turns away the client that was just accepted.
pub(super) fn turns_away<H: ChardevHost>(h: &mut H, id: ChardevId) -> bool {
    tap_of(h).is_some_and(|tap| tap.turns_away(h, id))
}

/// Writes to the backend what the tap kept back.
///
/// # Errors
///
/// As [`qemu_chr_fe_write`](super::qemu_chr_fe_write).
pub fn chr_write_past_tap<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    buf: &[u8],
) -> io::Result<usize> {
    chr_write_to_class(h, id, buf)
}

/// Tells the front end of an event that the tap hid.
pub fn chr_event_past_tap<H: ChardevHost>(h: &mut H, id: ChardevId, event: ChrEvent) {
    send_event_to_class(h, id, event);
}

/// Calls back once when the backend takes output again. None if it cannot tell.
pub fn chr_watch_output<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    callback: impl FnOnce(&mut H) + 'static,
) -> Option<WatchId> {
    let fd = watch_fd(h, id)?;
    let mut callback = Some(callback);
    let condition = Condition::OUT | Condition::HUP;
    let watch = Watch::new("chr_tap", fd, condition, move |h: &mut H, _| {
        if let Some(callback) = callback.take() {
            callback(h);
        }
        Flow::Remove
    });
    Some(h.main_loop_mut().add_watch(watch))
}
