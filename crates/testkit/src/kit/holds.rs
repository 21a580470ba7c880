//! Requests that are answered later.

use std::rc::Rc;

use qmonitor::monitor::MonitorId;
use qmonitor::qapi::{QDict, RawResponder};

use super::agent::Reply;
use super::journal::Fate;
use super::stubs::How;
use super::{Kit, Rt};
use crate::pattern::Bindings;
use crate::scenario::Emit;

/// What is to be done about a request.
pub(super) struct Due {
    pub(super) command: String,
    pub(super) args: QDict,
    pub(super) how: How,
    pub(super) before: Vec<Emit>,
    pub(super) bound: Bindings,
}

/// Who gets the answer.
pub(super) enum Waiter {
    /// A client of a monitor.
    Monitor(MonitorId, RawResponder),
    /// A client of a guest agent, and the events after the reply.
    Agent(Reply, Vec<Emit>),
}

/// A request that waits for its answer.
pub(super) struct Held {
    n: u64,
    point: String,
    due: Due,
    waiter: Waiter,
}

impl Held {
    pub(super) fn new(n: u64, due: Due, waiter: Waiter) -> Self {
        Held {
            n,
            point: String::new(),
            due,
            waiter,
        }
    }

    pub(super) fn at(mut self, point: String) -> Self {
        self.point = point;
        self
    }

    /// Answers it.
    pub(super) fn answer(self, kit: &Rc<Kit>, rt: &mut Rt) {
        kit.touch();
        let mut due = self.due;
        Kit::emit_all(kit, rt, std::mem::take(&mut due.before), &due.bound);
        match (self.waiter, due.how) {
            (Waiter::Monitor(monitor, responder), How::Machine) => {
                rt.run_command(monitor, &due.command, due.args, responder);
            }
            (Waiter::Monitor(_, responder), How::Value(answer)) => responder.respond(answer),
            (Waiter::Agent(reply, then), how) => {
                kit.agent_answers(rt, reply, Due { how, ..due }, then);
            }
        }
    }
}

impl Kit {
    pub(super) fn hold(&self, held: Held) {
        let n = held.n;
        self.state.borrow_mut().held.push(held);
        self.settle(n, Fate::Held);
    }

    /// Answers what is held at a point, and lets pass what comes there from now on. Returns how
    /// many requests were held.
    pub fn release(self: &Rc<Self>, rt: &mut Rt, point: &str) -> usize {
        let released = {
            let state = &mut *self.state.borrow_mut();
            state.released.insert(point.to_owned());
            let all = std::mem::take(&mut state.held);
            let (released, kept): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|held| held.point == point);
            state.held = kept;
            released
        };
        let count = released.len();
        for held in released {
            held.answer(self, rt);
        }
        count
    }

    /// Holds again what comes to a point that was released.
    pub fn hold_again(&self, point: &str) {
        self.state.borrow_mut().released.remove(point);
    }
}
