//! Network back ends: `net.json`, `-netdev`, and HMP.

use super::hmp::{fail, nothing, Cx};
use super::netdevs::{self, Flat};
use super::{datagrams, streams};
use crate::model::net::{Client, Forward};
use crate::schema::{NetCommands, Netdev, NetdevBranch, NetdevHubPortOptions};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::json::qobject_from_json_in;
use qmonitor::qapi::visit::to_qobject;
use qmonitor::qapi::{Error, QDict, QObject};
use qmonitor::util::qemu_opts::{id_wellformed, QemuOpts, QemuOptsList};
use qmonitor::{Profile, Runtime};

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
        rt.state.net.remove_port(&id)?;
        streams::close(rt, &id);
        datagrams::close(rt, &id);
        Ok(())
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
        let dialect = rt.profile().dialect();
        return match qobject_from_json_in(dialect, text.as_bytes())? {
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
    (
        HmpRow::new(
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
    (HOSTFWD_ADD.before(Profile::V11_1), hmp_hostfwd_add),
    (
        HOSTFWD_ADD
            .params(
                "[netdev_id] [tcp|udp|unix]:[[hostaddr]:hostport|hostpath]-[guestaddr]:guestport",
            )
            .help("redirect TCP, UDP or UNIX connections from host to guest (requires -net user)")
            .since(Profile::V11_1),
        hmp_hostfwd_add,
    ),
    (
        HmpRow::new(
            "hostfwd_remove",
            "[netdev_id] [tcp|udp]:[hostaddr]:hostport",
            "remove host-to-guest TCP or UDP redirection",
        )
        .args(&[
            HmpArg::new("arg1", Str),
            HmpArg::new("arg2", Str).optional(),
        ]),
        hmp_hostfwd_remove,
    ),
    (NETDEV_ADD.before(Profile::V11_1), hmp_netdev_add),
    (
        NETDEV_ADD
            .params(
                "[user|tap|socket|stream|dgram|vde|bridge|hubport|netmap|vhost-user|passt],id=str\
                 [,prop=value][,...]",
            )
            .since(Profile::V11_1),
        hmp_netdev_add,
    ),
    (
        HmpRow::new("netdev_del", "id", "remove host network device")
            .args(&[HmpArg::new("id", Str).completes(CompletionKind::NetdevIds)])
            .preconfig(),
        hmp_netdev_del,
    ),
    (
        HmpRow::new(
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

const HOSTFWD_ADD: HmpRow = HmpRow::new(
    "hostfwd_add",
    "[netdev_id] [tcp|udp]:[hostaddr]:hostport-[guestaddr]:guestport",
    "redirect TCP or UDP connections from host to guest (requires -net user)",
)
.args(&[
    HmpArg::new("arg1", Str),
    HmpArg::new("arg2", Str).optional(),
]);

const NETDEV_ADD: HmpRow = HmpRow::new(
    "netdev_add",
    "[user|tap|socket|stream|dgram|vde|bridge|hubport|netmap|vhost-user],id=str[,prop=value]\
     [,...]",
    "add host network device",
)
.args(&[HmpArg::new("netdev", Options("netdev")).completes(CompletionKind::NetdevTypes)])
.preconfig();

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
        hmp_info_usernet,
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

/// The user network that a command means: the named one, or the only kind there is first;
/// and the rule.
fn user_network(hmp: Cx, args: &HmpArgs) -> Option<(String, String)> {
    let (id, rule) = match args.try_str("arg2") {
        Some(rule) => (Some(args.str("arg1")), rule),
        None => (None, args.str("arg1")),
    };
    let net = &hmp.rt.state.net;
    let found = match id {
        Some(id) => match net.client(id) {
            Some(client) if client.kind == "user" => Ok(id.to_owned()),
            Some(_) => Err("invalid device specified\n".to_owned()),
            None => Err(format!("unrecognized netdev id '{id}'\n")),
        },
        None => match net.clients().find(|client| client.kind == "user") {
            Some(client) => Ok(client.id.clone()),
            None => Err("user mode network stack not in use\n".to_owned()),
        },
    };
    match found {
        Ok(id) => Some((id, rule.to_owned())),
        Err(text) => {
            hmp.print(text);
            None
        }
    }
}

fn hmp_hostfwd_add(hmp: Cx, args: &HmpArgs) {
    let Some((id, rule)) = user_network(hmp, args) else {
        return;
    };
    let forward = match Forward::parse(&rule) {
        Ok(forward) => forward,
        Err(reason) => {
            let e = netdevs::invalid_rule(&rule, reason);
            return hmp.print(format!("{}\n", e.desc()));
        }
    };
    let same = |f: &Forward| f.is_udp == forward.is_udp && f.host == forward.host;
    let is_used = |client: &Client| client.forwards.iter().any(same);
    let is_taken = hmp.rt.state.net.clients().any(is_used);
    if forward.host.1 != 0 && is_taken {
        let text = format!("Could not set up host forwarding rule '{rule}'\n");
        return hmp.print(text);
    }
    if let Some(client) = hmp.rt.state.net.client_mut(&id) {
        client.forwards.push(forward);
    }
}

fn hmp_hostfwd_remove(hmp: Cx, args: &HmpArgs) {
    let Some((id, rule)) = user_network(hmp, args) else {
        return;
    };
    // A rule without the guest's part.
    let Ok(wanted) = Forward::parse(&format!("{rule}-:1")) else {
        return hmp.print("invalid format\n");
    };
    let Some(client) = hmp.rt.state.net.client_mut(&id) else {
        return;
    };
    let before = client.forwards.len();
    client
        .forwards
        .retain(|f| (f.is_udp, &f.host) != (wanted.is_udp, &wanted.host));
    let found = if client.forwards.len() < before {
        "removed"
    } else {
        "not found"
    };
    hmp.print(format!("host forwarding rule for {rule} {found}\n"));
}

/// The forwarded ports of each user network.
fn hmp_info_usernet(hmp: Cx, _args: &HmpArgs) {
    let mut text = String::new();
    let net = &hmp.rt.state.net;
    for client in net.clients().filter(|client| client.kind == "user") {
        let hub = net.hub_of(&client.id).unwrap_or(-1);
        text += &format!("Hub {hub} ({}):\n", client.id);
        text += "  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\n";
        text.extend(client.forwards.iter().map(Forward::line));
    }
    hmp.print(text);
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
    use qmonitor::main_loop::TimeSource;

    #[test]
    fn options_are_refused_in_order() {
        let machine = Machine::new(crate::MachineOptions::default());
        let mut rt = Runtime::with_time(machine, TimeSource::simulated()).unwrap();
        let mut read = |text: &str| {
            netdev_from_cli(&mut rt, text, &mut Vec::new())?;
            let info = rt.state.net.info();
            Machine::qmp_netdev_del(&mut rt, "x".to_owned())?;
            Ok::<String, Error>(info)
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
            ("user,id=x,foo=1", "Invalid parameter 'foo'"),
            (
                "user,id=x,hostfwd=foo",
                "Invalid host forwarding rule 'foo' (No : separators)",
            ),
            ("stream,id=x", "Parameter 'addr' is missing"),
            (
                "netmap,id=x,ifname=a",
                "network backend 'netmap' is not compiled into this binary",
            ),
        ] {
            assert_eq!(read(text).unwrap_err().desc(), desc, "{text}");
        }
        for (text, number) in [("-1", -1), ("0x10", 16), ("010", 8), ("0", 0)] {
            let info = read(&format!("hubport,id=x,hubid={text}")).unwrap();
            assert!(info.contains(&format!("hub {number}\n \\ x\n")), "{info}");
        }
        assert_eq!(
            read("user,id=x").unwrap().lines().last(),
            Some("x: index=0,type=user,net=10.0.2.0,restrict=off")
        );
    }
}
