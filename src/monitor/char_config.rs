//! From QMP's `ChardevBackend` to the chardev room's configuration.

use super::schema as q;
use crate::chardev::{
    ChardevBackend, ChardevConfig, FileConfig, InetSocketAddress, RingbufConfig, SocketAddress,
    SocketConfig, StdioConfig, UdpConfig, UnixSocketAddress,
};
use crate::qapi::Error;

/// What `chardev-add` asks for, with QMP's defaults.
///
/// # Errors
///
/// A backend that this program does not have, or a socket address of a kind
/// that does not fit.
pub(super) fn chardev_config(backend: q::ChardevBackend) -> Result<ChardevConfig, Error> {
    use q::ChardevBackend as B;
    let (backend, common) = match backend {
        B::File(w) => (
            ChardevBackend::File(FileConfig {
                out: w.data.out,
                input: w.data.r#in,
                append: w.data.append.unwrap_or(false),
            }),
            (w.data.logfile, w.data.logappend),
        ),
        B::Serial(w) => (
            ChardevBackend::Serial {
                path: w.data.device,
            },
            (w.data.logfile, w.data.logappend),
        ),
        B::Parallel(w) => (
            ChardevBackend::Parallel {
                path: w.data.device,
            },
            (w.data.logfile, w.data.logappend),
        ),
        B::Pipe(w) => (
            ChardevBackend::Pipe {
                path: w.data.device,
            },
            (w.data.logfile, w.data.logappend),
        ),
        B::Socket(w) => {
            let common = (w.data.logfile.clone(), w.data.logappend);
            (ChardevBackend::Socket(socket(w.data)), common)
        }
        B::Udp(w) => (
            ChardevBackend::Udp(UdpConfig {
                remote: udp_remote(w.data.remote)?,
                local: w.data.local.map(inet_only).transpose()?,
            }),
            (w.data.logfile, w.data.logappend),
        ),
        B::Pty(w) => (
            ChardevBackend::Pty { path: w.data.path },
            (w.data.logfile, w.data.logappend),
        ),
        B::Null(w) => (ChardevBackend::Null, (w.data.logfile, w.data.logappend)),
        B::Mux(w) => (
            ChardevBackend::Mux {
                chardev: w.data.chardev,
            },
            (w.data.logfile, w.data.logappend),
        ),
        B::Hub(w) => (
            ChardevBackend::Hub {
                chardevs: w.data.chardevs,
            },
            (w.data.logfile, w.data.logappend),
        ),
        B::Testdev(w) => (ChardevBackend::Testdev, (w.data.logfile, w.data.logappend)),
        B::Stdio(w) => (
            ChardevBackend::Stdio(StdioConfig {
                signal: w.data.signal,
            }),
            (w.data.logfile, w.data.logappend),
        ),
        B::Ringbuf(w) => (
            ChardevBackend::Ringbuf(ringbuf(w.data.size)),
            (w.data.logfile, w.data.logappend),
        ),
        B::Memory(w) => (
            ChardevBackend::Memory(ringbuf(w.data.size)),
            (w.data.logfile, w.data.logappend),
        ),
        other => {
            let kind = other.r#type().as_str();
            return Err(Error::new(format!(
                "'{kind}' is not a valid char driver name"
            )));
        }
    };
    Ok(ChardevConfig {
        backend,
        logfile: common.0,
        logappend: common.1.unwrap_or(false),
        mux: false,
    })
}

fn ringbuf(size: Option<i64>) -> RingbufConfig {
    RingbufConfig {
        size: size.map(|s| s as u64),
    }
}

fn socket(data: q::ChardevSocket) -> SocketConfig {
    SocketConfig {
        addr: address(data.addr),
        server: data.server.unwrap_or(true),
        wait: data.wait,
        nodelay: data.nodelay.unwrap_or(false),
        telnet: data.telnet.unwrap_or(false),
        tn3270: data.tn3270.unwrap_or(false),
        websocket: data.websocket.unwrap_or(false),
        #[allow(deprecated)]
        reconnect: data.reconnect,
        reconnect_ms: data.reconnect_ms,
        tls_creds: data.tls_creds,
        tls_authz: data.tls_authz,
        max_clients: data.max_clients.map_or(1, u64::from),
    }
}

fn address(addr: q::SocketAddressLegacy) -> SocketAddress {
    use q::SocketAddressLegacy as A;
    match addr {
        A::Inet(w) => SocketAddress::Inet(inet(w.data)),
        A::Unix(w) => SocketAddress::Unix(UnixSocketAddress {
            path: w.data.path,
            abstract_: w.data.r#abstract,
            tight: w.data.tight,
        }),
        A::Vsock(w) => SocketAddress::Vsock {
            cid: w.data.cid,
            port: w.data.port,
        },
        A::Fd(w) => SocketAddress::Fd(w.data.str),
    }
}

fn inet(data: q::InetSocketAddress) -> InetSocketAddress {
    InetSocketAddress {
        host: data.host,
        port: data.port,
        to: data.to,
        ipv4: data.ipv4,
        ipv6: data.ipv6,
        numeric: data.numeric.unwrap_or(false),
        keep_alive: data.keep_alive.unwrap_or(false),
    }
}

fn udp_remote(addr: q::SocketAddressLegacy) -> Result<InetSocketAddress, Error> {
    let remote = inet_only(addr)?;
    match remote.port.is_empty() {
        true => Err(Error::new("remote port not specified")),
        false => Ok(remote),
    }
}

fn inet_only(addr: q::SocketAddressLegacy) -> Result<InetSocketAddress, Error> {
    match address(addr) {
        SocketAddress::Inet(inet) => Ok(inet),
        _ => Err(Error::new("socket type unsupported for datagram")),
    }
}
