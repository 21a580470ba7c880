//! How the options of a socket are said on the command line and in QMP.

use super::server::char_socket_server_class;
use super::{char_socket_class, qmp_chardev_open_socket};
use crate::chardev::backend::Backend;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::config::{
    InetSocketAddress, KeepAliveProbes, SocketAddress, SocketConfig, UnixSocketAddress,
};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

impl BackendOptions for SocketConfig {
    type Arguments = q::ChardevSocket;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let addr = address(opts)?;
        let delay = opts.get_bool("delay");
        let nodelay = opts.get_bool("nodelay");
        if delay.is_some() && nodelay.is_some() {
            return Err(Error::new("'delay' and 'nodelay' are mutually exclusive"));
        }
        let flag = |name| opts.get_bool(name).unwrap_or(false);
        let server = flag("server");
        Ok(SocketConfig {
            addr,
            server,
            wait: opts.get_bool("wait").or(server.then_some(true)),
            nodelay: nodelay.unwrap_or(delay == Some(false)),
            telnet: flag("telnet"),
            tn3270: flag("tn3270"),
            websocket: flag("websocket"),
            reconnect: opts.get_number("reconnect").map(|n| n as i64),
            reconnect_ms: opts.get_number("reconnect-ms").map(|n| n as i64),
            tls_creds: opts.get("tls-creds").map(str::to_owned),
            tls_authz: opts.get("tls-authz").map(str::to_owned),
            max_clients: opts.get_number("max-clients").unwrap_or(1),
        })
    }

    fn from_arguments(arguments: q::ChardevSocket) -> Result<Self, Error> {
        Ok(SocketConfig {
            addr: arguments.addr.into(),
            server: arguments.server.unwrap_or(true),
            wait: arguments.wait,
            nodelay: arguments.nodelay.unwrap_or(false),
            telnet: arguments.telnet.unwrap_or(false),
            tn3270: arguments.tn3270.unwrap_or(false),
            websocket: arguments.websocket.unwrap_or(false),
            #[allow(deprecated)]
            reconnect: arguments.reconnect,
            reconnect_ms: arguments.reconnect_ms,
            tls_creds: arguments.tls_creds,
            tls_authz: arguments.tls_authz,
            max_clients: arguments.max_clients.map_or(1, u64::from),
        })
    }
}

impl<H: ChardevHost> Backend<H> for SocketConfig {
    fn class(&self, _kind: &'static str) -> ChardevClass<H> {
        if self.max_clients > 1 {
            char_socket_server_class()
        } else {
            char_socket_class()
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qmp_chardev_open_socket(h, id, self)?;
        Ok(None)
    }
}

fn address(opts: &QemuOpts) -> Result<SocketAddress, Error> {
    let (path, host, fd) = (opts.get("path"), opts.get("host"), opts.get("fd"));
    if [path, host, fd].iter().flatten().count() > 1 {
        return Err(Error::new(
            "None or one of 'path', 'fd' or 'host' option required.",
        ));
    }
    let port = opts.get("port");
    if host.is_some() && port.is_none() {
        return Err(Error::new("chardev: socket: no port given"));
    }
    Ok(match (path, host) {
        (Some(path), _) => SocketAddress::Unix(UnixSocketAddress {
            path: path.to_owned(),
            abstract_: Some(opts.get_bool("abstract").unwrap_or(false)),
            tight: Some(opts.get_bool("tight").unwrap_or(true)),
        }),
        (None, Some(host)) => SocketAddress::Inet(InetSocketAddress {
            host: host.to_owned(),
            port: port.unwrap_or("").to_owned(),
            // As in C, only the low 16 bits of the number count.
            to: opts.get_number("to").map(|to| to as u16),
            ipv4: opts.get_bool("ipv4"),
            ipv6: opts.get_bool("ipv6"),
            ..InetSocketAddress::default()
        }),
        // Without any address QEMU goes for the descriptor with no name.
        (None, None) => SocketAddress::Fd(fd.unwrap_or("").to_owned()),
    })
}

impl From<q::SocketAddressLegacy> for SocketAddress {
    fn from(addr: q::SocketAddressLegacy) -> Self {
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
        probes: KeepAliveProbes {
            count: data.keep_alive_count,
            idle: data.keep_alive_idle,
            interval: data.keep_alive_interval,
        },
    }
}
