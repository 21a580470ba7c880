//! What an HMP command's function is given: the runtime, and a place to print.

use super::session::HmpHandler;
use super::{
    hmp_commands, parse_command, Completion, CompletionKind, CompletionSource, FormatState, HmpEnv,
    HmpTable,
};
use std::io::Write;

use crate::chardev::{print_stderr, ChardevHost, ChardevReport};
use crate::monitor::runtime::Runtime;
use crate::monitor::table::MonitorId;
use crate::monitor::{hmp_qmp, hmp_qmp_complete};
use crate::qapi::{Error, QDict};
use crate::trace_event;

/// Names that complete an argument of some kind; `None` if this function does
/// not know the kind. What was typed is in the [`Completion`]; names that do not
/// start with its word are left out later.
pub type CompletionFn<S> = fn(&Runtime<S>, CompletionKind, &Completion) -> Option<Vec<String>>;

/// What `help` prints for some topic.
pub type HelpFn = fn() -> String;

/// Reads the `key=value,...` of an argument, as `device_add` has it.
pub type OptionsFn<S> = fn(&Runtime<S>, group: &'static str, text: &str) -> Result<QDict, Error>;

/// The HMP commands of a runtime and what parsing remembers.
///
/// A command of one's own is a row and a function. All that a person sees of it
/// comes from the row: what is accepted, `help`, and what TAB offers.
///
/// ```
/// use qmonitor::monitor::hmp::{ArgKind, CompletionKind, Hmp, HmpArg, HmpArgs, HmpRow};
/// use qmonitor::Runtime;
///
/// struct Thermostat {
///     target: i64,
/// }
///
/// const HEAT: HmpRow = HmpRow::new("heat", "degrees [room]", "set the temperature").args(&[
///     HmpArg::new("degrees", ArgKind::Int),
///     HmpArg::new("room", ArgKind::Str)
///         .optional()
///         .completes(CompletionKind::Words(&["kitchen", "hall"])),
/// ]);
///
/// fn hmp_heat(hmp: &mut Hmp<'_, Thermostat>, args: &HmpArgs) {
///     hmp.rt.state.target = args.int("degrees");
///     let room = args.try_str("room").unwrap_or("house");
///     hmp.print(format!("the {room} will be warm\n"));
/// }
///
/// # fn main() -> std::io::Result<()> {
/// let mut rt = Runtime::new(Thermostat { target: 21 })?;
/// rt.hmp_mut().table.add(HEAT, hmp_heat);
/// // A sub-command of `info` likewise.
/// let info = rt.hmp_mut().table.sub_mut("info").expect("info is always there");
/// info.add(HmpRow::new("heat", "", "show the temperature"), |hmp, _| {
///     let text = format!("target: {}\n", hmp.rt.state.target);
///     hmp.print(text);
/// });
/// # Ok(()) }
/// ```
pub struct HmpTables<S: 'static> {
    /// The commands.
    pub table: HmpTable<HmpHandler<S>>,
    pub(crate) format: FormatState,
    completions: Vec<CompletionFn<S>>,
    help_topics: Vec<(&'static str, HelpFn)>,
    options: OptionsFn<S>,
}

impl<S: 'static> HmpTables<S> {
    pub(crate) fn new() -> Self {
        let mut table = hmp_commands(crate::monitor::hmp_cmds::handler);
        table.add(hmp_qmp::QMP, hmp_qmp::hmp_qmp);
        HmpTables {
            table,
            format: FormatState::default(),
            completions: Vec::new(),
            help_topics: Vec::new(),
            options: |_, _, _| Err(Error::new("Options are not supported here")),
        }
    }

    /// Adds a source of completions for arguments.
    pub fn add_completion(&mut self, f: CompletionFn<S>) {
        self.completions.push(f);
    }

    /// Sets what reads `key=value,...` arguments.
    pub fn set_options(&mut self, f: OptionsFn<S>) {
        self.options = f;
    }

    /// Has `help TOPIC` print a text of its own instead of the command's line,
    /// as QEMU's `help log` lists the log items.
    pub fn add_help_topic(&mut self, topic: &'static str, text: HelpFn) {
        self.help_topics.push((topic, text));
    }

    /// What `help` prints for a topic, or the line for standard output.
    pub(crate) fn help(&self, topic: &[u8], preconfig: bool) -> Result<Vec<u8>, Vec<u8>> {
        let mut own = self.help_topics.iter();
        match own.find(|(name, _)| name.as_bytes() == topic) {
            Some((_, text)) => Ok(text().into_bytes()),
            None => self.table.help(topic, preconfig),
        }
    }
}

/// An HMP command at work (QEMU passes a `Monitor`).
pub struct Hmp<'a, S: 'static> {
    /// Everything.
    pub rt: &'a mut Runtime<S>,
    /// The session that the line came from; `None` for `human-monitor-command`.
    pub monitor: Option<MonitorId>,
    out: Vec<u8>,
}

impl<S: 'static> Hmp<'_, S> {
    /// Prints text; each newline goes out as CR LF (`monitor_printf`).
    pub fn print(&mut self, text: impl AsRef<[u8]>) {
        for &byte in text.as_ref() {
            if byte == b'\n' {
                self.out.push(b'\r');
            }
            self.out.push(byte);
        }
    }

    /// Prints `Error: DESCRIPTION` and the hints, if there is an error
    /// (`hmp_handle_error`). Returns the value of a success.
    pub fn handle_error<T>(&mut self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(e) => {
                self.print(format!("Error: {}\n{}", e.desc(), e.hint()));
                None
            }
        }
    }
}

struct Env<'a, S: 'static> {
    rt: &'a Runtime<S>,
    format: FormatState,
}

impl<S: 'static> HmpEnv for Env<'_, S> {
    fn format(&mut self) -> &mut FormatState {
        &mut self.format
    }

    fn preconfig(&self) -> bool {
        self.rt.preconfig
    }

    fn options(&mut self, group: &'static str, text: &str) -> Result<QDict, String> {
        (self.rt.hmp.options)(self.rt, group, text).map_err(|e| match e.hint() {
            "" => e.desc().to_owned(),
            hint => format!("{}\n{}", e.desc(), hint.trim_end()),
        })
    }
}

/// Prints what QEMU prints on its standard output, where nobody at the monitor
/// sees it. There is nobody to complain to if that is closed.
pub(crate) fn print_stdout(text: &[u8]) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text).and_then(|()| stdout.flush());
}

/// Reports an error on standard error: in a session in the program's own form,
/// otherwise, since a monitor is then in charge, without a name in front.
fn report<S: 'static>(rt: &mut Runtime<S>, monitor: Option<MonitorId>, text: &str) {
    match monitor {
        Some(_) => rt.chardev_report(ChardevReport::Error, text),
        None => print_stderr(&format!("{text}\n")),
    }
}

/// Runs one line and returns what it prints (`handle_hmp_command`).
pub(crate) fn run_line<S: 'static>(
    rt: &mut Runtime<S>,
    monitor: Option<MonitorId>,
    line: &[u8],
) -> Vec<u8> {
    let mut env = Env {
        rt,
        format: rt.hmp.format,
    };
    let parsed = parse_command(line, &rt.hmp.table, &mut env);
    rt.hmp.format = env.format;
    let outer = rt.dispatcher.current;
    if monitor.is_some() {
        rt.dispatcher.current = monitor;
    }
    let mut hmp = Hmp {
        rt,
        monitor,
        out: Vec::new(),
    };
    match parsed {
        Ok(None) => {}
        Ok(Some(command)) => {
            let permitted = hmp.rt.check_hmp_command(command.group, command.row);
            if hmp.handle_error(permitted).is_some() {
                trace_event!(hmp_command, "{}: cmd->cmd", command.row.main_name());
                (command.handler)(&mut hmp, &command.args);
            }
        }
        Err(e) => {
            hmp.print(&e.text);
            print_stdout(&e.stdout);
            if let Some(text) = e.stderr {
                report(hmp.rt, monitor, &text);
            }
        }
    }
    let out = hmp.out;
    rt.dispatcher.current = outer;
    out
}

/// What TAB offers.
pub(crate) fn candidates<S: 'static>(rt: &Runtime<S>, completion: &Completion) -> Vec<Vec<u8>> {
    let bytes = |names: Vec<String>| names.into_iter().map(String::into_bytes).collect();
    match &completion.source {
        CompletionSource::Names(names) => names.iter().map(|n| n.as_bytes().to_vec()).collect(),
        CompletionSource::Kind(kind) => match kind {
            CompletionKind::Files => files(&completion.word),
            kind => bytes(names_of_kind(rt, *kind, completion)),
        },
    }
}

fn names_of_kind<S: 'static>(
    rt: &Runtime<S>,
    kind: CompletionKind,
    completion: &Completion,
) -> Vec<String> {
    let labels = |wanted: &dyn Fn(&str) -> bool| {
        let all = rt.chardevs.iter();
        let some = all.filter(|(_, c)| wanted(c.kind()));
        some.map(|(_, c)| c.label().to_owned()).collect()
    };
    match kind {
        CompletionKind::ChardevIds => labels(&|_| true),
        CompletionKind::Ringbufs => labels(&|kind| matches!(kind, "ringbuf" | "memory")),
        CompletionKind::ChardevTypes => {
            let backends = rt.chardevs.backends().into_iter();
            backends.map(str::to_owned).collect()
        }
        CompletionKind::QmpCommands => {
            let all = rt.commands.iter();
            all.map(|command| command.name.to_owned()).collect()
        }
        CompletionKind::QmpArguments => {
            hmp_qmp_complete::arguments(rt.schemas(), &completion.args, &completion.word)
        }
        CompletionKind::TraceEvents => {
            let all = crate::trace::ALL.iter();
            all.map(|e| e.name.to_owned()).collect()
        }
        kind => {
            let mut known = rt.hmp.completions.iter();
            known
                .find_map(|f| f(rt, kind, completion))
                .unwrap_or_default()
        }
    }
}

/// File names that start with `word`; directories end in `/`.
fn files(word: &[u8]) -> Vec<Vec<u8>> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let split = word.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
    let (dir, _) = word.split_at(split);
    let place = match dir {
        [] => std::path::Path::new("."),
        dir => std::path::Path::new(std::ffi::OsStr::from_bytes(dir)),
    };
    let Ok(entries) = std::fs::read_dir(place) else {
        return Vec::new();
    };
    let name = |entry: std::fs::DirEntry| {
        let mut name = dir.to_vec();
        let is_dir = std::fs::metadata(entry.path()).is_ok_and(|m| m.is_dir());
        name.extend(entry.file_name().into_vec());
        if is_dir {
            name.push(b'/');
        }
        name
    };
    entries.flatten().map(name).collect()
}
