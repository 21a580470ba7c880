//! Servers: from a [`SocketAddress`] to a socket that listens.
//!
//! Error texts are QEMU's. Names are resolved by the system, which may block.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    self, sockopt, AddressFamily, Backlog, SockFlag, SockaddrStorage, VsockAddr,
};

use super::fd::{set_nonblocking, socket_get_fd};
use super::filename::{local_address, socket_address_to_string};
use super::resolve::{inet_resolve, Families};
use super::sockaddr::{family_of, parse_vsock, stream_socket, unix_sockaddr};
use crate::chardev::config::{InetSocketAddress, SocketAddress, UnixSocketAddress};
use crate::chardev::host::ChardevHost;
use crate::qapi::Error;
use crate::trace_event;

/// The file of a unix socket, removed when the listener goes, unless another one has
/// taken its place: a chardev that is changed binds the path before the old one goes.
#[derive(Debug)]
pub struct UnixPath {
    path: PathBuf,
    file: Option<(u64, u64)>,
}

impl UnixPath {
    fn new(path: PathBuf) -> Self {
        let file = Self::file_at(&path);
        UnixPath { path, file }
    }

    fn file_at(path: &Path) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        let file = std::fs::symlink_metadata(path).ok()?;
        Some((file.dev(), file.ino()))
    }
}

impl Drop for UnixPath {
    fn drop(&mut self) {
        if self.file.is_some() && Self::file_at(&self.path) == self.file {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listening {
    /// The socket.
    pub fd: OwnedFd,
    /// The address in full, with the port that was found.
    pub addr: SocketAddress,
    /// The file that goes with it.
    pub path: Option<UnixPath>,
}

/// Makes a socket that listens at the address (`socket_listen`) for that many
/// clients at the same time: so many may wait in the kernel's queue too. For
/// QEMU's servers that is one.
///
/// # Errors
///
/// The address cannot be had; the text is QEMU's.
pub fn socket_listen<H: ChardevHost>(
    h: &mut H,
    addr: &SocketAddress,
    clients: u64,
) -> Result<Listening, Error> {
    let queue = backlog(clients);
    let listening = match addr {
        SocketAddress::Inet(inet) => inet_listen(inet, queue),
        SocketAddress::Unix(unix) => unix_listen(unix, queue),
        SocketAddress::Vsock { cid, port } => vsock_listen(addr, parse_vsock(cid, port)?, queue),
        SocketAddress::Fd(name) => fd_listen(socket_get_fd(h, name)?, queue),
    }?;
    let words = socket_address_to_string(&listening.addr);
    trace_event!(socket_listen, "fd {} at {words}", listening.fd.as_raw_fd());
    Ok(listening)
}

fn backlog(clients: u64) -> Backlog {
    let queue = i32::try_from(clients).ok();
    let queue = queue.and_then(|queue| Backlog::new(queue).ok());
    queue.unwrap_or(Backlog::MAXCONN)
}

fn unix_listen(addr: &UnixSocketAddress, queue: Backlog) -> Result<Listening, Error> {
    let mut addr = addr.clone();
    if addr.path.is_empty() && !addr.is_abstract() {
        addr.path = temporary_name()?;
    }
    let sockaddr = unix_sockaddr(&addr)?;
    let fd = stream_socket(AddressFamily::Unix, SockFlag::SOCK_NONBLOCK)?;
    if !addr.is_abstract() {
        // Whatever has the name makes way, as with QEMU: a socket left over
        // from a crash is far more likely than anything else.
        let _ = std::fs::remove_file(&addr.path);
    }
    socket::bind(fd.as_raw_fd(), &sockaddr).map_err(|e| {
        Error::from_io(format!("Failed to bind socket to {}", addr.path), &e.into())
    })?;
    let path = (!addr.is_abstract()).then(|| UnixPath::new(PathBuf::from(&addr.path)));
    socket::listen(&fd, queue)
        .map_err(|e| Error::from_io("Failed to listen on socket", &e.into()))?;
    // From here on the address is what the socket has, not what was asked for.
    let bound = addr.is_abstract();
    (addr.abstract_, addr.tight) = (bound.then_some(true), bound.then_some(addr.is_tight()));
    let addr = SocketAddress::Unix(addr);
    Ok(Listening { fd, addr, path })
}

/// A name for a server that was given none.
fn temporary_name() -> Result<String, Error> {
    let template = std::env::temp_dir().join("qemu-socket-XXXXXX");
    let (_, path) = nix::unistd::mkstemp(&template)
        .map_err(|e| Error::from_io("Unable to create a temporary file", &e.into()))?;
    Ok(path.to_string_lossy().into_owned())
}

fn inet_listen(addr: &InetSocketAddress, queue: Backlog) -> Result<Listening, Error> {
    let candidates = inet_resolve(addr, true)?;
    let first = candidates.first().map_or(0, SocketAddr::port);
    let last = addr.to.map_or(first, |to| to.max(first));
    // V4-mapped addresses come in on an IPv6 socket unless IPv6 alone was asked for.
    let v6only = Families::of(addr).only_ipv6();
    let mut error = None;
    for candidate in candidates {
        for port in first..=last {
            let mut candidate = candidate;
            candidate.set_port(port);
            match inet_bind(candidate, v6only, queue) {
                Ok(fd) => {
                    let addr = local_address(fd.as_fd());
                    let path = None;
                    return Ok(Listening { fd, addr, path });
                }
                Err(BindError::Taken(e)) => {
                    error = Some(Error::from_io("Failed to find an available port", &e));
                }
                Err(BindError::Other(e)) => {
                    error = Some(e);
                    break;
                }
            }
        }
    }
    Err(error.unwrap_or_else(|| Error::new("Failed to bind socket: no address")))
}

enum BindError {
    Taken(io::Error),
    Other(Error),
}

fn inet_bind(addr: SocketAddr, v6only: bool, queue: Backlog) -> Result<OwnedFd, BindError> {
    let taken = |e: Errno, what: &str| match e {
        Errno::EADDRINUSE => BindError::Taken(e.into()),
        _ => BindError::Other(Error::from_io(what, &e.into())),
    };
    let fd = stream_socket(family_of(addr), SockFlag::SOCK_NONBLOCK).map_err(BindError::Other)?;
    let options = socket::setsockopt(&fd, sockopt::ReuseAddr, &true).and_then(|()| {
        if addr.is_ipv6() {
            socket::setsockopt(&fd, sockopt::Ipv6V6Only, &v6only)?;
        }
        Ok(())
    });
    options.map_err(|e| taken(e, "Failed to set socket options"))?;
    socket::bind(fd.as_raw_fd(), &SockaddrStorage::from(addr))
        .map_err(|e| taken(e, "Failed to bind socket"))?;
    socket::listen(&fd, queue).map_err(|e| taken(e, "Failed to listen on socket"))?;
    Ok(fd)
}

fn vsock_listen(
    addr: &SocketAddress,
    sockaddr: VsockAddr,
    queue: Backlog,
) -> Result<Listening, Error> {
    let fd = stream_socket(AddressFamily::Vsock, SockFlag::SOCK_NONBLOCK)?;
    socket::bind(fd.as_raw_fd(), &sockaddr)
        .and_then(|()| socket::listen(&fd, queue))
        .map_err(|e| Error::from_io("Failed to bind socket", &e.into()))?;
    let (addr, path) = (addr.clone(), None);
    Ok(Listening { fd, addr, path })
}

fn fd_listen(fd: OwnedFd, queue: Backlog) -> Result<Listening, Error> {
    let what = "Failed to listen on fd socket";
    socket::listen(&fd, queue).map_err(|e| Error::from_io(what, &e.into()))?;
    set_nonblocking(fd.as_fd()).map_err(|e| Error::from_io(what, &e))?;
    let addr = local_address(fd.as_fd());
    let path = None;
    Ok(Listening { fd, addr, path })
}

/// Takes the next client of a listening socket.
///
/// # Errors
///
/// Those of accept(2); `WouldBlock` if none waits.
pub fn socket_accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    crate::sys::accept(listener)
}
