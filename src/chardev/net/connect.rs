//! Clients: from a [`SocketAddress`] to a connected socket.
//!
//! Error texts are QEMU's. Names are resolved by the system, which may block; a
//! client that reconnects in the background does block for a name that
//! takes long to resolve, so it is best given a number.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, sockopt, AddressFamily, SockFlag, SockType, SockaddrLike, SockaddrStorage,
};

use super::fd::{set_nonblocking, socket_get_fd};
use super::filename::socket_address_to_string;
use super::resolve::inet_resolve;
use super::sockaddr::{family_of, parse_vsock, stream_socket, unix_sockaddr};
use crate::chardev::config::{InetSocketAddress, SocketAddress};
use crate::chardev::host::ChardevHost;
use crate::qapi::Error;
use crate::trace_event;

/// Makes a datagram socket that talks to one remote and, with a local address,
/// listens there (`socket_dgram`).
pub(in crate::chardev) fn socket_dgram(
    remote: &InetSocketAddress,
    local: Option<&InetSocketAddress>,
) -> Result<OwnedFd, Error> {
    let mut error = Error::new("Failed to connect: no address");
    let mut named = remote.clone();
    if named.host.is_empty() {
        named.host = "localhost".to_owned();
    }
    for peer in inet_resolve(&named, false)? {
        match dgram_to(remote, peer, local) {
            Ok(fd) => return Ok(fd),
            Err(e) => error = e,
        }
    }
    Err(error)
}

fn dgram_to(
    remote: &InetSocketAddress,
    peer: SocketAddr,
    local: Option<&InetSocketAddress>,
) -> Result<OwnedFd, Error> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket::socket(family_of(peer), SockType::Datagram, flags, None)
        .map_err(|e| Error::from_io("Failed to create socket", &e.into()))?;
    socket::setsockopt(&fd, sockopt::ReuseAddr, &true)
        .map_err(|e| Error::from_io("Failed to set socket options", &e.into()))?;
    if let Some(local) = local {
        let same_family = InetSocketAddress {
            ipv4: Some(peer.is_ipv4()),
            ipv6: Some(peer.is_ipv6()),
            port: match local.port.as_str() {
                "" => "0".to_owned(),
                port => port.to_owned(),
            },
            ..local.clone()
        };
        let addr = inet_resolve(&same_family, true)?;
        let addr = addr.first().copied().unwrap_or(peer);
        socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(addr))
            .map_err(|e| Error::from_io("Failed to bind socket", &e.into()))?;
    }
    match socket::connect(fd.as_raw_fd(), &SockaddrStorage::from(peer)) {
        Ok(()) => Ok(fd),
        Err(e) => Err(connect_error(
            &SocketAddress::Inet(remote.clone()),
            &e.into(),
        )),
    }
}

/// A connection that is made or being made.
#[derive(Debug)]
pub enum Connecting {
    /// It is there.
    Done(OwnedFd),
    /// Wait until it is writable, then ask [`connect_result`]; if it failed,
    /// try the rest.
    InProgress(OwnedFd, Vec<SocketAddr>),
}

/// Connects, blocking (`socket_connect`).
pub(in crate::chardev) fn socket_connect<H: ChardevHost>(
    h: &mut H,
    addr: &SocketAddress,
) -> Result<OwnedFd, Error> {
    match socket_connect_start(h, addr, SockFlag::empty())? {
        Connecting::Done(fd) | Connecting::InProgress(fd, _) => {
            set_nonblocking(fd.as_fd()).map_err(|e| Error::from_io("Failed to connect", &e))?;
            Ok(fd)
        }
    }
}

/// Begins to connect without blocking.
///
/// # Errors
///
/// It failed at once; the text is QEMU's.
pub fn socket_connect_async<H: ChardevHost>(
    h: &mut H,
    addr: &SocketAddress,
) -> Result<Connecting, Error> {
    socket_connect_start(h, addr, SockFlag::SOCK_NONBLOCK)
}

fn socket_connect_start<H: ChardevHost>(
    h: &mut H,
    addr: &SocketAddress,
    flags: SockFlag,
) -> Result<Connecting, Error> {
    trace_event!(socket_connect, "to {}", socket_address_to_string(addr));
    match addr {
        SocketAddress::Inet(inet) => {
            let candidates = inet_resolve(inet, false)?;
            connect_next(addr, candidates, flags)
        }
        SocketAddress::Unix(unix) => {
            let sockaddr = unix_sockaddr(unix)?;
            connect_to(addr, AddressFamily::Unix, &sockaddr, flags)
        }
        SocketAddress::Vsock { cid, port } => {
            let sockaddr = parse_vsock(cid, port)?;
            connect_to(addr, AddressFamily::Vsock, &sockaddr, flags)
        }
        SocketAddress::Fd(name) => {
            let fd = socket_get_fd(h, name)?;
            set_nonblocking(fd.as_fd()).map_err(|e| Error::from_io("Failed to connect", &e))?;
            Ok(Connecting::Done(fd))
        }
    }
}

/// Tries candidates until one connects or begins to.
///
/// # Errors
///
/// None did; the text is about the last.
pub fn connect_next(
    addr: &SocketAddress,
    candidates: Vec<SocketAddr>,
    flags: SockFlag,
) -> Result<Connecting, Error> {
    let mut error = Error::new("Failed to connect: no address");
    let mut rest = candidates.into_iter();
    while let Some(candidate) = rest.next() {
        let sockaddr = SockaddrStorage::from(candidate);
        match connect_to(addr, family_of(candidate), &sockaddr, flags) {
            Ok(Connecting::InProgress(fd, _)) => {
                return Ok(Connecting::InProgress(fd, rest.collect()))
            }
            Ok(done) => return Ok(done),
            Err(e) => error = e,
        }
    }
    Err(error)
}

fn connect_to(
    addr: &SocketAddress,
    family: AddressFamily,
    sockaddr: &dyn SockaddrLike,
    flags: SockFlag,
) -> Result<Connecting, Error> {
    let fd = stream_socket(family, flags)?;
    match socket::connect(fd.as_raw_fd(), sockaddr) {
        Ok(()) => Ok(Connecting::Done(fd)),
        Err(Errno::EINPROGRESS) => Ok(Connecting::InProgress(fd, Vec::new())),
        Err(e) => Err(connect_error(addr, &e.into())),
    }
}

/// How a connection that was under way has ended.
///
/// # Errors
///
/// It failed; the text is QEMU's.
pub fn connect_result(addr: &SocketAddress, fd: &OwnedFd) -> Result<(), Error> {
    match socket::getsockopt(fd, sockopt::SocketError) {
        Ok(0) => Ok(()),
        Ok(code) => Err(connect_error(addr, &io::Error::from_raw_os_error(code))),
        Err(e) => Err(connect_error(addr, &e.into())),
    }
}

fn connect_error(addr: &SocketAddress, e: &io::Error) -> Error {
    let to = match addr {
        SocketAddress::Inet(inet) => format!("{}:{}", inet.host, inet.port),
        SocketAddress::Unix(unix) => unix.path.clone(),
        SocketAddress::Vsock { cid, port } => format!("{cid}:{port}"),
        SocketAddress::Fd(name) => name.clone(),
    };
    Error::from_io(format!("Failed to connect to '{to}'"), e)
}
