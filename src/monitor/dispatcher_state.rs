//! The state of the [dispatcher](super::dispatcher), which the runtime holds.

use std::collections::VecDeque;

use super::table::MonitorId;
use crate::main_loop::BhId;
use crate::qapi::json::JsonWriter;
use crate::qapi::PlainArguments;

/// State of the dispatcher.
pub(crate) struct Dispatcher {
    pub(super) bh: BhId,
    /// Sessions with waiting requests, each once.
    pub(super) ready: VecDeque<MonitorId>,
    /// The program is about to end.
    pub(in crate::monitor) stopped: bool,
    /// An in-band command is under way.
    pub(super) busy: bool,
    /// Kept empty, for its memory; `None` while a reply is being written.
    pub(super) writer: Option<Box<JsonWriter>>,
    /// Memory for the arguments of a request.
    pub(super) spare_arguments: Option<Box<PlainArguments>>,
    /// The monitor that the command under way came from.
    pub(super) current: Option<MonitorId>,
    /// How that monitor lays out its replies from now on, if its command has changed that.
    pub(super) relaid: Option<bool>,
}

impl Dispatcher {
    /// One whose bottom half is `bh`.
    pub(super) fn new(bh: BhId) -> Self {
        Dispatcher {
            bh,
            ready: VecDeque::new(),
            stopped: false,
            busy: false,
            writer: None,
            spare_arguments: None,
            current: None,
            relaid: None,
        }
    }

    /// No request is taken up any more; the program is about to end.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }
}
