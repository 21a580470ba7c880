//! How a runtime starts, runs and ends. The parts are joined here: the functions
//! that the loop calls, and the commands of every monitor.

use std::io;
use std::time::Duration;

use super::answers::deliver_answers;
use super::cmds_char::accept_registered_backends;
use super::deferred::Deferred;
use super::dispatcher::{self, monitor_qmp_bh_dispatcher};
use super::dispatcher_state::Dispatcher;
use super::fds::Fdsets;
use super::hmp::{driver, HmpHandler, HmpTables};
use super::hmp_qmp::{hmp_qmp, QMP};
use super::loop_trace::loop_trace;
use super::output::{flush_dirty, Output};
use super::prepared::Prepared;
use super::removal::monitor_cleanup;
use super::runtime::Runtime;
use super::schema;
use super::table::{MonitorId, MonitorKind, Monitors};
use super::throttle::EventThrottles;
use super::tls::TlsRegistry;
use super::version::Identity;
use crate::chardev::{print_report, qemu_chr_cleanup, Chardevs};
use crate::main_loop::{main_loop_wait, ClockType, MainLoop, TimeSource};
use crate::qapi::dispatch::QmpCommandList;
use crate::qapi::policy::CompatPolicy;
use crate::qapi::MemberOrder;
use crate::trace::is_any_wanted;

/// How long the kernel is given to find memory again.
const OOM_RETRY_DELAY: Duration = Duration::from_millis(10);

/// Goes on with a monitor that its output held back.
fn go_on<S>(rt: &mut Runtime<S>, id: MonitorId) {
    match rt.monitors.get(id).map(|mon| &mon.kind) {
        Some(MonitorKind::Qmp(_)) => dispatcher::go_on(rt, id),
        Some(MonitorKind::Hmp(_)) => driver::go_on(rt, id),
        None => {}
    }
}

impl<S> Runtime<S> {
    /// A runtime on the system's clocks, with the library's own commands
    /// (`query-commands`, `chardev-add`, `quit`, ...) and nothing to monitor
    /// but `state`.
    ///
    /// # Errors
    ///
    /// Fails if the loop's wake-up descriptor cannot be made.
    pub fn new(state: S) -> io::Result<Self> {
        Self::with_time(state, TimeSource::system())
    }

    /// The same on another source of time: a simulated one makes tests
    /// deterministic.
    pub fn with_time(state: S, time: TimeSource) -> io::Result<Self> {
        let mut main_loop = MainLoop::with_time(time)?;
        main_loop.set_trace(is_any_wanted(), loop_trace());
        let answers = main_loop.bh_new("monitor_qmp_deferred", deliver_answers);
        let dispatcher = main_loop.bh_new("monitor_qmp_bh_dispatcher", monitor_qmp_bh_dispatcher);
        let flush = main_loop.bh_new("monitor_flush", flush_dirty);
        let answers = main_loop.bh_handle(answers);
        let mut rt = Runtime {
            state,
            main_loop,
            chardevs: Chardevs::new(),
            monitors: Monitors::default(),
            commands: QmpCommandList::new(),
            cap_negotiation_commands: QmpCommandList::new(),
            schemas: Vec::new(),
            prepared: Prepared::default(),
            hmp: HmpTables::new(),
            policy: CompatPolicy::default(),
            member_order: MemberOrder::default(),
            dispatcher: Dispatcher::new(dispatcher),
            interceptor: None,
            deferred: Deferred::new(answers),
            output: Output {
                bh: flush,
                dispatcher_runs: false,
                go_on,
            },
            identity: Identity::default(),
            throttles: EventThrottles::default(),
            event_clock: ClockType::Realtime,
            fdsets: Fdsets::default(),
            tls: TlsRegistry::default(),
            preconfig: false,
            options: &[],
            read_only_commands: Vec::new(),
            report: Box::new(print_report),
            monitor_removed_handler: |_, _| {},
            quit_handler: |rt| rt.request_exit(0),
            exit: None,
        };
        rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
        accept_registered_backends(&mut rt.commands);
        if let Some(command) = rt.commands.get("qmp_capabilities") {
            rt.cap_negotiation_commands.register(command);
        }
        rt.hmp.add_common_commands();
        rt.hmp.table.extend([(QMP, hmp_qmp as HmpHandler<S>)]);
        Ok(rt)
    }

    /// One turn of the loop, waiting at most `timeout` (`main_loop_wait`).
    /// Returns whether anything was dispatched.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        main_loop_wait(self, timeout)
    }

    /// Turns the loop until exit is asked for, then writes what is still
    /// to be written, takes monitors and chardevs down and returns the exit
    /// status (`qemu_main_loop`).
    ///
    /// # Errors
    ///
    /// The loop cannot wait. Want of memory is no error here: it is tried again.
    pub fn run(&mut self) -> io::Result<i32> {
        let status = loop {
            if let Some(exit) = self.exit {
                break exit.status;
            }
            match self.turn(None) {
                Err(e) if e.kind() == io::ErrorKind::OutOfMemory => {
                    std::thread::sleep(OOM_RETRY_DELAY);
                }
                turned => drop(turned?),
            }
        };
        self.shut_down();
        Ok(status)
    }

    /// Writes out pending output, waiting up to a second for clients that do not
    /// read, and takes down all monitors and chardevs, so that socket files go and
    /// terminals are restored (`monitor_cleanup`, `qemu_chr_cleanup`). Called by
    /// [`run`](Self::run).
    pub fn shut_down(&mut self) {
        monitor_cleanup(self);
        qemu_chr_cleanup(self);
    }
}
