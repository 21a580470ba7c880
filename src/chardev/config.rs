//! What a chardev is to be: plain data, whoever asks for it.
//!
//! The command line ([`cli`](super::cli)), the short forms
//! ([`compat`](super::compat)) and `chardev-add` all end here, so a backend is
//! opened in one way only. The types follow QEMU's `ChardevBackend` union in
//! `qapi/char.json`, with the defaults already decided: those of the command
//! line and those of QMP differ.

use crate::qapi::Error;

/// A backend and what all backends have in common (QEMU's `ChardevBackend`
/// plus `ChardevCommon`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChardevConfig {
    /// Which backend, and its own options.
    pub backend: ChardevBackend,
    /// A file that gets a copy of everything the front end writes.
    pub logfile: Option<String>,
    /// Whether the log file is kept and written on, not truncated.
    pub logappend: bool,
    /// Whether a mux is put in front: the device is then called `ID-base` and
    /// `ID` is the mux. Only the command line has this; `chardev-add` makes
    /// a mux as a chardev of its own.
    pub mux: bool,
}

impl ChardevConfig {
    /// A backend without log file and without mux.
    ///
    /// ```
    /// use qmonitor::chardev::{ChardevBackend, ChardevConfig};
    /// let config = ChardevConfig::new(ChardevBackend::Null);
    /// assert_eq!(config.backend.kind(), "null");
    /// assert!(!config.mux);
    /// ```
    pub fn new(backend: ChardevBackend) -> Self {
        ChardevConfig {
            backend,
            logfile: None,
            logappend: false,
            mux: false,
        }
    }
}

impl From<ChardevBackend> for ChardevConfig {
    fn from(backend: ChardevBackend) -> Self {
        Self::new(backend)
    }
}

/// The backends, each with its options (QEMU's `ChardevBackendKind`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChardevBackend {
    /// Swallows output, has no input, is never open.
    Null,
    /// A stream socket, as server or client.
    Socket(SocketConfig),
    /// Standard input and output of the process.
    Stdio(StdioConfig),
    /// A regular file for output, perhaps another one for input.
    File(FileConfig),
    /// A pair of fifos, `PATH.in` and `PATH.out`, or one file for both.
    Pipe {
        /// The path without `.in` and `.out`.
        path: String,
    },
    /// A serial line of the host.
    Serial {
        /// The path of the device.
        path: String,
    },
    /// A parallel port of the host.
    Parallel {
        /// The path of the device.
        path: String,
    },
    /// A new pseudo terminal.
    Pty {
        /// A symbolic link to make to the terminal.
        path: Option<String>,
    },
    /// Datagrams.
    Udp(UdpConfig),
    /// A buffer in memory that keeps the last bytes written.
    Ringbuf(RingbufConfig),
    /// The older name of the ring buffer; only the name differs.
    Memory(RingbufConfig),
    /// Several front ends on one chardev.
    Mux {
        /// The label of the chardev they share.
        chardev: String,
    },
    /// Several chardevs behind one front end.
    Hub {
        /// Their labels.
        chardevs: Vec<String>,
    },
    /// Output that ends the program with a chosen status.
    Testdev,
}

impl ChardevBackend {
    /// The backend's name, as in `-chardev NAME,...` and, where a backend has
    /// nothing better, in `filename` of `query-chardev`.
    pub fn kind(&self) -> &'static str {
        match self {
            ChardevBackend::Null => "null",
            ChardevBackend::Socket(_) => "socket",
            ChardevBackend::Stdio(_) => "stdio",
            ChardevBackend::File(_) => "file",
            ChardevBackend::Pipe { .. } => "pipe",
            ChardevBackend::Serial { .. } => "serial",
            ChardevBackend::Parallel { .. } => "parallel",
            ChardevBackend::Pty { .. } => "pty",
            ChardevBackend::Udp(_) => "udp",
            ChardevBackend::Ringbuf(_) => "ringbuf",
            ChardevBackend::Memory(_) => "memory",
            ChardevBackend::Mux { .. } => "mux",
            ChardevBackend::Hub { .. } => "hub",
            ChardevBackend::Testdev => "testdev",
        }
    }
}

/// The names of all backends, for `query-chardev-backends` and
/// `-chardev help`.
pub const CHARDEV_BACKENDS: &[&str] = &[
    "stdio", "ringbuf", "mux", "pipe", "pty", "hub", "null", "socket", "parallel", "memory", "udp",
    "file", "serial", "testdev",
];

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

/// QEMU's `UnixSocketAddress`. What was said is kept apart from what holds
/// where nothing was said, because `filename` and `addr` tell the former.
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

    /// What both the command line and QMP must not ask for together
    /// (`qmp_chardev_validate_socket`).
    pub(super) fn validate(&self) -> Result<(), Error> {
        let error = |text: &'static str| Err(Error::new(text));
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
        super::socket::check_max(self.max_clients)
    }
}

/// Options of the stdio backend (QEMU's `ChardevStdio`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StdioConfig {
    /// Whether the terminal's interrupt and suspend keys stay in force.
    pub signal: Option<bool>,
}

/// Options of the file backend (QEMU's `ChardevFile`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileConfig {
    /// The file that takes the output.
    pub out: String,
    /// The file that gives the input.
    pub input: Option<String>,
    /// Whether output is appended; otherwise the file is truncated.
    pub append: bool,
}

/// Options of the udp backend (QEMU's `ChardevUdp`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UdpConfig {
    /// Where datagrams go to.
    pub remote: InetSocketAddress,
    /// Where they come in.
    pub local: Option<InetSocketAddress>,
}

/// Options of the ring buffer (QEMU's `ChardevRingbuf`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RingbufConfig {
    /// Its size in bytes, a power of two; `None` is 64 KiB.
    pub size: Option<u64>,
}
