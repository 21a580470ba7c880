//! The three clocks, and where their time comes from.
//!
//! All three are read off one source. `Realtime` is the source itself;
//! `Virtual` is the source minus the time the machine was stopped plus what was
//! stepped; `Host` is the wall clock. With the system as source they follow the
//! kernel's monotonic and wall clocks. With a simulated source time stands
//! still until a turn of the loop finds nothing ready. Then it jumps to the
//! next deadline, so that a day of timeouts takes no time at all and happens in
//! the same order each time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Which clock a timer follows; QEMU's `QEMUClockType`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClockType {
    /// Runs always and evenly, whatever the machine and the wall clock do.
    /// Nanoseconds since the loop was made.
    Realtime,
    /// Runs while the machine runs. Nanoseconds, from 0.
    Virtual,
    /// The host's wall clock: nanoseconds since 1970, and may be set back.
    Host,
}

impl ClockType {
    /// In the order in which their timers run, which is QEMU's.
    pub(super) const ALL: [Self; 3] = [Self::Realtime, Self::Virtual, Self::Host];
}

/// Where the loop's time comes from.
#[derive(Debug)]
pub struct TimeSource(Source);

#[derive(Debug)]
enum Source {
    System {
        start: Instant,
        host_start: Option<i64>,
    },
    Simulated {
        now: i64,
        host_start: i64,
        jumps: bool,
    },
}

impl TimeSource {
    /// The system's clocks.
    pub fn system() -> Self {
        Self(Source::System {
            start: Instant::now(),
            host_start: None,
        })
    }

    /// The system's clocks, with the wall clock set to `host_ns` nanoseconds since 1970.
    pub fn system_from(host_ns: i64) -> Self {
        Self(Source::System {
            start: Instant::now(),
            host_start: Some(host_ns),
        })
    }

    /// Simulated time, in which the wall clock starts at 0, the first of
    /// January 1970. A turn of the loop never blocks; see
    /// [`main_loop_wait`](super::main_loop_wait).
    pub fn simulated() -> Self {
        Self::simulated_from(0)
    }

    /// Simulated time in which the wall clock starts at `host_ns` nanoseconds
    /// since 1970.
    pub fn simulated_from(host_ns: i64) -> Self {
        Self(Source::Simulated {
            now: 0,
            host_start: host_ns,
            jumps: true,
        })
    }

    /// Time that stands still until [`time_advance`](super::MainLoop::time_advance) moves it. A
    /// turn of the loop waits for fds as in the system's time, and the wall clock starts at
    /// `host_ns` nanoseconds since 1970. It is for a server whose clients are real and whose
    /// time a test controls.
    pub fn manual_from(host_ns: i64) -> Self {
        Self(Source::Simulated {
            now: 0,
            host_start: host_ns,
            jumps: false,
        })
    }

    /// Whether time passes by itself.
    pub fn is_system(&self) -> bool {
        matches!(self.0, Source::System { .. })
    }

    fn realtime(&self) -> i64 {
        match &self.0 {
            Source::System { start, .. } => saturating_ns(start.elapsed()),
            Source::Simulated { now, .. } => *now,
        }
    }

    fn host(&self) -> i64 {
        match &self.0 {
            Source::System {
                start,
                host_start: Some(host_start),
            } => host_start.saturating_add(saturating_ns(start.elapsed())),
            Source::System { .. } => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(since) => saturating_ns(since),
                Err(before) => -saturating_ns(before.duration()),
            },
            Source::Simulated {
                now, host_start, ..
            } => host_start.saturating_add(*now),
        }
    }
}

pub(super) fn saturating_ns(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The virtual clock is the realtime clock plus an offset while it runs, and a
/// standing value while it does not. Moved by hand it always stands, and may be enabled.
#[derive(Debug)]
enum VirtualClock {
    Running { offset: i64 },
    Stopped { value: i64 },
    ByHand { value: i64, enabled: bool },
}

/// The clocks of one loop. A clock may be disabled: its timers then do not
/// run; only the virtual one also stands still.
#[derive(Debug)]
pub(super) struct Clocks {
    source: TimeSource,
    virtual_clock: VirtualClock,
    realtime_enabled: bool,
    host_enabled: bool,
}

impl Clocks {
    pub(super) fn new(source: TimeSource) -> Self {
        let offset = -source.realtime();
        Self {
            source,
            virtual_clock: VirtualClock::Running { offset },
            realtime_enabled: true,
            host_enabled: true,
        }
    }

    pub(super) fn get_ns(&self, clock: ClockType) -> i64 {
        match clock {
            ClockType::Realtime => self.source.realtime(),
            ClockType::Host => self.source.host(),
            ClockType::Virtual => match self.virtual_clock {
                VirtualClock::Running { offset } => self.source.realtime().saturating_add(offset),
                VirtualClock::Stopped { value } | VirtualClock::ByHand { value, .. } => value,
            },
        }
    }

    pub(super) fn is_enabled(&self, clock: ClockType) -> bool {
        match clock {
            ClockType::Realtime => self.realtime_enabled,
            ClockType::Host => self.host_enabled,
            ClockType::Virtual => match self.virtual_clock {
                VirtualClock::Running { .. } => true,
                VirtualClock::Stopped { .. } => false,
                VirtualClock::ByHand { enabled, .. } => enabled,
            },
        }
    }

    /// Whether a clock is enabled and moves by itself, so that waiting brings its deadlines.
    pub(super) fn runs(&self, clock: ClockType) -> bool {
        let by_hand = matches!(self.virtual_clock, VirtualClock::ByHand { .. });
        self.is_enabled(clock) && !(clock == ClockType::Virtual && by_hand)
    }

    /// From now on only [`step`](Self::step) moves the virtual clock, which begins at 0.
    pub(super) fn take_virtual_in_hand(&mut self) {
        let enabled = self.is_enabled(ClockType::Virtual);
        self.virtual_clock = VirtualClock::ByHand { value: 0, enabled };
    }

    pub(super) fn enable(&mut self, clock: ClockType, enabled: bool) {
        match clock {
            ClockType::Realtime => self.realtime_enabled = enabled,
            ClockType::Host => self.host_enabled = enabled,
            ClockType::Virtual => {
                let value = self.get_ns(ClockType::Virtual);
                let by_hand = matches!(self.virtual_clock, VirtualClock::ByHand { .. });
                self.virtual_clock = if by_hand {
                    VirtualClock::ByHand { value, enabled }
                } else if enabled {
                    let offset = value.saturating_sub(self.source.realtime());
                    VirtualClock::Running { offset }
                } else {
                    VirtualClock::Stopped { value }
                };
            }
        }
    }

    pub(super) fn step(&mut self, ns: u64) {
        let (VirtualClock::Running { offset: value }
        | VirtualClock::Stopped { value }
        | VirtualClock::ByHand { value, .. }) = &mut self.virtual_clock;
        *value = value.saturating_add_unsigned(ns);
    }

    /// Whether a turn that finds nothing ready moves the time to the next deadline.
    pub(super) fn is_simulated(&self) -> bool {
        matches!(self.source.0, Source::Simulated { jumps: true, .. })
    }

    /// Whether only a call moves the time, so that no wait ends at a deadline.
    pub(super) fn is_manual(&self) -> bool {
        matches!(self.source.0, Source::Simulated { jumps: false, .. })
    }

    /// Lets simulated time pass; the system's time passes by itself.
    pub(super) fn advance(&mut self, by: Duration) {
        if let Source::Simulated { now, .. } = &mut self.source.0 {
            *now = now.saturating_add(saturating_ns(by));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const SECOND_NS: i64 = 1_000_000_000;

    #[test]
    fn simulated_clocks_start_at_zero_and_move_only_by_decree() {
        let mut clocks = Clocks::new(TimeSource::simulated());
        for clock in ClockType::ALL {
            assert_eq!(clocks.get_ns(clock), 0);
        }
        clocks.advance(SECOND);
        for clock in ClockType::ALL {
            assert_eq!(clocks.get_ns(clock), SECOND_NS);
        }
    }

    #[test]
    fn simulated_wall_clock_starts_where_it_is_told() {
        let clocks = Clocks::new(TimeSource::simulated_from(7));
        assert_eq!(clocks.get_ns(ClockType::Host), 7);
        assert_eq!(clocks.get_ns(ClockType::Realtime), 0);
    }

    #[test]
    fn only_the_virtual_clock_stands_still_when_stopped() {
        let mut clocks = Clocks::new(TimeSource::simulated());
        clocks.advance(SECOND);
        for clock in ClockType::ALL {
            clocks.enable(clock, false);
            assert!(!clocks.is_enabled(clock));
        }
        clocks.advance(SECOND);
        assert_eq!(clocks.get_ns(ClockType::Realtime), 2 * SECOND_NS);
        assert_eq!(clocks.get_ns(ClockType::Host), 2 * SECOND_NS);
        assert_eq!(clocks.get_ns(ClockType::Virtual), SECOND_NS);
        clocks.enable(ClockType::Virtual, true);
        clocks.advance(SECOND);
        assert_eq!(clocks.get_ns(ClockType::Virtual), 2 * SECOND_NS);
    }

    #[test]
    fn enabling_twice_changes_nothing() {
        let mut clocks = Clocks::new(TimeSource::simulated());
        clocks.advance(SECOND);
        clocks.enable(ClockType::Virtual, false);
        clocks.advance(SECOND);
        clocks.enable(ClockType::Virtual, false);
        assert_eq!(clocks.get_ns(ClockType::Virtual), SECOND_NS);
        clocks.enable(ClockType::Virtual, true);
        clocks.enable(ClockType::Virtual, true);
        assert_eq!(clocks.get_ns(ClockType::Virtual), SECOND_NS);
    }

    #[test]
    fn a_step_moves_the_virtual_clock_alone_stopped_or_not() {
        let mut clocks = Clocks::new(TimeSource::simulated());
        clocks.step(5);
        clocks.enable(ClockType::Virtual, false);
        clocks.step(6);
        assert_eq!(clocks.get_ns(ClockType::Virtual), 11);
        assert_eq!(clocks.get_ns(ClockType::Realtime), 0);
        clocks.step(u64::MAX);
        assert_eq!(clocks.get_ns(ClockType::Virtual), i64::MAX);
    }

    #[test]
    fn a_virtual_clock_in_hand_moves_by_steps_alone() {
        let mut clocks = Clocks::new(TimeSource::simulated());
        clocks.advance(SECOND);
        clocks.take_virtual_in_hand();
        clocks.advance(SECOND);
        assert_eq!(clocks.get_ns(ClockType::Virtual), 0);
        assert!(clocks.is_enabled(ClockType::Virtual));
        assert!(!clocks.runs(ClockType::Virtual));
        clocks.step(7);
        clocks.enable(ClockType::Virtual, false);
        clocks.step(8);
        assert!(!clocks.is_enabled(ClockType::Virtual));
        clocks.enable(ClockType::Virtual, true);
        clocks.advance(SECOND);
        assert_eq!(clocks.get_ns(ClockType::Virtual), 15);
        assert!(clocks.runs(ClockType::Realtime));
    }

    #[test]
    fn a_wall_clock_of_the_system_starts_where_it_is_told() {
        let clocks = Clocks::new(TimeSource::system_from(7 * SECOND_NS));
        let host = clocks.get_ns(ClockType::Host);
        assert!((7 * SECOND_NS..60 * SECOND_NS).contains(&host));
        assert!(host >= 7 * SECOND_NS + clocks.get_ns(ClockType::Realtime) - SECOND_NS);
    }

    #[test]
    fn system_clocks_do_not_go_back() {
        let clocks = Clocks::new(TimeSource::system());
        let first = clocks.get_ns(ClockType::Realtime);
        assert!(clocks.get_ns(ClockType::Realtime) >= first);
        assert!(clocks.get_ns(ClockType::Host) > 1_600_000_000 * SECOND_NS);
    }
}
