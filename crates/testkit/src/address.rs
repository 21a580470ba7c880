//! Where the mock listens: `unix:PATH`, `tcp:HOST:PORT`, `fd:N`.

use std::fmt;

use nix::sys::socket::{getsockopt, sockopt};
use qmonitor::chardev::SocketAddress;
use qmonitor::InheritedFds;

/// An address to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket of this path.
    Unix(String),
    /// A TCP port; 0 is any that is free.
    Tcp(String, u16),
    /// An inherited socket, connected or listening.
    Fd(i32),
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    ///
    /// A message.
    pub fn parse(text: &str) -> Result<Address, String> {
        let wrong = || format!("'{text}': expected unix:PATH, tcp:HOST:PORT or fd:N");
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "unix" if !rest.is_empty() => Ok(Address::Unix(rest.to_owned())),
            "tcp" => {
                let (host, port) = rest.rsplit_once(':').ok_or_else(wrong)?;
                let port = port.parse().map_err(|_| wrong())?;
                Ok(Address::Tcp(host.to_owned(), port))
            }
            "fd" => Ok(Address::Fd(rest.parse().map_err(|_| wrong())?)),
            _ => Err(wrong()),
        }
    }

    /// The options of a socket chardev that listens here.
    pub fn to_chardev(&self, id: &str, inherited: &InheritedFds) -> String {
        // A comma in a value is written twice.
        let escape = |text: &str| text.replace(',', ",,");
        match self {
            Address::Unix(path) => {
                format!("socket,id={id},path={},server=on,wait=off", escape(path))
            }
            Address::Tcp(host, port) => {
                let host = if host.is_empty() { "0.0.0.0" } else { host };
                let host = escape(host.trim_matches(['[', ']']));
                format!("socket,id={id},host={host},port={port},server=on,wait=off")
            }
            Address::Fd(fd) if is_listening(*fd, inherited) => {
                format!("socket,id={id},fd={fd},server=on,wait=off")
            }
            Address::Fd(fd) => format!("socket,id={id},fd={fd}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{path}"),
            Address::Tcp(host, port) => write!(f, "tcp:{host}:{port}"),
            Address::Fd(fd) => write!(f, "fd:{fd}"),
        }
    }
}

/// The address that a chardev found, if it is of a kind that finds one.
pub fn found(addr: &SocketAddress) -> Option<Address> {
    match addr {
        SocketAddress::Inet(inet) => {
            let port = inet.port.parse().ok()?;
            let host = if inet.host.contains(':') {
                format!("[{}]", inet.host)
            } else {
                inet.host.clone()
            };
            Some(Address::Tcp(host, port))
        }
        _ => None,
    }
}

fn is_listening(fd: i32, inherited: &InheritedFds) -> bool {
    let fd = inherited.get(fd);
    fd.is_some_and(|fd| getsockopt(&fd, sockopt::AcceptConn).unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_options() {
        let option = |text: &str| {
            let address = Address::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            address.to_chardev("q", &InheritedFds::default())
        };
        assert_eq!(
            option("unix:/a,b"),
            "socket,id=q,path=/a,,b,server=on,wait=off"
        );
        let tcp = "socket,id=q,host=::1,port=0,server=on,wait=off";
        assert_eq!(option("tcp:[::1]:0"), tcp);
        assert_eq!(option("fd:7"), "socket,id=q,fd=7");
        for wrong in ["unix:", "tcp:1", "tcp:h:x", "fd:x", "/path", "udp:h:1"] {
            assert!(Address::parse(wrong).unwrap_err().contains(wrong));
        }
    }
}
