//! Keys on their way to the machine.

use std::collections::VecDeque;
use std::time::Duration;

use crate::schema::KeyValue;
use qmonitor::main_loop::TimerId;

/// What is on its way.
#[derive(Debug)]
pub(crate) enum Step {
    Key(KeyValue, bool),
    Wait(Duration),
}

/// The steps to come, and the timer that waits between them.
#[derive(Debug, Default)]
pub(crate) struct KeyQueue {
    pub(crate) steps: VecDeque<Step>,
    pub(crate) timer: Option<TimerId>,
    pub(crate) waits: bool,
}
