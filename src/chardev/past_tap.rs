//! What the owner of a [tap](super::ChardevTap) calls: the same functions without it.

use std::io;

use super::be::send_event_to_class;
use super::class::{ChardevId, ChrEvent};
use super::fe::{chr_write_to_class, watch_fd};
use super::host::ChardevHost;
use crate::main_loop::{Condition, Flow, Watch, WatchId};

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
