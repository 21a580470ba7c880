//! Dumps of memory: what is in them, and how they are laid out. `commands/dump` writes them.

mod elf;
mod kdump;
mod memory;
mod notes;
mod output;

use qmonitor::main_loop::TimerId;
use qmonitor::qapi::{Error, Responder};

pub(crate) use elf::Elf;
pub(crate) use kdump::Kdump;
pub(crate) use memory::{GuestMemory, PAGE};
pub(crate) use notes::notes;
pub(crate) use output::Output;

use crate::schema::DumpStatus;

/// Why there is no dump.
pub(crate) fn no_memory() -> Error {
    Error::new("dump: no guest memory to dump")
}

/// The last dump, or the one under way.
pub struct Dump {
    /// How far it is.
    pub status: DumpStatus,
    /// Bytes of memory that were written.
    pub completed: u64,
    /// Bytes of memory to write.
    pub total: u64,
    /// The work still to do.
    pub(crate) work: Option<Work>,
}

impl Default for Dump {
    fn default() -> Self {
        Dump {
            status: DumpStatus::None,
            completed: 0,
            total: 0,
            work: None,
        }
    }
}

impl Dump {
    /// Whether it is being written.
    pub(crate) fn is_active(&self) -> bool {
        self.status == DumpStatus::Active
    }
}

/// What writes a dump.
pub(crate) struct Work {
    pub(crate) format: Format,
    pub(crate) output: Output,
    /// Makes the next step.
    pub(crate) timer: TimerId,
    /// Whether the machine ran before, and is to go on.
    pub(crate) resume: bool,
    /// Who waits for the end.
    pub(crate) responder: Option<Responder<()>>,
}

/// The layout.
pub(crate) enum Format {
    /// An ELF core file.
    Elf(Elf),
    /// A file for the tools `crash` and `makedumpfile`.
    Kdump(Kdump),
    /// What Windows writes, which needs a guest that helps.
    Windows,
    /// All was written.
    Done,
}
