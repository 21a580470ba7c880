//! The HMP commands of a runtime, and the functions that read and complete their
//! arguments.

use super::context::HmpHandler;
use super::{Completion, CompletionKind, FormatState, HmpTable};
use crate::monitor::runtime::Runtime;
use crate::qapi::{Error, QDict};

/// Returns names that complete an argument of some kind; `None` if this function
/// does not know the kind. The typed words are in the [`Completion`]. Names that
/// do not start with its word are left out later.
pub type CompletionFn<S> = fn(&Runtime<S>, CompletionKind, &Completion) -> Option<Vec<String>>;

/// Returns the text that `help` prints for a topic.
pub type HelpFn = fn() -> String;

/// Reads the `key=value,...` of an argument, as `device_add` has it.
pub type OptionsFn<S> = fn(&Runtime<S>, group: &'static str, text: &str) -> Result<QDict, Error>;

/// The HMP commands of a runtime and what parsing remembers.
///
/// A command of one's own is a row and a function. The row decides which arguments
/// are accepted, and what `help` and TAB show.
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
    pub(super) completions: Vec<CompletionFn<S>>,
    help_topics: Vec<(&'static str, HelpFn)>,
    pub(super) options: OptionsFn<S>,
    pub(crate) cpu_exists: fn(&Runtime<S>, i64) -> bool,
}

impl<S> HmpTables<S> {
    pub(crate) fn new() -> Self {
        HmpTables {
            table: HmpTable::new(),
            format: FormatState::default(),
            completions: Vec::new(),
            help_topics: Vec::new(),
            options: |_, _, _| Err(Error::new("Options are not supported here")),
            cpu_exists: |_, _| false,
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

    /// Sets what knows the processors that `human-monitor-command` may name. Without it
    /// there are none.
    pub fn set_cpu_exists(&mut self, f: fn(&Runtime<S>, i64) -> bool) {
        self.cpu_exists = f;
    }

    /// Has `help TOPIC` print a text of its own instead of the command's line,
    /// as QEMU's `help log` lists the log items.
    pub fn add_help_topic(&mut self, topic: &'static str, text: HelpFn) {
        self.help_topics.push((topic, text));
    }

    /// The text that `help` prints for a topic, or the line for standard output.
    pub(crate) fn help(&self, topic: &[u8], preconfig: bool) -> Result<Vec<u8>, Vec<u8>> {
        let mut own = self.help_topics.iter();
        match own.find(|(name, _)| name.as_bytes() == topic) {
            Some((_, text)) => Ok(text().into_bytes()),
            None => self.table.help(topic, preconfig),
        }
    }
}
