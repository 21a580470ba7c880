//! HMP commands about network back ends and devices.

use super::netdev_from_options;
use crate::schema::{NetCommands, QdevCommands};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "device_add",
            "driver[,prop=value][,...]",
            "add device, like -device on the command line",
        )
        .args(&[HmpArg::new("device", Options("device")).completes(CompletionKind::DeviceTypes)]),
        hmp_device_add,
    ),
    (
        HmpRow::new("device_del", "device", "remove device")
            .args(&[HmpArg::new("device", Str).completes(CompletionKind::DeviceIds)]),
        hmp_device_del,
    ),
    (
        HmpRow::new(
            "netdev_add",
            "[user|tap|socket|stream|dgram|vde|bridge|hubport|netmap|vhost-user],id=str[,\
         prop=value][,...]",
            "add host network device",
        )
        .args(&[HmpArg::new("netdev", Options("netdev")).completes(CompletionKind::NetdevTypes)])
        .preconfig(),
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

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("network", "", "show the network state"),
    hmp_info_network,
)];

fn hmp_device_add(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_device_add(hmp.rt, args.options("device"));
    hmp.handle_error(result);
}

fn hmp_device_del(hmp: Cx, args: &HmpArgs) {
    let result = Machine::qmp_device_del(hmp.rt, args.str("device").to_owned());
    hmp.handle_error(result);
}

fn hmp_netdev_add(hmp: Cx, args: &HmpArgs) {
    let netdev = netdev_from_options(&args.options("netdev"));
    let result = netdev.and_then(|netdev| Machine::qmp_netdev_add(hmp.rt, netdev));
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

fn hmp_info_network(hmp: Cx, _args: &HmpArgs) {
    let text = hmp.rt.state.net.info();
    hmp.print(text);
}
