//! Addresses of sockets, and QEMU's words for them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::{self, net::UnixStream};

use nix::sys::socket::{
    getpeername, getsockname, AddressFamily, SockaddrLike, SockaddrStorage, UnixAddr,
};

use crate::chardev::config::{InetSocketAddress, SocketAddress, SocketConfig, UnixSocketAddress};

/// The address that a socket is bound to.
pub(in crate::chardev) fn local_address(fd: BorrowedFd<'_>) -> SocketAddress {
    let name = getsockname::<SockaddrStorage>(fd.as_raw_fd());
    let name = name.ok();
    if let Some(inet) = name.as_ref().and_then(inet_of) {
        let (host, port) = (inet.ip().to_string(), inet.port().to_string());
        return SocketAddress::Inet(InetSocketAddress {
            ipv4: inet.is_ipv4().then_some(true),
            ipv6: inet.is_ipv6().then_some(true),
            ..InetSocketAddress::new(host, port)
        });
    }
    let unix = name.as_ref().and_then(SockaddrStorage::as_unix_addr);
    let path = unix_path(fd, name.as_ref(), UnixStream::local_addr);
    let name = unix.and_then(UnixAddr::as_abstract);
    SocketAddress::Unix(UnixSocketAddress {
        path: match name {
            Some(name) => String::from_utf8_lossy(name).into_owned(),
            None => path.unwrap_or_default(),
        },
        abstract_: name.map(|_| true),
        tight: name.map(|_| true),
    })
}

/// The path in the address of a unix socket, empty without one; `None` for another
/// family.
///
/// `ask` finds it again if it fills the address: the kernel then counts a NUL that has no
/// place there, and crate `nix` takes the address for a broken one.
fn unix_path(
    fd: BorrowedFd<'_>,
    addr: Option<&SockaddrStorage>,
    ask: fn(&UnixStream) -> io::Result<unix::net::SocketAddr>,
) -> Option<String> {
    let addr = addr.filter(|addr| addr.family() == Some(AddressFamily::Unix))?;
    if let Some(unix) = addr.as_unix_addr() {
        let path = unix.path().map(|path| path.to_string_lossy().into_owned());
        return Some(path.unwrap_or_default());
    }
    let again = ask(&UnixStream::from(fd.try_clone_to_owned().ok()?)).ok()?;
    Some(again.as_pathname()?.to_string_lossy().into_owned())
}

fn inet_of(addr: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = addr.as_sockaddr_in().map(|a| SocketAddr::V4((*a).into()));
    v4.or_else(|| addr.as_sockaddr_in6().map(|a| SocketAddr::V6((*a).into())))
}

/// `tcp:HOST:PORT`, `unix:PATH`, ... without what the chardev adds.
pub fn socket_address_to_string(addr: &SocketAddress) -> String {
    match addr {
        // No brackets around an IPv6 address, as in QEMU.
        SocketAddress::Inet(inet) => format!("tcp:{}:{}", inet.host, inet.port),
        SocketAddress::Unix(unix) => {
            let options = match (unix.is_abstract(), unix.tight) {
                (false, _) => "",
                (true, None | Some(false)) => ",abstract=on",
                (true, Some(true)) => ",abstract=on,tight=on",
            };
            format!("unix:{}{options}", unix.path)
        }
        SocketAddress::Vsock { cid, port } => format!("vsock:{cid}:{port}"),
        SocketAddress::Fd(name) => format!("fd:{name}"),
    }
}

/// The two ends of a connection.
pub(in crate::chardev) enum Ends {
    /// A unix socket that was accepted, and so has the path of its listener.
    Accepted,
    /// A unix socket and the path it has at this end or, for a client, at the
    /// other; empty without one.
    Unix(String),
    /// This and the other end of a TCP connection; IPv6 in brackets.
    Inet(SocketAddr, SocketAddr),
    /// Something else.
    Other,
}

/// Finds both ends of a connection. `addr` is where the chardev listens or connects to.
/// The kernel is asked only if that leaves a doubt.
pub(in crate::chardev) fn connection_ends(
    fd: BorrowedFd<'_>,
    server: bool,
    addr: &SocketAddress,
) -> Ends {
    match addr {
        SocketAddress::Unix(unix) if server && !unix.is_abstract() && !unix.path.is_empty() => {
            Ends::Accepted
        }
        _ => ask_for_ends(fd, server),
    }
}

fn ask_for_ends(fd: BorrowedFd<'_>, server: bool) -> Ends {
    let local = getsockname::<SockaddrStorage>(fd.as_raw_fd()).ok();
    let peer = getpeername::<SockaddrStorage>(fd.as_raw_fd()).ok();
    let inet = |addr: &Option<SockaddrStorage>| addr.as_ref().and_then(inet_of);
    if let (Some(local), Some(peer)) = (inet(&local), inet(&peer)) {
        return Ends::Inet(local, peer);
    }
    let path = if server {
        unix_path(fd, local.as_ref(), UnixStream::local_addr)
    } else {
        unix_path(fd, peer.as_ref(), UnixStream::peer_addr)
    };
    match path {
        Some(path) => Ends::Unix(path),
        None => Ends::Other,
    }
}

/// The `filename` of a socket without a peer.
pub(in crate::chardev) fn disconnected_filename(
    config: &SocketConfig,
    addr: &SocketAddress,
) -> String {
    let words = socket_address_to_string(addr);
    let words = match words.strip_prefix("tcp:") {
        Some(rest) => format!("{}:{rest}", protocol_name(config)),
        None => words,
    };
    format!("disconnected:{words}{}", server_suffix(config))
}

/// The `filename` of a socket with a peer.
pub(in crate::chardev) fn connected_filename(
    config: &SocketConfig,
    addr: &SocketAddress,
    ends: &Ends,
) -> String {
    let suffix = server_suffix(config);
    match ends {
        Ends::Accepted => format!("{}{suffix}", socket_address_to_string(addr)),
        Ends::Unix(path) => format!("unix:{path}{suffix}"),
        Ends::Inet(local, peer) => {
            format!("{}:{local}{suffix} <-> {peer}", protocol_name(config))
        }
        Ends::Other => "unknown".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_for_addresses() {
        let unix = |path: &str, abstract_, tight| {
            SocketAddress::Unix(UnixSocketAddress {
                path: path.into(),
                abstract_: Some(abstract_),
                tight,
            })
        };
        for (addr, words) in [
            (unix("/s", false, Some(true)), "unix:/s"),
            (unix("n", true, Some(true)), "unix:n,abstract=on,tight=on"),
            (unix("n", true, Some(false)), "unix:n,abstract=on"),
            (unix("n", true, None), "unix:n,abstract=on"),
            (
                SocketAddress::Inet(InetSocketAddress::new("::1", "9")),
                "tcp:::1:9",
            ),
            (SocketAddress::Fd("7".into()), "fd:7"),
        ] {
            assert_eq!(socket_address_to_string(&addr), words);
        }
    }
}
