//! The server of disks: its socket and its clients, which the loop serves.
//!
//! A client is served one request at a time, and others in between, so a long one keeps
//! nothing waiting for long.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use crate::model::block::{NbdClient, NbdServer, NbdStream, Session};
use crate::Machine;
use qmonitor::chardev::{ChardevHost, SocketAddress};
use qmonitor::main_loop::{Condition, Flow, Host, SharedFd, Watch};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// How much is read of a client at once.
const PIECE: usize = 1 << 18;

/// Where clients come from.
#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl std::os::fd::AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Listener::Tcp(listener) => listener.as_fd(),
            Listener::Unix(listener) => listener.as_fd(),
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<NbdStream> {
        match self {
            Listener::Tcp(listener) => listener.accept().map(|(s, _)| NbdStream::Tcp(s)),
            Listener::Unix(listener) => listener.accept().map(|(s, _)| NbdStream::Unix(s)),
        }
    }
}

/// Starts the server.
///
/// # Errors
///
/// It runs, or there is no such address.
pub(super) fn start(
    rt: &mut Rt,
    address: &SocketAddress,
    most_clients: usize,
) -> Result<(), Error> {
    if rt.state.nbd.is_some() {
        return Err(Error::new("NBD server already running"));
    }
    let (listener, path) = listen(rt, address)?;
    let failed = |e: io::Error| Error::from_io("Failed to set up the socket", &e);
    match &listener {
        Listener::Tcp(l) => l.set_nonblocking(true).map_err(failed)?,
        Listener::Unix(l) => l.set_nonblocking(true).map_err(failed)?,
    }
    let listener = Rc::new(listener);
    let fd: SharedFd = listener.clone();
    let watch = Watch::new("nbd_accept", fd, Condition::IN, move |rt: &mut Rt, _| {
        if let Ok(stream) = listener.accept() {
            add_client(rt, stream);
        }
        Flow::Keep
    });
    rt.state.nbd = Some(NbdServer {
        watch: rt.main_loop_mut().add_watch(watch),
        most_clients,
        clients: std::collections::BTreeMap::new(),
        next: 0,
        path,
    });
    Ok(())
}

fn listen(rt: &mut Rt, address: &SocketAddress) -> Result<(Listener, Option<String>), Error> {
    match address {
        SocketAddress::Inet(inet) => {
            let (host, port) = (&inet.host, &inet.port);
            let number: u16 = port.parse().map_err(|_| {
                Error::new(format!(
                    "address resolution failed for {host}:{port}: Servname not supported for \
                     ai_socktype"
                ))
            })?;
            let host = if host.is_empty() { "0.0.0.0" } else { host };
            let bound = TcpListener::bind((host, number));
            let bound = bound.map_err(|e| Error::from_io("Failed to bind socket", &e))?;
            Ok((Listener::Tcp(bound), None))
        }
        SocketAddress::Unix(unix) => {
            let path = &unix.path;
            // What an earlier program left is in the way.
            let _ = std::fs::remove_file(path);
            let bound = UnixListener::bind(path)
                .map_err(|e| Error::from_io(format!("Failed to bind socket to {path}"), &e))?;
            Ok((Listener::Unix(bound), Some(path.clone())))
        }
        SocketAddress::Fd(fd) => {
            let missing = || Error::new("Failed to get fd from the monitor");
            let fd = rt.monitor_get_fd(fd).ok_or_else(missing)??;
            Ok((listener_of(fd)?, None))
        }
        SocketAddress::Vsock { .. } => Err(Error::new("socket family AF_VSOCK unsupported")),
    }
}

/// The listening socket that a client passed.
fn listener_of(fd: OwnedFd) -> Result<Listener, Error> {
    use nix::sys::socket::{getsockname, SockaddrLike, SockaddrStorage};
    use std::os::fd::AsRawFd;
    let name: SockaddrStorage = getsockname(fd.as_raw_fd())
        .map_err(|e| Error::from_io("File descriptor is not a socket", &e.into()))?;
    match name.family() {
        Some(nix::sys::socket::AddressFamily::Unix) => Ok(Listener::Unix(UnixListener::from(fd))),
        _ => Ok(Listener::Tcp(TcpListener::from(fd))),
    }
}

/// Stops the server and hangs up on all clients.
///
/// # Errors
///
/// It does not run.
pub(super) fn stop(rt: &mut Rt) -> Result<(), Error> {
    let server = rt.state.nbd.as_mut().ok_or_else(not_running)?;
    let (watch, clients) = (server.watch, std::mem::take(&mut server.clients));
    for client in clients.into_values() {
        forget(rt, client);
    }
    rt.main_loop_mut().remove_watch(watch);
    rt.state.nbd = None;
    Ok(())
}

pub(super) fn not_running() -> Error {
    Error::new("NBD server not running")
}

/// Whether a client uses an export.
pub(super) fn has_clients(rt: &Rt, export: &str) -> bool {
    let server = rt.state.nbd.as_ref();
    server.is_some_and(|server| {
        let mut clients = server.clients.values();
        clients.any(|client| client.session.export() == Some(export))
    })
}

/// Hangs up on the clients of an export.
pub(super) fn hang_up(rt: &mut Rt, export: &str) {
    let Some(server) = rt.state.nbd.as_mut() else {
        return;
    };
    let uses = |client: &NbdClient| client.session.export() == Some(export);
    let gone: Vec<u64> = server
        .clients
        .iter()
        .filter(|(_, client)| uses(client))
        .map(|(number, _)| *number)
        .collect();
    gone.into_iter().for_each(|number| remove(rt, number));
}

fn forget(rt: &mut Rt, client: NbdClient) {
    for watch in [client.reading, client.writing].into_iter().flatten() {
        rt.main_loop_mut().remove_watch(watch);
    }
}

fn remove(rt: &mut Rt, number: u64) {
    let server = rt.state.nbd.as_mut();
    if let Some(client) = server.and_then(|server| server.clients.remove(&number)) {
        forget(rt, client);
    }
}

fn add_client(rt: &mut Rt, stream: NbdStream) {
    let Some(server) = rt.state.nbd.as_mut() else {
        return;
    };
    let full = server.most_clients > 0 && server.clients.len() >= server.most_clients;
    if full || stream.set_nonblocking().is_err() {
        return;
    }
    let number = server.next;
    server.next += 1;
    let client = NbdClient {
        session: Session::new(),
        stream: Rc::new(stream),
        reading: None,
        writing: None,
    };
    server.clients.insert(number, client);
    serve(rt, number);
}

/// Takes what a client sent, answers one request, and has the loop come back as needed.
fn serve(rt: &mut Rt, number: u64) {
    let m = &mut rt.state;
    let Some(client) = m.nbd.as_mut().and_then(|s| s.clients.get_mut(&number)) else {
        return;
    };
    let busy = client.session.step(&mut m.blocks);
    let sent = send(client);
    let (over, wants) = (client.session.is_over(), client.session.wants_input());
    let pending = !client.session.output().is_empty();
    if sent.is_err() || over && !pending {
        remove(rt, number);
    } else {
        watch(rt, number, wants && !busy, pending, busy);
    }
    // It may have been a write; a mirror that has caught up waits for one.
    rt.state.jobs.disk_written();
    super::jobs::pump(rt);
}

fn send(client: &mut NbdClient) -> io::Result<()> {
    let stream = client.stream.clone();
    let output = client.session.output();
    let mut done = 0;
    let result = loop {
        if done == output.len() {
            break Ok(());
        }
        match stream.write(&output[done..]) {
            Ok(written) => done += written,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => break Ok(()),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => break Err(e),
        }
    };
    output.drain(..done);
    result
}

/// Waits for what the client does next.
fn watch(rt: &mut Rt, number: u64, read: bool, write: bool, again: bool) {
    let Some(client) = client(rt, number) else {
        return;
    };
    let stream = client.stream.clone();
    let (reading, writing) = (client.reading, client.writing);
    let mut changed = (reading, writing);
    if read && reading.is_none() {
        let fd: SharedFd = stream.clone();
        let watch = Watch::new("nbd_read", fd, Condition::IN, move |rt: &mut Rt, _| {
            read_client(rt, number)
        });
        changed.0 = Some(rt.main_loop_mut().add_watch(watch));
    } else if let Some(old) = reading.filter(|_| !read) {
        rt.main_loop_mut().remove_watch(old);
        changed.0 = None;
    }
    if (write || again) && writing.is_none() {
        let fd: SharedFd = stream;
        let watch = Watch::new("nbd_write", fd, Condition::OUT, move |rt: &mut Rt, _| {
            if let Some(client) = client_of(rt, number) {
                client.writing = None;
            }
            serve(rt, number);
            Flow::Remove
        });
        changed.1 = Some(rt.main_loop_mut().add_watch(watch));
    }
    if let Some(client) = client_of(rt, number) {
        (client.reading, client.writing) = changed;
    }
}

fn client_of(rt: &mut Rt, number: u64) -> Option<&mut NbdClient> {
    rt.state.nbd.as_mut()?.clients.get_mut(&number)
}

fn client(rt: &mut Rt, number: u64) -> Option<&NbdClient> {
    client_of(rt, number).map(|client| &*client)
}

fn read_client(rt: &mut Rt, number: u64) -> Flow {
    let Some(client) = client_of(rt, number) else {
        return Flow::Remove;
    };
    let mut bytes = vec![0; PIECE];
    match client.stream.read(&mut bytes) {
        Ok(0) => {
            client.reading = None;
            remove(rt, number);
            return Flow::Remove;
        }
        Ok(read) => client.session.take(&bytes[..read]),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Flow::Keep,
        Err(_) => {
            client.reading = None;
            remove(rt, number);
            return Flow::Remove;
        }
    }
    serve(rt, number);
    // It may have been removed, or have other wishes now.
    let stays = client_of(rt, number).is_some_and(|client| client.reading.is_some());
    if stays {
        Flow::Keep
    } else {
        Flow::Remove
    }
}
