//! The human monitor. Most files are pure, bytes in, outcomes out: they know no
//! file descriptor, no character device and no runtime. The last two rows of the
//! table below join them to a chardev and to the runtime. The driver feeds what a
//! chardev read into a session's [`Readline`], hands a finished line to
//! [`parse_command`], calls the handler found, and answers TAB with
//! [`find_completion`]. QMP's `human-monitor-command` uses the same table
//! without the editor.
//!
//! Texts are bytes, as in QEMU: a terminal may send Latin-1, and messages
//! repeat what was typed. The editor's output is ready to send; all other text
//! has plain newlines, which the monitor's output turns into CR LF.
//!
//! | file | what |
//! |---|---|
//! | `readline`, `line`, `history`, `keys` | the line editor |
//! | `full` | its extended mode |
//! | `table`, `help` | the commands |
//! | `parse`, `args`, `values`, `cursor` | from a line to arguments |
//! | `expr`, `size`, `format`, `dump` | numbers in, numbers out |
//! | `completion` | what TAB offers |
//! | `session` | bytes in, lines out |
//! | `tables`, `context`, `run`, `candidates` | commands on a runtime |
//! | `driver` | a chardev's bytes in, a command's output out |

mod args;
mod candidates;
mod completion;
pub(crate) mod context;
mod cursor;
pub(crate) mod driver;
mod dump;
mod expr;
mod format;
mod full;
mod help;
mod history;
mod keys;
mod line;
mod parse;
mod readline;
pub(crate) mod run;
mod seconds;
pub(crate) mod session;
mod size;
mod table;
pub(crate) mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_rows;
mod values;
mod wrapped;

pub use args::{ArgKind, HmpArg};
pub use completion::{
    find_completion, Completion, CompletionKind, CompletionScope, CompletionSource,
};
pub use context::{Hmp, HmpHandler, HmpPair};
pub use dump::{memory_dump, DumpStyle};
pub use format::{format_ioport, format_value, Format, FormatArg, FormatState};
pub use history::{History, READLINE_MAX_CMDS};
pub use line::{EditLine, READLINE_CMD_BUF_SIZE};
pub use parse::{parse_command, HmpEnv, LineError, ParsedCommand};
pub use readline::{Readline, ReadlineEvent};
pub use table::{HmpCommand, HmpRow, HmpTable};
pub use tables::{CompletionFn, HelpFn, HmpTables, OptionsFn};
pub use values::{HmpArgs, HmpValue};
