//! HMP commands about moving the machine. It does not move, so all but the
//! capabilities answer what QEMU answers when nothing is under way.

use super::hmp_absent::{fail, nothing};
use crate::schema::{
    MigrationCapability, MigrationCapabilityStatus, MigrationCommands, MigrationStatus,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{Hmp, HmpArg, HmpArgs, HmpPair, HmpRow};

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

const URI: HmpArg = HmpArg::new("uri", Str);

/// The commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "client_migrate_info",
            "protocol hostname port tls-port cert-subject",
            "set migration information for remote display",
        )
        .args(&[
            HmpArg::new("protocol", Str),
            HmpArg::new("hostname", Str),
            HmpArg::new("port", Int32).optional(),
            HmpArg::new("tls-port", Int32).optional(),
            HmpArg::new("cert-subject", Str).optional(),
        ]),
        |hmp, args| match args.str("protocol") {
            "spice" => fail(hmp, "SPICE is not in use"),
            _ => fail(hmp, "Parameter 'protocol' expects 'spice'"),
        },
    ),
    (
        HmpRow::new(
            "migrate",
            "[-d] [-r] uri",
            "migrate to URI (using -d to not wait for completion)\n\t\t\t \
             -r to resume a paused postcopy migration",
        )
        .args(&[
            HmpArg::new("detach", Flag('d')),
            HmpArg::new("resume", Flag('r')),
            URI,
        ]),
        |hmp, args| refuse(hmp, args, "this machine cannot be migrated"),
    ),
    (
        HmpRow::new("migrate_cancel", "", "cancel the current VM migration"),
        nothing,
    ),
    (
        HmpRow::new(
            "migrate_continue",
            "state",
            "Continue migration from the given paused state",
        )
        .args(&[HmpArg::new("state", Str)]),
        |hmp, args| match args.str("state") {
            state if state.parse::<MigrationStatus>().is_ok() => {
                fail(hmp, "Migration not in expected state: none");
            }
            state => fail(hmp, format!("invalid parameter value: {state}")),
        },
    ),
    (
        HmpRow::new(
            "migrate_incoming",
            "uri",
            "Continue an incoming migration from an -incoming defer",
        )
        .args(&[URI]),
        |hmp, args| {
            refuse(
                hmp,
                args,
                "'-incoming' was not specified on the command line",
            );
        },
    ),
    (
        HmpRow::new(
            "migrate_pause",
            "",
            "Pause an ongoing migration (postcopy-only)",
        ),
        |hmp, _| {
            let result = Machine::qmp_migrate_pause(hmp.rt);
            hmp.handle_error(result);
        },
    ),
    (
        HmpRow::new(
            "migrate_recover",
            "uri",
            "Continue a paused incoming postcopy migration",
        )
        .args(&[URI]),
        |hmp, args| {
            let result = Machine::qmp_migrate_recover(hmp.rt, args.str("uri").to_owned());
            hmp.handle_error(result);
        },
    ),
    (
        HmpRow::new(
            "migrate_set_capability",
            "capability state",
            "Enable/Disable the usage of a capability for migration",
        )
        .args(&[HmpArg::new("capability", Str), HmpArg::new("state", OnOff)]),
        hmp_migrate_set_capability,
    ),
    (
        HmpRow::new(
            "migrate_start_postcopy",
            "",
            "Followup to a migration command to switch the migration to postcopy mode. The \
             postcopy-ram capability must be set on both source and destination before the \
             original migration command .",
        ),
        |hmp, _| {
            fail(
                hmp,
                "Enable postcopy with migrate_set_capability before the start of migration",
            );
        },
    ),
    (
        HmpRow::new(
            "x_colo_lost_heartbeat",
            "",
            "Tell COLO that heartbeat is lost,\n\t\t\ta failover or takeover is needed.",
        ),
        |hmp, _| fail(hmp, "VM is not in COLO mode"),
    ),
];

/// The sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "migrate_capabilities",
            "",
            "show current migration capabilities",
        ),
        hmp_info_migrate_capabilities,
    ),
    (
        HmpRow::new(
            "vcpu_dirty_limit",
            "",
            "show dirty page limit information of all vCPU",
        ),
        |hmp, _| hmp.print("Dirty page limit not enabled!\n"),
    ),
];

/// A place to move to has to look like one before anything else is said.
fn refuse(hmp: Cx, args: &HmpArgs, why: &'static str) {
    let uri = args.str("uri");
    let known = ["exec:", "fd:", "file:", "rdma:", "tcp:", "unix:", "vsock:"];
    match known.iter().any(|scheme| uri.starts_with(scheme)) {
        true => fail(hmp, why),
        false => fail(hmp, format!("unknown migration protocol: {uri}")),
    }
}

fn hmp_migrate_set_capability(hmp: Cx, args: &HmpArgs) {
    let name = args.str("capability");
    let Ok(capability) = name.parse::<MigrationCapability>() else {
        return fail(hmp, format!("invalid parameter value: {name}"));
    };
    let state = args.bool("state");
    let change = MigrationCapabilityStatus { capability, state };
    let result = Machine::qmp_migrate_set_capabilities(hmp.rt, vec![change]);
    hmp.handle_error(result);
}

fn hmp_info_migrate_capabilities(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_migrate_capabilities(hmp.rt);
    for status in hmp.handle_error(result).unwrap_or_default() {
        let state = if status.state { "on" } else { "off" };
        hmp.print(format!("{}: {state}\n", status.capability.as_str()));
    }
}
