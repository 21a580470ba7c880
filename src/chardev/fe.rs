//! The functions for front ends.

use std::io;
use std::os::fd::OwnedFd;

use super::be::send_event;
use super::class::{BackendChange, CharFrontend, CharHandlers, ChardevId, ChrEvent, MAX_FRONTENDS};
use super::host::ChardevHost;
use super::object::object_unparent;
use super::table::{Chardev, FrontendSlot};
use crate::main_loop::{ClockType, Condition, Flow, SharedFd, Watch, WatchId};
use crate::qapi::Error;
use crate::trace_event;

/// Takes a chardev into use (`qemu_chr_fe_init`). To be given back with
/// [`qemu_chr_fe_deinit`].
///
/// # Errors
///
/// `chardev 'x' is already in use`; for a mux, which has room for four,
/// `too many uses of multiplexed chardev 'x' (maximum is 4)`; a chardev that
/// serves several clients, for which there is
/// [`qemu_chr_fe_init_server`].
pub fn qemu_chr_fe_init<H: ChardevHost>(h: &mut H, chr: ChardevId) -> Result<CharFrontend, Error> {
    qemu_chr_check_one_client(h, chr)?;
    qemu_chr_fe_init_server(h, chr)
}

/// Refuses a chardev that serves several clients at once, for users that can
/// have only one.
///
/// # Errors
///
/// It does.
pub fn qemu_chr_check_one_client<H: ChardevHost>(h: &H, chr: ChardevId) -> Result<(), Error> {
    match h.chardevs().get(chr).filter(|chr| chr.serves_clients()) {
        None => Ok(()),
        Some(chr) => Err(Error::new(format!(
            "chardev '{}' serves several clients ('max-clients'), only a monitor can use it",
            chr.label
        ))),
    }
}

/// The same for a front end that has [`CharHandlers::new_client`]: it can use
/// chardevs that serve several clients as well as others.
///
/// # Errors
///
/// As [`qemu_chr_fe_init`], but for the last one.
pub fn qemu_chr_fe_init_server<H: ChardevHost>(
    h: &mut H,
    chr: ChardevId,
) -> Result<CharFrontend, Error> {
    let Some(chardev) = h.chardevs_mut().get_mut(chr) else {
        return Err(Error::new("chardev not found"));
    };
    let max = chardev.class.max_frontends.min(MAX_FRONTENDS);
    let slot = FrontendSlot::new();
    if let Some(tag) = chardev.frontends.iter().position(Option::is_none) {
        chardev.frontends[tag] = Some(slot);
        return Ok(CharFrontend { chr, tag });
    }
    let tag = chardev.frontends.len();
    if tag < max {
        chardev.frontends.push(Some(slot));
        return Ok(CharFrontend { chr, tag });
    }
    let label = &chardev.label;
    Err(Error::new(if max == 1 {
        format!("chardev '{label}' is already in use")
    } else {
        format!("too many uses of multiplexed chardev '{label}' (maximum is {max})")
    }))
}

/// Attaches handlers, or detaches them with `None`
/// (`qemu_chr_fe_set_handlers`).
///
/// With handlers the front end counts as open, and if the backend is open
/// already it is told [`ChrEvent::Opened`] before this returns.
pub fn qemu_chr_fe_set_handlers<H: ChardevHost>(
    h: &mut H,
    fe: CharFrontend,
    handlers: Option<CharHandlers<H>>,
    opaque: u64,
) {
    let is_open = |h: &H| h.chardevs().get(fe.chr).is_some_and(|chr| chr.be_open);
    let was_open = is_open(h);
    attach_quietly(h, fe, handlers, opaque);
    // A backend that opened just now, because of the handlers, has said so.
    if was_open && is_open(h) && handlers.is_some() {
        send_event(h, fe.chr, fe.tag, ChrEvent::Opened);
    }
}

/// Allows `chardev-change` while this front end uses the chardev, or forbids it again with
/// `None`. The function is given the opaque value of the handlers.
pub fn qemu_chr_fe_set_be_change<H: ChardevHost>(
    h: &mut H,
    fe: CharFrontend,
    be_change: Option<BackendChange<H>>,
) {
    let chr = h.chardevs_mut().get_mut(fe.chr);
    if let Some(Some(slot)) = chr.and_then(|chr| chr.frontends.get_mut(fe.tag)) {
        slot.be_change = be_change;
    }
}

/// [`qemu_chr_fe_set_handlers`] without "Opened": a mux or hub hears only of what changes after
/// it was attached.
pub(super) fn attach_quietly<H: ChardevHost>(
    h: &mut H,
    fe: CharFrontend,
    handlers: Option<CharHandlers<H>>,
    opaque: u64,
) {
    let Some(chr) = h.chardevs_mut().get_mut(fe.chr) else {
        return;
    };
    let Some(Some(slot)) = chr.frontends.get_mut(fe.tag) else {
        return;
    };
    (slot.handlers, slot.opaque) = (handlers, opaque);
    slot.open = handlers.is_some();
    (chr.class.chr_update_read_handler)(h, fe.chr, fe.tag);
}

/// Gives the chardev back (`qemu_chr_fe_deinit`); with `delete` the chardev is
/// removed as well, unless it has another front end.
pub fn qemu_chr_fe_deinit<H: ChardevHost>(h: &mut H, fe: CharFrontend, delete: bool) {
    qemu_chr_fe_set_handlers(h, fe, None, 0);
    if let Some(chr) = h.chardevs_mut().get_mut(fe.chr) {
        if let Some(slot) = chr.frontends.get_mut(fe.tag) {
            *slot = None;
        }
        if delete && !chr.is_busy() {
            object_unparent(h, fe.chr);
        }
    }
}

/// Writes output (`qemu_chr_fe_write`). Never blocks.
///
/// The count may be short. A socket without a peer swallows everything, as
/// QEMU's does: the output of a monitor without a client is lost. The log file
/// gets what was taken, and what can never be delivered.
///
/// # Errors
///
/// [`io::ErrorKind::WouldBlock`] if nothing could be taken now;
/// [`qemu_chr_fe_add_watch`] tells when to try again. Any other error is for
/// good: drop the output. If it means that the peer has gone, the end of the
/// connection is reported by the loop soon after, not from inside this call.
pub fn qemu_chr_fe_write<H: ChardevHost>(
    h: &mut H,
    fe: CharFrontend,
    buf: &[u8],
) -> io::Result<usize> {
    qemu_chr_write(h, fe.chr, buf)
}

/// Writes, unless the tap takes the bytes.
pub(super) fn qemu_chr_write<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    buf: &[u8],
) -> io::Result<usize> {
    match h.chardevs().tap().and_then(|tap| tap.write(h, id, buf)) {
        Some(taken) => taken,
        None => chr_write_to_class(h, id, buf),
    }
}

pub(super) fn chr_write_to_class<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    buf: &[u8],
) -> io::Result<usize> {
    let Some(chr) = h.chardevs().get(id) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    trace_event!(chr_write, "{} is given {} bytes", chr.label, buf.len());
    let (chr_write, is_logged) = (chr.class.chr_write, chr.log.is_some());
    let written = loop {
        match chr_write(h, id, buf) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            written => break written,
        }
    };
    if !is_logged && matches!(written, Ok(n) if n == buf.len()) {
        return written;
    }
    let Some(chr) = h.chardevs().get(id) else {
        return written;
    };
    match &written {
        Ok(n) if *n == buf.len() => {}
        Ok(n) => trace_event!(chr_write, "{} took only {n}", chr.label),
        Err(e) => trace_event!(chr_write, "{} took none: {e}", chr.label),
    }
    if let Some(log) = chr.log.clone() {
        let logged = match &written {
            Ok(n) => *n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => 0,
            Err(_) => buf.len(),
        };
        let now = h.main_loop().clock_get_ns(ClockType::Host);
        log.write(now, &buf[..logged]);
    }
    written
}

/// Has `callback` called when output can be taken again
/// (`qemu_chr_fe_add_watch`), or when the connection has broken. The watch is
/// the main loop's: remove it there, or by returning [`Flow::Remove`].
///
/// `None` if the backend has nothing to wait for, for instance because the
/// peer is gone; output is then swallowed anyway.
pub fn qemu_chr_fe_add_watch<H: ChardevHost>(
    h: &mut H,
    fe: CharFrontend,
    condition: Condition,
    callback: impl FnMut(&mut H, Condition) -> Flow + 'static,
) -> Option<WatchId> {
    let fd = watch_fd(h, fe.chr)?;
    let watch = Watch::new("chr_fe_watch", fd, condition, callback);
    Some(h.main_loop_mut().add_watch(watch))
}

/// The descriptor to watch for room in a chardev.
pub(super) fn watch_fd<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<SharedFd> {
    let watch_fd = h.chardevs().get(id)?.class.chr_watch_fd;
    watch_fd(h, id)
}

/// Takes the descriptor that came in with the last message that had one
/// (`qemu_chr_fe_get_msgfd`). Of several in one message it is the first; a
/// newer message's replaces it; it is gone with the connection.
pub fn qemu_chr_fe_get_msgfd<H: ChardevHost>(h: &mut H, fe: CharFrontend) -> Option<OwnedFd> {
    let get_msgfd = h.chardevs().get(fe.chr)?.class.chr_get_msgfd;
    let fd = get_msgfd(h, fe.chr);
    if fd.is_some() {
        if let Some(tap) = h.chardevs().tap() {
            tap.descriptor(fe.chr);
        }
    }
    fd
}

/// Whether a terminal echoes what is typed (`qemu_chr_fe_set_echo`).
pub fn qemu_chr_fe_set_echo<H: ChardevHost>(h: &mut H, fe: CharFrontend, echo: bool) {
    if let Some(chr) = h.chardevs().get(fe.chr) {
        (chr.class.chr_set_echo)(h, fe.chr, echo);
    }
}

/// Says whether the front end is open (`qemu_chr_fe_set_open`); attaching
/// handlers has said so already.
pub fn qemu_chr_fe_set_open<H: ChardevHost>(h: &mut H, fe: CharFrontend, open: bool) {
    let Some(chr) = h.chardevs_mut().get_mut(fe.chr) else {
        return;
    };
    let Some(Some(slot)) = chr.frontends.get_mut(fe.tag) else {
        return;
    };
    if slot.open != open {
        slot.open = open;
        (chr.class.chr_set_fe_open)(h, fe.chr, open);
    }
}

/// Says that the front end can take input again after `can_read` was 0
/// (`qemu_chr_fe_accept_input`).
pub fn qemu_chr_fe_accept_input<H: ChardevHost>(h: &mut H, fe: CharFrontend) {
    if let Some(chr) = h.chardevs().get(fe.chr) {
        (chr.class.chr_accept_input)(h, fe.chr);
    }
}

/// Whether the peer sees where one write ends and the next begins: datagrams
/// and websocket frames. A front end then should not join its writes.
pub fn qemu_chr_fe_keeps_writes_apart<H: ChardevHost>(h: &H, fe: CharFrontend) -> bool {
    let chr = h.chardevs().get(fe.chr);
    chr.is_some_and(Chardev::keeps_writes_apart)
}

/// Whether a person sits at the terminal that the program was started from, and
/// at the other end of this front end: on standard input and output, by way of a
/// mux too.
pub fn qemu_chr_fe_is_terminal<H: ChardevHost>(h: &H, fe: CharFrontend) -> bool {
    chr_is_terminal(h, fe.chr)
}

pub(super) fn chr_is_terminal<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let chr = h.chardevs().get(id);
    chr.is_some_and(|chr| (chr.class.is_terminal)(h, id))
}

/// The address through which other hosts can reach the front end of a chardev
/// without showing who they are; `None` if none can. For a mux or hub it is that
/// of a chardev it is on.
///
/// That is TCP at any address but a loopback one, whether the chardev listens
/// there or connects to it, unless TLS verifies the peer's certificate.
pub fn qemu_chr_exposed_at<H: ChardevHost>(h: &H, id: ChardevId) -> Option<String> {
    (h.chardevs().get(id)?.class.exposed_at)(h, id)
}

/// Whether the backend is open (`qemu_chr_fe_backend_open`).
pub fn qemu_chr_fe_backend_open<H: ChardevHost>(h: &H, fe: CharFrontend) -> bool {
    h.chardevs().get(fe.chr).is_some_and(|chr| chr.be_open)
}
