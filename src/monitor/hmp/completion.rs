//! What TAB offers.
//!
//! The text before the cursor is split into words like arguments, and the last
//! word is completed: to a command, a sub-command, or the kind of name that the
//! table row gives for that argument. The caller looks up ids, types and files.

use super::args::HmpArg;
use super::cursor::split_words_for_completion;
use super::table::{HmpRow, HmpTable};

/// What kind of names complete an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompletionKind {
    /// None.
    Nothing,
    /// A command line of its own (`help chardev-remove` TAB lists ids).
    Commands,
    /// `on` and `off`.
    OnOff,
    /// All character devices, the monitor's own too.
    ChardevIds,
    /// Character device backends.
    ChardevTypes,
    /// Character devices that are ring buffers.
    Ringbufs,
    /// Object types a user can create.
    ObjectTypes,
    /// Objects the user created.
    ObjectIds,
    /// Device models.
    DeviceTypes,
    /// Devices with an id.
    DeviceIds,
    /// Network backends.
    NetdevTypes,
    /// Network backends in use.
    NetdevIds,
    /// Network backends in use, and network adapters.
    NetClients,
    /// Block devices.
    BlockDevices,
    /// QMP commands.
    QmpCommands,
    /// Arguments of the QMP command that was named, as `key=`, and their values.
    QmpArguments,
    /// Paths of the composition tree, with `/` at the end where it goes on.
    QomPaths,
    /// Properties of the object whose path is the word before.
    QomProperties,
    /// What can be logged.
    LogItems,
    /// These words.
    Words(&'static [&'static str]),
    /// Trace events.
    TraceEvents,
    /// What a watchdog can do.
    WatchdogActions,
    /// Keys of a keyboard; the word is what follows the last `-`.
    Keys,
    /// Files, hidden ones included, directories with `/` at the end. The
    /// candidates carry the directories typed so far.
    Files,
    /// An embedder's own kind of names.
    Custom(&'static str),
}

/// Where the candidates come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompletionSource {
    /// These names.
    Names(Vec<&'static str>),
    /// Names of this kind, which the caller looks up;
    /// [`CompletionKind::Nothing`] if there are none.
    Kind(CompletionKind),
}

/// What to complete and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The start of the word, for [`Readline::complete`](super::Readline::complete).
    /// Candidates that do not start with it are left out there.
    pub word: Vec<u8>,
    /// The words between the command's name and this one.
    pub args: Vec<Vec<u8>>,
    /// The candidates.
    pub source: CompletionSource,
    /// QEMU's output on the server's standard output (an open quote), maybe empty.
    pub stdout: Vec<u8>,
}

/// Conditions for candidates beside the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompletionScope {
    /// The machine does not exist yet.
    pub preconfig: bool,
    /// Candidates of the full editor are wanted too.
    pub full: bool,
}

/// Finds out what completes the text before the cursor (QEMU's
/// `monitor_find_completion`).
pub fn find_completion<F: Copy>(
    before_cursor: &[u8],
    table: &HmpTable<F>,
    scope: CompletionScope,
) -> Completion {
    let mut completion = Completion {
        word: Vec::new(),
        args: Vec::new(),
        source: NOTHING,
        stdout: Vec::new(),
    };
    match split_words_for_completion(before_cursor) {
        Err(stdout) => completion.stdout = stdout,
        Ok(words) => {
            let (source, args) = find_by_table(&words, table, table, scope);
            let mut word = words.last().cloned().unwrap_or_default();
            if source == CompletionSource::Kind(CompletionKind::Keys) {
                if let Some(dash) = word.iter().rposition(|&byte| byte == b'-') {
                    word.drain(..=dash);
                }
            }
            completion.args = args.to_vec();
            completion.word = word;
            completion.source = source;
        }
    }
    completion
}

const NOTHING: CompletionSource = CompletionSource::Kind(CompletionKind::Nothing);

/// The candidates, and the words between the command's name and the last one.
fn find_by_table<'w, F: Copy>(
    words: &'w [Vec<u8>],
    table: &HmpTable<F>,
    root: &HmpTable<F>,
    scope: CompletionScope,
) -> (CompletionSource, &'w [Vec<u8>]) {
    let [name, rest @ ..] = words else {
        return (NOTHING, &[]);
    };
    let [args @ .., _] = rest else {
        let all = table.commands();
        let available = all.filter(|command| command.row.is_available(scope.preconfig));
        let names = available.flat_map(|command| command.row.aliases());
        return (CompletionSource::Names(names.collect()), &[]);
    };
    let command = table
        .find(name)
        .filter(|command| command.row.is_available(scope.preconfig));
    let Some(command) = command else {
        return (NOTHING, args);
    };
    if let Some(sub) = &command.sub {
        return find_by_table(rest, sub, root, scope);
    }
    let source = match argument_kind(&command.row, args, scope.full) {
        CompletionKind::Commands => return find_by_table(rest, root, root, scope),
        CompletionKind::OnOff => CompletionSource::Names(vec!["off", "on"]),
        CompletionKind::Words(words) => CompletionSource::Names(words.to_vec()),
        kind => CompletionSource::Kind(kind),
    };
    (source, args)
}

/// The kind of the word behind a command and these words. As in QEMU they are
/// matched one to one with the arguments that are no flags, so that a typed flag
/// shifts the rest; the full editor skips flags. Behind a last argument that is a
/// command line, a file or a block device, more of the same are offered; behind
/// other last arguments, nothing.
fn argument_kind(row: &HmpRow, typed: &[Vec<u8>], full: bool) -> CompletionKind {
    use CompletionKind::{BlockDevices, Commands, Files, Nothing, QmpArguments};
    let is_flag = |word: &[u8]| match word {
        [b'-', letter] => row.args.iter().any(|arg| arg.flag() == Some(*letter)),
        _ => false,
    };
    let flags = typed.iter().filter(|word| full && is_flag(word)).count();
    let kind = |arg: &HmpArg| match arg.completion {
        Nothing if full => arg.full_completion,
        kind => kind,
    };
    let others = || row.args.iter().filter(|arg| arg.flag().is_none());
    let goes_on = |kind: &_| matches!(kind, Commands | Files | BlockDevices | QmpArguments);
    let nth = others().nth(typed.len() - flags).map(kind);
    nth.or_else(|| others().next_back().map(kind).filter(goes_on))
        .unwrap_or(Nothing)
}

#[cfg(test)]
#[path = "completion_tests.rs"]
mod tests;
