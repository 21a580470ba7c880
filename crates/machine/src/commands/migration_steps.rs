//! Starting a migration and going on with it, and Xen: `migration-steps.json`,
//! `xen.json`.

use std::fs::OpenOptions;

use super::migration_channel::address_of;
use super::{dirty_rate, dump, migration_in, migration_out};
use crate::model::migration::Address;
use crate::schema::{
    DirtyRateMeasureMode, EvtchnInfo, MigrationCapability, MigrationChannel, MigrationStatus,
    MigrationStepsCommands, QueriesMigrateCommands, RunState, TimeUnit, XenCommands,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl MigrationStepsCommands for Machine {
    fn qmp_migrate_start_postcopy(rt: &mut Rt) -> Result<(), Error> {
        let migration = &mut rt.state.migration;
        if !migration.settings.has(MigrationCapability::PostcopyRam) {
            return Err(Error::new(
                "Enable postcopy with migrate_set_capability before the start of migration",
            ));
        }
        let Some(source) = &mut migration.source else {
            return Err(Error::new(
                "Postcopy must be started after migration has been started",
            ));
        };
        source.wants_postcopy = true;
        Ok(())
    }

    fn qmp_x_colo_lost_heartbeat(_: &mut Rt) -> Result<(), Error> {
        Err(Error::new("VM is not in COLO mode"))
    }

    fn qmp_migrate_continue(rt: &mut Rt, state: MigrationStatus) -> Result<(), Error> {
        let source = rt.state.migration.source.as_ref();
        let current = source.map_or(MigrationStatus::None, |source| source.status);
        if current != state {
            return Err(Error::new(format!(
                "Migration not in expected state: {}",
                current.as_str()
            )));
        }
        migration_out::go_past_stop(rt);
        Ok(())
    }

    fn qmp_migrate_incoming(
        rt: &mut Rt,
        uri: Option<String>,
        channels: Option<Vec<MigrationChannel>>,
        exit_on_error: Option<bool>,
    ) -> Result<(), Error> {
        if rt.state.migration.incoming.is_started {
            let text = "The incoming migration has already been started";
            return Err(Error::new(text));
        }
        if !migration_in::is_awaited(rt) {
            let text = "'-incoming' was not specified on the command line";
            return Err(Error::new(text));
        }
        let address = address_of(uri, channels)?;
        check_transport(rt, &address)?;
        if let Some(status) = rt.state.migration.incoming.status {
            let status = status.as_str();
            let text = format!("Illegal migration incoming state: {status}");
            return Err(Error::new(text));
        }
        migration_in::start(rt, address, exit_on_error.unwrap_or(true))
    }

    fn qmp_calc_dirty_rate(
        rt: &mut Rt,
        calc_time: i64,
        calc_time_unit: Option<TimeUnit>,
        sample_pages: Option<i64>,
        mode: Option<DirtyRateMeasureMode>,
    ) -> Result<(), Error> {
        dirty_rate::calc(rt, calc_time, calc_time_unit, sample_pages, mode)
    }

    fn qmp_set_vcpu_dirty_limit(_: &mut Rt, _: Option<i64>, _rate: u64) -> Result<(), Error> {
        Err(Error::new(
            "dirty page limit feature requires KVM with accelerator property 'dirty-ring-size' \
             set'",
        ))
    }

    fn qmp_cancel_vcpu_dirty_limit(_: &mut Rt, _: Option<i64>) -> Result<(), Error> {
        Ok(())
    }
}

impl QueriesMigrateCommands for Machine {
    fn qmp_migrate(
        rt: &mut Rt,
        uri: Option<String>,
        channels: Option<Vec<MigrationChannel>>,
        _detach: Option<bool>,
        resume: Option<bool>,
    ) -> Result<(), Error> {
        let address = address_of(uri, channels)?;
        check_transport(rt, &address)?;
        if resume == Some(true) {
            check_paused(rt)?;
            return migration_out::resume(rt, address);
        }
        prepare(rt)?;
        migration_out::start(rt, address)
    }
}

/// Refuses an address that does not go with the capabilities
/// (`migration_channels_and_transport_compatible`).
fn check_transport(rt: &Rt, address: &Address) -> Result<(), Error> {
    let settings = &rt.state.migration.settings;
    let has = |cap| settings.has(cap);
    let is_file = matches!(address, Address::File { .. });
    let error = |text: &'static str| Err(Error::new(text));
    if has(MigrationCapability::MappedRam) && !is_file {
        return error("Migration requires seekable transport (e.g. file)");
    }
    let needs_several = has(MigrationCapability::Multifd) && !has(MigrationCapability::MappedRam);
    let takes_several = address.takes_channels() && !is_file;
    if (needs_several || has(MigrationCapability::PostcopyPreempt)) && !takes_several {
        return error("Migration requires multi-channel URIs (e.g. tcp)");
    }
    if settings.word("mode") == Some("cpr-transfer") {
        return error(if is_file {
            "Migration requires streamable transport (eg unix)"
        } else {
            "missing 'cpr' migration channel"
        });
    }
    Ok(())
}

/// Only a migration that has lost its channel can get another one.
fn check_paused(rt: &Rt) -> Result<(), Error> {
    let source = rt.state.migration.source.as_ref();
    if source.is_some_and(|source| source.status == MigrationStatus::PostcopyPaused) {
        Ok(())
    } else {
        let text = "Cannot resume if there is no paused migration";
        Err(Error::new(text))
    }
}

/// What is refused while the machine is being moved.
pub(super) fn in_progress() -> Error {
    Error::new("There's a migration process in progress")
}

/// Refuses a migration that the state of the machine forbids (`migrate_prepare`).
fn prepare(rt: &Rt) -> Result<(), Error> {
    let error = |text: &'static str| Err(Error::new(text));
    if rt.state.migration.is_leaving() {
        return Err(in_progress());
    }
    if rt.state.dump.is_active() {
        return error(dump::BLOCKER);
    }
    rt.state.check_movable()?;
    match rt.state.run.current() {
        RunState::Inmigrate => error("Guest is waiting for an incoming migration"),
        RunState::Postmigrate => {
            error("Can't migrate the vm that was paused due to previous migration")
        }
        _ => Ok(()),
    }
}

impl XenCommands for Machine {
    fn qmp_xen_save_devices_state(
        _: &mut Rt,
        filename: String,
        _live: Option<bool>,
    ) -> Result<(), Error> {
        let opened = OpenOptions::new().write(true).open(&filename);
        opened.map_err(|e| Error::from_io(format!("Could not create '{filename}'"), &e))?;
        Err(Error::new("this machine has no state to save"))
    }

    fn qmp_xen_set_global_dirty_log(_: &mut Rt, _enable: bool) -> Result<(), Error> {
        Ok(())
    }

    fn qmp_xen_load_devices_state(rt: &mut Rt, filename: String) -> Result<(), Error> {
        if rt.state.run.is_running() {
            return Err(Error::new("Cannot update device state while vm is running"));
        }
        let opened = OpenOptions::new().read(true).open(&filename);
        opened.map_err(|e| Error::from_io(format!("Could not open '{filename}'"), &e))?;
        Err(Error::new("this machine has no state to load"))
    }

    fn qmp_xen_set_replication(
        _: &mut Rt,
        enable: bool,
        _primary: bool,
        failover: Option<bool>,
    ) -> Result<(), Error> {
        if enable && failover.is_some() {
            let text = "Parameter 'failover' is only for stopping replication";
            return Err(Error::new(text));
        }
        Ok(())
    }

    fn qmp_xen_colo_do_checkpoint(_: &mut Rt) -> Result<(), Error> {
        Ok(())
    }

    fn qmp_xen_event_list(_: &mut Rt) -> Result<Vec<EvtchnInfo>, Error> {
        Err(no_xen())
    }

    fn qmp_xen_event_inject(_: &mut Rt, _port: u32) -> Result<(), Error> {
        Err(no_xen())
    }
}

fn no_xen() -> Error {
    Error::new("Xen event channel emulation not enabled")
}
