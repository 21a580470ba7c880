//! Bytes over a connected socket: watching, reading and writing.
//!
//! ```text
//!   recv ──▶ TLS off ──▶ websocket frames off ──▶ telnet commands out ──▶ front end
//!   send ◀── TLS around ◀── websocket frame around ◀───────────────────── front end
//! ```
//!
//! # Two watches on one connection
//!
//! `tcp_chr_read` runs only while the front end can take input; a peer that goes
//! meanwhile is noticed by `tcp_chr_hup`. The end of the stream (a half close)
//! counts as the end of the connection once all input is read. A full close
//! ends it at once if nobody is attached to read what is left; otherwise that
//! is read first, as long as reading goes on: a front end that takes nothing for
//! a while is busy with something, and the next client shall not wait for that.
//! Either is put off while the front end says that it is not done with the peer
//! ([`CharHandlers::drained`](super::CharHandlers::drained)).
//!
//! # Writing never ends a connection
//!
//! A failed write only reports its error, and shuts the connection down if its
//! cause has not done so: what the front end wrote is lost, so nothing may follow
//! it. The loop then reports hang-up, and the connection ends from there: a front
//! end in the middle of a write is never told "Closed" from below.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::sys::socket::{recv, send, MsgFlags};

use super::handshake::{self, has_plain, tcp_chr_tls_handshake};
use super::{
    char_socket_yank, connection, state, tcp_chr_connect, tcp_chr_disconnect, Connection,
    SocketChardev,
};
use crate::chardev::be::{
    qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event, qemu_chr_be_write,
};
use crate::chardev::codec::websocket::{self, FrameDecoder, MAX_REQUEST, REQUEST_END};
use crate::chardev::fe::PeerEnd;
use crate::chardev::host::ChardevHost;
use crate::chardev::table::{ChardevId, ChrEvent};
use crate::chardev::CHR_READ_BUF_LEN;
use crate::main_loop::{ClockType, Condition, Flow, SharedFd, Watch};
use crate::trace_event;

/// What a connection that speaks websocket has besides.
#[derive(Default)]
pub(super) struct Websock {
    /// The request, until it is complete.
    request: Vec<u8>,
    decoder: FrameDecoder,
}

/// Watches the connection: for the handshake; then for input if there
/// is somebody to read it; and for hang-up in any case.
pub(super) fn tcp_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().get(id).is_some_and(|chr| chr.has_handlers());
    let Some(c) = connection(h, id) else { return };
    let watches = [
        c.read_watch.take(),
        c.hup_watch.take(),
        c.plain_watch.take(),
    ];
    let fd: SharedFd = c.fd.clone();
    let open = c.open;
    let always_ready = c.tls.as_ref().map(|tls| tls.always_ready.clone());
    let main_loop = h.main_loop_mut();
    for watch in watches.into_iter().flatten() {
        main_loop.remove_watch(watch);
    }
    let read_watch = if !open {
        let name = "tcp_chr_handshake";
        Some(Watch::new(name, fd.clone(), Condition::IN, move |h, _| {
            tcp_chr_handshake(h, id);
            Flow::Keep
        }))
    } else if attached {
        let watch = Watch::new("tcp_chr_read", fd.clone(), Condition::IN, move |h, _| {
            tcp_chr_read(h, id);
            Flow::Keep
        });
        Some(watch.gate(move |h| qemu_chr_be_can_write(h, id) > 0))
    } else {
        None
    };
    let hup_watch = Watch::new("tcp_chr_hup", fd, Condition::HUP, move |h, _| {
        tcp_chr_hup(h, id);
        Flow::Keep
    });
    let plain_watch = always_ready.filter(|_| open && attached).map(|fd| {
        let watch = Watch::new("tcp_chr_read", fd, Condition::IN, move |h, _| {
            tcp_chr_read(h, id);
            Flow::Keep
        });
        watch.gate(move |h| has_plain(h, id) && qemu_chr_be_can_write(h, id) > 0)
    });
    let read_watch = read_watch.map(|watch| main_loop.add_watch(watch));
    let plain_watch = plain_watch.map(|watch| main_loop.add_watch(watch));
    let hup_watch = main_loop.add_watch(hup_watch);
    if let Some(c) = connection(h, id) {
        c.read_watch = read_watch;
        c.plain_watch = plain_watch;
        c.hup_watch = Some(hup_watch);
    }
}

/// Input, or the end of the stream.
fn tcp_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let len = qemu_chr_be_can_write(h, id).min(CHR_READ_BUF_LEN);
    if len == 0 {
        return;
    }
    let mut buf = h.chardevs_mut().take_read_buf(len);
    if let Some(c) = connection(h, id) {
        let fd = c.fd.as_raw_fd();
        match receive(c, &mut buf[..len]) {
            Ok(0) => tcp_chr_end_of_input(h, id),
            Ok(n) => {
                c.reads += 1;
                trace_event!(tcp_chr_read, "fd {fd} got {n} bytes");
                deliver(h, id, &buf[..n]);
            }
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {
                    // TLS may have had something to answer.
                    let _ = flush(h, id);
                }
                // What TLS could not read: nothing that follows can be trusted.
                io::ErrorKind::InvalidData => handshake::give_up(h, id, &e),
                _ => tcp_chr_end_of_input(h, id),
            },
        }
    }
    h.chardevs_mut().put_read_buf(buf);
}

/// How the peer ended its input, now that it has.
fn peer_end<H: ChardevHost>(h: &H, id: ChardevId) -> PeerEnd {
    let s: Option<&SocketChardev> = h.chardevs().state(id);
    // The hang-up is watched for until there is one.
    match s
        .and_then(|s| s.connection())
        .is_some_and(|c| c.hup_watch.is_none())
    {
        true => PeerEnd::Gone,
        false => PeerEnd::HalfClosed,
    }
}

/// All input is read: ends the connection once the front end is done with it.
fn tcp_chr_end_of_input<H: ChardevHost>(h: &mut H, id: ChardevId) {
    if qemu_chr_be_drained(h, id, peer_end(h, id)) {
        return tcp_chr_disconnect(h, id);
    }
    let Some(c) = connection(h, id) else { return };
    // The end stays readable, so all that is missing is a gate. That TLS has
    // ended is not the socket's to say.
    let fd: SharedFd = match &c.tls {
        Some(tls) => tls.always_ready.clone(),
        None => c.fd.clone(),
    };
    let watches = [c.read_watch.take(), c.plain_watch.take()];
    for watch in watches.into_iter().flatten() {
        h.main_loop_mut().remove_watch(watch);
    }
    let watch = Watch::new("tcp_chr_drained", fd, Condition::IN, move |h: &mut H, _| {
        tcp_chr_disconnect(h, id);
        Flow::Remove
    });
    let watch = watch.gate(move |h| qemu_chr_be_drained(h, id, peer_end(h, id)));
    let watch = h.main_loop_mut().add_watch(watch);
    if let Some(c) = connection(h, id) {
        c.read_watch = Some(watch);
    }
}

fn receive(c: &mut Connection, buf: &mut [u8]) -> io::Result<usize> {
    let fd = c.fd.as_raw_fd();
    if let Some(tls) = &mut c.tls {
        return tls.receive(fd, buf);
    }
    let Some(receiver) = &mut c.receiver else {
        return Ok(recv(fd, buf, MsgFlags::empty())?);
    };
    let (n, received) = receiver.recv(c.fd.as_fd(), buf)?;
    if received.is_some() {
        c.msgfd = received;
    }
    Ok(n)
}

/// Who pings on without reading gets no more answers than this many bytes,
/// which RFC 6455 (5.5.3) allows.
const MAX_UNSENT_PONGS: usize = 64 * 1024;

/// Takes the protocols off and hands the rest to the front end.
fn deliver<H: ChardevHost>(h: &mut H, id: ChardevId, input: &[u8]) {
    let Some(c) = connection(h, id) else { return };
    let Some(websock) = &mut c.websock else {
        return deliver_text(h, id, input);
    };
    let decoded = websock.decoder.decode(input);
    if decoded.closed || c.unsent.len() < MAX_UNSENT_PONGS {
        queue(c, &decoded.replies);
    }
    let _ = flush(h, id);
    deliver_text(h, id, &decoded.text);
    if decoded.closed {
        tcp_chr_disconnect(h, id);
    }
}

fn deliver_text<H: ChardevHost>(h: &mut H, id: ChardevId, input: &[u8]) {
    let telnet = state(h, id).and_then(|s| s.telnet.as_mut());
    let mut stripped = Vec::new();
    let text = match telnet {
        None => input,
        Some(telnet) => {
            let breaks = telnet.decode(input, &mut stripped);
            for _ in 0..breaks {
                qemu_chr_be_event(h, id, ChrEvent::Break);
            }
            &stripped
        }
    };
    if !text.is_empty() {
        qemu_chr_be_write(h, id, text);
    }
}

/// A step of what comes before the connection is open: TLS first, then
/// websocket inside.
pub(super) fn tcp_chr_handshake<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let known = connection(h, id).is_some_and(|c| c.tls.as_ref().is_none_or(|tls| tls.known));
    match known {
        true => tcp_chr_websock_handshake(h, id),
        false => tcp_chr_tls_handshake(h, id),
    }
}

/// Part of a websocket's request, whether there is a front end or not. What
/// comes after the request is not touched yet.
pub(super) fn tcp_chr_websock_handshake<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let now = h.main_loop().clock_get_ns(ClockType::Host) / 1_000_000_000;
    let Some(c) = connection(h, id) else { return };
    let Some(websock) = &mut c.websock else {
        return;
    };
    let fd = c.fd.as_raw_fd();
    let before = websock.request.len();
    websock.request.resize(MAX_REQUEST, 0);
    let room = &mut websock.request[before..];
    let peeked = match &mut c.tls {
        None => recv(fd, room, MsgFlags::MSG_PEEK).map_err(io::Error::from),
        Some(tls) => tls.peek(fd, room),
    };
    websock
        .request
        .truncate(before + *peeked.as_ref().unwrap_or(&0));
    match peeked.map_err(|e| e.kind()) {
        Ok(1..) => {}
        Err(io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
        Ok(0) | Err(_) => return tcp_chr_disconnect(h, id),
    }
    let request = &mut websock.request;
    let end = request
        .windows(REQUEST_END.len())
        .position(|w| w == REQUEST_END);
    let end = end.map_or(request.len(), |end| end + REQUEST_END.len());
    // Take what was looked at, but nothing behind the request.
    match &mut c.tls {
        None => drop(recv(fd, &mut request[before..end], MsgFlags::empty())),
        Some(tls) => drop(tls.plain.drain(..end - before)),
    }
    request.truncate(end);
    if !request.ends_with(REQUEST_END) && request.len() < MAX_REQUEST {
        return;
    }
    match websocket::handshake(&std::mem::take(request), now) {
        Ok(answer) => {
            queue(c, &answer);
            let _ = flush(h, id);
            tcp_chr_connect(h, id);
        }
        Err(answer) => {
            queue(c, &answer);
            let _ = flush(h, id);
            tcp_chr_disconnect(h, id);
        }
    }
}

/// The peer is gone for good. What it sent before is still read if there is
/// somebody to read it; `tcp_chr_read` then meets the end.
fn tcp_chr_hup<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(c) = connection(h, id) else { return };
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let decrypted = c.tls.as_ref().is_some_and(|t| !t.plain.is_empty());
    let input_left = c.read_watch.is_some()
        && (decrypted || matches!(recv(c.fd.as_raw_fd(), &mut [0], flags), Ok(1..)));
    let reads = c.reads;
    if !input_left && qemu_chr_be_drained(h, id, PeerEnd::Gone) {
        return tcp_chr_disconnect(h, id);
    }
    if let Some(watch) = connection(h, id).and_then(|c| c.hup_watch.take()) {
        h.main_loop_mut().remove_watch(watch);
    }
    if input_left {
        wait_for_reads(h, id, reads);
    }
}

/// How long a front end may take nothing of what a peer has left behind.
const HUP_PATIENCE: Duration = Duration::from_millis(20);

/// Ends the connection unless more has been read by then.
fn wait_for_reads<H: ChardevHost>(h: &mut H, id: ChardevId, mut reads: u32) {
    let timer = h
        .main_loop_mut()
        .timer_new(ClockType::Realtime, "tcp_chr_hup", move |h| {
            let drained = qemu_chr_be_drained(h, id, PeerEnd::Gone);
            let Some(c) = connection(h, id) else { return };
            if c.reads == reads && drained {
                return tcp_chr_disconnect(h, id);
            }
            reads = c.reads;
            if let Some(timer) = c.hup_timer {
                h.main_loop_mut().timer_mod_in(timer, HUP_PATIENCE);
            }
        });
    h.main_loop_mut().timer_mod_in(timer, HUP_PATIENCE);
    if let Some(c) = connection(h, id) {
        c.hup_timer = Some(timer);
    }
}

/// Output, in a frame of its own on a websocket. Without a peer it is lost.
pub(super) fn tcp_chr_write<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    buf: &[u8],
) -> io::Result<usize> {
    let written = write_or_fail(h, id, buf);
    if let Err(e) = &written {
        let passes = matches!(
            e.kind(),
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
        );
        if !passes {
            char_socket_yank(h, id);
        }
    }
    written
}

fn write_or_fail<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    let Some(c) = connection(h, id).filter(|c| c.open) else {
        return Ok(buf.len());
    };
    let fd = c.fd.as_raw_fd();
    if c.websock.is_none() && c.tls.is_none() {
        let n = send(fd, buf, MsgFlags::MSG_NOSIGNAL)?;
        trace_event!(tcp_chr_write, "fd {fd} took {n} of {} bytes", buf.len());
        return Ok(n);
    }
    if !flush(h, id)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Some(c) = connection(h, id) else {
        return Ok(buf.len());
    };
    let taken = if c.websock.is_some() {
        // A write is a frame.
        queue(c, &websocket::frame(buf));
        buf.len()
    } else {
        let taken = buf.len().min(handshake::MAX_WRITE);
        queue(c, &buf[..taken]);
        taken
    };
    trace_event!(tcp_chr_write, "fd {fd} took {taken} bytes, wrapped");
    flush(h, id)?;
    Ok(taken)
}

/// Has bytes sent by the next [`flush`], encrypted if need be.
fn queue(c: &mut Connection, bytes: &[u8]) {
    match &mut c.tls {
        Some(tls) => tls.channel.send(bytes),
        None => c.unsent.extend(bytes),
    }
}

/// Sends what there is of frames and records; true if that was all. Otherwise
/// the rest follows when there is room.
pub(super) fn flush<H: ChardevHost>(h: &mut H, id: ChardevId) -> io::Result<bool> {
    let Some(c) = connection(h, id) else {
        return Ok(true);
    };
    if let Some(tls) = &mut c.tls {
        tls.channel.take_output(&mut c.unsent);
    }
    let mut sent = 0;
    while sent < c.unsent.len() {
        match send(c.fd.as_raw_fd(), &c.unsent[sent..], MsgFlags::MSG_NOSIGNAL) {
            Ok(n) => sent += n,
            Err(nix::errno::Errno::EAGAIN) => break,
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    c.unsent.drain(..sent);
    let all = c.unsent.is_empty();
    if all == c.flush_watch.is_none() {
        return Ok(all);
    }
    if let Some(watch) = c.flush_watch.take() {
        h.main_loop_mut().remove_watch(watch);
        return Ok(all);
    }
    let fd: SharedFd = c.fd.clone();
    let watch = Watch::new("tcp_chr_flush", fd, Condition::OUT, move |h: &mut H, _| {
        // An error is a hang-up, which is dealt with elsewhere.
        match flush(h, id) {
            Ok(false) => Flow::Keep,
            Ok(true) | Err(_) => Flow::Remove,
        }
    });
    let watch = h.main_loop_mut().add_watch(watch);
    if let Some(c) = connection(h, id) {
        c.flush_watch = Some(watch);
    }
    Ok(all)
}

/// The descriptor on which a front end may wait for room.
pub(super) fn tcp_chr_watch_fd<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<SharedFd> {
    let c = connection(h, id).filter(|c| c.open)?;
    c.watched_by_frontend = true;
    Some(c.fd.clone())
}
