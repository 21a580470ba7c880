//! TLS on a socket chardev: the handshake, who may come in, and reading.
//!
//! ```text
//!   tcp_chr_new_client ─▶ tcp_chr_tls_init ─▶ tcp_chr_tls_handshake ─▶ authz ─▶ websocket
//!                                              │ each time bytes come   │       request, or
//!                                              ▼                        ▼       tcp_chr_connect
//!                                         reported, tcp_chr_disconnect ◀┘
//! ```
//!
//! The handshake runs in the loop, a step for whatever has come, so a peer that
//! is slow or stops keeps nobody waiting but the next client of the same chardev.
//!
//! # Why there is a second watch
//!
//! Only whole records can be decrypted, so there may be more plain bytes than
//! the front end can take, and nothing left in the socket that would make the loop
//! read again. What is left is handed over by a watch of a descriptor that is
//! always ready, `/dev/null`, behind a gate that is open while there are plain
//! bytes and the front end can take some.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use nix::sys::socket::{recv, MsgFlags};

use super::io::{flush, tcp_chr_handshake, tcp_chr_update_read_handler};
use super::{connection, state, tcp_chr_connect, tcp_chr_disconnect, SocketChardev};
use crate::chardev::codec::tls::TlsChannel;
use crate::chardev::config::SocketAddress;
use crate::chardev::host::{ChardevHost, ChardevReport};
use crate::chardev::table::ChardevId;
use crate::main_loop::SharedFd;
use crate::qapi::error::strerror;
use crate::qapi::Error;
use crate::trace_event;

/// The most bytes of one write that are encrypted before the kernel has taken
/// what came of those before.
pub(super) const MAX_WRITE: usize = 64 * 1024;

/// What a connection that speaks TLS has besides.
pub(super) struct Tls {
    pub(super) channel: TlsChannel,
    /// What was decrypted and not yet taken.
    pub(super) plain: Vec<u8>,
    pub(super) always_ready: SharedFd,
    /// The handshake is done and the peer may come in.
    pub(super) known: bool,
}

impl Tls {
    fn new(s: &SocketChardev) -> Result<Option<Self>, Error> {
        let Some(creds) = &s.tls_creds else {
            return Ok(None);
        };
        let hostname = match &s.config.addr {
            SocketAddress::Inet(inet) if !s.config.server => Some(inet.host.as_str()),
            _ => None,
        };
        let channel = TlsChannel::new(creds, hostname)?;
        let null = File::open("/dev/null").map_err(|e| Error::from_io("/dev/null", &e))?;
        Ok(Some(Tls {
            channel,
            plain: Vec::new(),
            always_ready: Rc::new(null),
            known: false,
        }))
    }

    /// Decrypts what the socket has if nothing else is left; false at the end.
    fn fill(&mut self, fd: RawFd) -> io::Result<bool> {
        if !self.plain.is_empty() {
            return Ok(true);
        }
        if self.channel.has_ended() {
            return Ok(false);
        }
        let mut wire = [0; 16 * 1024];
        let n = recv(fd, &mut wire, MsgFlags::empty())?;
        let received = self.channel.receive(&wire[..n], &mut self.plain);
        received.map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))?;
        Ok(n > 0 && !(self.channel.has_ended() && self.plain.is_empty()))
    }

    /// Looks at plain bytes without taking them; 0 is the end of the stream.
    ///
    /// # Errors
    ///
    /// `WouldBlock` also if a record is not yet complete.
    pub(super) fn peek(&mut self, fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
        if !self.fill(fd)? {
            return Ok(0);
        }
        if self.plain.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = self.plain.len().min(buf.len());
        buf[..n].copy_from_slice(&self.plain[..n]);
        Ok(n)
    }

    /// Takes plain bytes, as `recv` would.
    pub(super) fn receive(&mut self, fd: RawFd, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.peek(fd, buf)?;
        self.plain.drain(..n);
        Ok(n)
    }
}

/// Whether there are bytes, or an end, that the socket does not have any more.
pub(super) fn has_plain<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    let s: Option<&SocketChardev> = h.chardevs().state(id);
    let tls = s.and_then(SocketChardev::tls);
    tls.is_some_and(|tls| !tls.plain.is_empty() || tls.channel.has_ended())
}

/// Begins with TLS on a new connection; a client says its hello.
pub(super) fn tcp_chr_tls_init<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id) else { return };
    let tls = Tls::new(s);
    let Some(c) = connection(h, id) else { return };
    match tls {
        Ok(tls) => c.tls = tls,
        Err(e) => return refuse(h, id, &e.to_string()),
    }
    tcp_chr_update_read_handler(h, id);
    // If it cannot be sent, the loop is about to say that the peer is gone.
    let _ = flush(h, id);
}

/// Part of the handshake.
pub(super) fn tcp_chr_tls_handshake<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(c) = connection(h, id) else { return };
    let fd = c.fd.as_raw_fd();
    let Some(tls) = &mut c.tls else { return };
    let filled = tls.fill(fd);
    let handshaking = tls.channel.is_handshaking();
    let _ = flush(h, id);
    match filled {
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
        Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
        Err(e) => return refuse(h, id, &strerror(&e)),
        Ok(false) if handshaking => return refuse(h, id, "the peer went away"),
        Ok(_) => {}
    }
    if handshaking {
        return;
    }
    if let Err(reason) = check_authz(h, id) {
        return refuse(h, id, &reason);
    }
    let Some(c) = connection(h, id) else { return };
    if let Some(tls) = &mut c.tls {
        tls.known = true;
    }
    match c.websock.is_some() {
        // The request may have come with the end of the handshake.
        true => tcp_chr_handshake(h, id),
        false => tcp_chr_connect(h, id),
    }
}

/// Whether the peer may come in (`qcrypto_tls_session_check_credentials`).
fn check_authz<H: ChardevHost>(h: &mut H, id: ChardevId) -> Result<(), String> {
    let Some(s) = state(h, id) else { return Ok(()) };
    let Some(authz) = s.config.tls_authz.clone() else {
        return Ok(());
    };
    let name = s.tls().and_then(|tls| tls.channel.peer_name());
    let name = name.ok_or("the name in the peer's certificate cannot be read")?;
    trace_event!(tcp_chr_tls_authz, "{authz} is asked about {name}");
    match h.authz_is_allowed(&authz, &name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{authz} does not let '{name}' in")),
        Err(e) => Err(e.to_string()),
    }
}

/// Ends a connection on which something came that TLS could not read.
pub(super) fn give_up<H: ChardevHost>(h: &mut H, id: ChardevId, e: &io::Error) {
    // The alert, so that the peer knows.
    let _ = flush(h, id);
    refuse(h, id, &strerror(e));
}

fn refuse<H: ChardevHost>(h: &mut H, id: ChardevId, reason: &str) {
    report(h, id, reason);
    tcp_chr_disconnect(h, id);
}

/// One line; of a client's row of failures only the first.
fn report<H: ChardevHost>(h: &mut H, id: ChardevId, reason: &str) {
    let Some(s) = state(h, id) else { return };
    if !s.config.server && std::mem::replace(&mut s.client.reported, true) {
        return;
    }
    let peer = connection(h, id).map_or(String::new(), |c| c.filename.clone());
    let label = crate::chardev::table::label(h, id);
    let text = format!("TLS failed on character device {label} ({peer}): {reason}");
    h.chardev_report(ChardevReport::Error, &text);
}

/// Tells the peer that the connection ends.
pub(super) fn tcp_chr_close_tls<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(c) = connection(h, id) else { return };
    let Some(tls) = &mut c.tls else { return };
    tls.channel.close();
    let _ = flush(h, id);
}
