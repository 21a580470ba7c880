//! Ends that no peer and no user asked for: what a test kit does to a socket.

use std::os::fd::AsFd;

use nix::libc::linger;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{self, sockopt};

use super::{connection, state, tcp_chr_disconnect, tcp_chr_unlisten};
use crate::chardev::be::qemu_chr_be_drained;
use crate::chardev::class::{ChardevId, PeerEnd};
use crate::chardev::host::ChardevHost;

/// Ends a connection at once. With `reset` a TCP peer sees it reset.
pub fn char_socket_cut<H: ChardevHost>(h: &mut H, id: ChardevId, reset: bool) {
    if let Some(c) = connection(h, id) {
        if reset {
            let at_once = linger {
                l_onoff: 1,
                l_linger: 0,
            };
            // Other families than TCP have no reset.
            let _ = socket::setsockopt(&c.fd.as_fd(), sockopt::Linger, &at_once);
        }
        tcp_chr_disconnect(h, id);
    }
}

/// Closes the listening socket of a server, so that further clients are refused. A
/// connection goes on.
pub fn char_socket_close_listener<H: ChardevHost>(h: &mut H, id: ChardevId) {
    tcp_chr_unlisten(h, id);
    if let Some(s) = state(h, id) {
        s.listener = None;
    }
}

/// Takes no further clients; those that connect wait.
pub fn char_socket_stop_accepting<H: ChardevHost>(h: &mut H, id: ChardevId) {
    tcp_chr_unlisten(h, id);
}

/// Ends a connection whose peer is gone for good, if nothing that the front end owes keeps it.
/// Returns whether it did. The loop does so by itself, but it gives the front end some time to
/// read on; this is for those who know that it will not.
pub fn char_socket_end_if_gone<H: ChardevHost>(h: &mut H, id: ChardevId) -> bool {
    let Some(c) = connection(h, id) else {
        return false;
    };
    let mut fds = [PollFd::new(c.fd.as_fd(), PollFlags::empty())];
    let hung_up = matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..));
    let ends = hung_up && qemu_chr_be_drained(h, id, PeerEnd::Gone);
    if ends {
        tcp_chr_disconnect(h, id);
    }
    ends
}
