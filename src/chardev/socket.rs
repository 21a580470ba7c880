//! Stream sockets, as server or client (QEMU's `char-socket.c`).
//!
//! A server serves one client at a time. While one is connected the listening
//! socket is not watched, so further clients wait in the kernel's queue; when
//! the client leaves, the oldest of them is taken.
//!
//! ```text
//!                socket_listen
//!                     │
//!                     ▼                                       client, reconnect=
//!   ┌──▶ watching the listener: tcp_chr_accept      ┌──▶ timer ──▶ connect ──┐
//!   │                 │ accept4                     │      ▲         │ fails │ works
//!   │                 ▼                             │      └─────────┘       │
//!   │        tcp_chr_new_client  ◀──────────────────┼────────────────────────┘
//!   │                 │ listener no longer watched; telnet opening is said
//!   │                 ▼                             │
//!   │         tcp_chr_connect                       │
//!   │                 │ watching the connection:    │
//!   │                 │ tcp_chr_read, tcp_chr_hup; "Opened"
//!   │                 ▼                             │
//!   │            (connected)                        │
//!   │                 │ end of stream, hang-up      │
//!   │                 ▼                             │
//!   └──────── tcp_chr_disconnect ───────────────────┘   "Closed"
//! ```
//!
//! # Two watches on one connection
//!
//! `tcp_chr_read` runs only while the front end can take input; a peer that goes
//! meanwhile is noticed by `tcp_chr_hup`. The end of the stream (a half close)
//! counts as the end of the connection once all input is read. A full close
//! ends it at once if nobody is attached to read what is left; otherwise that
//! is read first.
//!
//! # Writing never ends a connection
//!
//! A failed write only reports its error. The same cause makes the loop report
//! hang-up, and the connection ends from there: a front end in the middle of a
//! write is never told "Closed" from below.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{self, sockopt, MsgFlags, Shutdown, SockFlag};

use super::be::{qemu_chr_be_can_write, qemu_chr_be_event, qemu_chr_be_write};
use super::config::{SocketAddress, SocketConfig};
use super::host::{ChardevHost, ChardevReport};
use super::net::{self, Ends, UnixPath};
use super::scm_rights::{recv_with_fd, RightsBuf};
use super::socket_client::{self, Client};
use super::table::{ChardevClass, ChardevId, ChrEvent};
use super::telnet::{TelnetDecoder, TELNET_OPENING, TN3270_OPENING};
use super::CHR_READ_BUF_LEN;
use crate::main_loop::{own_fd, ClockType, Condition, Flow, SharedFd, TimerId, Watch, WatchId};
use crate::qapi::Error;
use crate::trace_event;

/// How long a server pauses when the process has no descriptor left for a new
/// client. The listener stays readable meanwhile and would make the loop spin.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// The state of a socket chardev (QEMU's `SocketChardev`).
pub(super) struct SocketChardev {
    pub(super) config: SocketConfig,
    /// What it listens at or connects to, with the port that was found.
    pub(super) addr: SocketAddress,
    listener: Option<Listener>,
    connection: Option<Connection>,
    pub(super) client: Client,
    /// Outlives connections, in the state the last one left it in, as in QEMU.
    telnet: Option<TelnetDecoder>,
}

struct Listener {
    fd: Rc<OwnedFd>,
    watch: Option<WatchId>,
    backoff: Option<TimerId>,
    _path: Option<UnixPath>,
}

struct Connection {
    fd: Rc<OwnedFd>,
    filename: String,
    read_watch: Option<WatchId>,
    hup_watch: Option<WatchId>,
    /// Whether a front end was given the descriptor to watch.
    watched_by_frontend: bool,
    /// For unix sockets, over which descriptors may come.
    rights: Option<RightsBuf>,
    msgfd: Option<OwnedFd>,
}

/// The class of socket chardevs.
pub(super) fn char_socket_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        chr_write: tcp_chr_write,
        chr_watch_fd: tcp_chr_watch_fd,
        chr_update_read_handler: |h, id, _| tcp_chr_update_read_handler(h, id),
        chr_get_msgfd: |h, id| connection(h, id)?.msgfd.take(),
        chr_filename: |state| state.downcast_ref().map(tcp_chr_filename),
        finalize: char_socket_finalize,
        ..ChardevClass::new("socket")
    }
}

pub(super) fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut SocketChardev> {
    h.chardevs_mut().state_mut(id)
}

fn connection<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut Connection> {
    state(h, id)?.connection.as_mut()
}

/// What both the command line and QMP must not ask for together
/// (`qmp_chardev_validate_socket`).
fn validate(config: &SocketConfig) -> Result<(), Error> {
    let error = |text: &'static str| Err(Error::new(text));
    if config.reconnect.is_some() && matches!(config.addr, SocketAddress::Fd(_)) {
        return error("'reconnect' option is incompatible with 'fd' address type");
    }
    if config.tls_authz.is_some() && config.tls_creds.is_none() {
        return error("'tls_authz' option requires 'tls_creds' option");
    }
    if config.server && config.reconnect.is_some() {
        return error("'reconnect' option is incompatible with socket in server listen mode");
    }
    if !config.server && config.websocket {
        return error("Websocket client is not implemented");
    }
    if !config.server && config.wait.is_some() {
        return error("'wait' option is incompatible with socket in client connect mode");
    }
    if config.reconnect.is_some() && config.reconnect_ms.is_some() {
        return error("'reconnect' and 'reconnect-ms' are mutually exclusive");
    }
    Ok(())
}

/// Opens the backend (`qmp_chardev_open_socket`).
pub(super) fn qmp_chardev_open_socket<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &SocketConfig,
) -> Result<(), Error> {
    validate(config)?;
    if let Some(creds) = &config.tls_creds {
        return Err(Error::new(format!("No TLS credentials with id '{creds}'")));
    }
    if config.websocket {
        return Err(Error::new("Websocket support is not available"));
    }
    let telnet = (config.server && (config.telnet || config.tn3270))
        .then(|| TelnetDecoder::new(config.tn3270));
    let mut state = SocketChardev {
        config: config.clone(),
        addr: config.addr.clone(),
        listener: None,
        connection: None,
        client: Client::new(config),
        telnet,
    };
    if !config.server {
        h.chardevs_mut().set_state(id, Box::new(state));
        return socket_client::qmp_chardev_open_socket_client(h, id);
    }
    let listening = net::socket_listen(h, &config.addr)?;
    state.addr = listening.addr;
    state.listener = Some(Listener {
        fd: Rc::new(listening.fd),
        watch: None,
        backoff: None,
        _path: listening.path,
    });
    h.chardevs_mut().set_state(id, Box::new(state));
    if config.wait == Some(true) {
        return tcp_chr_wait_connected(h, id);
    }
    tcp_chr_listen(h, id);
    Ok(())
}

/// Blocks until a client has connected (`wait=on`).
fn tcp_chr_wait_connected<H: ChardevHost>(h: &mut H, id: ChardevId) -> Result<(), Error> {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

    let filename = super::table::filename(h, id);
    let text = format!("QEMU waiting for connection on: {filename}");
    h.chardev_report(ChardevReport::Info, &text);
    while let Some(s) = state(h, id).filter(|s| s.connection.is_none()) {
        let Some(listener) = s.listener.as_ref().map(|l| l.fd.clone()) else {
            break;
        };
        let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(Error::from_io("Failed to wait for a client", &e.into())),
        }
        tcp_chr_accept(h, id);
    }
    Ok(())
}

/// Watches the listener, unless there is none or a client is connected.
fn tcp_chr_listen<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id).filter(|s| s.connection.is_none()) else {
        return;
    };
    let Some(listener) = s.listener.as_ref().filter(|l| l.watch.is_none()) else {
        return;
    };
    let fd: SharedFd = listener.fd.clone();
    let watch = Watch::new("tcp_chr_accept", fd, Condition::IN, move |h: &mut H, _| {
        tcp_chr_accept(h, id);
        Flow::Keep
    });
    let watch = h.main_loop_mut().add_watch(watch);
    if let Some(listener) = state(h, id).and_then(|s| s.listener.as_mut()) {
        listener.watch = Some(watch);
    }
}

/// Stops watching the listener.
fn tcp_chr_unlisten<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(listener) = state(h, id).and_then(|s| s.listener.as_mut()) else {
        return;
    };
    let (watch, backoff) = (listener.watch.take(), listener.backoff.take());
    if let Some(watch) = watch {
        h.main_loop_mut().remove_watch(watch);
    }
    if let Some(timer) = backoff {
        h.main_loop_mut().timer_free(timer);
    }
}

/// A client is at the door.
fn tcp_chr_accept<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(listener) = state(h, id).and_then(|s| s.listener.as_ref()) else {
        return;
    };
    let listener = listener.fd.clone();
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let accepted = socket::accept4(listener.as_raw_fd(), flags);
    match accepted.map_err(io::Error::from).and_then(own_fd) {
        Ok(fd) => {
            trace_event!(
                tcp_chr_accept,
                "fd {} accepted fd {}",
                listener.as_raw_fd(),
                fd.as_raw_fd()
            );
            tcp_chr_new_client(h, id, Rc::new(fd));
        }
        Err(e) => match e.raw_os_error().map(Errno::from_raw) {
            // It went away again, or it was a false alarm.
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
    let now = main_loop.clock_get_ns(ClockType::Realtime);
    main_loop.timer_mod(timer, now + ACCEPT_BACKOFF.as_nanos() as i64);
    if let Some(listener) = state(h, id).and_then(|s| s.listener.as_mut()) {
        listener.backoff = Some(timer);
    }
}

/// A connection becomes the chardev's. Listening ends, and a telnet server says its
/// opening; nothing else may come before that.
pub(super) fn tcp_chr_new_client<H: ChardevHost>(h: &mut H, id: ChardevId, fd: Rc<OwnedFd>) {
    trace_event!(tcp_chr_new_client, "fd {}", fd.as_raw_fd());
    tcp_chr_unlisten(h, id);
    let Some(s) = state(h, id).filter(|s| s.connection.is_none()) else {
        return;
    };
    let ends = net::connection_ends(fd.as_fd(), s.config.server);
    let inet = matches!(ends, Ends::Inet(..));
    if s.config.nodelay && inet {
        // Only a matter of speed: not worth losing the client.
        let _ = socket::setsockopt(&fd, sockopt::TcpNoDelay, &true);
    }
    let opening = match s.telnet {
        None => &[][..],
        Some(_) if s.config.tn3270 => TN3270_OPENING,
        Some(_) => TELNET_OPENING,
    };
    // The buffer of a new connection has room for it. If the client is gone
    // already, the loop is about to say so.
    if !opening.is_empty() {
        let _ = socket::send(fd.as_raw_fd(), opening, MsgFlags::MSG_NOSIGNAL);
    }
    s.connection = Some(Connection {
        fd,
        filename: connected_filename(&s.config, &ends),
        read_watch: None,
        hup_watch: None,
        watched_by_frontend: false,
        rights: (!inet).then(RightsBuf::new),
        msgfd: None,
    });
    tcp_chr_connect(h, id);
}

/// The chardev is open: its connection is watched from now on.
fn tcp_chr_connect<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(fd) = connection(h, id).map(|c| c.fd.as_raw_fd()) else {
        return;
    };
    trace_event!(
        tcp_chr_connect,
        "fd {fd} is {}",
        super::table::filename(h, id)
    );
    tcp_chr_update_read_handler(h, id);
    qemu_chr_be_event(h, id, ChrEvent::Opened);
}

/// Watches the connection for input if there is somebody to read it, and for
/// hang-up in any case.
fn tcp_chr_update_read_handler<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let attached = h.chardevs().get(id).is_some_and(|chr| chr.has_handlers());
    let Some(c) = connection(h, id) else { return };
    let (read_watch, hup_watch) = (c.read_watch.take(), c.hup_watch.take());
    let fd: SharedFd = c.fd.clone();
    let main_loop = h.main_loop_mut();
    for watch in [read_watch, hup_watch].into_iter().flatten() {
        main_loop.remove_watch(watch);
    }
    let read_watch = attached.then(|| {
        let watch = Watch::new("tcp_chr_read", fd.clone(), Condition::IN, move |h, _| {
            tcp_chr_read(h, id);
            Flow::Keep
        });
        main_loop.add_watch(watch.gate(move |h| qemu_chr_be_can_write(h, id) > 0))
    });
    let hup_watch = Watch::new("tcp_chr_hup", fd, Condition::HUP, move |h, _| {
        tcp_chr_hup(h, id);
        Flow::Keep
    });
    let hup_watch = main_loop.add_watch(hup_watch);
    if let Some(c) = connection(h, id) {
        c.read_watch = read_watch;
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
        let got = match &mut c.rights {
            Some(rights) => recv_with_fd(fd, &mut buf[..len], rights).map(|(n, received)| {
                if received.is_some() {
                    c.msgfd = received;
                }
                n
            }),
            None => socket::recv(fd, &mut buf[..len], MsgFlags::empty()).map_err(Into::into),
        };
        match got {
            Ok(0) => tcp_chr_disconnect(h, id),
            Ok(n) => {
                trace_event!(tcp_chr_read, "fd {fd} got {n} bytes");
                deliver(h, id, &buf[..n]);
            }
            Err(e) => match e.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => {}
                _ => tcp_chr_disconnect(h, id),
            },
        }
    }
    h.chardevs_mut().put_read_buf(buf);
}

/// Hands input to the front end, without telnet's commands.
fn deliver<H: ChardevHost>(h: &mut H, id: ChardevId, input: &[u8]) {
    let Some(telnet) = state(h, id).and_then(|s| s.telnet.as_mut()) else {
        return qemu_chr_be_write(h, id, input);
    };
    let mut text = Vec::with_capacity(input.len());
    let breaks = telnet.decode(input, &mut text);
    for _ in 0..breaks {
        qemu_chr_be_event(h, id, ChrEvent::Break);
    }
    if !text.is_empty() {
        qemu_chr_be_write(h, id, &text);
    }
}

/// The peer is gone for good. What it sent before is still read if there is
/// somebody to read it; `tcp_chr_read` then meets the end.
fn tcp_chr_hup<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(c) = connection(h, id) else { return };
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    let input_left = c.read_watch.is_some()
        && matches!(socket::recv(c.fd.as_raw_fd(), &mut [0], flags), Ok(1..));
    if !input_left {
        return tcp_chr_disconnect(h, id);
    }
    if let Some(watch) = c.hup_watch.take() {
        h.main_loop_mut().remove_watch(watch);
    }
}

/// The connection is over; listen again, or connect again after a while.
fn tcp_chr_disconnect<H: ChardevHost>(h: &mut H, id: ChardevId) {
    if !tcp_chr_free_connection(h, id) {
        return;
    }
    tcp_chr_listen(h, id);
    qemu_chr_be_event(h, id, ChrEvent::Closed);
    socket_client::restart_timer(h, id);
}

/// Lets go of the connection; false if there was none.
fn tcp_chr_free_connection<H: ChardevHost>(h: &mut H, id: ChardevId) -> bool {
    let Some(s) = state(h, id) else { return false };
    let inherited = matches!(s.config.addr, SocketAddress::Fd(_)) && !s.config.server;
    let Some(c) = s.connection.take() else {
        return false;
    };
    trace_event!(tcp_chr_disconnect, "fd {}", c.fd.as_raw_fd());
    for watch in [c.read_watch, c.hup_watch].into_iter().flatten() {
        h.main_loop_mut().remove_watch(watch);
    }
    if c.watched_by_frontend && !inherited {
        // The front end's watch may hold a share of the descriptor. It shall
        // hear of the end, and so shall the peer.
        let _ = socket::shutdown(c.fd.as_raw_fd(), Shutdown::Both);
    }
    true
}

/// The address that a socket chardev listens at or connects to, with the port
/// that was found (its QOM property `addr`); `None` for other chardevs.
pub fn char_socket_get_addr<H: ChardevHost>(h: &H, id: ChardevId) -> Option<&SocketAddress> {
    let s: &SocketChardev = h.chardevs().state(id)?;
    Some(&s.addr)
}

/// Whether a chardev can be yanked: sockets can.
pub fn can_yank<H: ChardevHost>(h: &H, id: ChardevId) -> bool {
    h.chardevs().state::<SocketChardev>(id).is_some()
}

/// Breaks a socket's connection off, whatever state it is in
/// (`char_socket_yank`). Its end is reported by the loop soon after.
pub fn char_socket_yank<H: ChardevHost>(h: &mut H, id: ChardevId) {
    if let Some(c) = connection(h, id) {
        // An error means that it is broken already.
        let _ = socket::shutdown(c.fd.as_raw_fd(), Shutdown::Both);
    }
}

fn char_socket_finalize<H: ChardevHost>(h: &mut H, id: ChardevId) {
    tcp_chr_free_connection(h, id);
    tcp_chr_unlisten(h, id);
    socket_client::cancel(h, id);
}

fn tcp_chr_write<H: ChardevHost>(h: &mut H, id: ChardevId, buf: &[u8]) -> io::Result<usize> {
    match connection(h, id) {
        Some(c) => {
            let fd = c.fd.as_raw_fd();
            let n = socket::send(fd, buf, MsgFlags::MSG_NOSIGNAL)?;
            trace_event!(tcp_chr_write, "fd {fd} took {n} of {} bytes", buf.len());
            Ok(n)
        }
        None => Ok(buf.len()),
    }
}

fn tcp_chr_watch_fd<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<SharedFd> {
    let c = connection(h, id)?;
    c.watched_by_frontend = true;
    Some(c.fd.clone())
}

fn tcp_chr_filename(s: &SocketChardev) -> String {
    match &s.connection {
        Some(c) => c.filename.clone(),
        None => {
            let words = net::socket_address_to_string(&s.addr);
            let protocol = protocol_name(&s.config);
            let words = match words.strip_prefix("tcp:") {
                Some(rest) => format!("{protocol}:{rest}"),
                None => words,
            };
            format!("disconnected:{words}{}", server_suffix(&s.config))
        }
    }
}

fn server_suffix(config: &SocketConfig) -> &'static str {
    if config.server {
        ",server=on"
    } else {
        ""
    }
}

fn protocol_name(config: &SocketConfig) -> &'static str {
    if config.telnet {
        "telnet"
    } else if config.websocket {
        "websocket"
    } else {
        "tcp"
    }
}

fn connected_filename(config: &SocketConfig, ends: &Ends) -> String {
    let suffix = server_suffix(config);
    match ends {
        Ends::Unix(path) => format!("unix:{path}{suffix}"),
        Ends::Inet(local, peer) => {
            format!("{}:{local}{suffix} <-> {peer}", protocol_name(config))
        }
        Ends::Other => "unknown".to_owned(),
    }
}
