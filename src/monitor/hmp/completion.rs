//! What TAB offers.
//!
//! The text before the cursor is split into words like arguments, and the last
//! word is completed: to a command, a sub-command, or whatever the table row
//! says of that argument. Ids, types and files are the session's business;
//! for them only the kind is found here.

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
    /// The candidates.
    pub source: CompletionSource,
    /// What QEMU writes to the server's standard output (an open quote); or nothing.
    pub stdout: Vec<u8>,
}

/// Finds out what completes the text before the cursor (QEMU's
/// `monitor_find_completion`). `preconfig` is true while the machine does not exist.
pub fn find_completion<F: Copy>(
    before_cursor: &[u8],
    table: &HmpTable<F>,
    preconfig: bool,
) -> Completion {
    match split_words_for_completion(before_cursor) {
        Err(stdout) => Completion {
            word: Vec::new(),
            source: CompletionSource::Kind(CompletionKind::Nothing),
            stdout,
        },
        Ok(words) => {
            let source = find_by_table(&words, table, table, preconfig);
            let mut word = words.last().cloned().unwrap_or_default();
            if source == CompletionSource::Kind(CompletionKind::Keys) {
                if let Some(dash) = word.iter().rposition(|&byte| byte == b'-') {
                    word.drain(..=dash);
                }
            }
            Completion {
                word,
                source,
                stdout: Vec::new(),
            }
        }
    }
}

fn find_by_table<F: Copy>(
    words: &[Vec<u8>],
    table: &HmpTable<F>,
    root: &HmpTable<F>,
    preconfig: bool,
) -> CompletionSource {
    let nothing = CompletionSource::Kind(CompletionKind::Nothing);
    match words {
        [] | [_] => CompletionSource::Names(
            table
                .commands()
                .iter()
                .filter(|command| command.row.is_available(preconfig))
                .flat_map(|command| command.row.aliases())
                .collect(),
        ),
        [name, rest @ ..] => {
            let Some(command) = table.find(name) else {
                return nothing;
            };
            if !command.row.is_available(preconfig) {
                return nothing;
            }
            if let Some(sub) = &command.sub {
                return find_by_table(rest, sub, root, preconfig);
            }
            match argument_kind(&command.row, rest.len() - 1) {
                CompletionKind::Commands => find_by_table(rest, root, root, preconfig),
                CompletionKind::OnOff => CompletionSource::Names(vec!["off", "on"]),
                kind => CompletionSource::Kind(kind),
            }
        }
    }
}

/// The kind of the word number `index` behind a command. Flags do not count:
/// words are matched with the other arguments one to one, so a flag that was
/// typed shifts the rest, as in QEMU. Behind the last argument of a command line, a
/// file or a block device, more of the same are offered; where a command has ids
/// or types of its own, nothing is.
fn argument_kind(row: &HmpRow, index: usize) -> CompletionKind {
    use CompletionKind::{BlockDevices, Commands, Files};
    let others = || row.args.iter().filter(|arg| arg.flag().is_none());
    let last = || others().last().map(|arg| arg.completion);
    let arg = others().nth(index).map(|arg| arg.completion);
    arg.or_else(|| last().filter(|kind| matches!(kind, Commands | Files | BlockDevices)))
        .unwrap_or(CompletionKind::Nothing)
}

#[cfg(test)]
#[path = "completion_tests.rs"]
mod tests;
