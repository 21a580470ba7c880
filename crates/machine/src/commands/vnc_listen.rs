//! Where a VNC server listens: the addresses of `-vnc` and `display-update`.

use std::io::{Error as IoError, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::{UnixListener, UnixStream};

use nix::sys::socket::{
    bind, listen, setsockopt, socket, sockopt, AddressFamily, Backlog, SockFlag, SockType,
    SockaddrStorage,
};

use crate::model::display::{Place, Stream};
use crate::schema::NetworkAddressFamily;
use qmonitor::qapi::Error;

/// The ports of display 0: its own, and that of websockets.
const PORT: u16 = 5900;
const WEBSOCKET_PORT: u16 = 5700;

/// A socket that takes clients.
pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl std::os::fd::AsFd for Listener {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match self {
            Listener::Tcp(l) => l.as_fd(),
            Listener::Unix(l) => l.as_fd(),
        }
    }
}

/// An address, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(String),
    Tcp {
        host: String,
        /// The port, and the last of those that may be tried.
        port: u16,
        last: u16,
        ipv4: bool,
        ipv6: bool,
    },
}

/// Which families the user chose, and the last display to try.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice {
    pub(super) ipv4: Option<bool>,
    pub(super) ipv6: Option<bool>,
    pub(super) to: Option<u32>,
}

/// Reads the address of a display.
///
/// # Errors
///
/// It makes no sense.
pub(super) fn display_address(text: &str, choice: Choice, first: u16) -> Result<Address, Error> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Address::Unix(path.to_owned()));
    }
    let Some((host, display)) = text.rsplit_once(':') else {
        return Err(Error::new("no vnc port specified"));
    };
    let number: u32 = display
        .parse()
        .map_err(|_| Error::new(format!("can't convert to a number: {display}")))?;
    let out_of_range = || Error::new(format!("port {display} out of range"));
    let port = u16::try_from(u32::from(first) + number).map_err(|_| out_of_range())?;
    // A last display before the first leaves none to try.
    let last = match choice.to {
        Some(to) => u16::try_from(u32::from(first) + to).unwrap_or(u16::MAX),
        None => port,
    };
    Ok(tcp(host, port, last, choice))
}

/// Reads the address of websockets: `on`, a port, or host and port; display 0 has
/// another one than display 1.
///
/// # Errors
///
/// It makes no sense.
pub(super) fn websocket_address(
    text: &str,
    display: &Address,
    choice: Choice,
) -> Result<Address, Error> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Address::Unix(path.to_owned()));
    }
    let (host, text) = match text.rsplit_once(':') {
        Some((host, port)) => (host.to_owned(), port),
        None => match display {
            Address::Tcp { host, .. } => (host.clone(), text),
            Address::Unix(_) => (String::new(), text),
        },
    };
    let port = match (text, display) {
        ("on" | "", Address::Tcp { port, .. }) => WEBSOCKET_PORT + (port - PORT),
        ("on" | "", Address::Unix(_)) => WEBSOCKET_PORT,
        (text, _) => text
            .parse()
            .map_err(|_| Error::new(format!("can't convert to a number: {text}")))?,
    };
    Ok(tcp(&host, port, port, choice))
}

fn tcp(host: &str, port: u16, last: u16, choice: Choice) -> Address {
    Address::Tcp {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        last,
        ipv4: choice.ipv4.unwrap_or(choice.ipv6 != Some(true)),
        ipv6: choice.ipv6.unwrap_or(choice.ipv4 != Some(true)),
    }
}

pub(super) fn tcp_place(addr: SocketAddr) -> Place {
    Place {
        host: addr.ip().to_string(),
        service: addr.port().to_string(),
        family: match addr {
            SocketAddr::V4(_) => NetworkAddressFamily::Ipv4,
            SocketAddr::V6(_) => NetworkAddressFamily::Ipv6,
        },
    }
}

pub(super) fn unix_place(path: &str) -> Place {
    Place {
        host: String::new(),
        service: path.to_owned(),
        family: NetworkAddressFamily::Unix,
    }
}

/// Listens, on all addresses of the host.
///
/// # Errors
///
/// The address cannot be taken.
pub(super) fn listen_on(address: &Address) -> Result<Vec<(Listener, Place)>, Error> {
    let (host, port, last) = match address {
        Address::Unix(path) => return Ok(vec![(listen_unix(path)?, unix_place(path))]),
        Address::Tcp {
            host, port, last, ..
        } => (host, *port, *last),
    };
    let ips = addresses(address)?;
    let mut failed = None;
    for port in port..=last {
        let all = ips.iter().map(|ip| bind_tcp(SocketAddr::new(*ip, port)));
        match all.collect::<Result<Vec<_>, _>>() {
            Ok(listeners) => return Ok(listeners),
            Err(e) => failed = Some(e),
        }
    }
    Err(match failed {
        None => Error::new("Failed to create a socket"),
        Some(e) if e.kind() == ErrorKind::AddrInUse => {
            Error::from_io("Failed to find an available port", &e)
        }
        Some(e) => Error::from_io(format!("Failed to bind socket to {host}"), &e),
    })
}

fn listen_unix(path: &str) -> Result<Listener, Error> {
    if let Err(e) = std::fs::remove_file(path) {
        if e.kind() != ErrorKind::NotFound {
            let what = format!("Failed to unlink socket {path}");
            return Err(Error::from_io(what, &e));
        }
    }
    let listener = UnixListener::bind(path);
    let listener =
        listener.map_err(|e| Error::from_io(format!("Failed to bind socket to {path}"), &e))?;
    Ok(Listener::Unix(listener))
}

/// The addresses of a host, or all of this one.
fn addresses(address: &Address) -> Result<Vec<IpAddr>, Error> {
    let Address::Tcp {
        host,
        port,
        ipv4,
        ipv6,
        ..
    } = address
    else {
        return Ok(Vec::new());
    };
    let is_wanted = |ip: &IpAddr| if ip.is_ipv4() { *ipv4 } else { *ipv6 };
    if host.is_empty() {
        let any = [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ];
        return Ok(any.into_iter().filter(is_wanted).collect());
    }
    let failed = |why| {
        Error::new(format!(
            "address resolution failed for {host}:{port}: {why}"
        ))
    };
    let found = (host.as_str(), *port).to_socket_addrs();
    let found = found.map_err(|_| failed("Name or service not known"))?;
    let mut ips: Vec<IpAddr> = found.map(|a| a.ip()).filter(is_wanted).collect();
    ips.dedup();
    if ips.is_empty() {
        return Err(failed("Address family for hostname not supported"));
    }
    Ok(ips)
}

/// A socket of its own family only, so that each address has one.
fn bind_tcp(address: SocketAddr) -> Result<(Listener, Place), IoError> {
    let family = if address.is_ipv6() {
        AddressFamily::Inet6
    } else {
        AddressFamily::Inet
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &true)?;
    }
    bind(
        std::os::fd::AsRawFd::as_raw_fd(&fd),
        &SockaddrStorage::from(address),
    )?;
    listen(&fd, Backlog::new(1)?)?;
    let listener = TcpListener::from(fd);
    let place = tcp_place(listener.local_addr()?);
    Ok((Listener::Tcp(listener), place))
}

/// Connects to a client that listens (`reverse=on`). The number is that of a port.
///
/// # Errors
///
/// It does not answer.
pub(super) fn connect_to(text: &str) -> Result<(Stream, Place), Error> {
    if let Some(path) = text.strip_prefix("unix:") {
        let stream = UnixStream::connect(path)
            .map_err(|e| Error::from_io(format!("Failed to connect to '{path}'"), &e))?;
        return Ok((Stream::Unix(stream), unix_place("")));
    }
    let Address::Tcp { host, port, .. } = display_address(text, Choice::default(), 0)? else {
        return Err(Error::new("no vnc port specified"));
    };
    let stream = TcpStream::connect((host.as_str(), port))
        .map_err(|e| Error::from_io(format!("Failed to connect to '{host}:{port}'"), &e))?;
    let peer = stream.peer_addr().map(tcp_place);
    let peer = peer.map_err(|e| Error::from_io("Unable to query remote socket address", &e))?;
    Ok((Stream::Tcp(stream), peer))
}
