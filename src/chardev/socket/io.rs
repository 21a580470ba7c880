//! Bytes over a connected socket: watching, reading and writing.
//!
//! ```text
//!   socket ──▶ fill ──▶ Stream::receive, read ──▶ deliver ──▶ front end
//!   socket ◀── flush ◀── Stream::send ◀── tcp_chr_write ◀──── front end
//! ```
//!
//! A plain socket has no [`Stream`](super::stream::Stream): its bytes go straight through.
//!
//! # The watches of a connection
//!
//! | slot | runs | while |
//! |---|---|---|
//! | `Read` | `tcp_chr_read` | the front end can take input |
//! | `Rest` | `tcp_chr_read` | it can, and the stream has input that the socket no longer has |
//! | `Hangup` | `tcp_chr_hup` | the peer has not gone yet |
//! | `Write` | `flush` | the kernel had no room for a frame or a record |
//!
//! The end of the stream (a half close) ends the connection once all input is read. A full
//! close ends it at once if no front end reads what is left. Otherwise that is read first,
//! as long as reading goes on: a front end that takes nothing for a while is busy, and the
//! next client must not wait for it. Either is put off while the front end says that it is
//! not done with the peer ([`CharHandlers::drained`](crate::chardev::CharHandlers::drained)).
//!
//! # Writing never ends a connection
//!
//! A failed write only reports its error, and shuts the connection down if its cause has
//! not done so: the front end's bytes are lost, so nothing may follow them. The loop then
//! reports hang-up, and the connection ends from there. So a front end in the middle of a
//! write is never told "Closed" from below.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::sys::socket::{recv, send, MsgFlags};

use super::handshake::{give_up, tcp_chr_handshake};
use super::stream::Input;
use super::{char_socket_yank, connection, tcp_chr_disconnect, Connection, SocketChardev};
use crate::chardev::be::{
    chr_has_watch, chr_set_watch, qemu_chr_be_can_write, qemu_chr_be_drained, qemu_chr_be_event,
    qemu_chr_be_safe_start, qemu_chr_be_write,
};
use crate::chardev::class::{ChardevId, ChrEvent, PeerEnd};
use crate::chardev::host::ChardevHost;
use crate::chardev::scm_rights::Receiver;
use crate::chardev::watch::WatchSlot;
use crate::chardev::CHR_READ_BUF_LEN;
use crate::main_loop::{ClockType, Condition, Flow, SharedFd, Watch};
use crate::trace_event;

/// What one read takes from a socket that speaks a protocol: a whole record of
/// TLS, or nearly.
const WIRE_READ: usize = 16 * 1024;

/// Descriptors that come over a unix socket.
pub(super) struct Rights {
    receiver: Receiver,
    /// The newest.
    pub(super) msgfd: Option<OwnedFd>,
    /// How many of the next bytes need no look for descriptors.
    safe_start: usize,
}

impl Rights {
    pub(super) fn new() -> Self {
        Rights {
            receiver: Receiver::new(),
            msgfd: None,
            safe_start: 0,
        }
    }
}

/// Watches the connection: for the handshake, or for input if a front end reads
/// it; and for hang-up in any case.
pub(super) fn tcp_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().has_handlers(id);
    let safe_start = qemu_chr_be_safe_start(h, id);
    let Some(c) = connection(h, id) else { return };
    if let Some(rights) = c.rights.as_mut().filter(|_| c.reads == 0) {
        rights.safe_start = safe_start;
    }
    let fd: SharedFd = c.fd.clone();
    let (is_open, has_stream) = (c.is_open(), c.stream.is_some());
    let read_watch = if !is_open {
        Some(handshake_watch(id, fd.clone()))
    } else {
        attached.then(|| read_watch(id, fd.clone()))
    };
    chr_set_watch(h, id, WatchSlot::Read, read_watch);
    if has_stream {
        let rest_watch = (is_open && attached).then(|| rest_watch(id));
        chr_set_watch(h, id, WatchSlot::Rest, rest_watch);
    }
    chr_set_watch(h, id, WatchSlot::Hangup, Some(hup_watch(id, fd)));
}

fn handshake_watch<H: ChardevHost>(id: ChardevId, fd: SharedFd) -> Watch<H> {
    let name = "tcp_chr_handshake";
    Watch::new(name, fd, Condition::IN, move |h: &mut H, _| {
        tcp_chr_handshake(h, id);
        Flow::Keep
    })
}

fn read_watch<H: ChardevHost>(id: ChardevId, fd: SharedFd) -> Watch<H> {
    let watch = Watch::new("tcp_chr_read", fd, Condition::IN, move |h: &mut H, _| {
        tcp_chr_read(h, id)
    });
    watch.gate(move |h| qemu_chr_be_can_write(h, id) > 0)
}

fn hup_watch<H: ChardevHost>(id: ChardevId, fd: SharedFd) -> Watch<H> {
    Watch::new("tcp_chr_hup", fd, Condition::HUP, move |h: &mut H, _| {
        tcp_chr_hup(h, id);
        Flow::Keep
    })
}

/// Reads on what was received, or notices its end, without waiting for the socket.
fn rest_watch<H: ChardevHost>(id: ChardevId) -> Watch<H> {
    let has_rest = move |h: &H| {
        let s: Option<&SocketChardev> = h.chardevs().state(id);
        let stream = s.and_then(|s| s.connection.as_ref()?.stream.as_ref());
        stream.is_some_and(|stream| stream.has_input() || stream.has_ended())
    };
    let gate = move |h: &H| has_rest(h) && qemu_chr_be_can_write(h, id) > 0;
    Watch::gate_only("tcp_chr_read", gate, move |h: &mut H| tcp_chr_read(h, id))
}

/// Input, or the end of the stream.
fn tcp_chr_read<H: ChardevHost>(h: &mut H, id: ChardevId) -> Flow {
    let len = qemu_chr_be_can_write(h, id).min(CHR_READ_BUF_LEN);
    if len == 0 {
        return Flow::Keep;
    }
    let mut flow = Flow::Keep;
    let mut buf = h.chardevs_mut().take_read_buf(len);
    if let Some(c) = connection(h, id) {
        let fd = c.fd.as_raw_fd();
        match receive(c, &mut buf[..len]) {
            Ok(None) => tcp_chr_end_of_input(h, id),
            Ok(Some(input)) => {
                c.reads += 1;
                if is_drained(c, len, input.len) {
                    flow = Flow::Drained;
                }
                trace_event!(tcp_chr_read, "fd {fd} got {} bytes", input.len);
                if c.stream.is_some() {
                    // Answers to pings, or TLS's own.
                    let _ = flush(h, id);
                }
                deliver(h, id, &buf[..input.len], input);
            }
            Err(e) if passes(&e) => {
                // TLS may have had something to answer.
                let _ = flush(h, id);
            }
            // TLS could not read it, so nothing behind it can be trusted.
            Err(e) if e.kind() == io::ErrorKind::InvalidData => give_up(h, id, &e),
            Err(_) => tcp_chr_end_of_input(h, id),
        }
    }
    h.chardevs_mut().put_read_buf(buf);
    flow
}

/// Whether a read into that much room, which brought so much, has taken all that was there.
/// The kernel stops at a message with descriptors, and those looked for are still there.
fn is_drained(c: &Connection, room: usize, got: usize) -> bool {
    let rights = c.rights.as_ref();
    got < room
        && c.stream.is_none()
        && rights.is_none_or(|rights| rights.msgfd.is_none() && !rights.receiver.looks())
}

/// Whether an error means no more than to try again later.
pub(super) fn passes(e: &io::Error) -> bool {
    let kind = e.kind();
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Reads bytes for the front end; none at the end of the stream.
fn receive(c: &mut Connection, buf: &mut [u8]) -> io::Result<Option<Input>> {
    let Some(stream) = &c.stream else {
        let len = recv_wire(c, buf)?;
        return Ok((len > 0).then(|| Input::plain(len)));
    };
    if !stream.has_input() && !stream.has_ended() {
        fill(c)?;
    }
    match &mut c.stream {
        Some(stream) if stream.has_input() => Ok(Some(stream.read(buf))),
        Some(stream) if !stream.has_ended() => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(None),
    }
}

/// Has the stream receive what the socket has.
///
/// # Errors
///
/// Those of the socket, and `InvalidData` if TLS cannot go on.
pub(super) fn fill(c: &mut Connection) -> io::Result<()> {
    let mut wire = [0; WIRE_READ];
    let n = recv_wire(c, &mut wire)?;
    let received = match &mut c.stream {
        Some(stream) => stream.receive(&wire[..n]),
        None => Ok(()),
    };
    received.map_err(|reason| io::Error::new(io::ErrorKind::InvalidData, reason))
}

fn recv_wire(c: &mut Connection, buf: &mut [u8]) -> io::Result<usize> {
    let fd = c.fd.as_raw_fd();
    let Some(rights) = &mut c.rights else {
        return Ok(recv(fd, buf, MsgFlags::empty())?);
    };
    let safe = std::mem::take(&mut rights.safe_start);
    let (n, received) = rights.receiver.recv(c.fd.as_fd(), buf, safe)?;
    if received.is_some() {
        rights.msgfd = received;
    }
    Ok(n)
}

/// Hands input to the front end.
fn deliver<H: ChardevHost>(h: &mut H, id: ChardevId, text: &[u8], input: Input) {
    for _ in 0..input.breaks {
        qemu_chr_be_event(h, id, ChrEvent::Break);
    }
    if !text.is_empty() {
        qemu_chr_be_write(h, id, text);
    }
    if input.closed {
        tcp_chr_disconnect(h, id);
    }
}

/// How the peer ended its input.
fn peer_end<H: ChardevHost>(h: &H, id: ChardevId) -> PeerEnd {
    // The hang-up is watched for until there is one.
    if chr_has_watch(h, id, WatchSlot::Hangup) {
        PeerEnd::HalfClosed
    } else {
        PeerEnd::Gone
    }
}

/// All input is read: ends the connection once the front end is done with it.
fn tcp_chr_end_of_input<H: ChardevHost>(h: &mut H, id: ChardevId) {
    if qemu_chr_be_drained(h, id, peer_end(h, id)) {
        return tcp_chr_disconnect(h, id);
    }
    chr_set_watch(h, id, WatchSlot::Rest, None);
    let gate = move |h: &H| qemu_chr_be_drained(h, id, peer_end(h, id));
    let watch = Watch::gate_only("tcp_chr_drained", gate, move |h: &mut H| {
        tcp_chr_disconnect(h, id);
        Flow::Remove
    });
    chr_set_watch(h, id, WatchSlot::Read, Some(watch));
}

/// The peer is gone for good. If a front end reads, it still gets what the peer sent
/// before; `tcp_chr_read` then meets the end.
fn tcp_chr_hup<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let is_read = chr_has_watch(h, id, WatchSlot::Read);
    let Some(c) = connection(h, id) else { return };
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let received = c.stream.as_ref().is_some_and(|stream| stream.has_input());
    let input_left =
        is_read && (received || matches!(recv(c.fd.as_raw_fd(), &mut [0], flags), Ok(1..)));
    let reads = c.reads;
    if !input_left && qemu_chr_be_drained(h, id, PeerEnd::Gone) {
        return tcp_chr_disconnect(h, id);
    }
    chr_set_watch(h, id, WatchSlot::Hangup, None);
    if input_left {
        wait_for_reads(h, id, reads);
    }
}

/// How long a front end may take nothing of a gone peer's last input.
const HUP_PATIENCE: Duration = Duration::from_millis(20);

/// Ends the connection unless more has been read by then.
fn wait_for_reads<H: ChardevHost>(h: &mut H, id: ChardevId, mut reads: u32) {
    let main_loop = h.main_loop_mut();
    let timer = main_loop.timer_new(ClockType::Realtime, "tcp_chr_hup", move |h: &mut H| {
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
    main_loop.timer_mod_in(timer, HUP_PATIENCE);
    if let Some(c) = connection(h, id) {
        c.hup_timer = Some(timer);
    }
}

/// Sends output, in a frame of its own on a websocket. Without a peer it is lost.
pub(super) fn tcp_chr_write<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    buf: &[u8],
) -> io::Result<usize> {
    let written = write_or_fail(h, id, buf);
    if let Err(e) = &written {
        if !passes(e) {
            char_socket_yank(h, id);
        }
    }
    written
}

fn write_or_fail<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    let Some(c) = connection(h, id).filter(|c| c.is_open()) else {
        return Ok(buf.len());
    };
    if c.stream.is_none() {
        return send_plain(c, buf);
    }
    // Nothing may come between the pieces of a frame or a record.
    if !flush(h, id)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Some(c) = connection(h, id) else {
        return Ok(buf.len());
    };
    let Some(stream) = c.stream.as_mut().filter(|stream| stream.wraps_output()) else {
        return send_plain(c, buf);
    };
    let taken = stream.send(buf);
    let fd = c.fd.as_raw_fd();
    trace_event!(tcp_chr_write, "fd {fd} took {taken} bytes, wrapped");
    flush(h, id)?;
    Ok(taken)
}

fn send_plain(c: &Connection, buf: &[u8]) -> io::Result<usize> {
    let fd = c.fd.as_raw_fd();
    let n = send(fd, buf, MsgFlags::MSG_NOSIGNAL)?;
    trace_event!(tcp_chr_write, "fd {fd} took {n} of {} bytes", buf.len());
    Ok(n)
}

/// Sends the stream's wire; true if all of it went. Otherwise the rest follows when there
/// is room.
pub(super) fn flush<H: ChardevHost>(h: &mut H, id: ChardevId) -> io::Result<bool> {
    let Some(c) = connection(h, id) else {
        return Ok(true);
    };
    let Some(stream) = &mut c.stream else {
        return Ok(true);
    };
    let mut sent = 0;
    while sent < stream.wire().len() {
        let rest = &stream.wire()[sent..];
        match send(c.fd.as_raw_fd(), rest, MsgFlags::MSG_NOSIGNAL) {
            Ok(n) => sent += n,
            Err(nix::errno::Errno::EAGAIN) => break,
            Err(nix::errno::Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    stream.sent(sent);
    let all = stream.wire().is_empty();
    let fd: SharedFd = c.fd.clone();
    if all == chr_has_watch(h, id, WatchSlot::Write) {
        let watch = (!all).then(|| flush_watch(id, fd));
        chr_set_watch(h, id, WatchSlot::Write, watch);
    }
    Ok(all)
}

fn flush_watch<H: ChardevHost>(id: ChardevId, fd: SharedFd) -> Watch<H> {
    Watch::new("tcp_chr_flush", fd, Condition::OUT, move |h: &mut H, _| {
        // An error means a hang-up, and `tcp_chr_hup` deals with that.
        match flush(h, id) {
            Ok(false) => Flow::Keep,
            Ok(true) | Err(_) => Flow::Remove,
        }
    })
}

/// The descriptor on which a front end may wait for room.
pub(super) fn tcp_chr_watch_fd<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<SharedFd> {
    let c = connection(h, id).filter(|c| c.is_open())?;
    c.watched_by_frontend = true;
    Some(c.fd.clone())
}
