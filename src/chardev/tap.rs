//! A tap on the wire between front ends and backends, for test kits.
//!
//! ```text
//!   front end ──write──▶ tap ──▶ backend          front end ◀── tap ◀──read, event── backend
//! ```
//!
//! The tap sees all chardevs of a host. It may keep back what is written and pass it on
//! later with [`chr_write_past_tap`](super::chr_write_past_tap), hide events, and stop reading. Without a tap each of
//! these places costs one comparison.

use std::io;
use std::rc::Rc;

use super::class::{ChardevId, ChrEvent};

/// What a test kit is asked at each place.
pub trait ChardevTap<H> {
    /// A front end writes. None lets the bytes pass; a number tells how many the tap took.
    fn write(&self, h: &mut H, id: ChardevId, buf: &[u8]) -> Option<io::Result<usize>>;

    /// Bytes have come in; the front end gets them next.
    fn read(&self, h: &mut H, id: ChardevId, buf: &[u8]);

    /// Whether bytes may come in at present.
    fn may_read(&self, h: &H, id: ChardevId) -> bool;

    /// The backend opened or closed. Returns whether the front end hears of it; the tap can
    /// tell it later with [`chr_event_past_tap`](super::chr_event_past_tap).
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
