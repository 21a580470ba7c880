//! Network back ends on stream sockets: they listen, connect, connect again, and say so by
//! events.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use super::netdevs::Flat;
use crate::model::net::{Connection, Frames, Listener, Socket, Stream, Target};
use crate::schema::{
    qapi_event_send_netdev_stream_connected, qapi_event_send_netdev_stream_disconnected,
    InetSocketAddress, SocketAddress, UnixSocketAddress,
};
use crate::Machine;
use nix::sys::socket::{
    connect as connect_fd, getsockname, socket, AddressFamily, SockFlag, SockType, SockaddrStorage,
};
use qmonitor::chardev::ChardevHost;
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, SharedFd, Watch};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl Target {
    /// The target that options with this prefix name.
    ///
    /// # Errors
    ///
    /// One is missing, or there is no such kind.
    pub(super) fn of(options: &Flat, prefix: &str) -> Result<Target, Error> {
        let get = |name: &str| options.get(&format!("{prefix}.{name}"));
        let needed = |name: &str| {
            let missing = || Error::new(format!("Parameter '{prefix}.{name}' is missing"));
            get(name).map(str::to_owned).ok_or_else(missing)
        };
        let allowed =
            |name: &str| get(name).map(|text| matches!(text, "on" | "yes" | "y" | "true"));
        match needed("type")?.as_str() {
            "unix" => Ok(Target::Unix {
                path: needed("path")?,
                is_abstract: allowed("abstract").unwrap_or(false),
            }),
            "inet" => {
                let (four, six) = (allowed("ipv4"), allowed("ipv6"));
                Ok(Target::Inet {
                    host: needed("host")?,
                    port: needed("port")?,
                    versions: (
                        four.unwrap_or(six != Some(true)),
                        six.unwrap_or(four != Some(true)),
                    ),
                })
            }
            "fd" => Ok(Target::Fd(needed("str")?)),
            "vsock" => Ok(Target::Other),
            kind => Err(Error::new(format!(
                "Parameter 'type' does not accept value '{kind}'"
            ))),
        }
    }
}

/// Makes the stream of a back end that was just made, and begins to listen or to connect.
pub(super) fn open(
    rt: &mut Rt,
    id: &str,
    target: Target,
    is_server: bool,
    reconnect: Option<Duration>,
    is_plain: bool,
) {
    let stream = Stream {
        target,
        is_plain,
        listener: None,
        path: None,
        connection: None,
        connecting: None,
        timer: None,
        reconnect,
    };
    rt.state.streams.insert(id.to_owned(), stream);
    if is_server {
        listen(rt, id);
    } else {
        set_info(rt, id, if is_plain { "" } else { "connecting" });
        // In QEMU a thread connects, so the command is answered first.
        try_after(rt, id, Duration::ZERO);
    }
}

/// Ends the stream of a back end that is gone.
pub(super) fn close(rt: &mut Rt, id: &str) {
    let Some(stream) = rt.state.streams.remove(id) else {
        return;
    };
    let main_loop = rt.main_loop_mut();
    let watches = [
        stream.listener.and_then(|(_, watch)| watch),
        stream.connection.map(|c| c.watch),
        stream.connecting,
    ];
    for watch in watches.into_iter().flatten() {
        main_loop.remove_watch(watch);
    }
    if let Some(timer) = stream.timer {
        main_loop.timer_free(timer);
    }
    if let Some(path) = stream.path {
        // It may be gone already.
        let _ = std::fs::remove_file(path);
    }
}

fn set_info(rt: &mut Rt, id: &str, info: &str) {
    rt.state.net.set_info(id, info);
}

fn failed(rt: &mut Rt, id: &str, e: &Error) {
    let is_plain = rt.state.streams.get(id).is_some_and(|s| s.is_plain);
    if !is_plain {
        set_info(rt, id, &format!("error: {}", e.desc()));
    }
}

fn listen(rt: &mut Rt, id: &str) {
    let Some(stream) = rt.state.streams.get_mut(id) else {
        return;
    };
    let is_plain = stream.is_plain;
    match bind(&stream.target) {
        Ok((listener, path)) => {
            stream.listener = Some((Rc::new(listener), None));
            stream.path = path;
            set_info(rt, id, if is_plain { "" } else { "listening" });
            watch_listener(rt, id);
        }
        Err(e) => failed(rt, id, &e),
    }
}

/// Binds a listening socket; a path is to be removed at the end.
fn bind(target: &Target) -> Result<(Listener, Option<PathBuf>), Error> {
    match target {
        Target::Unix { path, is_abstract } => {
            let failed = |e| Error::from_io(format!("Failed to bind socket to {path}"), &e);
            let listener = if *is_abstract {
                let name = UnixAddr::from_abstract_name(path.as_bytes());
                name.and_then(|name| UnixListener::bind_addr(&name))
            } else {
                let _ = std::fs::remove_file(path);
                UnixListener::bind(path)
            };
            let listener = listener.map_err(failed)?;
            listener.set_nonblocking(true).map_err(failed)?;
            let path = (!is_abstract).then(|| PathBuf::from(path));
            Ok((Listener::Unix(listener), path))
        }
        Target::Inet { .. } => {
            let mut last = None;
            for address in resolve(target)? {
                let bound = TcpListener::bind(address);
                match bound.and_then(|l| l.set_nonblocking(true).map(|()| l)) {
                    Ok(listener) => return Ok((Listener::Tcp(listener), None)),
                    Err(e) => last = Some(e),
                }
            }
            let e = last.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
            Err(Error::from_io("Failed to bind socket", &e))
        }
        Target::Fd(_) | Target::Other => Err(Error::new("not a listening socket")),
    }
}

/// The addresses of a host and port.
pub(super) fn resolve(target: &Target) -> Result<Vec<SocketAddr>, Error> {
    let Target::Inet {
        host,
        port,
        versions,
    } = target
    else {
        return Ok(Vec::new());
    };
    let failed = |reason| {
        Error::new(format!(
            "address resolution failed for {host}:{port}: {reason}"
        ))
    };
    let number: u16 = port
        .parse()
        .map_err(|_| failed("Servname not supported for ai_socktype"))?;
    let name = match host.as_str() {
        "" => "0.0.0.0",
        host => host.trim_start_matches('[').trim_end_matches(']'),
    };
    let found = (name, number).to_socket_addrs();
    let found = found.map_err(|_| failed("Name or service not known"))?;
    let fits = |a: &SocketAddr| if a.is_ipv4() { versions.0 } else { versions.1 };
    Ok(found.filter(fits).collect())
}

fn watch_listener(rt: &mut Rt, id: &str) {
    let Some((listener, _)) = rt.state.streams.get(id).and_then(|s| s.listener.as_ref()) else {
        return;
    };
    let (fd, listener): (SharedFd, _) = (listener.clone(), listener.clone());
    let name = id.to_owned();
    let watch = Watch::new("net_listen", fd, Condition::IN, move |rt: &mut Rt, _| {
        match listener.accept() {
            // One at a time: others wait until it has gone.
            Ok(socket) => {
                if let Some((_, watch)) = listener_of(rt, &name) {
                    *watch = None;
                }
                connected(rt, &name, socket);
                Flow::Remove
            }
            Err(_) => Flow::Keep,
        }
    });
    let watch = rt.main_loop_mut().add_watch(watch);
    if let Some((_, place)) = listener_of(rt, id) {
        *place = Some(watch);
    }
}

type Listening = (Rc<Listener>, Option<qmonitor::main_loop::WatchId>);

fn listener_of<'a>(rt: &'a mut Rt, id: &str) -> Option<&'a mut Listening> {
    rt.state.streams.get_mut(id)?.listener.as_mut()
}

fn try_after(rt: &mut Rt, id: &str, delay: Duration) {
    let Some(stream) = rt.state.streams.get(id) else {
        return;
    };
    let timer = match stream.timer {
        Some(timer) => timer,
        None => {
            let name = id.to_owned();
            let main_loop = rt.main_loop_mut();
            let timer = main_loop.timer_new(ClockType::Realtime, "net_connect", move |rt| {
                connect(rt, &name);
            });
            if let Some(stream) = rt.state.streams.get_mut(id) {
                stream.timer = Some(timer);
            }
            timer
        }
    };
    rt.main_loop_mut().timer_mod_in(timer, delay);
}

/// What the try to connect has come to.
enum Attempt {
    Done(Socket),
    UnderWay(TcpStream),
}

fn connect(rt: &mut Rt, id: &str) {
    let Some(stream) = rt.state.streams.get(id) else {
        return;
    };
    let target = stream.target.clone();
    let attempt = match &target {
        Target::Fd(number) => inherited(rt, number).map(|socket| Some(Attempt::Done(socket))),
        target => attempt(target),
    };
    match attempt {
        Ok(Some(Attempt::Done(socket))) => connected(rt, id, socket),
        Ok(Some(Attempt::UnderWay(socket))) => wait_for(rt, id, socket),
        Ok(None) => {}
        Err(e) => not_connected(rt, id, &e),
    }
}

fn not_connected(rt: &mut Rt, id: &str, e: &Error) {
    match rt.state.streams.get(id).and_then(|s| s.reconnect) {
        Some(delay) => try_after(rt, id, delay),
        None => failed(rt, id, e),
    }
}

fn attempt(target: &Target) -> Result<Option<Attempt>, Error> {
    match target {
        Target::Unix { path, is_abstract } => {
            let socket = if *is_abstract {
                let name = UnixAddr::from_abstract_name(path.as_bytes());
                name.and_then(|name| UnixStream::connect_addr(&name))
            } else {
                UnixStream::connect(path)
            };
            let socket = socket.and_then(|s| s.set_nonblocking(true).map(|()| s));
            let failed = |e| Error::from_io(format!("Failed to connect to '{path}'"), &e);
            Ok(Some(Attempt::Done(Socket::Unix(socket.map_err(failed)?))))
        }
        Target::Inet { host, port, .. } => {
            let addresses = resolve(target)?;
            let started = addresses.first().map(|address| start_tcp(*address));
            let started = started.unwrap_or_else(|| Err(io::ErrorKind::AddrNotAvailable.into()));
            let failed = |e| Error::from_io(format!("Failed to connect to '{host}:{port}'"), &e);
            Ok(Some(Attempt::UnderWay(started.map_err(failed)?)))
        }
        Target::Fd(_) | Target::Other => Ok(None),
    }
}

/// Begins to connect without waiting.
fn start_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    let begun = connect_fd(fd.as_raw_fd(), &SockaddrStorage::from(address));
    match begun {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => Ok(fd.into()),
        Err(e) => Err(e.into()),
    }
}

/// Waits until a socket is connected or refused.
fn wait_for(rt: &mut Rt, id: &str, socket: TcpStream) {
    let socket = Rc::new(socket);
    let fd: SharedFd = socket.clone();
    let name = id.to_owned();
    let watch = Watch::new("net_connect", fd, Condition::OUT, move |rt: &mut Rt, _| {
        let Some(stream) = rt.state.streams.get_mut(&name) else {
            return Flow::Remove;
        };
        stream.connecting = None;
        let place = match &stream.target {
            Target::Inet { host, port, .. } => format!("{host}:{port}"),
            _ => String::new(),
        };
        let outcome = match socket.take_error() {
            Ok(None) => socket.try_clone(),
            Ok(Some(e)) | Err(e) => Err(e),
        };
        match outcome {
            Ok(socket) => connected(rt, &name, Socket::Tcp(socket)),
            Err(e) => {
                let e = Error::from_io(format!("Failed to connect to '{place}'"), &e);
                not_connected(rt, &name, &e);
            }
        }
        Flow::Remove
    });
    let watch = rt.main_loop_mut().add_watch(watch);
    if let Some(stream) = rt.state.streams.get_mut(id) {
        stream.connecting = Some(watch);
    }
}

/// Takes a descriptor that the program inherited.
fn inherited(rt: &mut Rt, number: &str) -> Result<Socket, Error> {
    let fd: i32 = number
        .parse()
        .map_err(|_| Error::new(format!("Unable to parse FD number {number}")))?;
    let no_socket = || Error::new(format!("File descriptor '{number}' is not a socket"));
    let fds = rt.chardevs_mut().inherited_fds_mut();
    let owned = fds.take(fd).and_then(|fd| fd.try_clone());
    let owned = owned.map_err(|_| no_socket())?;
    let name = getsockname::<SockaddrStorage>(owned.as_raw_fd()).map_err(|_| no_socket())?;
    let is_unix = name.as_unix_addr().is_some();
    let socket = if is_unix {
        let socket = UnixStream::from(owned);
        let _ = socket.set_nonblocking(true);
        Socket::Unix(socket)
    } else {
        let socket = TcpStream::from(owned);
        let _ = socket.set_nonblocking(true);
        Socket::Tcp(socket)
    };
    Ok(socket)
}

/// A peer is there.
fn connected(rt: &mut Rt, id: &str, socket: Socket) {
    let socket = Rc::new(socket);
    let (fd, name): (SharedFd, _) = (socket.clone(), id.to_owned());
    let watch = Watch::new("net_stream", fd, Condition::IN, move |rt: &mut Rt, _| {
        let stream = rt.state.streams.get_mut(&name);
        let connection = stream.and_then(|s| s.connection.as_mut());
        if connection.is_some_and(Connection::drain) {
            return Flow::Keep;
        }
        disconnected(rt, &name);
        Flow::Remove
    });
    let watch = rt.main_loop_mut().add_watch(watch);
    let Some(stream) = rt.state.streams.get_mut(id) else {
        return;
    };
    let peer = socket.peer();
    let is_server = stream.listener.is_some();
    stream.connection = Some(Connection {
        socket,
        watch,
        frames: Frames::default(),
    });
    let (target, is_plain) = (stream.target.clone(), stream.is_plain);
    let info = match (&target, peer) {
        (_, Some(peer)) if is_plain && is_server => {
            format!("socket: connection from {}:{}", peer.ip(), peer.port())
        }
        (_, Some(peer)) if is_plain => {
            format!("socket: connect to {}:{}", peer.ip(), peer.port())
        }
        (_, Some(peer)) => format!("tcp:{}:{}", peer.ip(), peer.port()),
        (Target::Unix { path, .. }, None) => format!("unix:{path}"),
        _ => "unix:".to_owned(),
    };
    set_info(rt, id, &info);
    if !is_plain {
        qapi_event_send_netdev_stream_connected(rt, id.to_owned(), address(&target, peer));
    }
}

/// The address of a peer as events tell it.
fn address(target: &Target, peer: Option<SocketAddr>) -> SocketAddress {
    if let Some(peer) = peer {
        return SocketAddress::Inet(InetSocketAddress {
            host: peer.ip().to_string(),
            port: peer.port().to_string(),
            numeric: None,
            to: None,
            ipv4: peer.is_ipv4().then_some(true),
            ipv6: peer.is_ipv6().then_some(true),
            keep_alive: None,
            keep_alive_count: None,
            keep_alive_idle: None,
            keep_alive_interval: None,
            mptcp: None,
        });
    }
    let (path, is_abstract) = match target {
        Target::Unix { path, is_abstract } => (path.clone(), *is_abstract),
        _ => (String::new(), false),
    };
    SocketAddress::Unix(UnixSocketAddress {
        path,
        r#abstract: is_abstract.then_some(true),
        tight: is_abstract.then_some(true),
    })
}

/// The peer has gone: a server waits for another, a client tries again if it shall.
fn disconnected(rt: &mut Rt, id: &str) {
    let Some(stream) = rt.state.streams.get_mut(id) else {
        return;
    };
    stream.connection = None;
    let (is_plain, reconnect) = (stream.is_plain, stream.reconnect);
    let is_server = stream.listener.is_some();
    if !is_plain {
        qapi_event_send_netdev_stream_disconnected(rt, id.to_owned());
    }
    if is_server {
        set_info(rt, id, if is_plain { "" } else { "listening" });
        watch_listener(rt, id);
    } else if let Some(delay) = reconnect {
        set_info(rt, id, "connecting");
        try_after(rt, id, delay);
    } else if is_plain {
        set_info(rt, id, "");
    }
}
