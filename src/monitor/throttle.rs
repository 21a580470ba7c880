//! The rate limits of events. They know no clock and no monitor.
//!
//! An event of a limited kind that goes out starts its interval. Of those that
//! arise within the interval only the last is held; when the interval ends it goes
//! out and starts another.

use std::collections::HashMap;

use crate::main_loop::TimerId;
use crate::qapi::QDict;

/// A kind of event that has its own limit: the event's name, and for some a part of
/// its data.
pub(super) type Key = (&'static str, Option<String>);

/// An event held back.
pub(super) struct Held {
    pub(super) data: QDict,
    /// When it arose.
    pub(super) time_ns: i64,
}

struct Throttle {
    timer: TimerId,
    held: Option<Held>,
}

/// The end of a kind's interval.
pub(super) enum IntervalEnd {
    /// This goes out, and the timer is started again.
    Sends(Held, TimerId),
    /// No event was held: the kind is not limited any more, and the timer is freed.
    Idle(TimerId),
}

/// The kinds whose interval runs.
#[derive(Default)]
pub(crate) struct EventThrottles {
    throttles: HashMap<Key, Throttle>,
}

impl EventThrottles {
    /// Holds an event back if the interval of its kind runs, else returns it.
    pub(super) fn hold(&mut self, key: &Key, event: Held) -> Option<Held> {
        match self.throttles.get_mut(key) {
            Some(throttle) => {
                throttle.held = Some(event);
                None
            }
            None => Some(event),
        }
    }

    /// An event has gone out; `timer` ends its interval.
    pub(super) fn begin(&mut self, key: Key, timer: TimerId) {
        self.throttles.insert(key, Throttle { timer, held: None });
    }

    /// The interval of a kind has ended.
    pub(super) fn interval_ends(&mut self, key: &Key) -> Option<IntervalEnd> {
        let throttle = self.throttles.get_mut(key)?;
        let timer = throttle.timer;
        if let Some(held) = throttle.held.take() {
            return Some(IntervalEnd::Sends(held, timer));
        }
        self.throttles.remove(key);
        Some(IntervalEnd::Idle(timer))
    }
}
