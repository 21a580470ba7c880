//! Run states, and how they change.
//!
//! ```text
//!                cont                    stop
//!  prelaunch ───────────► running ──────────────► paused
//!      ▲                  │  ▲  ▲                  │ │
//!      │                  │  │  └──────────────────┘ │
//!      │        shut down │  └───────  cont          │ reset
//!      │                  ▼                          │
//!      ├──────────── shutdown ◄─ with shutdown=pause │
//!      └─────────────────────────────────────────────┘
//! ```
//!
//! A reset of a stopped machine makes it `prelaunch`; `shutdown` can only be
//! left that way, `cont` is refused there. A machine that is not running keeps
//! its state through `stop` and through a shutdown that is only to pause it.
//!
//! Resets, shutdowns and the power button are *requests*: they are noted down,
//! and carried out in a fixed order by
//! [`main_loop_should_exit`](RunStates::main_loop_should_exit). The result
//! is a list of [`MachineEvent`]s, in the order in which clients get them; a
//! command's reply comes after the events that the command caused.

use crate::schema::{
    GuestPanicAction, PanicAction, RebootAction, RunState, ShutdownAction, ShutdownCause,
    WatchdogAction,
};
use qmonitor::qapi::Error;
use qmonitor::trace_event;

/// Something that happened to the machine; clients get it as an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MachineEvent {
    /// `STOP`
    Stop,
    /// `RESUME`
    Resume,
    /// `POWERDOWN`
    Powerdown,
    /// `RESET`, and why.
    Reset(ShutdownCause),
    /// `SHUTDOWN`, and why.
    Shutdown(ShutdownCause),
}

/// Whether a cause lies inside the machine (`shutdown_caused_by_guest`).
pub fn shutdown_caused_by_guest(cause: ShutdownCause) -> bool {
    matches!(
        cause,
        ShutdownCause::GuestShutdown | ShutdownCause::GuestReset | ShutdownCause::GuestPanic
    )
}

/// The reactions to certain events (`set-action`, `-action`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Actions {
    /// When a reset is requested.
    pub reboot: RebootAction,
    /// When it has shut down.
    pub shutdown: ShutdownAction,
    /// When the guest panics.
    pub panic: PanicAction,
    /// When a watchdog expires.
    pub watchdog: WatchdogAction,
}

impl Default for Actions {
    fn default() -> Self {
        Actions {
            reboot: RebootAction::Reset,
            shutdown: ShutdownAction::Poweroff,
            panic: PanicAction::Shutdown,
            watchdog: WatchdogAction::Reset,
        }
    }
}

/// The machine's state and the requests to change it.
#[derive(Debug)]
pub struct RunStates {
    current: RunState,
    actions: Actions,
    shutdown_requested: Option<ShutdownCause>,
    reset_requested: Option<ShutdownCause>,
    powerdown_requested: bool,
    /// Whether the machine exists already; before, it is being configured.
    ready: bool,
    autostart: bool,
}

impl RunStates {
    /// A machine that has not been started.
    ///
    /// `autostart` is off with `-S`; with `preconfig` the machine waits for
    /// [`exit_preconfig`](Self::exit_preconfig) before it exists.
    pub fn new(actions: Actions, autostart: bool, preconfig: bool) -> Self {
        RunStates {
            current: RunState::Prelaunch,
            actions,
            shutdown_requested: None,
            reset_requested: None,
            powerdown_requested: false,
            ready: !preconfig,
            autostart,
        }
    }

    /// Has the machine wait for the state of another one (`-incoming`).
    pub fn wait_for_migration(&mut self) {
        self.runstate_set(RunState::Inmigrate);
    }

    /// Stops the machine for a migration, whether it runs or not
    /// (`migration_stop_vm`). Returns the state that it had.
    pub fn stop_for_migration(&mut self) -> (RunState, Vec<MachineEvent>) {
        let before = self.current;
        let events = if self.is_running() {
            vec![MachineEvent::Stop]
        } else {
            Vec::new()
        };
        self.runstate_set(RunState::FinishMigrate);
        (before, events)
    }

    /// The machine has gone to another program.
    pub fn migrated(&mut self) {
        self.runstate_set(RunState::Postmigrate);
    }

    /// The machine has stayed here: it goes on as it was before it was stopped.
    pub fn migration_failed(&mut self, before: RunState) -> Vec<MachineEvent> {
        if self.current != RunState::FinishMigrate {
            Vec::new()
        } else if before == RunState::Running {
            self.vm_start()
        } else {
            self.runstate_set(before);
            Vec::new()
        }
    }

    /// The machine has come from another program, where it had that state
    /// (`process_incoming_migration_bh`).
    pub fn arrived(&mut self, state: RunState) -> Vec<MachineEvent> {
        match state {
            RunState::Running if self.autostart => return self.vm_start(),
            RunState::Running => self.runstate_set(RunState::Paused),
            other => self.runstate_set(other),
        }
        Vec::new()
    }

    /// The run state.
    pub fn current(&self) -> RunState {
        self.current
    }

    /// Whether it is running.
    pub fn is_running(&self) -> bool {
        self.current == RunState::Running
    }

    /// Whether it is still being configured (`--preconfig`).
    pub fn is_preconfig(&self) -> bool {
        !self.ready
    }

    /// The reactions to certain events.
    pub fn actions(&self) -> Actions {
        self.actions
    }

    /// Changes the reactions to certain events.
    pub fn set_actions(&mut self, actions: Actions) {
        self.actions = actions;
    }

    /// Starts a new machine, unless it is to wait for `cont` or is being
    /// configured.
    pub fn start(&mut self) -> Vec<MachineEvent> {
        if self.ready && self.autostart && self.current != RunState::Inmigrate {
            self.vm_start()
        } else {
            Vec::new()
        }
    }

    /// Ends configuration and starts the machine (`x-exit-preconfig`).
    ///
    /// # Errors
    ///
    /// It has ended already.
    pub fn exit_preconfig(&mut self) -> Result<Vec<MachineEvent>, Error> {
        if self.ready {
            return Err(Error::new(
                "The command is permitted only before machine initialization",
            ));
        }
        self.ready = true;
        Ok(self.start())
    }

    fn runstate_set(&mut self, to: RunState) {
        let from = self.current.as_str();
        trace_event!(runstate_set, "{from} -> {}", to.as_str());
        self.current = to;
    }

    /// Lets the machine run (`vm_start`).
    pub fn vm_start(&mut self) -> Vec<MachineEvent> {
        if self.is_running() {
            Vec::new()
        } else {
            self.runstate_set(RunState::Running);
            vec![MachineEvent::Resume]
        }
    }

    /// Stops the machine if it is running (`vm_stop`).
    pub fn vm_stop(&mut self, state: RunState) -> Vec<MachineEvent> {
        if self.is_running() {
            self.runstate_set(state);
            vec![MachineEvent::Stop]
        } else {
            Vec::new()
        }
    }

    /// What becomes of a machine whose system has crashed.
    pub fn panic_action(&self) -> GuestPanicAction {
        match (self.actions.panic, self.actions.shutdown) {
            (PanicAction::Pause, _) | (PanicAction::Shutdown, ShutdownAction::Pause) => {
                GuestPanicAction::Pause
            }
            (PanicAction::Shutdown | PanicAction::ExitFailure, _) => GuestPanicAction::Poweroff,
            (PanicAction::None, _) => GuestPanicAction::Run,
        }
    }

    /// The command `stop`.
    pub fn stop(&mut self) -> Vec<MachineEvent> {
        if self.current == RunState::Inmigrate {
            self.autostart = false;
        }
        self.vm_stop(RunState::Paused)
    }

    /// The command `cont`.
    ///
    /// # Errors
    ///
    /// The machine must be reset first.
    pub fn cont(&mut self) -> Result<Vec<MachineEvent>, Error> {
        match self.current {
            RunState::Shutdown | RunState::InternalError => {
                Err(Error::new("Resetting the Virtual Machine is required"))
            }
            RunState::FinishMigrate => Err(Error::new("Migration is not finalized yet")),
            // It starts when its state has come.
            RunState::Inmigrate => {
                self.autostart = true;
                Ok(Vec::new())
            }
            _ => Ok(self.vm_start()),
        }
    }

    /// Asks for a reset, or for a shutdown if the action of resets says so
    /// (`qemu_system_reset_request`).
    pub fn reset_request(&mut self, cause: ShutdownCause) {
        match self.actions.reboot {
            RebootAction::Shutdown => self.shutdown_requested = Some(cause),
            RebootAction::Reset => self.reset_requested = Some(cause),
        }
    }

    /// Asks for a shutdown (`qemu_system_shutdown_request`).
    pub fn shutdown_request(&mut self, cause: ShutdownCause) {
        trace_event!(qemu_system_shutdown_request, "{}", cause.as_str());
        self.shutdown_requested = Some(cause);
    }

    /// Asks to end the program, whatever the action of shutdowns: the command
    /// `quit`, and signals (`qemu_system_killed`).
    pub fn quit_request(&mut self, cause: ShutdownCause) {
        self.actions.shutdown = ShutdownAction::Poweroff;
        self.shutdown_request(cause);
    }

    /// Presses the power button (`qemu_system_powerdown_request`).
    pub fn powerdown_request(&mut self) {
        self.powerdown_requested = true;
    }

    /// Carries out the requests, and adds the outcome to `events`. Returns the exit
    /// status if the program has to end.
    pub fn main_loop_should_exit(&mut self, events: &mut Vec<MachineEvent>) -> Option<u8> {
        if let Some(cause) = self.shutdown_requested.take() {
            events.push(MachineEvent::Shutdown(cause));
            if self.actions.shutdown == ShutdownAction::Poweroff {
                let failed = cause == ShutdownCause::GuestPanic
                    && self.actions.panic == PanicAction::ExitFailure;
                return Some(failed.into());
            }
            events.extend(self.vm_stop(RunState::Shutdown));
        }
        if let Some(cause) = self.reset_requested.take() {
            events.push(MachineEvent::Reset(cause));
            // A machine on its way keeps its state.
            if !matches!(
                self.current,
                RunState::Running | RunState::Inmigrate | RunState::FinishMigrate
            ) {
                self.runstate_set(RunState::Prelaunch);
            }
        }
        if std::mem::take(&mut self.powerdown_requested) {
            events.push(MachineEvent::Powerdown);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::MachineEvent::*;
    use super::*;

    const RESET: ShutdownCause = ShutdownCause::HostQmpSystemReset;

    fn running(actions: Actions) -> RunStates {
        let mut r = RunStates::new(actions, true, false);
        assert_eq!(r.start(), [Resume]);
        r
    }

    fn pausing() -> Actions {
        Actions {
            shutdown: ShutdownAction::Pause,
            reboot: RebootAction::Shutdown,
            ..Actions::default()
        }
    }

    #[track_caller]
    fn turn(r: &mut RunStates, events: &[MachineEvent], status: Option<u8>) {
        let mut seen = Vec::new();
        assert_eq!(r.main_loop_should_exit(&mut seen), status);
        assert_eq!(seen, events);
    }

    #[test]
    fn stop_and_cont_tell_only_of_changes() {
        let mut r = running(Actions::default());
        assert_eq!(r.stop(), [Stop]);
        assert_eq!(r.stop(), []);
        assert_eq!(r.current(), RunState::Paused);
        assert_eq!(r.cont().unwrap(), [Resume]);
        assert_eq!(r.cont().unwrap(), []);
    }

    #[test]
    fn a_machine_that_waits_is_prelaunch_and_stays_so_through_stop() {
        let mut r = RunStates::new(Actions::default(), false, false);
        assert_eq!(r.start(), []);
        assert_eq!(r.stop(), []);
        assert_eq!(r.current(), RunState::Prelaunch);
        assert_eq!(r.cont().unwrap(), [Resume]);
    }

    #[test]
    fn a_reset_leaves_a_running_machine_running_and_a_stopped_one_prelaunch() {
        let mut r = running(Actions::default());
        r.reset_request(RESET);
        turn(&mut r, &[Reset(RESET)], None);
        assert_eq!(r.current(), RunState::Running);
        r.stop();
        r.reset_request(RESET);
        turn(&mut r, &[Reset(RESET)], None);
        assert_eq!(r.current(), RunState::Prelaunch);
        turn(&mut r, &[], None);
    }

    #[test]
    fn a_shutdown_that_pauses_needs_a_reset() {
        let mut r = running(pausing());
        r.reset_request(RESET);
        turn(&mut r, &[Shutdown(RESET), Stop], None);
        assert_eq!(r.current(), RunState::Shutdown);
        assert_eq!(
            r.cont().unwrap_err().desc(),
            "Resetting the Virtual Machine is required"
        );
        r.reset_request(RESET);
        turn(&mut r, &[Shutdown(RESET)], None);
        r.set_actions(Actions::default());
        r.reset_request(RESET);
        turn(&mut r, &[Reset(RESET)], None);
        assert_eq!(r.current(), RunState::Prelaunch);
    }

    #[test]
    fn a_paused_machine_stays_paused_through_a_shutdown_that_pauses() {
        let mut r = running(pausing());
        r.stop();
        r.shutdown_request(ShutdownCause::HostUi);
        turn(&mut r, &[Shutdown(ShutdownCause::HostUi)], None);
        assert_eq!(r.current(), RunState::Paused);
    }

    #[test]
    fn quitting_ends_the_program_whatever_a_shutdown_does() {
        for actions in [Actions::default(), pausing()] {
            let mut r = running(actions);
            r.quit_request(ShutdownCause::HostQmpQuit);
            turn(&mut r, &[Shutdown(ShutdownCause::HostQmpQuit)], Some(0));
        }
    }

    #[test]
    fn a_panic_can_end_the_program_with_a_failure() {
        let mut r = running(Actions {
            panic: PanicAction::ExitFailure,
            ..Actions::default()
        });
        r.shutdown_request(ShutdownCause::GuestPanic);
        turn(&mut r, &[Shutdown(ShutdownCause::GuestPanic)], Some(1));
        assert!(shutdown_caused_by_guest(ShutdownCause::GuestPanic));
        assert!(!shutdown_caused_by_guest(RESET));
    }

    #[test]
    fn requests_are_carried_out_in_order() {
        let mut r = running(Actions {
            shutdown: ShutdownAction::Pause,
            ..Actions::default()
        });
        r.powerdown_request();
        r.reset_request(RESET);
        r.shutdown_request(ShutdownCause::HostUi);
        let ui = Shutdown(ShutdownCause::HostUi);
        turn(&mut r, &[ui, Stop, Reset(RESET), Powerdown], None);
        assert_eq!(r.current(), RunState::Prelaunch);
    }

    #[test]
    fn configuration_ends_once() {
        let mut r = RunStates::new(Actions::default(), true, true);
        assert_eq!(r.start(), []);
        assert!(r.is_preconfig());
        assert_eq!(r.exit_preconfig().unwrap(), [Resume]);
        assert_eq!(
            r.exit_preconfig().unwrap_err().desc(),
            "The command is permitted only before machine initialization"
        );
    }
}
