//! Where a machine goes to or comes from: `tcp:HOST:PORT`, `unix:PATH`, `exec:COMMAND`,
//! `fd:NAME`, `file:PATH,offset=N`.

use qmonitor::chardev::{InetSocketAddress, SocketAddress, UnixSocketAddress};
use qmonitor::qapi::visit::parse_size;
use qmonitor::qapi::Error;

/// The end of a migration's channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket, or a descriptor of any kind.
    Socket(SocketAddress),
    /// A program and its words.
    Exec(Vec<String>),
    /// A file, from this byte on.
    File {
        /// Its path.
        path: String,
        /// Where the stream begins.
        offset: u64,
    },
    /// RDMA, which is not there.
    Rdma,
}

impl Address {
    /// Reads a URI (`migrate_uri_parse`).
    ///
    /// # Errors
    ///
    /// The protocol is unknown, or its part is wrong.
    pub fn parse(uri: &str) -> Result<Self, Error> {
        let socket = |addr: Result<SocketAddress, Error>| addr.map(Address::Socket);
        let Some((protocol, rest)) = uri.split_once(':') else {
            return Err(unknown(uri));
        };
        match protocol {
            "exec" => Ok(Address::Exec(
                ["/bin/sh", "-c", rest].map(str::to_owned).into(),
            )),
            "rdma" => Ok(Address::Rdma),
            "tcp" => socket(inet_parse(rest).map(SocketAddress::Inet)),
            "unix" if rest.is_empty() => Err(Error::new("invalid Unix socket address")),
            "unix" => Ok(Address::Socket(SocketAddress::Unix(
                UnixSocketAddress::path(rest),
            ))),
            "vsock" => socket(vsock_parse(rest)),
            "fd" if rest.is_empty() => Err(Error::new("invalid file descriptor address")),
            "fd" => Ok(Address::Socket(SocketAddress::Fd(rest.to_owned()))),
            "file" => file_parse(rest),
            _ => Err(unknown(uri)),
        }
    }

    /// Whether several connections can be made to it.
    pub fn takes_channels(&self) -> bool {
        match self {
            Address::Socket(SocketAddress::Fd(_)) | Address::Exec(_) | Address::Rdma => false,
            Address::Socket(_) | Address::File { .. } => true,
        }
    }
}

fn unknown(uri: &str) -> Error {
    Error::new(format!("unknown migration protocol: {uri}"))
}

fn vsock_parse(text: &str) -> Result<SocketAddress, Error> {
    match text.split_once(':') {
        Some((cid, port)) if !cid.is_empty() && !port.is_empty() => Ok(SocketAddress::Vsock {
            cid: cid.to_owned(),
            port: port.to_owned(),
        }),
        _ => Err(Error::new(format!("error parsing address '{text}'"))),
    }
}

fn file_parse(text: &str) -> Result<Address, Error> {
    let Some((path, offset)) = text.split_once(",offset=") else {
        let path = text.to_owned();
        return Ok(Address::File { path, offset: 0 });
    };
    let number = parse_size(offset);
    let bad = || {
        Error::new(format!(
            "file URI has bad offset {offset}: Invalid argument"
        ))
    };
    Ok(Address::File {
        path: path.to_owned(),
        offset: number.map_err(|_| bad())?,
    })
}

/// `HOST:PORT` with options (`inet_parse`).
fn inet_parse(text: &str) -> Result<InetSocketAddress, Error> {
    let (address, options) = text.split_once(',').unwrap_or((text, ""));
    let is_v6 = address.starts_with('[');
    let parts = match address.strip_prefix('[') {
        Some(v6) => v6.split_once("]:"),
        None => address
            .rsplit_once(':')
            .filter(|(host, _)| !host.contains(':')),
    };
    let Some((host, port)) = parts.filter(|(_, port)| !port.is_empty()) else {
        let family = if is_v6 { "IPv6 " } else { "" };
        return Err(Error::new(format!(
            "error parsing {family}address '{text}'"
        )));
    };
    let mut inet = InetSocketAddress::new(host, port);
    if is_v6 {
        inet.ipv6 = Some(true);
    }
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (name, value) = option.split_once('=').unwrap_or((option, "on"));
        let flag = || match value {
            "on" => Ok(Some(true)),
            "off" => Ok(Some(false)),
            _ => Err(Error::new(format!("error parsing '{name}' flag '{value}'"))),
        };
        match name {
            "to" => {
                let last = value.parse();
                inet.to = Some(last.map_err(|_| Error::new("to= not a number"))?);
            }
            "ipv4" => inet.ipv4 = flag()?,
            "ipv6" => inet.ipv6 = flag()?,
            "keep-alive" => inet.keep_alive = flag()? == Some(true),
            _ => return Err(Error::new(format!("Invalid parameter '{name}'"))),
        }
    }
    Ok(inet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let fd = SocketAddress::Fd("x".to_owned());
        assert_eq!(Address::parse("fd:x").unwrap(), Address::Socket(fd));
        let Ok(Address::Socket(SocketAddress::Inet(inet))) = Address::parse("tcp:[::1]:5,to=9")
        else {
            panic!()
        };
        assert_eq!((inet.host.as_str(), inet.to), ("::1", Some(9)));
        let file = Address::parse("file:/a,b,offset=4k").unwrap();
        let path = "/a,b".to_owned();
        assert_eq!(file, Address::File { path, offset: 4096 });
    }

    #[test]
    fn wrong_addresses() {
        for (uri, desc) in [
            ("", "unknown migration protocol: "),
            ("foo", "unknown migration protocol: foo"),
            ("foo:1", "unknown migration protocol: foo:1"),
            ("fd:", "invalid file descriptor address"),
            ("unix:", "invalid Unix socket address"),
            ("tcp:", "error parsing address ''"),
            ("tcp:a", "error parsing address 'a'"),
            (
                "file:f,offset=x",
                "file URI has bad offset x: Invalid argument",
            ),
        ] {
            assert_eq!(Address::parse(uri).unwrap_err().desc(), desc);
        }
    }
}
