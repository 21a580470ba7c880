//! Sockets: from a [`SocketAddress`] to a descriptor, and from a descriptor to
//! the words in which `query-chardev` describes it.
//!
//! Error texts are QEMU's. Names are resolved by the system, which may block; a
//! client that reconnects in the background does block for a name that
//! takes long to resolve, so it is best given a number.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::socket::{
    self, sockopt, AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    UnixAddr, VsockAddr,
};

use super::config::{InetSocketAddress, SocketAddress, UnixSocketAddress};
use super::host::ChardevHost;
use crate::main_loop::own_inherited_fd;
use crate::qapi::error::strerror;
use crate::qapi::Error;
use crate::trace_event;

/// The file of a unix socket, removed when the listener goes.
#[derive(Debug)]
pub(super) struct UnixPath(PathBuf);

impl Drop for UnixPath {
    fn drop(&mut self) {
        // Someone else may have removed it, which is as good.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A listening socket.
#[derive(Debug)]
pub(super) struct Listening {
    pub fd: OwnedFd,
    /// The address in full, with the port that was found.
    pub addr: SocketAddress,
    pub path: Option<UnixPath>,
}

/// Why QEMU's servers have room for one: further clients wait in the kernel's
/// queue until the first has gone.
const BACKLOG: i32 = 1;

/// Makes a socket that listens at the address (`socket_listen`).
pub(super) fn socket_listen<H: ChardevHost>(
    h: &mut H,
    addr: &SocketAddress,
) -> Result<Listening, Error> {
    let listening = match addr {
        SocketAddress::Inet(inet) => inet_listen(inet),
        SocketAddress::Unix(unix) => unix_listen(unix),
        SocketAddress::Vsock { cid, port } => vsock_listen(addr, parse_vsock(cid, port)?),
        SocketAddress::Fd(name) => fd_listen(socket_get_fd(h, name)?),
    }?;
    let words = socket_address_to_string(&listening.addr);
    trace_event!(socket_listen, "fd {} at {words}", listening.fd.as_raw_fd());
    Ok(listening)
}

fn backlog() -> Backlog {
    Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN)
}

fn stream_socket(family: AddressFamily, flags: SockFlag) -> Result<OwnedFd, Error> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket::socket(family, SockType::Stream, flags, None)
        .map_err(|e| Error::from_io("Failed to create socket", &e.into()))
}

fn unix_listen(addr: &UnixSocketAddress) -> Result<Listening, Error> {
    let mut addr = addr.clone();
    if addr.path.is_empty() && !addr.abstract_ {
        addr.path = temporary_name()?;
    }
    let sockaddr = unix_sockaddr(&addr)?;
    let fd = stream_socket(AddressFamily::Unix, SockFlag::SOCK_NONBLOCK)?;
    if !addr.abstract_ {
        // Whatever has the name makes way, as with QEMU: a socket left over
        // from a crash is far more likely than anything else.
        let _ = std::fs::remove_file(&addr.path);
    }
    socket::bind(fd.as_raw_fd(), &sockaddr).map_err(|e| {
        Error::from_io(format!("Failed to bind socket to {}", addr.path), &e.into())
    })?;
    let path = (!addr.abstract_).then(|| UnixPath(PathBuf::from(&addr.path)));
    socket::listen(&fd, backlog())
        .map_err(|e| Error::from_io("Failed to listen on socket", &e.into()))?;
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
    // The size of sun_path; QEMU wants room for a NUL as well.
    const SIZE: usize = 108;
    if addr.path.len() >= SIZE {
        let what = if addr.abstract_ { "name" } else { "path" };
        return Err(
            Error::new(format!("UNIX socket path '{}' is too long", addr.path)).with_hint(format!(
                "{} must be less than {SIZE} bytes\n",
                if what == "name" {
                    "Abstract name"
                } else {
                    "Path"
                }
            )),
        );
    }
    let sockaddr = if addr.abstract_ || addr.path.is_empty() {
        let mut name = addr.path.clone().into_bytes();
        if !addr.tight || addr.path.is_empty() {
            name.resize(SIZE - 1, 0);
        }
        UnixAddr::new_abstract(&name)
    } else {
        UnixAddr::new(addr.path.as_str())
    };
    sockaddr.map_err(|e| Error::from_io(format!("Invalid UNIX path '{}'", addr.path), &e.into()))
}

fn inet_listen(addr: &InetSocketAddress) -> Result<Listening, Error> {
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
            match inet_bind(candidate, v6only) {
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

fn inet_bind(addr: SocketAddr, v6only: bool) -> Result<OwnedFd, BindError> {
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
    socket::listen(&fd, backlog()).map_err(|e| taken(e, "Failed to listen on socket"))?;
    Ok(fd)
}

fn family_of(addr: SocketAddr) -> AddressFamily {
    if addr.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

fn fd_listen(fd: OwnedFd) -> Result<Listening, Error> {
    let what = "Failed to listen on fd socket";
    socket::listen(&fd, backlog()).map_err(|e| Error::from_io(what, &e.into()))?;
    set_nonblocking(fd.as_fd()).map_err(|e| Error::from_io(what, &e))?;
    let addr = local_address(fd.as_fd());
    let path = None;
    Ok(Listening { fd, addr, path })
}

/// Sets `O_NONBLOCK`.
pub(super) fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
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
/// open.
pub(super) fn socket_get_fd<H: ChardevHost>(h: &mut H, name: &str) -> Result<OwnedFd, Error> {
    let not_a_socket = || Error::new(format!("File descriptor '{name}' is not a socket"));
    if let Some(fd) = h.monitor_get_fd(name) {
        let fd = fd?;
        return match is_socket(&fd) {
            true => Ok(fd),
            false => Err(not_a_socket()),
        };
    }
    let Ok(number) = name.parse::<RawFd>() else {
        return Err(Error::new(format!("Unable to parse FD number {name}")));
    };
    let fd = own_inherited_fd(number).map_err(|e| match e.raw_os_error() {
        Some(code) if code == Errno::EBUSY as i32 => {
            Error::new(format!("File descriptor '{name}' is already in use"))
        }
        _ => not_a_socket(),
    })?;
    if is_socket(&fd) {
        return Ok(fd);
    }
    // It is somebody else's after all, perhaps standard input: leave it open.
    let _ = fd.into_raw_fd();
    Err(not_a_socket())
}

fn is_socket(fd: &OwnedFd) -> bool {
    socket::getsockopt(fd, sockopt::SockType).is_ok()
}

fn parse_vsock(cid: &str, port: &str) -> Result<VsockAddr, Error> {
    let number = |text: &str, what| {
        let number = text.parse::<u32>();
        number.map_err(|_| Error::new(format!("Failed to parse {what} '{text}'")))
    };
    Ok(VsockAddr::new(number(cid, "cid")?, number(port, "port")?))
}

fn vsock_listen(addr: &SocketAddress, sockaddr: VsockAddr) -> Result<Listening, Error> {
    let fd = stream_socket(AddressFamily::Vsock, SockFlag::SOCK_NONBLOCK)?;
    socket::bind(fd.as_raw_fd(), &sockaddr)
        .and_then(|()| socket::listen(&fd, backlog()))
        .map_err(|e| Error::from_io("Failed to bind socket", &e.into()))?;
    let (addr, path) = (addr.clone(), None);
    Ok(Listening { fd, addr, path })
}

/// Which address families may be used.
#[derive(Clone, Copy)]
struct Families {
    ipv4: bool,
    ipv6: bool,
    /// Both were asked for by name.
    both: bool,
}

impl Families {
    fn of(addr: &InetSocketAddress) -> Self {
        let (ipv4, ipv6) = match (addr.ipv4, addr.ipv6) {
            (None, None) => (true, true),
            (Some(v4), None) => (v4, !v4),
            (None, Some(v6)) => (!v6, v6),
            (Some(v4), Some(v6)) => (v4, v6),
        };
        Families {
            ipv4,
            ipv6,
            both: addr.ipv4 == Some(true) && addr.ipv6 == Some(true),
        }
    }

    fn only_ipv6(self) -> bool {
        self.ipv6 && !self.ipv4
    }

    fn allows(self, addr: &SocketAddr) -> bool {
        if addr.is_ipv4() {
            self.ipv4
        } else {
            self.ipv6
        }
    }
}

/// The addresses that host and port stand for, at least one; `passive` for a
/// server, where no host means all interfaces.
fn inet_resolve(addr: &InetSocketAddress, passive: bool) -> Result<Vec<SocketAddr>, Error> {
    let families = Families::of(addr);
    if !families.ipv4 && !families.ipv6 {
        return Err(Error::new("Cannot disable IPv4 and IPv6 at same time"));
    }
    let (host, port) = (&addr.host, &addr.port);
    let failed = |reason: &str| {
        Error::new(format!(
            "address resolution failed for {host}:{port}: {reason}"
        ))
    };
    if host.is_empty() && port.is_empty() {
        return Err(failed("Name or service not known"));
    }
    let port =
        parse_service(port).ok_or_else(|| failed("Servname not supported for ai_socktype"))?;
    if host.is_empty() {
        let (v4, v6): (IpAddr, IpAddr) = if passive {
            ([0; 4].into(), [0u16; 8].into())
        } else {
            ([127, 0, 0, 1].into(), [0, 0, 0, 0, 0, 0, 0, 1u16].into())
        };
        // An IPv6 socket serves both, so it comes first if both are wanted;
        // without a wish the system's order is IPv4 first.
        let order = if families.both { [v6, v4] } else { [v4, v6] };
        let addrs = order.into_iter().map(|ip| SocketAddr::new(ip, port));
        return Ok(addrs.filter(|a| families.allows(a)).collect());
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        let literal = SocketAddr::new(ip, port);
        return match usable(literal, families, passive) {
            Some(addr) => Ok(vec![addr]),
            None => Err(failed("Address family for hostname not supported")),
        };
    }
    let found = (host.as_str(), port).to_socket_addrs();
    let found = found.map_err(|e| {
        let text = strerror(&e);
        let reason = text.strip_prefix("failed to lookup address information: ");
        failed(reason.unwrap_or(&text))
    })?;
    let mut addrs: Vec<_> = found.filter_map(|a| usable(a, families, passive)).collect();
    addrs.dedup();
    if addrs.is_empty() {
        return Err(failed("Name or service not known"));
    }
    Ok(addrs)
}

/// The address, if its family may be used. A client that may only use IPv6 gets an
/// IPv4 address mapped into it, as `AI_V4MAPPED` does.
fn usable(addr: SocketAddr, families: Families, passive: bool) -> Option<SocketAddr> {
    match addr {
        _ if families.allows(&addr) => Some(addr),
        SocketAddr::V4(v4) if !passive => {
            Some(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
        }
        _ => None,
    }
}

/// A port's number or name, read as `getaddrinfo` does: numbers beyond
/// 16 bits wrap, names are those of `/etc/services`.
fn parse_service(port: &str) -> Option<u16> {
    let digits = port.trim_start();
    let digits = digits.strip_prefix('+').unwrap_or(digits);
    if digits.bytes().all(|c| c.is_ascii_digit()) {
        return match digits.is_empty() {
            true => port.is_empty().then_some(0),
            false => digits.parse::<u64>().ok().map(|n| n as u16),
        };
    }
    let services = std::fs::read_to_string("/etc/services").ok()?;
    services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let name = words.next()?;
        let number = words.next()?.strip_suffix("/tcp")?;
        (name == port || words.any(|alias| alias == port))
            .then(|| number.parse().ok())
            .flatten()
    })
}

/// Makes a datagram socket that talks to one remote and, with a local address,
/// listens there (`socket_dgram`).
pub(super) fn socket_dgram(
    remote: &InetSocketAddress,
    local: Option<&InetSocketAddress>,
) -> Result<OwnedFd, Error> {
    let mut error = Error::new("Failed to connect: no address");
    for peer in inet_resolve(remote, false)? {
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
pub(super) enum Connecting {
    /// It is there.
    Done(OwnedFd),
    /// Wait until it is writable, then ask [`connect_result`]; if it failed,
    /// try the rest.
    InProgress(OwnedFd, Vec<SocketAddr>),
}

/// Connects, blocking (`socket_connect`).
pub(super) fn socket_connect<H: ChardevHost>(
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
pub(super) fn socket_connect_async<H: ChardevHost>(
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
pub(super) fn connect_next(
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
pub(super) fn connect_result(addr: &SocketAddress, fd: &OwnedFd) -> Result<(), Error> {
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

/// The address that a socket is bound to.
fn local_address(fd: BorrowedFd<'_>) -> SocketAddress {
    let name = socket::getsockname::<SockaddrStorage>(fd.as_raw_fd());
    let name = name.ok();
    if let Some(inet) = name.as_ref().and_then(inet_of) {
        return SocketAddress::Inet(InetSocketAddress {
            host: inet.ip().to_string(),
            port: inet.port().to_string(),
            ..InetSocketAddress::default()
        });
    }
    let unix = name.as_ref().and_then(SockaddrStorage::as_unix_addr);
    let name = unix.and_then(UnixAddr::as_abstract);
    SocketAddress::Unix(UnixSocketAddress {
        path: match (name, unix.and_then(UnixAddr::path)) {
            (Some(name), _) => String::from_utf8_lossy(name).into_owned(),
            (None, Some(path)) => path.to_string_lossy().into_owned(),
            (None, None) => String::new(),
        },
        abstract_: name.is_some(),
        tight: true,
    })
}

fn inet_of(addr: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = addr.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    v4.or_else(|| addr.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
}

/// `tcp:HOST:PORT`, `unix:PATH`, ... without what the chardev adds.
pub(super) fn socket_address_to_string(addr: &SocketAddress) -> String {
    match addr {
        // No brackets around an IPv6 address, as in QEMU.
        SocketAddress::Inet(inet) => format!("tcp:{}:{}", inet.host, inet.port),
        SocketAddress::Unix(unix) => {
            let options = match (unix.abstract_, unix.tight) {
                (false, _) => "",
                (true, false) => ",abstract=on",
                (true, true) => ",abstract=on,tight=on",
            };
            format!("unix:{}{options}", unix.path)
        }
        SocketAddress::Vsock { cid, port } => format!("vsock:{cid}:{port}"),
        SocketAddress::Fd(name) => format!("fd:{name}"),
    }
}

/// What a connection looks like from here.
pub(super) enum Ends {
    /// A unix socket and the path it has at this end or, for a client, at the
    /// other; empty without one.
    Unix(String),
    /// This and the other end of a TCP connection; IPv6 in brackets.
    Inet(SocketAddr, SocketAddr),
    /// Something else.
    Other,
}

/// Looks at both ends of a connection.
pub(super) fn connection_ends(fd: BorrowedFd<'_>, server: bool) -> Ends {
    let local = socket::getsockname::<SockaddrStorage>(fd.as_raw_fd()).ok();
    let peer = socket::getpeername::<SockaddrStorage>(fd.as_raw_fd()).ok();
    let inet = |addr: &Option<SockaddrStorage>| addr.as_ref().and_then(inet_of);
    if let (Some(local), Some(peer)) = (inet(&local), inet(&peer)) {
        return Ends::Inet(local, peer);
    }
    let unix = |addr: &Option<SockaddrStorage>| {
        let unix = addr.as_ref()?.as_unix_addr()?;
        let path = unix.path().map(|p| p.to_string_lossy().into_owned());
        Some(path.unwrap_or_default())
    };
    match unix(if server { &local } else { &peer }) {
        Some(path) => Ends::Unix(path),
        None => Ends::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inet(host: &str, port: &str) -> InetSocketAddress {
        InetSocketAddress {
            host: host.into(),
            port: port.into(),
            ..InetSocketAddress::default()
        }
    }

    fn resolve(addr: &InetSocketAddress, passive: bool) -> Result<Vec<String>, String> {
        let addrs = inet_resolve(addr, passive).map_err(|e| e.to_string())?;
        Ok(addrs.iter().map(SocketAddr::to_string).collect())
    }

    #[test]
    fn ports() {
        for (text, port) in [
            ("0", Some(0)),
            ("80", Some(80)),
            ("070", Some(70)),
            ("+7", Some(7)),
            (" 7", Some(7)),
            ("99999", Some(34463)),
            ("-5", None),
            ("abc-no-such-service", None),
            ("0x10", None),
            ("7x", None),
            ("+", None),
        ] {
            assert_eq!(parse_service(text), port, "{text:?}");
        }
    }

    #[test]
    fn resolution_errors() {
        for (host, port, reason) in [
            (
                "127.0.0.1",
                "abc-x",
                "Servname not supported for ai_socktype",
            ),
            ("[", ":1]:0", "Servname not supported for ai_socktype"),
            ("", "", "Name or service not known"),
        ] {
            let e = resolve(&inet(host, port), true).unwrap_err();
            let text = format!("address resolution failed for {host}:{port}: {reason}");
            assert_eq!(e, text);
        }
        let mut addr = inet("::1", "1");
        addr.ipv4 = Some(true);
        assert_eq!(
            resolve(&addr, false).unwrap_err(),
            "address resolution failed for ::1:1: Address family for hostname not supported"
        );
        let mut addr = inet("127.0.0.1", "1");
        (addr.ipv4, addr.ipv6) = (Some(false), Some(false));
        assert_eq!(
            resolve(&addr, false).unwrap_err(),
            "Cannot disable IPv4 and IPv6 at same time"
        );
    }

    #[test]
    fn wildcards_and_families() {
        for (ipv4, ipv6, addrs) in [
            (None, None, &["0.0.0.0:5", "[::]:5"][..]),
            (Some(true), None, &["0.0.0.0:5"]),
            (None, Some(true), &["[::]:5"]),
            (Some(false), None, &["[::]:5"]),
            (None, Some(false), &["0.0.0.0:5"]),
            (Some(true), Some(true), &["[::]:5", "0.0.0.0:5"]),
        ] {
            let mut addr = inet("", "5");
            (addr.ipv4, addr.ipv6) = (ipv4, ipv6);
            assert_eq!(resolve(&addr, true).unwrap(), addrs, "{ipv4:?} {ipv6:?}");
        }
    }

    #[test]
    fn a_client_for_ipv6_only_gets_mapped_addresses() {
        let mut addr = inet("127.0.0.1", "1");
        addr.ipv6 = Some(true);
        assert_eq!(resolve(&addr, false).unwrap(), ["[::ffff:127.0.0.1]:1"]);
    }

    #[test]
    fn long_paths() {
        let path = "a".repeat(108);
        let e = unix_sockaddr(&UnixSocketAddress::path(&path)).unwrap_err();
        assert_eq!(e.desc(), format!("UNIX socket path '{path}' is too long"));
        assert_eq!(e.hint(), "Path must be less than 108 bytes\n");
        assert!(unix_sockaddr(&UnixSocketAddress::path("a".repeat(107))).is_ok());
    }

    #[test]
    fn vsock() {
        let error = |cid, port| parse_vsock(cid, port).unwrap_err().to_string();
        assert_eq!(error("x", "1"), "Failed to parse cid 'x'");
        assert_eq!(error("1", "x"), "Failed to parse port 'x'");
    }

    #[test]
    fn words_for_addresses() {
        let unix = |path: &str, abstract_, tight| {
            SocketAddress::Unix(UnixSocketAddress {
                path: path.into(),
                abstract_,
                tight,
            })
        };
        for (addr, words) in [
            (unix("/s", false, true), "unix:/s"),
            (unix("n", true, true), "unix:n,abstract=on,tight=on"),
            (unix("n", true, false), "unix:n,abstract=on"),
            (SocketAddress::Inet(inet("::1", "9")), "tcp:::1:9"),
            (SocketAddress::Fd("7".into()), "fd:7"),
        ] {
            assert_eq!(socket_address_to_string(&addr), words);
        }
    }
}
