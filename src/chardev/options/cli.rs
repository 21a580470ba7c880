//! `-chardev BACKEND,id=ID,...`: from options to a [`ChardevConfig`]
//! (`qemu_chr_parse_opts`).
//!
//! Here are only the checks that belong to the command line. What
//! `chardev-add` checks as well is checked where the backend is opened.

use std::sync::OnceLock;

use crate::chardev::backends::{not_a_driver, ChardevBackend, ChardevConfig};
use crate::chardev::host::ChardevHost;
use crate::chardev::table::Chardevs;
use crate::qapi::{Error, Profile};
use crate::util::qemu_opts::{QemuOptType, QemuOpts, QemuOptsList};

use QemuOptType::{Bool, Number, Size, String as Str};

/// The options of `-chardev` that some QEMU has (`qemu_chardev_opts`): one list for
/// all backends, so each takes the options of all others and ignores them. What one
/// QEMU has is in [`qemu_chardev_opts`].
pub static QEMU_CHARDEV_OPTS: QemuOptsList = QemuOptsList {
    name: "chardev",
    implied_opt_name: Some("backend"),
    desc: &[
        ("abstract", Bool),
        ("append", Bool),
        ("backend", Str),
        ("chardev", Str),
        ("chardevs.0", Str),
        ("chardevs.1", Str),
        ("chardevs.2", Str),
        ("chardevs.3", Str),
        ("clipboard", Bool),
        ("cols", Number),
        ("debug", Number),
        ("delay", Bool),
        ("encoding", Str),
        ("fd", Str),
        ("height", Number),
        ("host", Str),
        ("input-path", Str),
        ("ipv4", Bool),
        ("ipv6", Bool),
        ("localaddr", Str),
        ("localport", Str),
        ("logappend", Bool),
        ("logfile", Str),
        ("logtimestamp", Bool),
        ("mouse", Bool),
        ("mux", Bool),
        ("name", Str),
        ("nodelay", Bool),
        ("path", Str),
        ("port", Str),
        ("reconnect-ms", Number),
        ("reconnect", Number),
        ("rows", Number),
        ("server", Bool),
        ("signal", Bool),
        ("size", Size),
        ("telnet", Bool),
        ("tight", Bool),
        ("tls-authz", Str),
        ("tls-creds", Str),
        ("tn3270", Bool),
        ("to", Number),
        ("wait", Bool),
        ("websocket", Bool),
        ("width", Number),
    ],
    extensions: &[("max-clients", Number)],
};

/// The options that a QEMU has.
pub fn qemu_chardev_opts(profile: Profile) -> &'static QemuOptsList<'static> {
    static LISTS: [OnceLock<QemuOptsList>; Profile::ALL.len()] =
        [const { OnceLock::new() }; Profile::ALL.len()];
    LISTS[profile as usize].get_or_init(|| {
        let all = QEMU_CHARDEV_OPTS.desc.iter().copied();
        let desc: Vec<_> = all
            .filter(|(name, _)| profile.has_chardev_option(name))
            .collect();
        QemuOptsList {
            desc: desc.leak(),
            ..QEMU_CHARDEV_OPTS
        }
    })
}

/// Parses the value of `-chardev`: the label and what to make. Options are those of
/// the default profile.
///
/// Deprecated short forms add to `warnings` (a text and a hint each), also if
/// an error follows. Neither texts have a prefix; QEMU prints
/// `PROGRAM: -chardev OPTS: TEXT`, with `warning: ` in front of a warning.
///
/// ```
/// use qmonitor::chardev::{qemu_chr_parse_cli, ChardevBackend};
///
/// let mut warnings = Vec::new();
/// let (label, config) =
///     qemu_chr_parse_cli("socket,id=mon,path=/tmp/s,server=on,wait=off", &mut warnings).unwrap();
/// assert_eq!(label, "mon");
/// assert!(matches!(config.backend, ChardevBackend::Socket(s) if s.server));
///
/// let e = qemu_chr_parse_cli("null", &mut warnings).unwrap_err();
/// assert_eq!(e.desc(), "chardev: no id specified");
/// ```
pub fn qemu_chr_parse_cli(
    opts: &str,
    warnings: &mut Vec<Error>,
) -> Result<(String, ChardevConfig), Error> {
    let list = qemu_chardev_opts(Profile::default());
    qemu_chr_parse_opts(&QemuOpts::parse(list, opts, warnings)?)
}

/// The same from options that are parsed already.
pub fn qemu_chr_parse_opts(opts: &QemuOpts) -> Result<(String, ChardevConfig), Error> {
    let (id, name) = id_and_backend(opts)?;
    let backend = ChardevBackend::from_opts(name, opts);
    if backend != Ok(None) {
        check_encoding(name, opts)?;
    }
    let backend = backend?.ok_or_else(|| not_a_driver(name))?;
    Ok((id.to_owned(), with_common_opts(backend, opts)))
}

fn id_and_backend(opts: &QemuOpts) -> Result<(&str, &str), Error> {
    let Some(id) = opts.id() else {
        return Err(Error::new("chardev: no id specified"));
    };
    let Some(name) = opts.get("backend") else {
        return Err(Error::new(format!("chardev: \"{id}\" missing backend")));
    };
    Ok((id, name))
}

/// Refuses an encoding for what is no console, before all other errors of its options.
fn check_encoding(backend: &str, opts: &QemuOpts) -> Result<(), Error> {
    if opts.get("encoding").is_none() || backend == "vc" {
        return Ok(());
    }
    let id = opts.id().unwrap_or("(null)");
    Err(Error::new(format!(
        "chardev '{id}' does not support encoding option"
    )))
}

impl<H: ChardevHost> Chardevs<H> {
    /// [`qemu_chr_parse_cli`] that knows the kinds of backends that are
    /// [registered](Self::register), and their options.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn parse_cli(
        &self,
        profile: Profile,
        opts: &str,
        warnings: &mut Vec<Error>,
    ) -> Result<(String, ChardevConfig), Error> {
        self.parse_opts(&self.split_opts(profile, opts, warnings)?)
    }

    /// The first half of [`parse_cli`](Self::parse_cli).
    ///
    /// # Errors
    ///
    /// An option is unknown, or its value is not of its type.
    pub fn split_opts(
        &self,
        profile: Profile,
        opts: &str,
        warnings: &mut Vec<Error>,
    ) -> Result<QemuOpts, Error> {
        let own = QEMU_CHARDEV_OPTS.extensions.iter().copied();
        let extensions: Vec<_> = own.chain(self.option_extensions()).collect();
        let list = QemuOptsList {
            extensions: &extensions,
            ..*qemu_chardev_opts(profile)
        };
        QemuOpts::parse(&list, opts, warnings)
    }

    /// The second half of [`parse_cli`](Self::parse_cli).
    ///
    /// # Errors
    ///
    /// There is no such backend, or what it needs is missing.
    pub fn parse_opts(&self, opts: &QemuOpts) -> Result<(String, ChardevConfig), Error> {
        let (id, name) = id_and_backend(opts)?;
        let Some(kind) = self.kind(name) else {
            return qemu_chr_parse_opts(opts);
        };
        check_encoding(name, opts)?;
        let backend = ChardevBackend::Registered((kind.from_opts)(kind.name, opts)?);
        Ok((id.to_owned(), with_common_opts(backend, opts)))
    }
}

fn with_common_opts(backend: ChardevBackend, opts: &QemuOpts) -> ChardevConfig {
    ChardevConfig {
        backend,
        logfile: opts.get("logfile").map(str::to_owned),
        logappend: opts.get_bool("logappend").unwrap_or(false),
        logtimestamp: opts.get_bool("logtimestamp").unwrap_or(false),
        mux: opts.get_bool("mux").unwrap_or(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chardev::config::{
        InetSocketAddress, SocketAddress, SocketConfig, UnixSocketAddress,
    };

    fn parse(text: &str) -> Result<(String, ChardevConfig), Error> {
        qemu_chr_parse_cli(text, &mut Vec::new())
    }

    #[test]
    fn errors() {
        for (opts, text) in [
            ("", "chardev: no id specified"),
            ("null", "chardev: no id specified"),
            ("id=a", "chardev: \"a\" missing backend"),
            ("nosuch,id=a", "'nosuch' is not a valid char driver name"),
            ("tty,id=a", "'tty' is not a valid char driver name"),
            ("parport,id=a", "'parport' is not a valid char driver name"),
            ("null,id=1a", "Parameter 'id' expects an identifier"),
            ("null,id=a,bogus=1", "Invalid parameter 'bogus'"),
            (
                "null,id=a,mux=maybe",
                "Parameter 'mux' expects 'on' or 'off'",
            ),
            (
                "null,id=a,size=x",
                "Parameter 'size' expects a non-negative number below 2^64",
            ),
            (
                "socket,id=a,host=127.0.0.1",
                "chardev: socket: no port given",
            ),
            (
                "socket,id=a,path=/s,host=h",
                "None or one of 'path', 'fd' or 'host' option required.",
            ),
            (
                "socket,id=a,fd=3,path=/a",
                "None or one of 'path', 'fd' or 'host' option required.",
            ),
            (
                "socket,id=a,path=/s,delay=on,nodelay=on",
                "'delay' and 'nodelay' are mutually exclusive",
            ),
            (
                "socket,id=a,path=/s,reconnect=x",
                "Parameter 'reconnect' expects a number",
            ),
            ("file,id=a", "chardev: file: no filename given"),
            ("pipe,id=a", "chardev: pipe: no device path given"),
            ("serial,id=a", "chardev: serial/tty: no device path given"),
            ("parallel,id=a", "chardev: parallel: no device path given"),
            ("udp,id=a", "chardev: udp: remote port not specified"),
            ("mux,id=a", "chardev: mux: no chardev given"),
            ("hub,id=a", "hub: 'chardevs' list is not defined"),
            (
                "hub,id=a,chardevs.1=b",
                "hub: 'chardevs' list is not defined",
            ),
            ("hub,id=a,chardevs.4=b", "Invalid parameter 'chardevs.4'"),
        ] {
            assert_eq!(parse(opts).unwrap_err().desc(), text, "{opts}");
        }
    }

    fn socket(text: &str) -> SocketConfig {
        match parse(text).unwrap().1.backend {
            ChardevBackend::Socket(socket) => socket,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_waits_unless_told_otherwise_and_a_client_is_silent_on_it() {
        for (opts, wait) in [
            ("socket,id=a,path=/s,server=on", Some(true)),
            ("socket,id=a,path=/s,server=on,wait=off", Some(false)),
            ("socket,id=a,path=/s,server,nowait", Some(false)),
            ("socket,id=a,path=/s", None),
            ("socket,id=a,path=/s,wait=off", Some(false)),
        ] {
            assert_eq!(socket(opts).wait, wait, "{opts}");
        }
    }

    #[test]
    fn addresses() {
        for (opts, addr) in [
            (
                "socket,id=a,path=a,,b",
                SocketAddress::Unix(UnixSocketAddress {
                    path: "a,b".into(),
                    abstract_: Some(false),
                    tight: Some(true),
                }),
            ),
            (
                "socket,id=a,path=x,abstract=on,tight=off",
                SocketAddress::Unix(UnixSocketAddress {
                    path: "x".into(),
                    abstract_: Some(true),
                    tight: Some(false),
                }),
            ),
            (
                "socket,id=a,host=,port=0,to=9,ipv4=on,ipv6=off",
                SocketAddress::Inet(InetSocketAddress {
                    host: "".into(),
                    port: "0".into(),
                    to: Some(9),
                    ipv4: Some(true),
                    ipv6: Some(false),
                    ..InetSocketAddress::default()
                }),
            ),
            ("socket,id=a,fd=7", SocketAddress::Fd("7".into())),
            ("socket,id=a", SocketAddress::Fd("".into())),
            ("socket,id=a,port=5", SocketAddress::Fd("".into())),
        ] {
            assert_eq!(socket(opts).addr, addr, "{opts}");
        }
    }

    #[test]
    fn nodelay_has_two_spellings() {
        for (opts, nodelay) in [
            ("socket,id=a,path=/s", false),
            ("socket,id=a,path=/s,nodelay=on", true),
            ("socket,id=a,path=/s,delay=off", true),
            ("socket,id=a,path=/s,nodelay", true),
            ("socket,id=a,path=/s,delay=on", false),
        ] {
            assert_eq!(socket(opts).nodelay, nodelay, "{opts}");
        }
    }

    #[test]
    fn the_last_backend_counts_and_common_options_are_kept() {
        let (id, config) =
            parse("pipe,id=a,backend=null,logfile=/l,logappend=on,mux=on,path=/x").unwrap();
        assert_eq!(id, "a");
        assert_eq!(config.backend, ChardevBackend::Null);
        assert_eq!(config.logfile.as_deref(), Some("/l"));
        assert!(config.logappend && config.mux);
    }

    #[test]
    fn udp_has_a_local_side_if_any_part_of_it_is_given() {
        let local = |opts: &str| match parse(opts).unwrap().1.backend {
            ChardevBackend::Udp(udp) => udp.local.map(|l| (l.host, l.port)),
            other => panic!("{other:?}"),
        };
        assert_eq!(local("udp,id=u,port=9"), None);
        assert_eq!(
            local("udp,id=u,port=9,localport=8"),
            Some(("".into(), "8".into()))
        );
        assert_eq!(
            local("udp,id=u,port=9,localaddr=::1"),
            Some(("::1".into(), "0".into()))
        );
    }
}
