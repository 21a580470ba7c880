//! Migration and snapshots of the machine: `migration.json`.

use super::hmp::{fail, Cx};
use super::machine_snapshots::{hmp_delvm, hmp_info_snapshots, hmp_loadvm, hmp_savevm};
use super::migration_info::{hmp_info_migrate, hmp_info_migrate_old, migration_info};
use super::migration_steps::in_progress;
use super::{migration_in, migration_out};
use crate::model::migration::Address;
use crate::schema::{
    MigrationCapability, MigrationCapabilityStatus, MigrationCommands, MigrationInfo,
    MigrationStatus, MigrationStepsCommands, MigrationThreadInfo, QueriesMigrateCommands,
};
use crate::Machine;
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::{Profile, Runtime};

impl MigrationCommands for Machine {
    fn qmp_query_migrate(rt: &mut Runtime<Self>) -> Result<MigrationInfo, Error> {
        Ok(migration_info(rt))
    }

    fn qmp_query_migrationthreads(
        _: &mut Runtime<Self>,
    ) -> Result<Vec<MigrationThreadInfo>, Error> {
        Ok(Vec::new())
    }

    fn qmp_migrate_set_capabilities(
        rt: &mut Runtime<Self>,
        capabilities: Vec<MigrationCapabilityStatus>,
    ) -> Result<(), Error> {
        if rt.state.migration.is_leaving() {
            return Err(in_progress());
        }
        let changes = capabilities.iter().map(|c| (c.capability, c.state));
        let migration = &mut rt.state.migration;
        let is_arriving = migration.incoming.is_arriving();
        migration.settings.set_capabilities(changes, is_arriving)
    }

    fn qmp_query_migrate_capabilities(
        rt: &mut Runtime<Self>,
    ) -> Result<Vec<MigrationCapabilityStatus>, Error> {
        let status = |(capability, state)| MigrationCapabilityStatus { capability, state };
        let policy = rt.policy();
        let all = rt.state.migration.settings.capabilities();
        let known = all.filter(|(capability, _)| policy.has(capability.features()));
        Ok(known.map(status).collect())
    }

    fn qmp_migrate_recover(rt: &mut Runtime<Self>, uri: String) -> Result<(), Error> {
        if rt.state.migration.incoming.status != Some(MigrationStatus::PostcopyPaused) {
            return Err(Error::new(
                "Migrate recover can only be run when postcopy is paused.",
            ));
        }
        migration_in::recover(rt, Address::parse(&uri)?)
    }

    fn qmp_migrate_pause(rt: &mut Runtime<Self>) -> Result<(), Error> {
        if migration_out::pause(rt) || migration_in::pause(rt) {
            return Ok(());
        }
        Err(Error::new(
            "migrate-pause is currently only supported during postcopy-active or \
             postcopy-recover state",
        ))
    }
}

const URI: HmpArg = HmpArg::new("uri", Str);
const NAME: HmpArg = HmpArg::new("name", Str);
const CPU_INDEX: HmpArg = HmpArg::new("cpu_index", Int).optional();

/// The HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (
        HmpRow::new(
            "cancel_vcpu_dirty_limit",
            "[cpu_index]",
            "cancel dirty page rate limit, use cpu_index to cancel\n\t\t\t\t\t \
             limit on a specified virtual cpu",
        )
        .args(&[CPU_INDEX]),
        |hmp, _| {
            hmp.print(
                "[Please use 'info vcpu_dirty_limit' to query dirty limit for virtual CPU]\n",
            );
        },
    ),
    (
        HmpRow::new("delvm", "tag", "delete a VM snapshot from its tag").args(&[NAME]),
        hmp_delvm,
    ),
    (
        HmpRow::new("loadvm", "tag", "restore a VM snapshot from its tag").args(&[NAME]),
        hmp_loadvm,
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
        ])
        .coroutine(),
        hmp_migrate,
    ),
    (
        HmpRow::new("migrate_cancel", "", "cancel the current VM migration"),
        |hmp, _| {
            let result = migration_out::cancel(hmp.rt);
            hmp.handle_error(result);
        },
    ),
    (
        HmpRow::new(
            "migrate_continue",
            "state",
            "Continue migration from the given paused state",
        )
        .args(&[HmpArg::new("state", Str)]),
        |hmp, args| match args.str("state").parse() {
            Ok(state) => {
                let result = Machine::qmp_migrate_continue(hmp.rt, state);
                hmp.handle_error(result);
            }
            Err(_) => {
                let state = args.str("state").to_owned();
                fail(hmp, format!("invalid parameter value: {state}"));
            }
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
            let uri = Some(args.str("uri").to_owned());
            let result = Machine::qmp_migrate_incoming(hmp.rt, uri, None, None);
            hmp.handle_error(result);
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
            let result = Machine::qmp_migrate_start_postcopy(hmp.rt);
            hmp.handle_error(result);
        },
    ),
    (
        HmpRow::new(
            "savevm",
            "tag",
            "save a VM snapshot. If no tag is provided, a new snapshot is created",
        )
        .args(&[NAME.optional()]),
        hmp_savevm,
    ),
    (
        HmpRow::new(
            "set_vcpu_dirty_limit",
            "dirty_rate [cpu_index]",
            "set dirty page rate limit, use cpu_index to set limit\n\t\t\t\t\t \
             on a specified virtual cpu",
        )
        .args(&[HmpArg::new("dirty_rate", Int), CPU_INDEX]),
        |hmp, _| {
            fail(
                hmp,
                "dirty page limit feature requires KVM with accelerator property \
                 'dirty-ring-size' set'",
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
        HmpRow::new("migrate", "", "show migration status").before(Profile::V11_1),
        hmp_info_migrate_old,
    ),
    (
        HmpRow::new(
            "migrate",
            "[-a]",
            "show migration status (-a: all, dump all status)",
        )
        .args(&[HmpArg::new("all", Flag('a'))])
        .since(Profile::V11_1),
        hmp_info_migrate,
    ),
    (
        HmpRow::new(
            "migrate_capabilities",
            "",
            "show current migration capabilities",
        ),
        hmp_info_migrate_capabilities,
    ),
    (
        HmpRow::new("snapshots", "", "show the currently saved VM snapshots"),
        hmp_info_snapshots,
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

/// Waits for the end, if there is a terminal that can wait and no `-d`.
fn hmp_migrate(hmp: Cx, args: &HmpArgs) {
    let uri = Some(args.str("uri").to_owned());
    let resume = Some(args.flag("resume"));
    let result = Machine::qmp_migrate(hmp.rt, uri, None, None, resume);
    if hmp.handle_error(result).is_none() || args.flag("detach") {
        return;
    }
    if hmp.monitor.is_none() {
        hmp.print("terminal does not allow synchronous migration, continuing detached\n");
        return;
    }
    let waiter = hmp.defer(|hmp, ended: Result<(), Error>| {
        hmp.handle_error(ended);
    });
    if let Some(source) = &mut hmp.rt.state.migration.source {
        source.waiter = Some(waiter);
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
