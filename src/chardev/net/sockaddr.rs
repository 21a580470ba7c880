//! Addresses as the kernel takes them, and a socket of their family.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, VsockAddr};

use crate::chardev::config::UnixSocketAddress;
use crate::qapi::Error;
use crate::sys::{unix_path_addr, UNIX_PATH_MAX};

pub(super) fn stream_socket(family: AddressFamily, flags: SockFlag) -> Result<OwnedFd, Error> {
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    socket::socket(family, SockType::Stream, flags, None)
        .map_err(|e| Error::from_io("Failed to create socket", &e.into()))
}

pub(super) fn family_of(addr: SocketAddr) -> AddressFamily {
    if addr.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    }
}

pub(super) fn unix_sockaddr(addr: &UnixSocketAddress) -> Result<UnixAddr, Error> {
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

pub(super) fn parse_vsock(cid: &str, port: &str) -> Result<VsockAddr, Error> {
    let number = |text: &str, what| {
        let number = text.parse::<u32>();
        number.map_err(|_| Error::new(format!("Failed to parse {what} '{text}'")))
    };
    Ok(VsockAddr::new(number(cid, "cid")?, number(port, "port")?))
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
