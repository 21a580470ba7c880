//! Running, stopping, resetting: `run-state.json`.

use super::{emit, main_loop_should_exit};
use crate::schema::{
    PanicAction, RebootAction, RunStateCommands, ShutdownAction, ShutdownCause, StatusInfo,
    WatchdogAction,
};
use crate::Machine;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

impl RunStateCommands for Machine {
    fn qmp_query_status(rt: &mut Runtime<Self>) -> Result<StatusInfo, Error> {
        Ok(StatusInfo {
            running: rt.state.run.is_running(),
            status: rt.state.run.current(),
        })
    }

    fn qmp_stop(rt: &mut Runtime<Self>) -> Result<(), Error> {
        let events = rt.state.run.stop();
        emit(rt, &events);
        Ok(())
    }

    fn qmp_cont(rt: &mut Runtime<Self>) -> Result<(), Error> {
        let events = rt.state.run.cont()?;
        emit(rt, &events);
        Ok(())
    }

    fn qmp_x_exit_preconfig(rt: &mut Runtime<Self>) -> Result<(), Error> {
        let events = rt.state.run.exit_preconfig()?;
        rt.set_preconfig(false);
        emit(rt, &events);
        Ok(())
    }

    fn qmp_system_reset(rt: &mut Runtime<Self>) -> Result<(), Error> {
        let run = &mut rt.state.run;
        run.reset_request(ShutdownCause::HostQmpSystemReset);
        main_loop_should_exit(rt);
        Ok(())
    }

    fn qmp_system_powerdown(rt: &mut Runtime<Self>) -> Result<(), Error> {
        rt.state.run.powerdown_request();
        main_loop_should_exit(rt);
        Ok(())
    }

    fn qmp_system_wakeup(_: &mut Runtime<Self>) -> Result<(), Error> {
        Err(Error::new(
            "wake-up from suspend is not supported by this guest",
        ))
    }

    /// A processor that gets one executes nothing as before.
    fn qmp_inject_nmi(rt: &mut Runtime<Self>) -> Result<(), Error> {
        match rt.state.class.is_pc() {
            true => Ok(()),
            false => Err(Error::new("machine does not provide NMIs")),
        }
    }

    fn qmp_watchdog_set_action(
        rt: &mut Runtime<Self>,
        action: WatchdogAction,
    ) -> Result<(), Error> {
        Self::qmp_set_action(rt, None, None, None, Some(action))
    }

    fn qmp_set_action(
        rt: &mut Runtime<Self>,
        reboot: Option<RebootAction>,
        shutdown: Option<ShutdownAction>,
        panic: Option<PanicAction>,
        watchdog: Option<WatchdogAction>,
    ) -> Result<(), Error> {
        let mut actions = rt.state.run.actions();
        actions.reboot = reboot.unwrap_or(actions.reboot);
        actions.shutdown = shutdown.unwrap_or(actions.shutdown);
        actions.panic = panic.unwrap_or(actions.panic);
        actions.watchdog = watchdog.unwrap_or(actions.watchdog);
        rt.state.run.set_actions(actions);
        Ok(())
    }
}
