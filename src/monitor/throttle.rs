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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::main_loop::{MainLoop, TimeSource};

    fn held(time_ns: i64) -> Held {
        Held {
            data: QDict::new(),
            time_ns,
        }
    }

    fn key(part: &str) -> Key {
        ("VSERPORT_CHANGE", Some(part.to_owned()))
    }

    struct App(MainLoop<App>);

    impl crate::main_loop::Host for App {
        fn main_loop(&self) -> &MainLoop<App> {
            &self.0
        }

        fn main_loop_mut(&mut self) -> &mut MainLoop<App> {
            &mut self.0
        }
    }

    #[test]
    fn only_the_last_of_an_interval_is_held_and_it_starts_another() {
        let mut main_loop = MainLoop::<App>::with_time(TimeSource::simulated()).unwrap();
        let clock = crate::main_loop::ClockType::Realtime;
        let timer = main_loop.timer_new(clock, "test", |_| {});
        let mut throttles = EventThrottles::default();
        assert!(throttles.hold(&key("a"), held(1)).is_some(), "it goes out");
        throttles.begin(key("a"), timer);
        assert!(throttles.hold(&key("a"), held(2)).is_none());
        assert!(throttles.hold(&key("a"), held(3)).is_none());
        assert!(throttles.hold(&key("b"), held(4)).is_some(), "another kind");
        match throttles.interval_ends(&key("a")) {
            Some(IntervalEnd::Sends(event, again)) => {
                assert_eq!((event.time_ns, again), (3, timer));
            }
            _ => panic!("one was held"),
        }
        let idle = throttles.interval_ends(&key("a"));
        assert!(matches!(idle, Some(IntervalEnd::Idle(again)) if again == timer));
        assert!(throttles.interval_ends(&key("a")).is_none());
        assert!(throttles.hold(&key("a"), held(5)).is_some());
    }
}
