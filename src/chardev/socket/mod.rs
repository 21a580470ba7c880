//! Stream sockets, as server or client (QEMU's `char-socket.c`).
//!
//! # States
//!
//! ```text
//!      server                                     client
//!         │ socket_listen                            │ socket_connect
//!         ▼                                          ▼
//!   ┌───────────┐ accept ┌───────────┐  works ┌────────────┐
//!   │ listening │───────▶│ connected │◀───────│ connecting │◀───┐
//!   └───────────┘        └───────────┘        └────────────┘    │ reconnect timer
//!         ▲   end of stream  │  │  end of stream,   │ fails     │
//!         └──────────────────┘  │  hang-up          ▼           │
//!             hang-up           │             ┌──────────────┐  │
//!                               └────────────▶│ disconnected │──┘
//!                                             └──────────────┘
//! ```
//!
//! The front end hears "Opened" on the way into *connected* and "Closed" on the way out.
//! A client without `reconnect` has no timer: it stays disconnected, and if its first
//! attempt fails, the chardev is not made. `tests/model.rs` plays random lives against
//! this picture.
//!
//! # Functions
//!
//! A server serves one client at a time, unless it has `max-clients` ([`server`]). While
//! one is connected the listening socket is not watched, so further clients wait in the
//! kernel's queue; when the client leaves, the oldest of them is taken.
//!
//! ```text
//!                socket_listen
//!                     │
//!                     ▼                                       client, reconnect=
//!   ┌──▶ watching the listener: tcp_chr_accept      ┌──▶ timer ──▶ connect ──┐
//!   │                 │ accept4                     │      ▲         │ fails │ works
//!   │                 ▼                             │      └─────────┘       │
//!   │        tcp_chr_new_client  ◀──────────────────┼────────────────────────┘
//!   │                 │ listener no longer watched; telnet's opening is sent
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
//! TLS and websocket shake hands between `tcp_chr_new_client` and `tcp_chr_connect`; until
//! that is done the chardev counts as disconnected, and the next client waits.
//!
//! # Files
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | the life of the chardev: the pictures above |
//! | `listen` | the side that listens |
//! | [`connect`] | the side that connects, and connects again |
//! | [`server`] | a server of several clients |
//! | [`handshake`] | from a new connection to an open one |
//! | [`io`] | watching, reading and writing |
//! | [`stream`] | the protocols on a connection, without a socket |
//! | `options` | its options on the command line and in QMP |

mod connect;
mod cut;
mod handshake;
mod io;
mod listen;
mod options;
mod server;
mod stream;

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::socket::{self, sockopt, Shutdown};

pub use cut::{
    char_socket_close_listener, char_socket_cut, char_socket_end_if_gone,
    char_socket_stop_accepting,
};

use connect::Client;
use handshake::{creds_for, protocols, report, tcp_chr_handshake};
use io::{flush, tcp_chr_update_read_handler, tcp_chr_watch_fd, tcp_chr_write, Rights};
use listen::{tcp_chr_accept, tcp_chr_listen, tcp_chr_unlisten};
use server::Clients;
use stream::Stream;

use super::be::{chr_free_watches, qemu_chr_be_event};
use super::class::{ChardevClass, ChardevId, ChrEvent};
use super::codec::telnet::TelnetDecoder;
use super::codec::tls::TlsCreds;
use super::config::{InetSocketAddress, SocketAddress, SocketConfig};
use super::host::{ChardevHost, ChardevReport};
use super::object::object_unparent;
use crate::chardev::net::exposure::is_exposed;
use crate::chardev::net::filename::{
    connected_filename, connection_ends, disconnected_filename, socket_address_to_string, Ends,
};
use crate::chardev::net::listen::{socket_listen, UnixPath};
use crate::main_loop::TimerId;
use crate::qapi::Error;
use crate::trace_event;

/// The state of a socket chardev (QEMU's `SocketChardev`).
pub(super) struct SocketChardev {
    config: SocketConfig,
    /// What it listens at or connects to, with the port that was found.
    addr: SocketAddress,
    listener: Option<Listener>,
    connection: Option<Connection>,
    client: Client,
    /// Each connection goes on in the state that the last one left it in, as in QEMU.
    telnet: Option<TelnetDecoder>,
    pub(super) tls_creds: Option<TlsCreds>,
    /// The clients of a server that serves several.
    clients: Option<Clients>,
    /// The chardev of the server, if this one belongs to one of its clients.
    server: Option<ChardevId>,
}

impl SocketChardev {
    fn new(config: &SocketConfig, addr: &SocketAddress, tls_creds: Option<TlsCreds>) -> Self {
        let telnet = (config.server && (config.telnet || config.tn3270))
            .then(|| TelnetDecoder::new(config.tn3270));
        SocketChardev {
            config: config.clone(),
            addr: addr.clone(),
            listener: None,
            connection: None,
            client: Client::new(config),
            telnet,
            tls_creds,
            clients: None,
            server: None,
        }
    }
}

struct Listener {
    fd: Rc<OwnedFd>,
    backoff: Option<TimerId>,
    _path: Option<UnixPath>,
}

/// A peer, from accept to hang-up.
pub(super) struct Connection {
    fd: Rc<OwnedFd>,
    ends: Ends,
    /// The protocols on it; none if bytes go as they are.
    pub(super) stream: Option<Box<Stream>>,
    /// Receives descriptors; on unix sockets only.
    rights: Option<Rights>,
    /// Runs while the peer is gone and its last input is being read.
    hup_timer: Option<TimerId>,
    /// How often input was read.
    reads: u32,
    /// Whether a front end was given the descriptor to watch.
    watched_by_frontend: bool,
}

impl Connection {
    /// Whether handshakes are over: the front end was told "Opened".
    fn is_open(&self) -> bool {
        self.stream.as_ref().is_none_or(|stream| stream.is_open())
    }
}

/// The class of socket chardevs.
pub(super) fn char_socket_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        keeps_writes_apart: |state| {
            let s: Option<&SocketChardev> = state.downcast_ref();
            s.is_some_and(|s| s.config.websocket)
        },
        exposed_at: tcp_chr_exposed_at,
        chr_write: tcp_chr_write,
        chr_watch_fd: tcp_chr_watch_fd,
        chr_update_read_handler: |h, id, _| tcp_chr_update_read_handler(h, id),
        chr_get_msgfd: |h, id| connection(h, id)?.rights.as_mut()?.msgfd.take(),
        chr_filename: |state| state.downcast_ref().map(tcp_chr_filename),
        finalize: char_socket_finalize,
        ..ChardevClass::new("socket")
    }
}

fn state<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut SocketChardev> {
    h.chardevs_mut().state_mut(id)
}

pub(super) fn connection<H: ChardevHost>(h: &mut H, id: ChardevId) -> Option<&mut Connection> {
    state(h, id)?.connection.as_mut()
}

/// Opens the backend (`qmp_chardev_open_socket`).
pub(super) fn qmp_chardev_open_socket<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &SocketConfig,
) -> Result<(), Error> {
    config.validate(h.profile())?;
    let tls_creds = creds_for(h, config)?;
    let mut state = SocketChardev::new(config, &config.addr, tls_creds);
    if !config.server {
        h.chardevs_mut().set_state(id, Box::new(state));
        return connect::qmp_chardev_open_socket_client(h, id);
    }
    let listening = socket_listen(h, &config.addr, config.max_clients)?;
    state.clients = Clients::new(config.max_clients);
    state.addr = listening.addr;
    state.listener = Some(Listener {
        fd: Rc::new(listening.fd),
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

    let filename = crate::chardev::host::filename(h, id);
    let text = format!("QEMU waiting for connection on: {filename}");
    h.chardev_report(ChardevReport::Info, &text);
    loop {
        let Some(s) = state(h, id) else { return Ok(()) };
        let mut flags = PollFlags::POLLIN;
        // A handshake waits for the client.
        let (fd, step): (_, fn(&mut H, ChardevId)) = match (&s.connection, &s.listener) {
            (Some(c), _) if c.is_open() => return Ok(()),
            (Some(c), _) => {
                let unsent = c.stream.as_ref().is_some_and(|s| !s.wire().is_empty());
                flags.set(PollFlags::POLLOUT, unsent);
                (c.fd.clone(), tcp_chr_handshake)
            }
            (None, Some(listener)) => (listener.fd.clone(), tcp_chr_accept),
            (None, None) => return Ok(()),
        };
        let serves_clients = s.clients.is_some();
        let mut fds = [PollFd::new(fd.as_fd(), flags)];
        match poll(&mut fds, PollTimeout::NONE) {
            // The front end takes the client in, and there is none yet.
            Ok(_) if serves_clients => return Ok(()),
            Ok(_) | Err(Errno::EINTR) => step(h, id),
            Err(e) => return Err(Error::from_io("Failed to wait for a client", &e.into())),
        }
    }
}

/// Has the kernel probe a connection while it is idle. It works without, too.
fn keep_alive(fd: BorrowedFd<'_>, addr: &InetSocketAddress) {
    if !addr.keep_alive {
        return;
    }
    let _ = socket::setsockopt(&fd, sockopt::KeepAlive, &true);
    let probes = addr.probes;
    if let Some(count) = probes.count {
        let _ = socket::setsockopt(&fd, sockopt::TcpKeepCount, &count);
    }
    if let Some(seconds) = probes.idle {
        let _ = socket::setsockopt(&fd, sockopt::TcpKeepIdle, &seconds);
    }
    if let Some(seconds) = probes.interval {
        let _ = socket::setsockopt(&fd, sockopt::TcpKeepInterval, &seconds);
    }
}

/// A connection becomes the chardev's, and listening ends.
fn tcp_chr_new_client<H: ChardevHost>(h: &mut H, id: ChardevId, fd: Rc<OwnedFd>) {
    trace_event!(tcp_chr_new_client, "fd {}", fd.as_raw_fd());
    tcp_chr_unlisten(h, id);
    let Some(s) = state(h, id).filter(|s| s.connection.is_none()) else {
        return;
    };
    let ends = connection_ends(fd.as_fd(), s.config.server, &s.addr);
    let inet = matches!(ends, Ends::Inet(..));
    if s.config.nodelay && inet {
        // It is only slower without.
        let _ = socket::setsockopt(&fd, sockopt::TcpNoDelay, &true);
    }
    if let (SocketAddress::Inet(addr), false) = (&s.addr, s.config.server) {
        keep_alive(fd.as_fd(), addr);
    }
    let stream = match protocols(s) {
        Ok(stream) => stream,
        Err(e) => {
            let filename = connected_filename(&s.config, &s.addr, &ends);
            report(h, id, &filename, &e.to_string());
            return tcp_chr_disconnect(h, id);
        }
    };
    let wrapped = s.config.websocket || s.tls_creds.is_some();
    let has_stream = stream.is_some();
    let connection = s.connection.insert(Connection {
        fd,
        ends,
        stream,
        rights: (!inet && !wrapped).then(Rights::new),
        hup_timer: None,
        reads: 0,
        watched_by_frontend: false,
    });
    let is_open = connection.is_open();
    if has_stream {
        // The first words are the stream's. If the peer is gone already, the loop
        // reports that next.
        let _ = flush(h, id);
    }
    if is_open {
        tcp_chr_connect(h, id);
    } else {
        tcp_chr_update_read_handler(h, id);
    }
}

/// The chardev is open: its connection is watched from now on.
fn tcp_chr_connect<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let Some(s) = state(h, id) else { return };
    s.client.reported = false;
    let Some(c) = &s.connection else { return };
    let fd = c.fd.as_raw_fd();
    trace_event!(
        tcp_chr_connect,
        "fd {fd} is {}",
        connected_filename(&s.config, &s.addr, &c.ends)
    );
    tcp_chr_update_read_handler(h, id);
    qemu_chr_be_event(h, id, ChrEvent::Opened);
}

/// The connection is over; listen again, or connect again after a while.
fn tcp_chr_disconnect<H: ChardevHost>(h: &mut H, id: ChardevId) {
    let was_open = tcp_chr_free_connection(h, id);
    tcp_chr_listen(h, id);
    let is_client = state(h, id).is_some_and(|s| s.server.is_some());
    if was_open || is_client {
        qemu_chr_be_event(h, id, ChrEvent::Closed);
    }
    if is_client {
        return object_unparent(h, id);
    }
    connect::restart_timer(h, id);
}

/// Lets go of the connection; true if there was one and it was open.
fn tcp_chr_free_connection<H: ChardevHost>(h: &mut H, id: ChardevId) -> bool {
    if let Some(stream) = connection(h, id).and_then(|c| c.stream.as_mut()) {
        // The peer is told that the connection ends.
        stream.close();
        let _ = flush(h, id);
    }
    let Some(s) = state(h, id) else { return false };
    let inherited = matches!(s.config.addr, SocketAddress::Fd(_)) && !s.config.server;
    let Some(c) = s.connection.take() else {
        return false;
    };
    trace_event!(tcp_chr_disconnect, "fd {}", c.fd.as_raw_fd());
    let was_open = c.is_open();
    if let Some(stream) = c.stream {
        s.telnet = stream.into_telnet();
    }
    // While there is a connection, all watches are for it.
    chr_free_watches(h, id);
    if let Some(timer) = c.hup_timer {
        h.main_loop_mut().timer_free(timer);
    }
    if c.watched_by_frontend && !inherited {
        // The front end's watch may keep the descriptor open. This tells the watch
        // and the peer of the end.
        let _ = socket::shutdown(c.fd.as_raw_fd(), Shutdown::Both);
    }
    was_open
}

/// The address that a socket chardev listens at or connects to, with the port
/// that was found (its QOM property `addr`); `None` for other chardevs.
pub fn char_socket_get_addr<H: ChardevHost>(h: &H, id: ChardevId) -> Option<&SocketAddress> {
    let s: &SocketChardev = h.chardevs().state(id)?;
    Some(&s.addr)
}

/// Where strangers can reach it, unless TLS verifies their certificates.
fn tcp_chr_exposed_at<H: ChardevHost>(h: &H, id: ChardevId) -> Option<String> {
    let s: &SocketChardev = h.chardevs().state(id)?;
    let verifies_peer = s.tls_creds.as_ref().is_some_and(TlsCreds::verify_peer);
    (is_exposed(&s.addr) && !verifies_peer).then(|| socket_address_to_string(&s.addr))
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
    server::left(h, id);
    tcp_chr_free_connection(h, id);
    tcp_chr_unlisten(h, id);
    connect::cancel(h, id);
}

fn tcp_chr_filename(s: &SocketChardev) -> String {
    match &s.connection {
        Some(c) if c.is_open() => connected_filename(&s.config, &s.addr, &c.ends),
        _ => disconnected_filename(&s.config, &s.addr),
    }
}
