//! The one value that owns everything: main loop, chardevs, monitors, the
//! command tables and the embedder's state.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::dispatcher::Dispatcher;
use super::events::EventState;
use super::fds::Fdsets;
use super::hmp::context::HmpTables;
use super::options::OptionGroup;
use super::qmp::MonitorQmp;
use super::table::{Monitor, MonitorId, Monitors};
use super::tls::TlsRegistry;
use nix::fcntl::OFlag;

use crate::chardev::{
    print_stderr, ChardevHost, ChardevReport, ChardevRequest, Chardevs, TlsCreds,
};
use crate::main_loop::{main_loop_wait, Host, LoopEvent, MainLoop, SharedFd, TimeSource};
use crate::qapi::dispatch::QmpCommandList;
use crate::qapi::introspect::{query_schema_of, SchemaTable};
use crate::qapi::policy::CompatPolicy;
use crate::qapi::{Error, QObject};
use crate::trace_event;

/// Why the program should end; the exit status is the embedder's to choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitRequest {
    /// The status the process should exit with.
    pub status: i32,
}

/// How long the kernel is given to find memory again.
const BREATH: Duration = Duration::from_millis(10);

type Report = Box<dyn FnMut(ChardevReport, &str)>;

/// Called by the command `quit`; see [`Runtime::set_quit_handler`].
pub type QuitHandler<S> = fn(&mut Runtime<S>);

/// Called when a monitor was removed; see
/// [`Runtime::set_monitor_removed_handler`].
pub type MonitorRemovedHandler<S> = fn(&mut Runtime<S>, MonitorId);

/// Everything one monitored program consists of.
///
/// Nothing in here is shared: whoever has the `&mut Runtime<S>` has it all,
/// and handlers of commands are given just that. Several runtimes can live in
/// one process.
///
/// ```no_run
/// use qmonitor::monitor::MonitorMode;
/// use qmonitor::Runtime;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// struct Thermostat { target: f64 }
/// let mut rt = Runtime::new(Thermostat { target: 21.0 })?;
/// rt.monitor_parse("unix:/tmp/thermostat,server=on,wait=off", MonitorMode::Control, false)?;
/// let status = rt.run()?;
/// # Ok(()) }
/// ```
pub struct Runtime<S: 'static> {
    /// The embedder's own state.
    pub state: S,
    pub(crate) main_loop: MainLoop<Self>,
    pub(crate) chardevs: Chardevs<Self>,
    pub(crate) monitors: Monitors,
    pub(crate) commands: QmpCommandList<Self>,
    /// What a session may call before it has negotiated.
    pub(crate) cap_negotiation_commands: QmpCommandList<Self>,
    schemas: Vec<&'static SchemaTable>,
    /// The reply of `query-qmp-schema`, once somebody has asked.
    schema_reply: Option<QObject>,
    pub(crate) hmp: HmpTables<S>,
    pub(crate) policy: CompatPolicy,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) events: EventState,
    pub(crate) fdsets: Fdsets,
    pub(crate) tls: TlsRegistry<S>,
    pub(crate) preconfig: bool,
    pub(crate) options: &'static [OptionGroup],
    /// Declared by those who registered them.
    pub(crate) read_only_commands: Vec<&'static str>,
    report: Report,
    monitor_removed_handler: MonitorRemovedHandler<S>,
    quit_handler: QuitHandler<S>,
    exit: Option<ExitRequest>,
}

impl<S: 'static> Host for Runtime<S> {
    fn main_loop(&self) -> &MainLoop<Self> {
        &self.main_loop
    }

    fn main_loop_mut(&mut self) -> &mut MainLoop<Self> {
        &mut self.main_loop
    }
}

impl<S: 'static> ChardevHost for Runtime<S> {
    fn chardevs(&self) -> &Chardevs<Self> {
        &self.chardevs
    }

    fn chardevs_mut(&mut self) -> &mut Chardevs<Self> {
        &mut self.chardevs
    }

    fn monitor_get_fd(&mut self, name: &str) -> Option<Result<OwnedFd, Error>> {
        self.current_monitor_mut().map(|mon| mon.fds.take(name))
    }

    fn open_fdset(&mut self, id: i64, flags: OFlag) -> io::Result<SharedFd> {
        self.fdsets.dup(id, flags).map(|fd| fd as SharedFd)
    }

    fn tls_creds(&self, id: &str) -> Result<TlsCreds, Error> {
        self.tls.creds(&self.state, id)
    }

    fn authz_is_allowed(&self, id: &str, identity: &str) -> Result<bool, Error> {
        self.tls.is_allowed(&self.state, id, identity)
    }

    fn chardev_report(&mut self, report: ChardevReport, text: &str) {
        (self.report)(report, text);
    }

    fn chardev_request(&mut self, request: ChardevRequest) {
        match request {
            ChardevRequest::Exit(status) => self.request_exit(status),
            // There are no disks whose changes could be written back.
            ChardevRequest::CommitAll => {}
        }
    }
}

/// Feeds what the loop tells, which knows no trace events, to them.
fn trace_main_loop(event: LoopEvent, name: &'static str) {
    match event {
        LoopEvent::WatchAdded(fd) => trace_event!(watch_add, "fd {fd} for {name}"),
        LoopEvent::WatchRemoved(fd) => trace_event!(watch_remove, "fd {fd} for {name}"),
        LoopEvent::WatchRuns(fd) => trace_event!(watch_dispatch, "fd {fd} to {name}"),
        LoopEvent::TimerRuns => trace_event!(timer_dispatch, "{name}"),
        LoopEvent::BhRuns => trace_event!(bh_dispatch, "{name}"),
    }
}

impl<S: 'static> Runtime<S> {
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
        main_loop.set_trace(Some(Box::new(trace_main_loop)));
        let dispatcher = Dispatcher::new(&mut main_loop);
        let mut rt = Runtime {
            state,
            main_loop,
            chardevs: Chardevs::new(),
            monitors: Monitors::default(),
            commands: QmpCommandList::new(),
            cap_negotiation_commands: QmpCommandList::new(),
            schemas: Vec::new(),
            schema_reply: None,
            hmp: HmpTables::new(),
            policy: CompatPolicy::default(),
            dispatcher,
            events: EventState::default(),
            fdsets: Fdsets::default(),
            tls: TlsRegistry::default(),
            preconfig: false,
            options: &[],
            read_only_commands: Vec::new(),
            report: Box::new(|report, text| match report {
                ChardevReport::Warning => print_stderr(&format!("warning: {text}\n")),
                ChardevReport::Info | ChardevReport::Error => print_stderr(&format!("{text}\n")),
            }),
            monitor_removed_handler: |_, _| {},
            quit_handler: |rt| rt.request_exit(0),
            exit: None,
        };
        super::schema::qmp_init_marshal(&mut rt.commands);
        super::cmds_char::accept_registered_backends(&mut rt.commands);
        if let Some(command) = rt.commands.get("qmp_capabilities") {
            rt.cap_negotiation_commands.register(command);
        }
        rt.add_schema(&super::schema::QAPI_SCHEMA);
        Ok(rt)
    }

    /// Adds commands: pass the `qmp_init_marshal` that the compiler generated
    /// from your schema, and its `QAPI_SCHEMA`.
    ///
    /// # Panics
    ///
    /// Panics if a command of that name is there already, naming it.
    pub fn add_commands(
        &mut self,
        init: fn(&mut QmpCommandList<Self>),
        schema: &'static SchemaTable,
    ) {
        init(&mut self.commands);
        self.add_schema(schema);
    }

    fn add_schema(&mut self, schema: &'static SchemaTable) {
        self.schemas.push(schema);
        self.schema_reply = None;
    }

    pub(crate) fn schemas(&self) -> &[&'static SchemaTable] {
        &self.schemas
    }

    pub(crate) fn query_schema(&mut self) -> &QObject {
        let (schemas, policy, commands) = (&self.schemas, self.policy, &self.commands);
        let has_command = |name: &str| commands.get(name).is_some();
        self.schema_reply
            .get_or_insert_with(|| query_schema_of(schemas, policy, has_command))
    }

    /// The commands known, to look at or to take some away from.
    /// `query-qmp-schema` tells of those that are left.
    pub fn commands_mut(&mut self) -> &mut QmpCommandList<Self> {
        self.schema_reply = None;
        &mut self.commands
    }

    /// The `-compat` policy for deprecated and unstable parts of the schema.
    pub fn set_compat_policy(&mut self, policy: CompatPolicy) {
        self.policy = policy;
        self.schema_reply = None;
    }

    /// The `-compat` policy in force.
    pub fn policy(&self) -> CompatPolicy {
        self.policy
    }

    /// The options whose parameters `query-command-line-options` tells.
    pub fn set_options(&mut self, options: &'static [OptionGroup]) {
        self.options = options;
    }

    /// Adds a descriptor to a set, as `add-fd` does (`-add-fd`).
    ///
    /// # Errors
    ///
    /// The set's number is negative.
    pub fn add_fd(&mut self, set: i64, fd: OwnedFd, opaque: Option<String>) -> Result<(), Error> {
        self.fdsets.add(Some(set), fd, opaque).map(|_| ())
    }

    /// The HMP commands, to add rows and sources of completions.
    pub fn hmp_mut(&mut self) -> &mut HmpTables<S> {
        &mut self.hmp
    }

    /// The monitor that the command under way came from.
    pub(crate) fn current_monitor(&self) -> Option<&Monitor> {
        self.monitors.get(self.dispatcher.current?)
    }

    pub(crate) fn current_monitor_mut(&mut self) -> Option<&mut Monitor> {
        self.monitors.get_mut(self.dispatcher.current?)
    }

    /// Whether the command under way came from this monitor, or from one of its
    /// clients.
    pub fn is_current_monitor(&self, id: MonitorId) -> bool {
        let parent = self.current_monitor().and_then(|monitor| monitor.parent);
        self.dispatcher.current == Some(id) || parent == Some(id)
    }

    /// The QMP session that the command under way came from.
    pub(crate) fn current_qmp(&mut self) -> Option<&mut MonitorQmp> {
        self.monitors.qmp_mut(self.dispatcher.current?)
    }

    /// While set, only commands declared with `allow-preconfig` run
    /// (`--preconfig`).
    pub fn set_preconfig(&mut self, preconfig: bool) {
        self.preconfig = preconfig;
    }

    /// Whether the machine is still being configured.
    pub fn preconfig(&self) -> bool {
        self.preconfig
    }

    /// Where chardevs say what is not the answer to anything, such as a
    /// reconnection that failed. Standard error without this.
    pub fn set_report(&mut self, report: impl FnMut(ChardevReport, &str) + 'static) {
        self.report = Box::new(report);
    }

    /// Called whenever a monitor has been removed, by whomever, its client
    /// included. For programs that keep a list of monitors of their own.
    pub fn set_monitor_removed_handler(&mut self, handler: MonitorRemovedHandler<S>) {
        self.monitor_removed_handler = handler;
    }

    pub(crate) fn monitor_removed(&mut self, id: MonitorId) {
        (self.monitor_removed_handler)(self, id);
    }

    /// What `quit` does, in QMP and in HMP. Without this it asks for exit with
    /// status 0.
    pub fn set_quit_handler(&mut self, handler: QuitHandler<S>) {
        self.quit_handler = handler;
    }

    /// Does what the command `quit` does.
    pub fn quit(&mut self) {
        (self.quit_handler)(self);
    }

    /// Asks [`run`](Self::run) to return after what was asked before has been
    /// answered. The first request wins.
    pub fn request_exit(&mut self, status: i32) {
        self.exit.get_or_insert(ExitRequest { status });
        // So that a loop that waits takes notice.
        self.main_loop.bh_schedule_oneshot("exit", |_| {});
    }

    /// What was asked of [`request_exit`](Self::request_exit).
    pub fn exit_requested(&self) -> Option<ExitRequest> {
        self.exit
    }

    /// One turn of the loop, waiting at most `timeout` (`main_loop_wait`).
    /// Returns whether anything was dispatched.
    pub fn turn(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        main_loop_wait(self, timeout)
    }

    /// Turns the loop until somebody asks for exit, then writes what is still
    /// to be written, takes monitors and chardevs down and returns the exit
    /// status (`qemu_main_loop`).
    ///
    /// # Errors
    ///
    /// The loop cannot wait, and not for want of memory: that passes.
    pub fn run(&mut self) -> io::Result<i32> {
        let status = loop {
            if let Some(exit) = self.exit {
                break exit.status;
            }
            match self.turn(None) {
                Err(e) if e.kind() == io::ErrorKind::OutOfMemory => std::thread::sleep(BREATH),
                turned => drop(turned?),
            }
        };
        self.shut_down();
        Ok(status)
    }

    /// Writes out what clients are still owed, waiting up to a second for
    /// those who do not read, and takes down all monitors and chardevs, so
    /// that socket files go and terminals are restored (`monitor_cleanup`,
    /// `qemu_chr_cleanup`). Called by [`run`](Self::run).
    pub fn shut_down(&mut self) {
        super::table::monitor_cleanup(self);
        crate::chardev::qemu_chr_cleanup(self);
    }
}
