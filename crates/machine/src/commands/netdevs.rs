//! The kinds of network back ends: their options, and what becomes of them.

use std::time::Duration;

use super::{datagrams, net_tap, net_user, streams};
use crate::model::net::{Client, Target};
use crate::schema::NetClientDriver;
use crate::Machine;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::Runtime;

/// The options of each kind; one with a dot stands for all that begin like it.
const KINDS: &[(&str, &[&str])] = &[
    (
        "user",
        &[
            "hostname",
            "restrict",
            "ipv4",
            "ipv6",
            "ip",
            "net",
            "host",
            "tftp",
            "bootfile",
            "dhcpstart",
            "dns",
            "dnssearch",
            "domainname",
            "ipv6-prefix",
            "ipv6-prefixlen",
            "ipv6-host",
            "ipv6-dns",
            "smb",
            "smbserver",
            "hostfwd",
            "guestfwd",
            "tftp-server-name",
        ],
    ),
    (
        "tap",
        &[
            "ifname",
            "fd",
            "fds",
            "script",
            "downscript",
            "br",
            "helper",
            "sndbuf",
            "vnet_hdr",
            "vhost",
            "vhostfd",
            "vhostfds",
            "vhostforce",
            "queues",
            "poll-us",
        ],
    ),
    (
        "l2tpv3",
        &[
            "src",
            "dst",
            "srcport",
            "dstport",
            "ipv6",
            "udp",
            "cookie64",
            "counter",
            "pincounter",
            "txcookie",
            "rxcookie",
            "txsession",
            "rxsession",
            "offset",
        ],
    ),
    (
        "socket",
        &["fd", "listen", "connect", "mcast", "localaddr", "udp"],
    ),
    ("stream", &["addr.", "server", "reconnect", "reconnect-ms"]),
    ("dgram", &["local.", "remote."]),
    ("vde", &["sock", "port", "group", "mode"]),
    ("bridge", &["br", "helper"]),
    ("hubport", &["hubid", "netdev"]),
    ("netmap", &["ifname", "devname"]),
    ("vhost-user", &["chardev", "vhostforce", "queues"]),
    ("vhost-vdpa", &["vhostdev", "vhostfd", "queues", "x-svq"]),
];

/// Options flattened to names with dots and texts, the lists with one name often.
pub(super) struct Flat(Vec<(String, String)>);

impl Flat {
    /// Flattens a dictionary; a list of texts in a `str` of each is what `hostfwd` has.
    pub(super) fn of(options: &QDict) -> Self {
        let mut flat = Flat(Vec::new());
        flat.add("", options);
        flat
    }

    fn add(&mut self, prefix: &str, options: &QDict) {
        for (name, value) in options.iter() {
            self.add_value(format!("{prefix}{name}"), value);
        }
    }

    fn add_value(&mut self, name: String, value: &QObject) {
        match value {
            QObject::Dict(inner) => match inner.get_str("str") {
                Some(text) if !name.contains('.') && name != "addr" => {
                    self.0.push((name, text.to_owned()));
                }
                _ => self.add(&format!("{name}."), inner),
            },
            QObject::List(list) => {
                for item in list {
                    self.add_value(name.clone(), item);
                }
            }
            QObject::String(text) => self.0.push((name, text.clone())),
            QObject::Bool(on) => self
                .0
                .push((name, if *on { "on" } else { "off" }.to_owned())),
            QObject::Num(_) => {
                let text = qmonitor::qapi::json::qobject_to_json(value, false);
                self.0.push((name, text));
            }
            QObject::Null => {}
        }
    }

    pub(super) fn push(&mut self, name: &str, text: &str) {
        self.0.push((name.to_owned(), text.to_owned()));
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().rev().filter(|(n, _)| n == name);
        found.next().map(|(_, text)| text.as_str())
    }

    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.0.iter().filter(move |(n, _)| n == name);
        found.map(|(_, text)| text.as_str())
    }

    /// A dictionary, with lists of what occurs often.
    pub(super) fn into_dict(self) -> QDict {
        let mut dict = QDict::new();
        for (name, text) in self.0 {
            let text = QObject::from(text);
            let merged = match dict.remove(&name) {
                None => text,
                Some(QObject::List(mut list)) => {
                    list.push(text);
                    QObject::List(list)
                }
                Some(first) => QObject::List(vec![first, text]),
            };
            dict.insert(name, merged);
        }
        dict
    }

    pub(super) fn has(&self, prefix: &str) -> bool {
        self.0.iter().any(|(name, _)| name.starts_with(prefix))
    }
}

/// Makes a back end of any kind but a port of a hub.
///
/// # Errors
///
/// An option is missing, wrong, or unknown to the kind; or QEMU is built without the kind.
pub(super) fn add(rt: &mut Runtime<Machine>, options: &Flat) -> Result<(), Error> {
    let required = |name: &str| {
        let missing = || Error::new(format!("Parameter '{name}' is missing"));
        options.get(name).ok_or_else(missing)
    };
    let id = required("id")?.to_owned();
    let kind = required("type")?;
    let known = kind.parse::<NetClientDriver>().is_ok();
    let row = KINDS.iter().find(|(name, _)| *name == kind);
    let Some((kind, _)) = row.filter(|_| known) else {
        return Err(Error::new(format!(
            "Parameter 'type' does not accept value '{kind}'"
        )));
    };
    check_required(kind, options)?;
    check_names(kind, options)?;
    if rt.state.net.has_netdev(&id) {
        return Err(Error::new(format!("Duplicate ID '{id}'")));
    }
    let mut client = Client {
        id,
        kind: (*kind).to_owned(),
        ..Client::default()
    };
    let opening = match *kind {
        "socket" => socket(rt, &client.id, options)?,
        "stream" => stream(options)?,
        "dgram" => Opening::Done(datagrams::dgram(rt, &client.id, options)?),
        kind => Opening::Done(fixed(rt, kind, &mut client, options)?),
    };
    let id = client.id.clone();
    match opening {
        Opening::Done(info) => {
            client.info = info;
            rt.state.net.add_client(client)
        }
        Opening::Stream {
            target,
            is_server,
            reconnect,
            is_plain,
        } => {
            rt.state.net.add_client(client)?;
            streams::open(rt, &id, target, is_server, reconnect, is_plain);
            Ok(())
        }
    }
}

/// What `info network` says of a back end that opens nothing.
fn fixed(
    rt: &Runtime<Machine>,
    kind: &str,
    client: &mut Client,
    options: &Flat,
) -> Result<String, Error> {
    Ok(match kind {
        "user" => net_user::user(client, options)?,
        "tap" => net_tap::tap(&client.id, options)?,
        "bridge" => {
            let desc = "bridge helper failed";
            return Err(Error::new(desc));
        }
        "l2tpv3" => "l2tpv3: connected".to_owned(),
        "vhost-user" => vhost_user(rt, options)?,
        "vhost-vdpa" => {
            return Err(Error::new(
                "vhost-vdpa: neither vhostdev= nor vhostfd= was specified",
            ));
        }
        "vde" => return Err(Error::new("Could not open vde: No such file or directory")),
        kind => {
            return Err(Error::new(format!(
                "network backend '{kind}' is not compiled into this binary"
            )));
        }
    })
}

/// Checks that the kind has all these options.
///
/// # Errors
///
/// `Invalid parameter 'NAME'`
pub(super) fn check_names(kind: &str, options: &Flat) -> Result<(), Error> {
    let row = KINDS.iter().find(|(name, _)| *name == kind);
    let known = row.map_or(&[][..], |(_, known)| known);
    let fits = |name: &str| {
        let has = |option: &str| match option.strip_suffix('.') {
            Some(prefix) => name
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.starts_with('.')),
            None => name == option,
        };
        ["id", "type"].contains(&name) || known.iter().any(|option| has(option))
    };
    match options.0.iter().find(|(name, _)| !fits(name)) {
        Some((name, _)) => Err(Error::new(format!("Invalid parameter '{name}'"))),
        None => Ok(()),
    }
}

/// Options without which a kind is refused before anything else.
fn check_required(kind: &str, options: &Flat) -> Result<(), Error> {
    let missing = |name: &str| Err(Error::new(format!("Parameter '{name}' is missing")));
    match kind {
        "stream" if !options.has("addr.") => missing("addr"),
        "l2tpv3" => {
            let names = ["src", "dst", "txsession"];
            match names.iter().find(|name| options.get(name).is_none()) {
                Some(name) => missing(name),
                None => Ok(()),
            }
        }
        "vhost-user" if options.get("chardev").is_none() => missing("chardev"),
        "netmap" if options.get("ifname").is_none() => missing("ifname"),
        _ => Ok(()),
    }
}

pub(super) fn invalid_rule(rule: &str, reason: &str) -> Error {
    Error::new(format!("Invalid host forwarding rule '{rule}' ({reason})"))
}

/// A stream on a socket, or datagrams, as it was before there were two kinds.
fn socket(rt: &mut Runtime<Machine>, id: &str, options: &Flat) -> Result<Opening, Error> {
    let ways = ["fd", "listen", "connect", "mcast", "udp"];
    let given: Vec<&str> = ways
        .into_iter()
        .filter(|way| options.get(way).is_some())
        .collect();
    let [way] = given[..] else {
        return Err(Error::new(
            "exactly one of listen=, connect=, mcast= or udp= is required",
        ));
    };
    let text = options.get(way).unwrap_or_default();
    match way {
        "mcast" => datagrams::mcast(rt, id, text).map(Opening::Done),
        "udp" => {
            let local = options.get("localaddr");
            let local = local.ok_or_else(|| Error::new("localaddr= is mandatory with udp="))?;
            datagrams::udp(rt, id, text, local).map(Opening::Done)
        }
        "fd" => Err(Error::new("can't get socket option SO_TYPE")),
        _ => {
            let (host, port) = host_and_port(text)?;
            let target = Target::Inet {
                host,
                port,
                versions: (true, false),
            };
            if streams::resolve(&target).is_err() {
                let host = text.split(':').next().unwrap_or_default();
                return Err(Error::new(format!("can't resolve host address '{host}'")));
            }
            Ok(Opening::Stream {
                target,
                is_server: way == "listen",
                reconnect: None,
                is_plain: true,
            })
        }
    }
}

/// `HOST:PORT`
pub(super) fn host_and_port(text: &str) -> Result<(String, String), Error> {
    let split = text.split_once(':').ok_or_else(|| {
        Error::new(format!(
            "host address '{text}' doesn't contain ':' separating host from port"
        ))
    })?;
    Ok((split.0.to_owned(), split.1.to_owned()))
}

fn stream(options: &Flat) -> Result<Opening, Error> {
    let target = Target::of(options, "addr")?;
    let is_server = matches!(options.get("server"), Some("on" | "yes" | "y" | "true"));
    let number = |name, scale: u64| -> Option<u64> {
        options.get(name)?.parse::<u64>().ok()?.checked_mul(scale)
    };
    let (seconds, millis) = (number("reconnect", 1000), number("reconnect-ms", 1));
    if seconds.is_some() && millis.is_some() {
        return Err(Error::new(
            "'reconnect' and 'reconnect-ms' are mutually exclusive",
        ));
    }
    let reconnect = seconds.or(millis).filter(|ms| *ms > 0);
    if is_server && seconds.or(millis).is_some() {
        return Err(Error::new(
            "'reconnect' and 'reconnect-ms' options are incompatible with socket in server mode",
        ));
    }
    Ok(Opening::Stream {
        target,
        is_server,
        reconnect: reconnect.map(Duration::from_millis),
        is_plain: false,
    })
}

/// What is still to be opened when a back end has been made.
enum Opening {
    /// Nothing; this is what `info network` says.
    Done(String),
    Stream {
        target: Target,
        is_server: bool,
        reconnect: Option<Duration>,
        is_plain: bool,
    },
}

fn vhost_user(rt: &Runtime<Machine>, options: &Flat) -> Result<String, Error> {
    let name = options.get("chardev").unwrap_or_default();
    let Some(chr) = qmonitor::chardev::qemu_chr_find(rt, name) else {
        return Err(Error::new(format!("chardev \"{name}\" not found")));
    };
    let _ = chr;
    Ok("vhost-user0 to ".to_owned() + name)
}
