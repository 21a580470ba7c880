//! Ends that no peer and no user asked for: what a test kit does to a socket.

use std::os::fd::AsFd;

use nix::libc::linger;
use nix::sys::socket::{self, sockopt};

use super::{connection, state, tcp_chr_disconnect, tcp_chr_unlisten};
use crate::chardev::class::ChardevId;
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
