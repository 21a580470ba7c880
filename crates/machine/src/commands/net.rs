//! Network back ends: `net.json`, `-netdev`, and HMP.

use super::hmp::{fail, nothing, Cx};
use super::netdevs::{self, Flat};
use crate::schema::{NetCommands, Netdev, NetdevBranch, NetdevHubPortOptions};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::visit::to_qobject;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::util::qemu_opts::{id_wellformed, QemuOpts, QemuOptsList};
use qmonitor::Runtime;

/// The parameters of `-netdev` and HMP's `netdev_add` (`qemu_netdev_opts`).
pub static QEMU_NETDEV_OPTS: QemuOptsList = QemuOptsList {
    name: "netdev",
    implied_opt_name: Some("type"),
    desc: &[],
    extensions: &[],
};

impl NetCommands for Machine {
    fn qmp_netdev_add(rt: &mut Runtime<Self>, arg: Netdev) -> Result<(), Error> {
        if !id_wellformed(&arg.id) {
            return Err(Error::new("Parameter 'id' expects an identifier"));
        }
        match &arg.u {
            NetdevBranch::Hubport(port) => {
                let peer = port.netdev.as_deref();
                rt.state.net.add_port(port.hubid, &arg.id, peer)
            }
            _ => {
                let flat = match to_qobject(&arg) {
                    QObject::Dict(options) => Flat::of(&options),
                    _ => Flat::of(&QDict::new()),
                };
                netdevs::add(rt, &flat)
            }
        }
    }

    fn qmp_netdev_del(rt: &mut Runtime<Self>, id: String) -> Result<(), Error> {
        rt.state.net.remove_port(&id)
    }

    fn qmp_set_link(rt: &mut Runtime<Self>, name: String, up: bool) -> Result<(), Error> {
        rt.state.net.set_link(&name, up)
    }
}

/// Makes a back end from options that are texts, in the order, and with the words, of
/// QEMU's visitor of options.
///
/// # Errors
///
/// The first error.
fn netdev_from_options(rt: &mut Runtime<Machine>, options: &Flat) -> Result<(), Error> {
    let required = |name: &str| {
        let missing = || Error::new(format!("Parameter '{name}' is missing"));
        options.get(name).ok_or_else(missing)
    };
    if options.get("type") != Some("hubport") || options.get("id").is_none() {
        return netdevs::add(rt, options);
    }
    let id = required("id")?.to_owned();
    let hubid = parse_int32("hubid", required("hubid")?)?;
    let netdev = options.get("netdev").map(str::to_owned);
    netdevs::check_names("hubport", options)?;
    let u = NetdevBranch::Hubport(NetdevHubPortOptions { hubid, netdev });
    Machine::qmp_netdev_add(rt, Netdev { id, u })
}

fn parse_int32(name: &str, text: &str) -> Result<i32, Error> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let digits = if negative {
        digits
    } else {
        digits.strip_prefix('+').unwrap_or(digits)
    };
    let bad = || Error::new(format!("Parameter '{name}' expects an int64 value"));
    // Rust accepts a sign after the prefix; QEMU does not.
    if digits.contains(['+', '-']) {
        return Err(bad());
    }
    let number = match digits.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16),
        None if digits.len() > 1 && digits.starts_with('0') => i64::from_str_radix(digits, 8),
        None => digits.parse(),
    };
    let number = number.map_err(|_| bad())?;
    i32::try_from(if negative { -number } else { number })
        .map_err(|_| Error::new(format!("Parameter '{name}' expects int32_t")))
}

/// Splits `TYPE,id=ID,...` into names and texts, which may occur often; checks the id.
///
/// # Errors
///
/// The id is malformed or in use.
fn netdev_texts(machine: &Machine, text: &str, warnings: &mut Vec<Error>) -> Result<Flat, Error> {
    let opts = QemuOpts::parse(&QEMU_NETDEV_OPTS, text, warnings)?;
    if let Some(id) = opts.id().filter(|id| machine.net.has_netdev(id)) {
        return Err(Error::new(format!("Duplicate ID '{id}' for netdev")));
    }
    let mut flat = Flat::of(&QDict::new());
    for (name, text) in opts
        .id()
        .map(|id| ("id", id))
        .into_iter()
        .chain(opts.iter())
    {
        flat.push(name, text);
    }
    Ok(flat)
}

/// Reads the options of HMP's `netdev_add`.
///
/// # Errors
///
/// The id is malformed or in use.
pub fn netdev_options(
    machine: &Machine,
    text: &str,
    warnings: &mut Vec<Error>,
) -> Result<QDict, Error> {
    Ok(netdev_texts(machine, text, warnings)?.into_dict())
}

/// Makes a back end from the argument of `-netdev`.
///
/// # Errors
///
/// The text cannot be read, or as `netdev_add`.
pub fn netdev_from_cli(
    rt: &mut Runtime<Machine>,
    text: &str,
    warnings: &mut Vec<Error>,
) -> Result<(), Error> {
    if text.starts_with('{') {
        return match qobject_from_json(text.as_bytes())? {
            QObject::Dict(options) => netdev_from_options(rt, &Flat::of(&options)),
            _ => Err(Error::new("Parameter 'id' is missing")),
        };
    }
    let options = netdev_texts(&rt.state, text, warnings)?;
    netdev_from_options(rt, &options)
}

/// Makes a back end that has no id from the user.
///
/// # Errors
///
/// As `netdev_add`.
pub fn netdev_with_id(rt: &mut Runtime<Machine>, text: &str, id: &str) -> Result<(), Error> {
    let mut options = netdev_texts(&rt.state, text, &mut Vec::new())?;
    options.push("id", id);
    netdev_from_options(rt, &options)
}

const NAME: HmpArg = HmpArg::new("name", Str);

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (HmpRow::new(
            "announce_self",
            "[interfaces] [id]",
            "Trigger GARP/RARP announcements",
        )
        .args(&[
            HmpArg::new("interfaces", Str).optional(),
            HmpArg::new("id", Str).optional(),
        ]),
        nothing,
    ),
    (HmpRow::new(
            "hostfwd_add",
            "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
            "redirect TCP or UDP connections from host to guest (requires -net user)",
        )
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        no_user_network,
    ),
    (HmpRow::new(
            "hostfwd_remove",
            "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
            "remove host-to-guest TCP or UDP redirection",
        )
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        no_user_network,
    ),
    (HmpRow::new(
            "netdev_add",
            "[user|tap|socket|stream|dgram|vde|bridge|hubport|netmap|vhost-user],id=str[,prop=value]\
             [,...]",
            "add host network device",
        )
        .args(&[HmpArg::new("netdev", Options("netdev")).completes(CompletionKind::NetdevTypes)])
        .preconfig(),
        hmp_netdev_add,
    ),
    (HmpRow::new("netdev_del", "id", "remove host network device")
            .args(&[HmpArg::new("id", Str).completes(CompletionKind::NetdevIds)])
            .preconfig(),
        hmp_netdev_del,
    ),
    (HmpRow::new(
            "set_link",
            "name on|off",
            "change the link status of a network adapter",
        )
        .args(&[
            HmpArg::new("name", Str).completes(CompletionKind::NetClients),
            HmpArg::new("up", OnOff),
        ]),
        hmp_set_link,
    ),
];

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new("network", "", "show the network state"),
        hmp_info_network,
    ),
    (
        HmpRow::new("rocker", "name", "Show rocker switch").args(&[NAME]),
        no_rocker,
    ),
    (
        HmpRow::new(
            "rocker-of-dpa-flows",
            "name [tbl_id]",
            "Show rocker OF-DPA flow tables",
        )
        .args(&[NAME, HmpArg::new("tbl_id", Int32).optional()]),
        no_rocker,
    ),
    (
        HmpRow::new(
            "rocker-of-dpa-groups",
            "name [type]",
            "Show rocker OF-DPA groups",
        )
        .args(&[NAME, HmpArg::new("type", Int32).optional()]),
        no_rocker,
    ),
    (
        HmpRow::new("rocker-ports", "name", "Show rocker ports").args(&[NAME]),
        no_rocker,
    ),
    (
        HmpRow::new("usernet", "", "show user network stack connection states"),
        nothing,
    ),
];

fn hmp_netdev_add(hmp: Cx, args: &HmpArgs) {
    let options = Flat::of(&args.options("netdev"));
    let result = netdev_from_options(hmp.rt, &options);
    hmp.handle_error(result);
}

fn hmp_netdev_del(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_netdev_del(hmp.rt, args.str("id").to_owned());
    hmp.handle_error(result);
}

fn hmp_set_link(hmp: Cx, args: &HmpArgs) {
    let name = args.str("name").to_owned();
    let result = Machine::qmp_set_link(hmp.rt, name, args.bool("up"));
    hmp.handle_error(result);
}

/// Of two words, the first is the id of a back end.
fn no_user_network(hmp: Cx, args: &HmpArgs) {
    match args.try_str("arg2") {
        Some(_) => {
            let id = args.str("arg1");
            hmp.print(format!("unrecognized netdev id '{id}'\n"));
        }
        None => hmp.print("user mode network stack not in use\n"),
    }
}

fn hmp_info_network(hmp: Cx, _args: &HmpArgs) {
    let text = hmp.rt.state.net.info();
    hmp.print(text);
}

fn no_rocker(hmp: Cx, args: &HmpArgs) {
    fail(hmp, format!("rocker {} not found", args.str("name")));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_refused_in_order() {
        let machine = Machine::new(crate::MachineOptions::default());
        let mut rt = Runtime::new(machine).unwrap();
        let mut read = |text: &str| {
            let options = netdev_texts(&rt.state, text, &mut Vec::new())?;
            netdev_from_options(&mut rt, &options)
        };
        for (text, desc) in [
            ("", "Parameter 'id' is missing"),
            ("nosuch", "Parameter 'id' is missing"),
            ("id=x", "Parameter 'type' is missing"),
            (",id=x", "Parameter 'type' does not accept value ''"),
            (
                "nosuch,id=x",
                "Parameter 'type' does not accept value 'nosuch'",
            ),
            ("hubport,id=x", "Parameter 'hubid' is missing"),
            (
                "hubport,id=x,hubid=a",
                "Parameter 'hubid' expects an int64 value",
            ),
            (
                "hubport,id=x,hubid=",
                "Parameter 'hubid' expects an int64 value",
            ),
            (
                "hubport,id=x,hubid=--1",
                "Parameter 'hubid' expects an int64 value",
            ),
            (
                "hubport,id=x,hubid=0x-1",
                "Parameter 'hubid' expects an int64 value",
            ),
            (
                "hubport,id=x,hubid=4294967296",
                "Parameter 'hubid' expects int32_t",
            ),
            ("hubport,id=x,hubid=0,a=b", "Invalid parameter 'a'"),
            (
                "hubport,id=1x,hubid=0",
                "Parameter 'id' expects an identifier",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().desc(), desc, "{text}");
        }
        for (text, number) in [("-1", -1), ("0x10", 16), ("010", 8), ("0", 0)] {
            assert_eq!(parse_int32("hubid", text), Ok(number));
        }
    }
}
