//! Moving the machine to another program: settings, addresses, the stream, the figures, and
//! both ends of the move. `commands/migration*` runs them on the loop.

mod address;
mod blockers;
mod channel;
mod dirty_rate;
mod incoming;
mod ledger;
mod parameters;
mod settings;
mod snapshot;
mod source;
mod state;
mod stream;

use std::process::Child;

use qmonitor::main_loop::TimerId;

pub use address::Address;
pub(crate) use channel::{Channel, Kind, Received};
pub use dirty_rate::DirtyRate;
pub(crate) use incoming::{Asks, Incoming, Loading};
pub use ledger::{Brake, Ledger, Pace, PAGE};
pub use settings::Settings;
pub(crate) use snapshot::{load_machine, machine_state, save_machine};
pub(crate) use source::{Phase, Source};
pub use stream::StreamError;

/// All about moving the machine.
#[derive(Default)]
pub struct Migration {
    /// What clients have set.
    pub settings: Settings,
    /// Bytes of memory that a simulated guest writes in a second (`-dirty-rate`).
    pub dirty_rate: u64,
    /// Refuse what keeps the machine from being moved (`-only-migratable`).
    pub only_migratable: bool,
    /// How fast memory was found to change.
    pub measured: DirtyRate,
    /// Ends a measurement.
    pub(crate) measuring: Option<TimerId>,
    /// The last move away, or the one under way.
    pub(crate) source: Option<Source>,
    /// The move to here.
    pub(crate) incoming: Incoming,
    /// Programs at the other ends of channels, until they have ended.
    children: Vec<Child>,
}

impl Migration {
    /// Whether the machine is being moved away.
    pub(crate) fn is_leaving(&self) -> bool {
        self.source.as_ref().is_some_and(Source::is_under_way)
    }

    /// Keeps a program until it has ended.
    pub(crate) fn keep_child(&mut self, child: Child) {
        self.reap();
        self.children.push(child);
    }

    /// Forgets the programs that have ended.
    pub(crate) fn reap(&mut self) {
        let is_alive = |child: &mut Child| matches!(child.try_wait(), Ok(None));
        self.children.retain_mut(is_alive);
    }
}
