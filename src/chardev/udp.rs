//! Datagrams: each write of the front end is one, and what the remote sends is
//! input. There is no connection, so it is never open; a monitor on it has no
//! banner and no prompt, but answers.
//!
//! A datagram larger than what the front end takes stays in the kernel: it is peeked
//! at until its last byte has been taken, so that the descriptor says
//! truthfully whether there is more.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;

use nix::sys::socket::{recv, send, MsgFlags};

use super::be::{qemu_chr_be_can_write, qemu_chr_be_write};
use super::config::UdpConfig;
use super::host::ChardevHost;
use super::net::socket_dgram;
use super::table::{ChardevClass, ChardevId};
use super::watch::{chr_set_watch, WatchSlot};
use super::CHR_READ_BUF_LEN;
use crate::main_loop::{Condition, Flow, SharedFd, Watch};
use crate::qapi::Error;
use crate::trace_event;

struct UdpChardev {
    fd: Rc<OwnedFd>,
    /// How much of the datagram at the head of the queue has been delivered.
    taken: usize,
}

/// The class.
pub(super) fn char_udp_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        chr_write: udp_chr_write,
        chr_watch_fd: |h, id| {
            let fd: SharedFd = state(h, id)?.fd.clone();
            Some(fd)
        },
        chr_update_read_handler: |h, id, _| udp_chr_update_read_handler(h, id),
        ..ChardevClass::new("udp")
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut UdpChardev> {
    h.chardevs_mut().state_mut(id)
}

/// Opens the backend (`qmp_chardev_open_udp`).
pub(super) fn qmp_chardev_open_udp<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &UdpConfig,
) -> Result<(), Error> {
    let state = UdpChardev {
        fd: Rc::new(socket_dgram(&config.remote, config.local.as_ref())?),
        taken: 0,
    };
    h.chardevs_mut().set_state(id, Box::new(state));
    Ok(())
}

fn udp_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    match state(h, id) {
        Some(s) => Ok(send(s.fd.as_raw_fd(), buf, MsgFlags::MSG_NOSIGNAL)?),
        None => Ok(buf.len()),
    }
}

fn udp_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().has_handlers(id);
    let watch = state(h, id).filter(|_| attached).map(|s| {
        let fd: SharedFd = s.fd.clone();
        let watch = Watch::new("udp_chr_read", fd, Condition::IN, move |h, _| {
            udp_chr_read(h, id);
            Flow::Keep
        });
        watch.gate(move |h| qemu_chr_be_can_write(h, id) > 0)
    });
    chr_set_watch(h, id, WatchSlot::Read, watch);
}

fn udp_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let room = qemu_chr_be_can_write(h, id);
    if room == 0 {
        return;
    }
    let mut buf = h.chardevs_mut().take_read_buf(CHR_READ_BUF_LEN);
    if let Some(s) = state(h, id) {
        let fd = s.fd.as_raw_fd();
        // An error is an earlier datagram's that was refused; reading it clears it.
        if let Ok(len) = recv(fd, &mut buf, MsgFlags::MSG_PEEK) {
            let start = s.taken.min(len);
            let end = len.min(start.saturating_add(room));
            s.taken = end;
            if end == len {
                s.taken = 0;
                let _ = recv(fd, &mut [], MsgFlags::empty());
            }
            trace_event!(chr_read, "fd {fd} got {} bytes", end - start);
            if end > start {
                qemu_chr_be_write(h, id, &buf[start..end]);
            }
        }
    }
    h.chardevs_mut().put_read_buf(buf);
}
