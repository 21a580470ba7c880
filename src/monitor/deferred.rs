//! Commands that were started and have not been answered.
//!
//! A deferred command is given a responder, which may be used at once, later, or
//! on another thread. Its answer arrives here, and a bottom half takes it to its
//! client ([`answers`](super::answers)). An answer that stands here when the
//! command's function returns is taken at once.

use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, ThreadId};

use super::hmp::context::HmpUnderWay;
use super::session::Serial;
use super::table::MonitorId;
use crate::main_loop::BhHandle;
use crate::qapi::{Error, QObject, RawResponder, ReplyPort};
use crate::slots::{Key, Slots};

pub(crate) type Answer = Result<QObject, Error>;

/// A command under way.
pub(crate) enum UnderWay<S: 'static> {
    /// Of a QMP session.
    Qmp(QmpUnderWay),
    /// Of the human monitor.
    Hmp(HmpUnderWay<S>),
}

/// What the answer to a QMP command needs.
pub(crate) struct QmpUnderWay {
    pub(super) monitor: MonitorId,
    pub(super) connection: u64,
    pub(super) id: Option<QObject>,
    pub(super) in_band: bool,
    /// Success is not answered.
    pub(super) no_success_response: bool,
    pub(super) name: &'static str,
    pub(super) serial: Serial,
}

/// Where responders put their answers, from whichever thread.
struct Port {
    answers: Mutex<Answers>,
    bh: BhHandle,
}

#[derive(Default)]
struct Answers {
    arrived: Vec<(u64, Answer)>,
    /// The command whose function runs, and its thread.
    starting: Option<(u64, ThreadId)>,
}

impl Port {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl ReplyPort for Port {
    fn deliver(&self, token: u64, answer: Answer) {
        let mut answers = self.answers();
        answers.arrived.push((token, answer));
        let at_once = answers
            .starting
            .is_some_and(|(starting, by)| starting == token && by == thread::current().id());
        drop(answers);
        // Its function's caller is about to look. Waking the loop is two system calls.
        if !at_once {
            self.bh.schedule();
        }
    }
}

/// All commands under way.
pub(crate) struct Deferred<S: 'static> {
    /// A token is the number of a key.
    commands: Slots<UnderWay<S>>,
    port: Arc<Port>,
}

impl<S> Deferred<S> {
    /// None; `bh` takes answers to where they belong.
    pub(super) fn new(bh: BhHandle) -> Self {
        Deferred {
            commands: Slots::new(),
            port: Arc::new(Port {
                answers: Mutex::default(),
                bh,
            }),
        }
    }

    /// Enters a command. Returns its token, and the duty to answer it.
    pub(super) fn begin(&mut self, command: UnderWay<S>) -> (u64, RawResponder) {
        let token = self.commands.insert(command).to_opaque();
        (token, RawResponder::new(self.port.clone(), token))
    }

    /// The function of this command runs next, on this thread, and then
    /// [`take_answer`](Self::take_answer) is called, whatever happened: until then its
    /// answer need not wake the loop.
    pub(super) fn starts(&self, token: u64) {
        self.port.answers().starting = Some((token, thread::current().id()));
    }

    /// Takes a command out, to answer it.
    pub(super) fn finish(&mut self, token: u64) -> Option<UnderWay<S>> {
        self.commands.remove(Key::from_opaque(token))
    }

    /// The line of the human monitor with this token.
    pub(super) fn hmp_mut(&mut self, token: u64) -> Option<&mut HmpUnderWay<S>> {
        match self.commands.get_mut(Key::from_opaque(token))? {
            UnderWay::Hmp(line) => Some(line),
            UnderWay::Qmp(_) => None,
        }
    }

    /// Takes the answers that have arrived, in order.
    pub(super) fn take_answers(&self) -> Vec<(u64, Answer)> {
        std::mem::take(&mut self.port.answers().arrived)
    }

    /// Takes the answer to this command if it has arrived.
    pub(super) fn take_answer(&self, token: u64) -> Option<Answer> {
        let mut answers = self.port.answers();
        if answers
            .starting
            .is_some_and(|(starting, _)| starting == token)
        {
            answers.starting = None;
        }
        let arrived = &mut answers.arrived;
        let at = arrived.iter().position(|(other, _)| *other == token)?;
        Some(arrived.remove(at).1)
    }

    /// Whether a QMP command of this connection is under way.
    pub(super) fn has_qmp(&self, monitor: MonitorId, connection: u64) -> bool {
        self.commands.iter().any(|(_, command)| match command {
            UnderWay::Qmp(qmp) => qmp.monitor == monitor && qmp.connection == connection,
            UnderWay::Hmp(_) => false,
        })
    }
}
