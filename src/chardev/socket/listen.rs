//! The side that listens: the watch on the listener, and the accepting of clients.

use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;

use super::{server, state, tcp_chr_new_client, SocketChardev};
use crate::chardev::be::{chr_has_watch, chr_set_watch};
use crate::chardev::class::ChardevId;
use crate::chardev::host::ChardevHost;
use crate::chardev::watch::WatchSlot;
use crate::main_loop::{ClockType, Condition, Flow, SharedFd, Watch};
use crate::sys::accept;
use crate::trace_event;

/// How long a server pauses when the process has no descriptor left for a new
/// client. The listener stays readable meanwhile and would make the loop spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Watches the listener, if there is one and the chardev has room for a client.
pub(super) fn tcp_chr_listen<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let free = |s: &&mut SocketChardev| match &s.clients {
        Some(clients) => clients.has_room(),
        None => s.connection.is_none(),
    };
    if let Some(tap) = h.chardevs().tap() {
        if !tap.may_accept(h, id) {
            return;
        }
    }
    let Some(s) = state(h, id).filter(free) else {
        return;
    };
    let Some(listener) = &s.listener else {
        return;
    };
    let fd: SharedFd = listener.fd.clone();
    let watch = Watch::new("tcp_chr_accept", fd, Condition::IN, move |h: &mut H, _| {
        tcp_chr_accept(h, id);
        Flow::Keep
    });
    if !chr_has_watch(h, id, WatchSlot::Accept) {
        chr_set_watch(h, id, WatchSlot::Accept, Some(watch));
    }
}

/// Stops watching the listener.
pub(super) fn tcp_chr_unlisten<H: ChardevHost>(h: &mut H, id: ChardevId) {
    chr_set_watch(h, id, WatchSlot::Accept, None);
    let listener = state(h, id).and_then(|s| s.listener.as_mut());
    if let Some(timer) = listener.and_then(|listener| listener.backoff.take()) {
        h.main_loop_mut().timer_free(timer);
    }
}

/// Accepts a client.
pub(super) fn tcp_chr_accept<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id) else { return };
    let serves_clients = s.clients.is_some();
    let Some(listener) = s.listener.as_ref() else {
        return;
    };
    let listener = listener.fd.clone();
    match accept(listener.as_fd()) {
        Ok(fd) => {
            trace_event!(
                tcp_chr_accept,
                "fd {} accepted fd {}",
                listener.as_raw_fd(),
                fd.as_raw_fd()
            );
            let tap = h.chardevs().tap();
            if tap.is_some_and(|tap| tap.turns_away(h, id)) {
                // The next may be refused as well.
                tcp_chr_unlisten(h, id);
                tcp_chr_listen(h, id);
            } else if serves_clients {
                server::add(h, id, Rc::new(fd));
            } else {
                tcp_chr_new_client(h, id, Rc::new(fd));
            }
        }
        Err(e) => match e.raw_os_error().map(Errno::from_raw) {
            // The client went away again, or there was none.
            Some(Errno::EAGAIN | Errno::EINTR | Errno::ECONNABORTED) => {}
            _ => accept_backoff(h, id),
        },
    }
}

/// Leaves the listener alone for a moment.
fn accept_backoff<H: ChardevHost>(h: &mut H, id: ChardevId) {
    tcp_chr_unlisten(h, id);
    let main_loop = h.main_loop_mut();
    let timer = main_loop.timer_new(
        ClockType::Realtime,
        "tcp_chr_accept_backoff",
        move |h: &mut H| {
            tcp_chr_unlisten(h, id);
            tcp_chr_listen(h, id);
        },
    );
    main_loop.timer_mod_in(timer, ACCEPT_BACKOFF);
    if let Some(listener) = state(h, id).and_then(|s| s.listener.as_mut()) {
        listener.backoff = Some(timer);
    }
}
