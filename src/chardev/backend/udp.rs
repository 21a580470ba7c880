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

use super::Backend;
use crate::chardev::be::{chr_set_watch, qemu_chr_be_can_write, qemu_chr_be_write};
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::config::{InetSocketAddress, SocketAddress};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::net::connect::socket_dgram;
use crate::chardev::schema as q;
use crate::chardev::watch::WatchSlot;
use crate::chardev::CHR_READ_BUF_LEN;
use crate::main_loop::{Condition, Flow, SharedFd, Watch};
use crate::qapi::Error;
use crate::trace_event;
use crate::util::qemu_opts::QemuOpts;

struct UdpChardev {
    fd: Rc<OwnedFd>,
    /// How much of the datagram at the head of the queue has been delivered.
    taken: usize,
}

/// Options of the udp backend (QEMU's `ChardevUdp`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UdpConfig {
    /// Where datagrams go to.
    pub remote: InetSocketAddress,
    /// Where they come in.
    pub local: Option<InetSocketAddress>,
}

impl BackendOptions for UdpConfig {
    type Arguments = q::ChardevUdp;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let given = |name| opts.get(name).filter(|v| !v.is_empty());
        let Some(port) = given("port") else {
            return Err(Error::new("chardev: udp: remote port not specified"));
        };
        let remote = InetSocketAddress {
            host: given("host").unwrap_or("localhost").to_owned(),
            port: port.to_owned(),
            ipv4: opts.get_bool("ipv4"),
            ipv6: opts.get_bool("ipv6"),
            ..InetSocketAddress::default()
        };
        let local = match (given("localaddr"), given("localport")) {
            (None, None) => None,
            (host, port) => Some(InetSocketAddress::new(
                host.unwrap_or(""),
                port.unwrap_or("0"),
            )),
        };
        Ok(UdpConfig { remote, local })
    }

    fn from_arguments(arguments: q::ChardevUdp) -> Result<Self, Error> {
        let remote = inet_only(arguments.remote)?;
        if remote.port.is_empty() {
            return Err(Error::new("remote port not specified"));
        }
        let local = arguments.local.map(inet_only).transpose()?;
        Ok(UdpConfig { remote, local })
    }
}

fn inet_only(addr: q::SocketAddressLegacy) -> Result<InetSocketAddress, Error> {
    match addr.into() {
        SocketAddress::Inet(inet) => Ok(inet),
        _ => Err(Error::new("socket type unsupported for datagram")),
    }
}

impl<H: ChardevHost> Backend<H> for UdpConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            keeps_writes_apart: |_| true,
            chr_write: udp_chr_write,
            chr_watch_fd: |h, id| {
                let fd: SharedFd = state(h, id)?.fd.clone();
                Some(fd)
            },
            chr_update_read_handler: |h, id, _| udp_chr_update_read_handler(h, id),
            ..ChardevClass::new(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qmp_chardev_open_udp(h, id, self)?;
        Ok(None)
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut UdpChardev> {
    h.chardevs_mut().state_mut(id)
}

fn qmp_chardev_open_udp<H: ChardevHost>(
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
