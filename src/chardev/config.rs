//! Addresses, and the options of sockets: plain data, whoever asks for it.
//!
//! The types follow QEMU's in `qapi/sockets.json` and `qapi/char.json`, with the defaults
//! already decided: those of the command line and those of QMP differ.

use crate::qapi::{Error, Profile};

/// Where a socket listens or connects to (QEMU's `SocketAddressLegacy`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SocketAddress {
    /// TCP over IPv4 or IPv6.
    Inet(InetSocketAddress),
    /// A unix socket.
    Unix(UnixSocketAddress),
    /// A socket between a guest and its host.
    Vsock {
        /// The context id, a number.
        cid: String,
        /// The port, a number.
        port: String,
    },
    /// A descriptor that exists already: a number, or the name that a monitor
    /// gave it with `getfd`.
    Fd(String),
}

/// How an idle connection is probed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KeepAliveProbes {
    /// Probes that may stay without an answer.
    pub count: Option<u32>,
    /// Seconds without traffic before the first one.
    pub idle: Option<u32>,
    /// Seconds from one to the next.
    pub interval: Option<u32>,
}

/// QEMU's `InetSocketAddress`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InetSocketAddress {
    /// Name or number; empty for a server on all interfaces.
    pub host: String,
    /// Number or name of the port; 0 for a server that takes any.
    pub port: String,
    /// The highest port a server tries, counting up from `port`.
    pub to: Option<u16>,
    /// Whether IPv4 may be used; with neither choice made, both may.
    pub ipv4: Option<bool>,
    /// Whether IPv6 may be used.
    pub ipv6: Option<bool>,
    /// Whether `host` is a number, so that no name service is asked.
    pub numeric: bool,
    /// Whether a client's connection is probed while it is idle.
    pub keep_alive: bool,
    /// How it is probed; the kernel decides what is left open.
    pub probes: KeepAliveProbes,
}

impl InetSocketAddress {
    /// A host and a port, of any family.
    pub fn new(host: impl Into<String>, port: impl Into<String>) -> Self {
        InetSocketAddress {
            host: host.into(),
            port: port.into(),
            ..Self::default()
        }
    }
}

/// QEMU's `UnixSocketAddress`. Options keep apart what was given and the default,
/// because `filename` and `addr` show only what was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocketAddress {
    /// A path, or a name if it is abstract.
    pub path: String,
    /// Whether it lives in Linux' abstract namespace instead of the file system.
    pub abstract_: Option<bool>,
    /// Whether an abstract name ends where its text ends; otherwise it is
    /// filled up with zeros to the full length. It does unless told otherwise.
    pub tight: Option<bool>,
}

impl UnixSocketAddress {
    /// A socket in the file system.
    pub fn path(path: impl Into<String>) -> Self {
        UnixSocketAddress {
            path: path.into(),
            abstract_: None,
            tight: None,
        }
    }

    pub(super) fn is_abstract(&self) -> bool {
        self.abstract_ == Some(true)
    }

    pub(super) fn is_tight(&self) -> bool {
        self.tight != Some(false)
    }
}

/// The most clients that a server can be told to serve.
const MAX_CLIENTS: u64 = 1 << 20;

/// Options of the socket backend (QEMU's `ChardevSocket`).
///
/// [`SocketConfig::new`] has QMP's defaults: a server that does not wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketConfig {
    /// Where to.
    pub addr: SocketAddress,
    /// Whether to listen; otherwise to connect.
    pub server: bool,
    /// For a server: whether to block until the first client has come. `None`
    /// is "not asked for", which matters because a client must not ask.
    pub wait: Option<bool>,
    /// Whether small packets are sent at once (TCP only).
    pub nodelay: bool,
    /// Whether to speak telnet.
    pub telnet: bool,
    /// Whether to speak the telnet of 3270 terminals.
    pub tn3270: bool,
    /// Whether to speak websocket (server only; Cargo feature `websocket`).
    pub websocket: bool,
    /// For a client: how many seconds after a loss or a failure to try again.
    /// 0 and less mean never. A server refuses it.
    pub reconnect: Option<i64>,
    /// The same in milliseconds. A server ignores it.
    pub reconnect_ms: Option<i64>,
    /// The id of TLS credentials: what
    /// [`ChardevHost::tls_creds`](super::ChardevHost::tls_creds) finds.
    pub tls_creds: Option<String>,
    /// The id of an authorization, which is given the name in the peer's
    /// certificate.
    pub tls_authz: Option<String>,
    /// For a server: how many clients are served at the same time. With more
    /// than one each client gets a chardev of its own; see
    /// [`CharHandlers::new_client`](super::CharHandlers::new_client).
    pub max_clients: u64,
}

impl SocketConfig {
    /// A server at `addr` that does not wait for a client, as `chardev-add`
    /// makes it if told nothing else.
    pub fn new(addr: SocketAddress) -> Self {
        SocketConfig {
            addr,
            server: true,
            wait: None,
            nodelay: false,
            telnet: false,
            tn3270: false,
            websocket: false,
            reconnect: None,
            reconnect_ms: None,
            tls_creds: None,
            tls_authz: None,
            max_clients: 1,
        }
    }

    /// Refuses options that do not go together, from the command line or QMP
    /// (`qmp_chardev_validate_socket`).
    pub(super) fn validate(&self, profile: Profile) -> Result<(), Error> {
        let error = |text: &'static str| Err(Error::new(text));
        if self.reconnect_ms.is_some() && profile.checks_reconnect_ms() {
            if matches!(self.addr, SocketAddress::Fd(_)) {
                return error("'reconnect-ms' option is incompatible with 'fd' address type");
            }
            if self.server {
                return error(
                    "'reconnect-ms' option is incompatible with socket in server listen mode",
                );
            }
        }
        if self.reconnect.is_some() && matches!(self.addr, SocketAddress::Fd(_)) {
            return error("'reconnect' option is incompatible with 'fd' address type");
        }
        if self.tls_authz.is_some() && self.tls_creds.is_none() {
            return error("'tls_authz' option requires 'tls_creds' option");
        }
        if self.server && self.reconnect.is_some() {
            return error("'reconnect' option is incompatible with socket in server listen mode");
        }
        if !self.server && self.websocket {
            return error("Websocket client is not implemented");
        }
        if !self.server && self.wait.is_some() {
            return error("'wait' option is incompatible with socket in client connect mode");
        }
        if self.reconnect.is_some() && self.reconnect_ms.is_some() {
            return error("'reconnect' and 'reconnect-ms' are mutually exclusive");
        }
        if self.websocket && !cfg!(feature = "websocket") {
            return error("this build has no websocket support");
        }
        if !self.server && self.max_clients != 1 {
            return error(
                "'max-clients' option is incompatible with socket in client connect mode",
            );
        }
        if !(1..=MAX_CLIENTS).contains(&self.max_clients) {
            return Err(Error::new(format!(
                "Parameter 'max-clients' expects a number from 1 to {MAX_CLIENTS}"
            )));
        }
        Ok(())
    }
}
