//! HMP commands about network back ends and devices.

use super::commands::netdev_from_options;
use super::schema::{NetCommands, QdevCommands};
use super::Machine;
use qmonitor::monitor::hmp::{Hmp, HmpArgs, HmpHandler};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

pub(super) fn handler(name: &str) -> Option<HmpHandler<Machine>> {
    Some(match name {
        "device_add" => hmp_device_add,
        "device_del" => hmp_device_del,
        "netdev_add" => hmp_netdev_add,
        "netdev_del" => hmp_netdev_del,
        "set_link" => hmp_set_link,
        "info network" => hmp_info_network,
        _ => return None,
    })
}

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
