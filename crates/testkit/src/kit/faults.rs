//! Which faults happen at a point.

use qmonitor::qapi::QObject;

use super::{Kit, State};
use crate::pattern::Bindings;
use crate::scenario::{Action, Fault, Point};

/// A fault and how often it could have happened.
pub(super) struct LiveFault {
    pub(super) fault: Fault,
    seen: u64,
}

impl LiveFault {
    pub(super) fn new(fault: Fault) -> Self {
        LiveFault { fault, seen: 0 }
    }

    pub(super) fn reset(&mut self) {
        self.seen = 0;
    }
}

impl State {
    /// What goes wrong at this point, about the command or event of this name.
    pub(super) fn faults_at(&mut self, at: Point, name: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        for live in &mut self.faults {
            let fault = &live.fault;
            if !fault.enabled || fault.at != at {
                continue;
            }
            let value = QObject::from(name);
            let of = fault.of.as_ref();
            if !of.is_none_or(|of| of.fits(Some(&value), false, &mut Bindings::new())) {
                continue;
            }
            live.seen += 1;
            let is_nth = fault.nth.is_none_or(|nth| nth == live.seen);
            let random = &mut self.random;
            if is_nth && fault.probability.is_none_or(|p| random.chance(p)) {
                actions.extend(fault.actions.iter().cloned());
            }
        }
        actions
    }

    /// Whether a fault is on at this point.
    pub(super) fn has_faults_at(&self, at: Point) -> bool {
        let mut faults = self.faults.iter().map(|live| &live.fault);
        faults.any(|fault| fault.enabled && fault.at == at)
    }

    /// How output is written at present: the size of pieces, and how many messages are kept
    /// back.
    pub(super) fn output_faults(&self) -> (Option<Option<usize>>, Option<usize>) {
        let faults = self.faults.iter().map(|live| &live.fault);
        let on = faults.filter(|fault| fault.enabled && fault.at == Point::Output);
        let (mut slice, mut hold) = (None, None);
        for action in on.flat_map(|fault| &fault.actions) {
            match action {
                Action::Slice(n) => slice = Some(*n),
                Action::HoldFor(n) => hold = Some(*n),
                _ => {}
            }
        }
        (slice, hold)
    }
}

impl Kit {
    /// Switches a fault on or off.
    ///
    /// # Errors
    ///
    /// There is none of this name; the message has the nearest one.
    pub fn set_fault(&self, name: &str, enabled: bool) -> Result<(), String> {
        let faults = &mut self.state.borrow_mut().faults;
        Fault::switch(faults.iter_mut().map(|live| &mut live.fault), name, enabled)
    }

    /// Adds a fault; one of its name is replaced.
    pub fn add_fault(&self, fault: Fault) {
        let mut state = self.state.borrow_mut();
        state.faults.retain(|live| live.fault.name != fault.name);
        state.faults.push(LiveFault::new(fault));
    }
}
