//! `-chardev BACKEND,id=ID,...`: from options to a [`ChardevConfig`]
//! (`qemu_chr_parse_opts`).
//!
//! Here are only the checks that belong to the command line. What
//! `chardev-add` checks as well is checked where the backend is opened.

use super::config::{
    ChardevBackend, ChardevConfig, FileConfig, InetSocketAddress, RingbufConfig, SocketAddress,
    SocketConfig, StdioConfig, UdpConfig, UnixSocketAddress,
};
use super::opts::{QemuOptType, QemuOpts, QemuOptsList};
use crate::qapi::Error;

use QemuOptType::{Bool, Number, Size, String as Str};

/// The options of `-chardev` (`qemu_chardev_opts`): one list for all
/// backends, so each takes the options of all others and ignores them.
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

/// Parses the value of `-chardev`: the label and what to make.
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
    qemu_chr_parse_opts(&QemuOpts::parse(&QEMU_CHARDEV_OPTS, opts, warnings)?)
}

/// The same from options that are parsed already.
pub fn qemu_chr_parse_opts(opts: &QemuOpts) -> Result<(String, ChardevConfig), Error> {
    let Some(id) = opts.id() else {
        return Err(Error::new("chardev: no id specified"));
    };
    let Some(name) = opts.get("backend") else {
        return Err(Error::new(format!("chardev: \"{id}\" missing backend")));
    };
    let backend = match name {
        "null" => ChardevBackend::Null,
        "socket" => ChardevBackend::Socket(parse_socket(opts)?),
        "stdio" => ChardevBackend::Stdio(StdioConfig {
            signal: opts.get_bool("signal"),
        }),
        "file" => ChardevBackend::File(FileConfig {
            out: required(opts, "path", "chardev: file: no filename given")?,
            input: opts.get("input-path").map(str::to_owned),
            append: opts.get_bool("append").unwrap_or(false),
        }),
        "pipe" => ChardevBackend::Pipe {
            path: required(opts, "path", "chardev: pipe: no device path given")?,
        },
        "serial" => ChardevBackend::Serial {
            path: required(opts, "path", "chardev: serial/tty: no device path given")?,
        },
        "parallel" => ChardevBackend::Parallel {
            path: required(opts, "path", "chardev: parallel: no device path given")?,
        },
        "pty" => ChardevBackend::Pty {
            path: opts.get("path").map(str::to_owned),
        },
        "udp" => ChardevBackend::Udp(parse_udp(opts)?),
        "ringbuf" => ChardevBackend::Ringbuf(parse_ringbuf(opts)),
        "memory" => ChardevBackend::Memory(parse_ringbuf(opts)),
        "mux" => ChardevBackend::Mux {
            chardev: required(opts, "chardev", "chardev: mux: no chardev given")?,
        },
        "hub" => ChardevBackend::Hub {
            chardevs: parse_hub(opts)?,
        },
        "testdev" => ChardevBackend::Testdev,
        _ => {
            return Err(Error::new(format!(
                "'{name}' is not a valid char driver name"
            )))
        }
    };
    let config = ChardevConfig {
        backend,
        logfile: opts.get("logfile").map(str::to_owned),
        logappend: opts.get_bool("logappend").unwrap_or(false),
        mux: opts.get_bool("mux").unwrap_or(false),
    };
    Ok((id.to_owned(), config))
}

fn required(opts: &QemuOpts, name: &str, message: &'static str) -> Result<String, Error> {
    let value = opts.get(name).map(str::to_owned);
    value.ok_or_else(|| Error::new(message))
}

fn parse_ringbuf(opts: &QemuOpts) -> RingbufConfig {
    RingbufConfig {
        size: opts.get_number("size").filter(|size| *size != 0),
    }
}

fn parse_hub(opts: &QemuOpts) -> Result<Vec<String>, Error> {
    let names = ["chardevs.0", "chardevs.1", "chardevs.2", "chardevs.3"];
    let chardevs: Vec<String> = names
        .iter()
        .map_while(|name| opts.get(name).map(str::to_owned))
        .collect();
    if chardevs.is_empty() {
        return Err(Error::new("hub: 'chardevs' list is not defined"));
    }
    Ok(chardevs)
}

fn parse_udp(opts: &QemuOpts) -> Result<UdpConfig, Error> {
    let given = |name| opts.get(name).filter(|v| !v.is_empty());
    let Some(port) = given("port") else {
        return Err(Error::new("chardev: udp: remote port not specified"));
    };
    let remote = InetSocketAddress {
        host: given("host").unwrap_or("localhost").to_owned(),
        port: port.to_owned(),
        ipv4: opts.get_bool("ipv4"),
        ipv6: opts.get_bool("ipv6"),
        ..InetSocketAddress::default()
    };
    let local = match (given("localaddr"), given("localport")) {
        (None, None) => None,
        (host, port) => Some(InetSocketAddress::new(
            host.unwrap_or(""),
            port.unwrap_or("0"),
        )),
    };
    Ok(UdpConfig { remote, local })
}

fn parse_socket(opts: &QemuOpts) -> Result<SocketConfig, Error> {
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
    let delay = opts.get_bool("delay");
    let nodelay = opts.get_bool("nodelay");
    if delay.is_some() && nodelay.is_some() {
        return Err(Error::new("'delay' and 'nodelay' are mutually exclusive"));
    }
    let addr = match (path, host) {
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
    };
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

#[cfg(test)]
mod tests {
    use super::*;

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
