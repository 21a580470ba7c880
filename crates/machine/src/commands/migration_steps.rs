//! Steps of a migration that is not under way, and Xen: `migration-steps.json`,
//! `xen.json`.

use std::fs::OpenOptions;

use crate::schema::{
    DirtyRateMeasureMode, EvtchnInfo, MigrationChannel, MigrationStatus, MigrationStepsCommands,
    TimeUnit, XenCommands,
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

    fn qmp_migrate_continue(_: &mut Rt, _: MigrationStatus) -> Result<(), Error> {
        Err(Error::new("Migration not in expected state: none"))
    }

    fn qmp_migrate_incoming(
        _: &mut Rt,
        _uri: Option<String>,
        _channels: Option<Vec<MigrationChannel>>,
        _exit_on_error: Option<bool>,
    ) -> Result<(), Error> {
        let text = "'-incoming' was not specified on the command line";
        Err(Error::new(text))
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
