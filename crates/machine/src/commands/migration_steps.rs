//! Starting a migration and going on with it, and Xen: `migration-steps.json`,
//! `xen.json`.

use std::fs::OpenOptions;

use super::migration_channel::address_of;
use super::{migration_in, migration_out};
use crate::schema::{
    DirtyRateMeasureMode, EvtchnInfo, MigrationChannel, MigrationStatus, MigrationStepsCommands,
    QueriesMigrateCommands, RunState, TimeUnit, XenCommands,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

impl MigrationStepsCommands for Machine {
    fn qmp_migrate_start_postcopy(_: &mut Rt) -> Result<(), Error> {
        Err(Error::new(
            "Enable postcopy with migrate_set_capability before the start of migration",
        ))
    }

    fn qmp_x_colo_lost_heartbeat(_: &mut Rt) -> Result<(), Error> {
        Err(Error::new("VM is not in COLO mode"))
    }

    fn qmp_migrate_continue(rt: &mut Rt, state: MigrationStatus) -> Result<(), Error> {
        let source = rt.state.migration.source.as_ref();
        let current = source.map_or(MigrationStatus::None, |source| source.status);
        if current != state || current != MigrationStatus::PreSwitchover {
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
        if rt.state.migration.incoming.status.is_some() {
            let text = "The incoming migration has already been started";
            return Err(Error::new(text));
        }
        if !migration_in::is_awaited(rt) {
            let text = "'-incoming' was not specified on the command line";
            return Err(Error::new(text));
        }
        let address = address_of(uri, channels, "migrate-incoming")?;
        migration_in::start(rt, address, exit_on_error.unwrap_or(true))
    }

    /// No memory ever changes, so the rate is zero and known at once.
    fn qmp_calc_dirty_rate(
        _: &mut Rt,
        calc_time: i64,
        calc_time_unit: Option<TimeUnit>,
        sample_pages: Option<i64>,
        mode: Option<DirtyRateMeasureMode>,
    ) -> Result<(), Error> {
        let milliseconds = match calc_time_unit {
            Some(TimeUnit::Millisecond) => calc_time,
            _ => calc_time.saturating_mul(1000),
        };
        let sampling = matches!(mode, None | Some(DirtyRateMeasureMode::PageSampling));
        let error = if !(50..=60_000).contains(&milliseconds) {
            "Calculation time is out of range [50ms, 60000ms]."
        } else if !sampling && sample_pages.is_some() {
            "sample-pages is used only in page-sampling mode"
        } else if sample_pages.is_some_and(|pages| !(128..=16384).contains(&pages)) {
            "sample-pages is out of range[128, 16384]."
        } else if mode == Some(DirtyRateMeasureMode::DirtyRing) {
            "mode dirty-ring is not enabled, use other method instead."
        } else {
            return Ok(());
        };
        Err(Error::new(error))
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
        let address = address_of(uri, channels, "migrate")?;
        prepare(rt, resume == Some(true))?;
        migration_out::start(rt, address)
    }
}

/// Refuses a migration that the state of the machine forbids (`migrate_prepare`).
fn prepare(rt: &Rt, resume: bool) -> Result<(), Error> {
    let error = |text: &'static str| Err(Error::new(text));
    if resume {
        return error("Cannot resume if there is no paused migration");
    }
    if rt.state.migration.is_leaving() {
        return error("There's a migration process in progress");
    }
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
