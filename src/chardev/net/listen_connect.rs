//! Sockets: from a [`SocketAddress`] to a descriptor.
//!
//! Error texts are QEMU's. Names are resolved by the system, which may block; a
//! client that reconnects in the background does block for a name that
//! takes long to resolve, so it is best given a number.

use std::io;
use std::net::SocketAddr;
use std::num::{IntErrorKind, ParseIntError};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::socket::{
    self, sockopt, AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    UnixAddr, VsockAddr,
};

use super::activation::numbers_named;
use super::filename::{local_address, socket_address_to_string};
use super::resolve::{inet_resolve, Families};
use crate::chardev::config::{InetSocketAddress, SocketAddress, UnixSocketAddress};
use crate::chardev::host::ChardevHost;
use crate::qapi::Error;
use crate::sys::{unix_path_addr, UNIX_PATH_MAX};
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

fn stream_socket(family: AddressFamily, flags: SockFlag) -> Result<OwnedFd, Error> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket::socket(family, SockType::Stream, flags, None)
        .map_err(|e| Error::from_io("Failed to create socket", &e.into()))
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

fn unix_sockaddr(addr: &UnixSocketAddress) -> Result<UnixAddr, Error> {
    let is_abstract = addr.is_abstract() || addr.path.is_empty();
    // The NUL in front of an abstract name takes a byte; a path needs none behind it.
    let max = UNIX_PATH_MAX - usize::from(addr.is_abstract());
    if addr.path.len() > max {
        let what = format!("UNIX socket path '{}' is too long", addr.path);
        let hint = format!("Path must be less than {max} bytes\n");
        return Err(Error::new(what).with_hint(hint));
    }
    let sockaddr = if is_abstract {
        let mut name = addr.path.clone().into_bytes();
        if !addr.is_tight() || addr.path.is_empty() {
            name.resize(UNIX_PATH_MAX - 1, 0);
        }
        UnixAddr::new_abstract(&name)
    } else {
        unix_path_addr(&addr.path)
    };
    sockaddr.map_err(|e| Error::from_io(format!("Invalid UNIX path '{}'", addr.path), &e.into()))
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

fn family_of(addr: SocketAddr) -> AddressFamily {
    if addr.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
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

/// Sets `O_NONBLOCK`.
///
/// # Errors
///
/// Those of fcntl(2).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    use nix::fcntl::{fcntl, FcntlArg, OFlag};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// The socket that an `fd` address names (`socket_get_fd`).
///
/// To a monitor it is a name given with `getfd`, even if it looks like a
/// number, and is used up even if it turns out not to be a socket. Where there
/// is no monitor it is the number of a descriptor that the parent process left
/// open, which is taken only if it is a socket. QEMU does not know names there; here
/// one stands for the next socket that systemd has passed on under it.
pub(in crate::chardev) fn socket_get_fd<H: ChardevHost>(
    h: &mut H,
    name: &str,
) -> Result<OwnedFd, Error> {
    let not_a_socket = || Error::new(format!("File descriptor '{name}' is not a socket"));
    if let Some(fd) = h.monitor_get_fd(name) {
        let fd = fd?;
        return if is_socket(&fd) {
            Ok(fd)
        } else {
            Err(not_a_socket())
        };
    }
    let inherited = h.chardevs_mut().inherited_fds_mut();
    let not_taken = |number: &RawFd| inherited.get(*number).is_some();
    let number = match name.parse::<RawFd>() {
        Ok(number) => number,
        Err(e) => match numbers_named(name).into_iter().find(not_taken) {
            Some(number) => number,
            None => return Err(no_number(name, &e)),
        },
    };
    if inherited.get(number).is_some_and(|fd| !is_socket(&fd)) {
        return Err(not_a_socket());
    }
    inherited.take(number).map_err(|e| match e.raw_os_error() {
        Some(code) if code == Errno::EBUSY as i32 => {
            Error::new(format!("File descriptor '{name}' is already in use"))
        }
        _ => not_a_socket(),
    })
}

/// QEMU's words for a text that should be a descriptor's number.
fn no_number(text: &str, e: &ParseIntError) -> Error {
    let what = format!("Unable to parse FD number {text}");
    match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            Error::from_io(what, &Errno::ERANGE.into())
        }
        _ => Error::new(what),
    }
}

fn is_socket(fd: &impl AsFd) -> bool {
    socket::getsockopt(fd, sockopt::SockType).is_ok()
}

fn parse_vsock(cid: &str, port: &str) -> Result<VsockAddr, Error> {
    let number = |text: &str, what| {
        let number = text.parse::<u32>();
        number.map_err(|_| Error::new(format!("Failed to parse {what} '{text}'")))
    };
    Ok(VsockAddr::new(number(cid, "cid")?, number(port, "port")?))
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts say "less than" where they mean "at most", as QEMU's do.
    #[test]
    fn long_paths() {
        for (is_abstract, max) in [(false, 108), (true, 107)] {
            let address = |len| UnixSocketAddress {
                abstract_: Some(is_abstract),
                ..UnixSocketAddress::path("a".repeat(len))
            };
            assert_eq!(unix_sockaddr(&address(max)).unwrap().path_len(), 108);
            let long = address(max + 1);
            let e = unix_sockaddr(&long).unwrap_err();
            let what = format!("UNIX socket path '{}' is too long", long.path);
            assert_eq!(e.desc(), what);
            assert_eq!(e.hint(), format!("Path must be less than {max} bytes\n"));
        }
    }

    #[test]
    fn vsock() {
        let error = |cid, port| parse_vsock(cid, port).unwrap_err().to_string();
        assert_eq!(error("x", "1"), "Failed to parse cid 'x'");
        assert_eq!(error("1", "x"), "Failed to parse port 'x'");
    }
}
