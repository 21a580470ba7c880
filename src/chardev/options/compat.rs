//! The short forms of `-serial`, `-monitor` and `-qmp`: `unix:PATH,server=on`,
//! `tcp:HOST:PORT`, `stdio`, `mon:stdio`, ... (`qemu_chr_parse_compat`).
//!
//! They become the options of `-chardev` and go on from there. Two traps:
//! short-form booleans draw no warning here, and host and port are cut apart
//! at the first colon, so `tcp:[::1]:0` is host `[` and port `:1]:0`.

use super::cli::QEMU_CHARDEV_OPTS;
use crate::qapi::Error;
use crate::util::qemu_opts::{QemuOpts, QemuOptsList};

/// The meaning of a short form.
#[derive(Debug, Clone)]
pub enum ParsedCompat {
    /// `none`: nothing. Allowed for `-serial` and `-monitor`; `-qmp` answers
    /// [`invalid_char_driver`].
    None,
    /// `chardev:ID`: a chardev that exists already.
    Existing(String),
    /// A chardev to make.
    New {
        /// The options, under the label that the caller gave, for
        /// [`qemu_chr_parse_opts`](crate::chardev::qemu_chr_parse_opts).
        opts: QemuOpts,
        /// Whether a human monitor shares it (`mon:`); the options then ask for
        /// a mux.
        with_mux_mon: bool,
    },
}

/// `'NAME' is not a valid char driver`.
pub fn invalid_char_driver(filename: &str) -> Error {
    Error::new(format!("'{filename}' is not a valid char driver"))
}

/// The error without text of a form that is malformed beyond description: the
/// caller prints its own line only (`parse error: ...`).
fn malformed() -> Error {
    Error::new("")
}

/// Parses a short form.
///
/// # Errors
///
/// An error whose description is empty has nothing to be printed; QEMU then
/// prints only the line that follows any error: `parse error: FORM`
/// for a monitor, `could not connect serial device to character backend 'FORM'`.
///
/// ```
/// use qmonitor::chardev::{qemu_chr_parse_compat, qemu_chr_parse_opts, ParsedCompat};
///
/// match qemu_chr_parse_compat("compat_monitor0", "unix:/tmp/s,server,nowait").unwrap() {
///     ParsedCompat::New { opts, .. } => {
///         let (label, config) = qemu_chr_parse_opts(&opts).unwrap();
///         assert_eq!((&*label, config.backend.kind()), ("compat_monitor0", "socket"));
///     }
///     other => panic!("{other:?}"),
/// }
/// let e = qemu_chr_parse_compat("serial0", "nosuch").unwrap_err();
/// assert_eq!(e.desc(), "'nosuch' is not a valid char driver");
/// assert_eq!(qemu_chr_parse_compat("serial0", "tcp:x").unwrap_err().desc(), "");
/// ```
pub fn qemu_chr_parse_compat(label: &str, filename: &str) -> Result<ParsedCompat, Error> {
    if filename == "none" {
        return Ok(ParsedCompat::None);
    }
    if let Some(id) = filename.strip_prefix("chardev:") {
        return Ok(ParsedCompat::Existing(id.to_owned()));
    }
    let (form, with_mux_mon) = match filename.strip_prefix("mon:") {
        Some(form) => (form, true),
        None => (filename, false),
    };
    let mut opts = Builder(QemuOpts::with_id(label));
    if with_mux_mon {
        opts.set("mux", "on")?;
        if form == "stdio" {
            // The keys shall reach the monitor, not end the program.
            opts.set("signal", "off")?;
        }
    }
    parse_form(&mut opts, form)?;
    Ok(ParsedCompat::New {
        // `mux=on` in the form asks for the monitor too, and `mux=off` refuses it.
        with_mux_mon: opts.0.get_bool("mux").unwrap_or(false),
        opts: opts.0,
    })
}

struct Builder(QemuOpts);

impl Builder {
    fn set(&mut self, name: &str, value: &str) -> Result<(), Error> {
        self.0.set(&QEMU_CHARDEV_OPTS, name, value)
    }

    fn rest(&mut self, rest: &str, implied: Option<&'static str>) -> Result<(), Error> {
        let list = QemuOptsList {
            implied_opt_name: implied,
            ..QEMU_CHARDEV_OPTS
        };
        self.0.do_parse(&list, rest)
    }
}

fn parse_form(opts: &mut Builder, form: &str) -> Result<(), Error> {
    match form {
        "null" | "pty" | "msmouse" | "wctablet" | "braille" | "testdev" | "stdio" | "vc" => {
            return opts.set("backend", form);
        }
        "con:" => return opts.set("backend", "console"),
        _ => {}
    }
    if form.starts_with("COM") {
        opts.set("backend", "serial")?;
        return opts.set("path", form);
    }
    if form.starts_with("/dev/parport") || form.starts_with("/dev/ppi") {
        opts.set("backend", "parallel")?;
        return opts.set("path", form);
    }
    if form.starts_with("/dev/") {
        opts.set("backend", "serial")?;
        return opts.set("path", form);
    }
    let Some((kind, rest)) = form.split_once(':') else {
        return Err(invalid_char_driver(form));
    };
    match kind {
        "file" | "pipe" | "pty" => {
            opts.set("backend", kind)?;
            opts.set("path", rest)
        }
        "unix" => {
            opts.set("backend", "socket")?;
            opts.rest(rest, Some("path"))
        }
        "tcp" | "telnet" | "tn3270" | "websocket" => {
            let (host, port, rest) = host_port(rest, &[',']).ok_or_else(malformed)?;
            opts.set("host", host)?;
            opts.set("port", port)?;
            if let Some(rest) = rest.strip_prefix(',') {
                opts.rest(rest, None)?;
            }
            if kind != "tcp" {
                opts.set(kind, "on")?;
            }
            opts.set("backend", "socket")
        }
        "udp" => {
            opts.set("backend", "udp")?;
            let (host, port, rest) = host_port(rest, &['@', ',']).ok_or_else(malformed)?;
            opts.set("host", host)?;
            opts.set("port", port)?;
            if let Some(local) = rest.strip_prefix('@') {
                let (host, port, _) = host_port(local, &[',']).ok_or_else(malformed)?;
                opts.set("localaddr", host)?;
                opts.set("localport", port)?;
            }
            Ok(())
        }
        "vc" if !is_size(rest) => Err(malformed()),
        "vc" => opts.set("backend", "vc"),
        _ => Err(invalid_char_driver(form)),
    }
}

/// `80x24` or `80Cx24C`; what follows the second number does not count.
fn is_size(text: &str) -> bool {
    let begins_with_digit = |t: &str| t.starts_with(|c: char| c.is_ascii_digit());
    text.split_once('x').is_some_and(|(width, height)| {
        let width = width.strip_suffix('C').unwrap_or(width);
        width.bytes().all(|c| c.is_ascii_digit())
            && begins_with_digit(width)
            && begins_with_digit(height)
    })
}

/// Cuts `HOST:PORT` off: the host ends at the first colon, the port at one of
/// `ends`. QEMU's buffers decide what is too long: such a host does not match, such a
/// port is cut short.
fn host_port<'a>(text: &'a str, ends: &[char]) -> Option<(&'a str, &'a str, &'a str)> {
    let (host, rest) = text.split_once(':')?;
    let end = rest.find(ends).unwrap_or(rest.len());
    let cut = (0..=end.min(32))
        .rev()
        .find(|i| rest.is_char_boundary(*i))?;
    let (port, rest) = rest.split_at(cut);
    (host.len() <= 64 && !port.is_empty()).then_some((host, port, rest))
}

#[cfg(test)]
mod tests {
    use super::super::cli::qemu_chr_parse_opts;
    use super::*;
    use crate::chardev::backends::{ChardevBackend, ChardevConfig};
    use crate::chardev::config::SocketAddress;

    /// What a form becomes, and whether with a monitor.
    fn parse(form: &str) -> Result<(ChardevConfig, bool), Error> {
        match qemu_chr_parse_compat("x", form)? {
            ParsedCompat::New { opts, with_mux_mon } => {
                let (label, config) = qemu_chr_parse_opts(&opts)?;
                assert_eq!(label, "x", "{form}");
                Ok((config, with_mux_mon))
            }
            other => panic!("{form}: {other:?}"),
        }
    }

    fn new(form: &str) -> ChardevConfig {
        parse(form).unwrap().0
    }

    #[test]
    fn kinds() {
        for (form, kind) in [
            ("null", "null"),
            ("stdio", "stdio"),
            ("pty", "pty"),
            ("pty:/l", "pty"),
            ("testdev", "testdev"),
            ("file:a,,b,c", "file"),
            ("pipe:/p", "pipe"),
            ("/dev/null", "serial"),
            ("COM1", "serial"),
            ("/dev/parport0", "parallel"),
            ("unix:/s,server", "socket"),
            ("tcp:h:1", "socket"),
            ("telnet:h:1,server=on", "socket"),
            ("udp:h:1@:2", "udp"),
        ] {
            assert_eq!(new(form).backend.kind(), kind, "{form}");
        }
    }

    #[test]
    fn errors() {
        for (form, text) in [
            ("", "'' is not a valid char driver"),
            ("nosuch", "'nosuch' is not a valid char driver"),
            ("ringbuf", "'ringbuf' is not a valid char driver"),
            ("socket", "'socket' is not a valid char driver"),
            ("stdio:", "'stdio:' is not a valid char driver"),
            ("stdio,id=x", "'stdio,id=x' is not a valid char driver"),
            ("/tmp/x", "'/tmp/x' is not a valid char driver"),
            ("mon:none", "'none' is not a valid char driver"),
            ("mon:chardev:x", "'chardev:x' is not a valid char driver"),
            ("mon:mon:null", "'mon:null' is not a valid char driver"),
            ("con:", "'console' is not a valid char driver name"),
            ("vc:80Cx24x", "'vc' is not a valid char driver name"),
            ("vc:80", ""),
            ("tcp:", ""),
            ("tcp:x", ""),
            ("udp:x", ""),
            ("udp::99@", ""),
            ("vc:x", ""),
            ("tcp:h:1,bogus", "Invalid parameter 'bogus'"),
            (
                "unix:/s,server=maybe",
                "Parameter 'server' expects 'on' or 'off'",
            ),
            (
                "unix:/s,host=x",
                "None or one of 'path', 'fd' or 'host' option required.",
            ),
        ] {
            assert_eq!(parse(form).unwrap_err().desc(), text, "{form}");
        }
    }

    fn inet(form: &str) -> (String, String) {
        match new(form).backend {
            ChardevBackend::Socket(s) => match s.addr {
                SocketAddress::Inet(inet) => (inet.host, inet.port),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_host_ends_at_the_first_colon() {
        for (form, host, port) in [
            ("tcp:h:1", "h", "1"),
            ("tcp::0,server", "", "0"),
            ("tcp:[::1]:0", "[", ":1]:0"),
            ("tcp:::1:0", "", ":1:0"),
            ("telnet:h:1:2,server=on", "h", "1:2"),
            (
                "tcp:h:123456789012345678901234567890123,server=on",
                "h",
                "12345678901234567890123456789012",
            ),
        ] {
            assert_eq!(inet(form), (host.to_owned(), port.to_owned()), "{form}");
        }
    }

    #[test]
    fn a_doubled_comma_counts_in_unix_paths_but_not_in_file_names() {
        match new("unix:a,,b,server=on").backend {
            ChardevBackend::Socket(s) => {
                assert!(matches!(s.addr, SocketAddress::Unix(u) if u.path == "a,b"));
            }
            other => panic!("{other:?}"),
        }
        match new("file:a,,b,c").backend {
            ChardevBackend::File(f) => assert_eq!(f.out, "a,,b,c"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mon_asks_for_a_mux_and_keeps_the_signals_of_stdio_off() {
        let (config, with_mux_mon) = parse("mon:stdio").unwrap();
        assert!(config.mux && with_mux_mon);
        assert!(matches!(
            config.backend,
            ChardevBackend::Stdio(s) if s.signal == Some(false)
        ));
        for (form, mux) in [
            ("unix:/s,server=on,mux=on", true),
            ("mon:unix:/s,server=on,mux=off", false),
        ] {
            let (config, with_mux_mon) = parse(form).unwrap();
            assert_eq!((config.mux, with_mux_mon), (mux, mux), "{form}");
        }
    }

    #[test]
    fn what_makes_nothing() {
        let parse = |form| qemu_chr_parse_compat("x", form).unwrap();
        assert!(matches!(parse("none"), ParsedCompat::None));
        assert!(matches!(parse("chardev:a:b"), ParsedCompat::Existing(id) if id == "a:b"));
    }
}
