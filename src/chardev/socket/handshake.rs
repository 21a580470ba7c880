//! From a new connection to an open one: which protocols it has, the steps of
//! their handshakes, and whether the peer may come in.
//!
//! ```text
//!   tcp_chr_new_client ─▶ tcp_chr_handshake ─▶ advance ─▶ Opened:    tcp_chr_connect
//!                           ▲ when bytes come    │   ├──▶ Authorize: check_authz, again
//!                           └────── NeedMore ◀───┘   └──▶ Closed:    tcp_chr_disconnect
//! ```
//!
//! The handshakes run in the loop, a step for each piece that comes. So a peer that is slow
//! or stops holds up only the next client of the same chardev.

use std::io;

use super::io::{fill, flush, passes};
use super::stream::{Step, Stream};
use super::{connection, state, tcp_chr_connect, tcp_chr_disconnect, SocketChardev};
use crate::chardev::class::ChardevId;
use crate::chardev::codec::tls::{TlsChannel, TlsCreds, TlsEndpoint};
use crate::chardev::config::{SocketAddress, SocketConfig};
use crate::chardev::host::{label, ChardevHost, ChardevReport};
use crate::chardev::net::filename::connected_filename;
use crate::main_loop::ClockType;
use crate::qapi::error::strerror;
use crate::qapi::Error;
use crate::trace_event;

/// The credentials that a socket asks for, if it does.
///
/// # Errors
///
/// There are none of that id, or they do not fit the socket.
pub(super) fn creds_for<H: ChardevHost>(
    h: &H,
    config: &SocketConfig,
) -> Result<Option<TlsCreds>, Error> {
    let Some(id) = &config.tls_creds else {
        return Ok(None);
    };
    let creds = h.tls_creds(id)?;
    let endpoint = if config.server {
        TlsEndpoint::Server
    } else {
        TlsEndpoint::Client
    };
    if creds.endpoint() != endpoint {
        let name = endpoint.name();
        return Err(Error::new(format!(
            "Expected TLS credentials for a {name} endpoint"
        )));
    }
    let kind = match &config.addr {
        SocketAddress::Inet(_) => None,
        SocketAddress::Fd(_) if config.server => None,
        SocketAddress::Fd(_) => Some("'fd' address type as client"),
        SocketAddress::Unix(_) => Some("'unix' address type"),
        SocketAddress::Vsock { .. } => Some("'vsock' address type"),
    };
    if let Some(kind) = kind {
        return Err(Error::new(format!(
            "'tls_creds' option is incompatible with {kind}"
        )));
    }
    // QEMU lets everybody in then, which cannot be what its user meant.
    if config.tls_authz.is_some() && !creds.verify_peer() {
        return Err(Error::new(
            "'tls_authz' option requires TLS credentials with verify-peer=on",
        ));
    }
    Ok(Some(creds))
}

/// The protocols of a new connection; none on a plain socket.
///
/// # Errors
///
/// A client's server has a name that no certificate can have.
pub(super) fn protocols(s: &SocketChardev) -> Result<Option<Box<Stream>>, Error> {
    if s.tls_creds.is_none() && !s.config.websocket && s.telnet.is_none() {
        return Ok(None);
    }
    let hostname = match &s.config.addr {
        SocketAddress::Inet(inet) if !s.config.server => Some(inet.host.as_str()),
        _ => None,
    };
    let tls = s.tls_creds.as_ref();
    let tls = tls.map(|creds| TlsChannel::new(creds, hostname));
    let stream = Stream::new(tls.transpose()?, s.config.websocket, s.telnet.clone());
    Ok(Some(Box::new(stream)))
}

/// Bytes came on a connection that is not open yet.
pub(super) fn tcp_chr_handshake<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(c) = connection(h, id) else { return };
    match fill(c) {
        Ok(()) => advance(h, id),
        Err(e) => fail(h, id, &e),
    }
}

fn advance<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let now = h.main_loop().clock_get_ns(ClockType::Host) / 1_000_000_000;
    let Some(stream) = stream(h, id) else { return };
    let step = stream.advance(now);
    let _ = flush(h, id);
    match step {
        Ok(Step::NeedMore) => {}
        Ok(Step::Authorize) => match check_authz(h, id) {
            Ok(()) => {
                if let Some(stream) = self::stream(h, id) {
                    stream.admit();
                    // The next layer's bytes may have come with the last of this one.
                    advance(h, id);
                }
            }
            Err(reason) => refuse(h, id, &reason),
        },
        Ok(Step::Opened) => tcp_chr_connect(h, id),
        Ok(Step::Closed) => tcp_chr_disconnect(h, id),
        Err(reason) => refuse(h, id, &reason),
    }
}

fn stream<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut Stream> {
    connection(h, id)?.stream.as_deref_mut()
}

/// Reading failed, or TLS could not read what came.
fn fail<H: ChardevHost>(h: &mut H, id: ChardevId, e: &io::Error) {
    if passes(e) {
        return;
    }
    if stream(h, id).is_some_and(|stream| stream.knows_peer()) {
        tcp_chr_disconnect(h, id);
    } else {
        give_up(h, id, e);
    }
}

/// Whether the peer may come in (`qcrypto_tls_session_check_credentials`).
fn check_authz<H: ChardevHost>(h: &mut H, id: ChardevId) -> Result<(), String> {
    let Some(s) = state(h, id) else { return Ok(()) };
    let Some(authz) = s.config.tls_authz.clone() else {
        return Ok(());
    };
    let name = stream(h, id).and_then(|stream| stream.peer_name());
    let name = name.ok_or("the name in the peer's certificate cannot be read")?;
    trace_event!(tcp_chr_tls_authz, "{authz} is asked about {name}");
    match h.authz_is_allowed(&authz, &name) {
        Ok(true) => Ok(()),
        Ok(false) => Err(format!("{authz} does not let '{name}' in")),
        Err(e) => Err(e.to_string()),
    }
}

/// Ends a connection on which TLS cannot go on.
pub(super) fn give_up<H: ChardevHost>(h: &mut H, id: ChardevId, e: &io::Error) {
    // The alert, so that the peer knows.
    let _ = flush(h, id);
    refuse(h, id, &strerror(e));
}

fn refuse<H: ChardevHost>(h: &mut H, id: ChardevId, reason: &str) {
    if let Some(s) = state(h, id) {
        if let Some(c) = &s.connection {
            let peer = connected_filename(&s.config, &s.addr, &c.ends);
            report(h, id, &peer, reason);
        }
    }
    tcp_chr_disconnect(h, id);
}

/// Reports that TLS failed, in one line; of a client's row of failures only the
/// first.
pub(super) fn report<H: ChardevHost>(h: &mut H, id: ChardevId, peer: &str, reason: &str) {
    let Some(s) = state(h, id) else { return };
    if !s.config.server && std::mem::replace(&mut s.client.reported, true) {
        return;
    }
    let label = label(h, id);
    let text = format!("TLS failed on character device {label} ({peer}): {reason}");
    h.chardev_report(ChardevReport::Error, &text);
}
