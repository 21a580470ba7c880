//! The human monitor. All but two files are pure, bytes in, outcomes out: they
//! know no file descriptor, no character device and no runtime. `session` and
//! `context` join them to a chardev and to the runtime. A session feeds what its
//! chardev read into a [`Readline`], hands a finished line to [`parse_command`],
//! calls the handler found, and answers TAB with [`find_completion`]. QMP's `human-monitor-command` uses the same table
//! without the editor.
//!
//! Texts are bytes, as in QEMU: a terminal may send Latin-1, and messages
//! repeat what was typed. What the editor draws is ready to send; everything
//! else has plain newlines, which the monitor's output turns into CR LF.
//!
//! | file | what |
//! |---|---|
//! | `readline`, `line`, `history`, `keys` | the line editor |
//! | `full` | its extended mode |
//! | `table`, `help` | the commands |
//! | `parse`, `args`, `values`, `cursor` | from a line to arguments |
//! | `expr`, `size`, `format`, `dump` | numbers in, numbers out |
//! | `completion` | what TAB offers |
//! | `session`, `context` | a chardev's bytes in, a command's output out |

mod args;
mod completion;
pub(crate) mod context;
mod cursor;
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
pub(crate) mod session;
mod size;
mod table;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_rows;
mod values;

pub use args::{ArgKind, HmpArg};
pub use completion::{
    find_completion, Completion, CompletionKind, CompletionScope, CompletionSource,
};
pub use context::{CompletionFn, HelpFn, Hmp, HmpHandler, HmpPair, HmpTables, OptionsFn};
pub use dump::{bsd_sum, memory_dump};
pub use expr::{evaluate, ExprError, RegisterFn};
pub use format::{format_char, format_ioport, format_value, Format, FormatArg, FormatState};
pub use history::{History, READLINE_MAX_CMDS};
pub use keys::{Key, KeyDecoder};
pub use line::{EditLine, READLINE_CMD_BUF_SIZE};
pub use parse::{parse_command, HmpEnv, LineError, ParsedCommand};
pub use readline::{Readline, ReadlineEvent};
pub use table::{HmpCommand, HmpRow, HmpTable};
pub use values::{HmpArgs, HmpValue};
