//! The move away from here.
//!
//! ```text
//!  Connecting ─▶ Begin ─▶ Iterate ─▶ Stopped ─▶ Device ─────────────▶ Finish ─▶ Over
//!                                       │          │                      ▲
//!            only if the capability     │          │ after                │
//!            pause-before-switchover is on         │ migrate-start-postcopy
//!            until migrate-continue                ▼                      │
//!                                              Postcopy ──────────────────┘
//!                                               │    ▲
//!                        the channel is lost    ▼    │ migrate with resume
//!                                           Interrupted
//!
//!  until Device, `migrate_cancel` and an error of the channel let the machine go on here
//! ```

use qmonitor::main_loop::{TimerId, WatchId};
use qmonitor::qapi::Responder;

use super::{Channel, Ledger};
use crate::model::migration::stream::Encoder;
use crate::schema::{MigrationStatus, RunState};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The channel is being opened.
    Connecting,
    /// The channel is there.
    Begin,
    /// Memory is being sent while the machine runs.
    Iterate,
    /// The machine was stopped, and waits for `migrate-continue`.
    Stopped,
    /// The rest of memory and the devices are being sent.
    Device,
    /// The machine runs at the other side, and memory follows.
    Postcopy,
    /// The same, but the channel is lost, or a new one is being opened.
    Interrupted,
    /// All was sent, and the other side must have got it.
    Finish,
    /// It was given up, and the machine goes on here.
    Cancelled,
    /// Nothing is under way.
    Over,
}

/// A move away.
pub(crate) struct Source {
    pub(crate) status: MigrationStatus,
    pub(crate) phase: Phase,
    /// Why it failed.
    pub(crate) error: Option<String>,
    pub(crate) ledger: Ledger,
    pub(crate) encoder: Encoder,
    /// The address up to which memory was looked at.
    pub(crate) walk: u64,
    pub(crate) channel: Option<Channel>,
    /// Waits until the channel is connected, takes bytes, or has an answer.
    pub(crate) watch: Option<WatchId>,
    /// Makes the next step.
    pub(crate) timer: TimerId,
    /// The state of the machine before it was stopped.
    pub(crate) before: Option<RunState>,
    /// Whether the other side is to say that it has got everything.
    pub(crate) return_path: bool,
    /// Whether the machine is to run at the other side before all of its memory is there.
    pub(crate) wants_postcopy: bool,
    /// How often memory had been written to when it was looked at.
    pub(crate) changes: u64,
    /// The address up to which memory has been sent again.
    pub(crate) resend: Option<u64>,
    /// The line of a human monitor that waits for the end.
    pub(crate) waiter: Option<Responder<()>>,
}

impl Source {
    /// One that begins, with a channel to come.
    pub(crate) fn new(ledger: Ledger, timer: TimerId) -> Self {
        Source {
            status: MigrationStatus::None,
            phase: Phase::Connecting,
            error: None,
            ledger,
            encoder: Encoder::default(),
            walk: 0,
            channel: None,
            watch: None,
            timer,
            before: None,
            return_path: false,
            wants_postcopy: false,
            changes: 0,
            resend: None,
            waiter: None,
        }
    }

    /// The channel is there.
    pub(crate) fn is_connected(&mut self) {
        if self.phase == Phase::Connecting {
            self.phase = Phase::Begin;
        }
    }

    /// Whether it goes on.
    pub(crate) fn is_under_way(&self) -> bool {
        self.phase != Phase::Over
    }
}
