//! The human monitor's pure parts: bytes in, outcomes out.
//!
//! Nothing in here knows a file descriptor, a character device or the
//! runtime. A session feeds what its chardev read into [`Readline`], hands a
//! finished line to the command table, and writes out the bytes both left
//! behind. QMP's `human-monitor-command` uses the same table without the editor.
//!
//! Texts are bytes throughout, as in QEMU: a terminal may send Latin-1, and
//! error messages repeat what was typed.

mod full;
mod history;
mod keys;
mod line;
mod readline;
#[cfg(test)]
mod testing;

pub use history::{History, READLINE_MAX_CMDS};
pub use keys::{Key, KeyDecoder};
pub use line::{EditLine, READLINE_CMD_BUF_SIZE};
pub use readline::{Readline, ReadlineEvent};
