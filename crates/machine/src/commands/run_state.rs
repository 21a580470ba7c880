//! Running, stopping, resetting: `run-state.json`.

use super::hmp::Cx;
use super::jobs::with_jobs;
use super::migration_out;
use super::qdev::finish_unplugs;
use crate::model::runstate::{shutdown_caused_by_guest, MachineEvent};
use crate::schema::{
    qapi_event_send_powerdown, qapi_event_send_reset, qapi_event_send_resume,
    qapi_event_send_shutdown, qapi_event_send_stop, PanicAction, RebootAction, RunState,
    RunStateCommands, ShutdownAction, ShutdownCause, StatusInfo, WatchdogAction,
};
use crate::Machine;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{CompletionKind, HmpArg, HmpArgs, HmpPair, HmpRow};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

/// Starts the machine, unless it waits for `cont` or is being configured.
pub fn start_machine(rt: &mut Runtime<Machine>) {
    let events = rt.state.run.start();
    emit(rt, &events);
}

/// Ends the program because of a signal (`qemu_system_killed`).
pub fn killed(rt: &mut Runtime<Machine>) {
    rt.state.run.quit_request(ShutdownCause::HostSignal);
    main_loop_should_exit(rt);
}

/// Carries out the requests to the machine.
pub(super) fn main_loop_should_exit(rt: &mut Runtime<Machine>) {
    let mut events = Vec::new();
    let status = rt.state.run.main_loop_should_exit(&mut events);
    emit(rt, &events);
    if let Some(status) = status {
        // One that has let the machine run elsewhere just ends.
        let _ = migration_out::cancel(rt);
        with_jobs(rt, Machine::quit_jobs);
        rt.request_exit(status.into());
    }
}

/// Sends the events of the machine.
pub(super) fn emit(rt: &mut Runtime<Machine>, events: &[MachineEvent]) {
    for event in events {
        match *event {
            MachineEvent::Stop => {
                qapi_event_send_stop(rt);
                with_jobs(rt, |m| m.jobs.drained(|_| true));
            }
            MachineEvent::Resume => qapi_event_send_resume(rt),
            MachineEvent::Powerdown => qapi_event_send_powerdown(rt),
            MachineEvent::Reset(cause) => {
                qapi_event_send_reset(rt, shutdown_caused_by_guest(cause), cause);
                super::guest_ports::reset(rt);
                finish_unplugs(rt);
            }
            MachineEvent::Shutdown(cause) => {
                qapi_event_send_shutdown(rt, shutdown_caused_by_guest(cause), cause);
            }
        }
    }
    // The machine's own time stands still while it does.
    let runs = rt.state.run.is_running();
    rt.main_loop_mut().clock_enable(ClockType::Virtual, runs);
}

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
        if rt.state.run.is_preconfig() {
            rt.state.numa_complete(&mut Vec::new())?;
        }
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

    /// Nothing puts the guest to sleep.
    fn qmp_system_wakeup(rt: &mut Runtime<Self>) -> Result<(), Error> {
        Err(Error::new(if rt.state.class.is_pc() {
            "Unable to wake up: guest is not in suspended state"
        } else {
            "wake-up from suspend is not supported by this guest"
        }))
    }

    /// An NMI has no effect on a processor that executes nothing.
    fn qmp_inject_nmi(rt: &mut Runtime<Self>) -> Result<(), Error> {
        if rt.state.class.is_pc() {
            Ok(())
        } else {
            Err(Error::new("machine does not provide NMIs"))
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

/// Their HMP commands.
pub(super) const COMMANDS: &[HmpPair<Machine>] = &[
    (HmpRow::new("cont|c", "", "resume emulation"), hmp_cont),
    (
        HmpRow::new("exit_preconfig", "", "exit the preconfig state").preconfig(),
        hmp_exit_preconfig,
    ),
    (HmpRow::new("nmi", "", "inject an NMI"), hmp_nmi),
    (HmpRow::new("stop|s", "", "stop emulation"), hmp_stop),
    (
        HmpRow::new("system_powerdown", "", "send system power down event"),
        hmp_system_powerdown,
    ),
    (
        HmpRow::new("system_reset", "", "reset the system"),
        hmp_system_reset,
    ),
    (
        HmpRow::new("system_wakeup", "", "wakeup guest from suspend"),
        hmp_system_wakeup,
    ),
    (
        HmpRow::new(
            "watchdog_action",
            "[reset|shutdown|poweroff|pause|debug|none|inject-nmi]",
            "change watchdog action",
        )
        .args(&[HmpArg::new("action", Str).completes(CompletionKind::WatchdogActions)]),
        hmp_watchdog_action,
    ),
];

/// Their sub-commands of `info`.
pub(super) const INFO: &[HmpPair<Machine>] = &[(
    HmpRow::new("status", "", "show the current VM status (running|paused)").preconfig(),
    hmp_info_status,
)];

fn hmp_stop(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_stop(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_cont(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_cont(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_system_reset(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_system_reset(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_system_powerdown(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_system_powerdown(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_system_wakeup(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_system_wakeup(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_exit_preconfig(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_x_exit_preconfig(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_nmi(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_inject_nmi(hmp.rt);
    hmp.handle_error(result);
}

fn hmp_watchdog_action(hmp: Cx, args: &HmpArgs) {
    let name = args.str("action");
    let result = match name.parse::<WatchdogAction>() {
        Ok(action) => Machine::qmp_watchdog_set_action(hmp.rt, action),
        Err(_) => Err(Error::new(format!("invalid parameter value: {name}"))),
    };
    hmp.handle_error(result);
}

fn hmp_info_status(hmp: Cx, _args: &HmpArgs) {
    let result = Machine::qmp_query_status(hmp.rt);
    if let Some(info) = hmp.handle_error(result) {
        let state = if info.running { "running" } else { "paused" };
        match (state, info.status) {
            ("running", RunState::Running | RunState::Paused) => hmp.print("VM status: running\n"),
            (_, RunState::Running | RunState::Paused) => hmp.print("VM status: paused\n"),
            (_, other) => hmp.print(format!("VM status: {state} ({})\n", other.as_str())),
        }
    }
}
