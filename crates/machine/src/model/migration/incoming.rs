//! The move to here: what has come so far.

use qmonitor::chardev::{SocketAddress, UnixPath};
use qmonitor::main_loop::WatchId;
use qmonitor::qapi::QDict;

use super::stream::Decoder;
use super::Channel;
use crate::schema::MigrationStatus;

/// The state of the move.
#[derive(Default)]
pub(crate) struct Incoming {
    /// `None` before it was asked for.
    pub(crate) status: Option<MigrationStatus>,
    /// Whether a channel was opened, so that there is no second try.
    pub(crate) is_started: bool,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// Whether a failure ends the program.
    pub(crate) exit_on_error: bool,
    /// Where it listens, until the machine has come.
    pub(crate) listens_at: Option<SocketAddress>,
    /// The file of the listening socket.
    pub(crate) path: Option<UnixPath>,
    /// Waits for a connection, or for bytes.
    pub(crate) watch: Option<WatchId>,
    pub(crate) channel: Option<Channel>,
    pub(crate) loading: Loading,
}

impl Incoming {
    /// Whether a machine is awaited on a channel, or comes on it.
    pub(crate) fn is_arriving(&self) -> bool {
        let has_ended = matches!(
            self.status,
            Some(MigrationStatus::Completed | MigrationStatus::Failed)
        );
        self.is_started && !has_ended
    }
}

/// What a section asks for.
pub(crate) enum Asks {
    /// Nothing more.
    Nothing,
    /// That the machine runs here.
    ToRun,
    /// That an interrupted move goes on.
    ToResume,
}

/// A machine that is being read. Nothing but memory changes until all of it has come.
#[derive(Default)]
pub(crate) struct Loading {
    pub(crate) decoder: Decoder,
    pub(super) devices: Vec<(String, QDict)>,
    pub(super) machine: QDict,
    /// Whether the other side waits for an answer.
    pub(crate) return_path: bool,
}
