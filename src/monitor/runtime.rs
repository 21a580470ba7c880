//! The one value that owns everything: main loop, chardevs, monitors, the
//! command tables and the embedder's state.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::fcntl::OFlag;

use super::access::CommandPolicy;
use super::deferred::Deferred;
use super::dispatcher_state::Dispatcher;
use super::fds::Fdsets;
use super::hmp::{HmpRow, HmpTables};
use super::intercept::Interceptor;
use super::output::Output;
use super::prepared::Prepared;
use super::table::{Monitor, MonitorId, MonitorQmp, Monitors};
use super::throttle::EventThrottles;
use super::tls::TlsRegistry;
use super::version::Identity;
use crate::chardev::{ChardevHost, ChardevReport, ChardevRequest, Chardevs, TlsCreds};
use crate::main_loop::{ClockType, Host, MainLoop, SharedFd};
use crate::qapi::dispatch::QmpCommandList;
use crate::qapi::introspect::SchemaTable;
use crate::qapi::json::JsonWriter;
use crate::qapi::policy::CompatPolicy;
use crate::qapi::{Error, MemberOrder, Profile};
use crate::util::qemu_opts::QemuOptType;

/// A request to end the program. The embedder chooses the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitRequest {
    /// The status the process should exit with.
    pub status: i32,
}

type Report = Box<dyn FnMut(ChardevReport, &str)>;

/// Called by the command `quit`; see [`Runtime::set_quit_handler`].
pub type QuitHandler<S> = fn(&mut Runtime<S>);

/// Called when a monitor was removed; see
/// [`Runtime::set_monitor_removed_handler`].
pub type MonitorRemovedHandler<S> = fn(&mut Runtime<S>, MonitorId);

/// An option of the program's command line and its parameters, for
/// `query-command-line-options`.
#[derive(Debug)]
pub struct OptionGroup {
    /// The option's name without the dash.
    pub name: &'static str,
    /// Its parameters; the reply lists them from the last to the first, as QEMU does.
    pub parameters: &'static [(&'static str, QemuOptType)],
}

/// All parts of one monitored program.
///
/// Nothing in here is shared: a `&mut Runtime<S>` reaches all of it, and the
/// handlers of commands are given just that. Several runtimes can live in one
/// process.
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
    pub(super) schemas: Vec<&'static SchemaTable>,
    pub(super) prepared: Prepared,
    pub(crate) hmp: HmpTables<S>,
    pub(crate) policy: CompatPolicy,
    pub(super) member_order: MemberOrder,
    pub(crate) dispatcher: Dispatcher,
    /// See [`set_interceptor`](Self::set_interceptor).
    pub(crate) interceptor: Option<Rc<dyn Interceptor<Self>>>,
    pub(crate) deferred: Deferred<S>,
    pub(crate) output: Output<S>,
    pub(crate) identity: Identity,
    pub(crate) throttles: EventThrottles,
    /// What limits how often events are sent.
    pub(super) event_clock: ClockType,
    pub(crate) fdsets: Fdsets,
    pub(crate) tls: TlsRegistry<S>,
    pub(crate) preconfig: bool,
    pub(crate) options: &'static [OptionGroup],
    /// See [`add_read_only_commands`](Self::add_read_only_commands).
    pub(crate) read_only_commands: Vec<&'static str>,
    pub(super) report: Report,
    pub(super) monitor_removed_handler: MonitorRemovedHandler<S>,
    pub(super) quit_handler: QuitHandler<S>,
    pub(super) exit: Option<ExitRequest>,
}

impl<S> Host for Runtime<S> {
    fn main_loop(&self) -> &MainLoop<Self> {
        &self.main_loop
    }

    fn main_loop_mut(&mut self) -> &mut MainLoop<Self> {
        &mut self.main_loop
    }
}

impl<S> ChardevHost for Runtime<S> {
    fn chardevs(&self) -> &Chardevs<Self> {
        &self.chardevs
    }

    fn chardevs_mut(&mut self) -> &mut Chardevs<Self> {
        &mut self.chardevs
    }

    fn profile(&self) -> Profile {
        self.policy.profile
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

impl<S> Runtime<S> {
    /// Adds commands: pass the `qmp_init_marshal` that the compiler generated
    /// from your schema, and its `QAPI_SCHEMA`.
    ///
    /// # Panics
    ///
    /// If a command of the same name exists; the message names it.
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
        self.forget_prepared();
    }

    /// Has what is prepared made anew: the commands, the profile or the identity changes.
    pub(super) fn forget_prepared(&mut self) {
        self.prepared = Prepared::default();
    }

    pub(crate) fn schemas(&self) -> &[&'static SchemaTable] {
        &self.schemas
    }

    /// The commands that a session may call, before or after its negotiation.
    #[inline]
    pub(super) fn commands_for(&self, negotiating: bool) -> &QmpCommandList<Self> {
        if negotiating {
            &self.cap_negotiation_commands
        } else {
            &self.commands
        }
    }

    /// The commands, to look at them or to take some away. `query-qmp-schema`
    /// describes those that are left.
    pub fn commands_mut(&mut self) -> &mut QmpCommandList<Self> {
        self.forget_prepared();
        &mut self.commands
    }

    /// The `-compat` policy for deprecated and unstable parts of the schema, with the
    /// profile.
    pub fn set_compat_policy(&mut self, policy: CompatPolicy) {
        if self.identity.banner == Identity::of(self.policy.profile).banner {
            self.identity.banner = Identity::of(policy.profile).banner;
        }
        self.policy = policy;
        self.forget_prepared();
        self.commands.set_profile(policy.profile);
        self.hmp.table.set_profile(policy.profile);
    }

    /// Sets which QEMU all this behaves like. Do so before monitors are made: those
    /// that exist keep the former one's texts for errors in JSON.
    pub fn set_profile(&mut self, profile: Profile) {
        self.set_compat_policy(CompatPolicy {
            profile,
            ..self.policy
        });
    }

    /// Which QEMU all this behaves like.
    pub fn profile(&self) -> Profile {
        self.policy.profile
    }

    /// The `-compat` policy in force.
    pub fn policy(&self) -> CompatPolicy {
        self.policy
    }

    /// Chooses the order in which members of objects that are made at run time are written.
    /// The default is QEMU's.
    pub fn set_member_order(&mut self, order: MemberOrder) {
        self.member_order = order;
        self.forget_prepared();
    }

    /// A writer for replies and events.
    pub(super) fn json_writer(&self, pretty: bool) -> JsonWriter {
        let mut w = JsonWriter::new(pretty);
        w.set_member_order(self.member_order);
        w
    }

    /// Chooses the clock that limits how often events are sent, for a test that holds that
    /// clock. Intervals that have begun stay on theirs.
    pub fn set_event_clock(&mut self, clock: ClockType) {
        self.event_clock = clock;
    }

    /// Sets the options that `query-command-line-options` lists.
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

    /// Declares QMP commands that change nothing, so that a read-only monitor
    /// carries them out. Those that are called `query-*` need not be declared.
    pub fn add_read_only_commands(&mut self, names: &[&'static str]) {
        self.read_only_commands.extend_from_slice(names);
    }

    /// Whether the monitor being served, if any, may execute a QMP command.
    pub(crate) fn check_qmp_command(&self, name: &str) -> Result<(), Error> {
        self.current_policy().map_or(Ok(()), |policy| {
            policy.check_qmp(name, &self.read_only_commands)
        })
    }

    /// Whether the monitor being served, if any, may run an HMP command.
    pub(crate) fn check_hmp_command(
        &self,
        group: Option<HmpRow>,
        row: HmpRow,
    ) -> Result<(), Error> {
        self.current_policy()
            .map_or(Ok(()), |policy| policy.check_hmp(group, row))
    }

    /// Whether the command under way came from a client that may change nothing. Such
    /// clients should not learn passwords and the like.
    pub fn current_monitor_is_read_only(&self) -> bool {
        self.current_policy()
            .is_some_and(CommandPolicy::is_read_only)
    }

    pub(super) fn current_policy(&self) -> Option<&CommandPolicy> {
        Some(&self.current_monitor()?.config.policy)
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

    /// Sets what the program calls itself. The prompt is that of monitors made
    /// afterwards.
    ///
    /// ```
    /// use qmonitor::monitor::version::Identity;
    /// # use qmonitor::Runtime;
    ///
    /// # fn main() -> std::io::Result<()> {
    /// # let mut rt = Runtime::new(())?;
    /// rt.set_identity(Identity {
    ///     package: "thermostat-1.2".into(),
    ///     banner: "Thermostat 1.2 - type 'help' for more information".into(),
    ///     prompt: "(thermostat) ".into(),
    /// });
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_identity(&mut self, identity: Identity) {
        self.identity = identity;
        self.forget_prepared();
    }

    /// Sets where chardevs report what answers no command, such as a reconnection
    /// that failed. The default is standard error.
    pub fn set_report(&mut self, report: impl FnMut(ChardevReport, &str) + 'static) {
        self.report = Box::new(report);
    }

    /// Sets what is called after a monitor was removed, also when its client left.
    /// It is for programs that keep a list of monitors of their own.
    pub fn set_monitor_removed_handler(&mut self, handler: MonitorRemovedHandler<S>) {
        self.monitor_removed_handler = handler;
    }

    pub(crate) fn monitor_removed(&mut self, id: MonitorId) {
        (self.monitor_removed_handler)(self, id);
    }

    /// Sets what `quit` does, in QMP and in HMP. The default asks for exit with
    /// status 0.
    pub fn set_quit_handler(&mut self, handler: QuitHandler<S>) {
        self.quit_handler = handler;
    }

    /// Does what the command `quit` does.
    pub fn quit(&mut self) {
        (self.quit_handler)(self);
    }

    /// Asks [`run`](Self::run) to return once earlier requests are answered. The
    /// first call wins.
    pub fn request_exit(&mut self, status: i32) {
        self.exit.get_or_insert(ExitRequest { status });
        // Wakes the loop if it waits.
        self.main_loop.bh_schedule_oneshot("exit", |_| {});
    }

    /// The request made with [`request_exit`](Self::request_exit).
    pub fn exit_requested(&self) -> Option<ExitRequest> {
        self.exit
    }
}
