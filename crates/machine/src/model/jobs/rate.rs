//! How fast a job may work.

/// The time for which what was done is counted together, in nanoseconds.
const SLICE: i64 = 100_000_000;

/// A limit on bytes in a second. A piece may go beyond what is allowed; the job then waits
/// until the mean is right again.
#[derive(Debug, Default)]
pub(super) struct Rate {
    speed: u64,
    start: i64,
    end: i64,
    done: u64,
}

impl Rate {
    /// A limit; zero is none.
    pub(super) fn new(speed: u64) -> Self {
        Rate {
            speed,
            ..Rate::default()
        }
    }

    pub(super) fn speed(&self) -> u64 {
        self.speed
    }

    pub(super) fn set_speed(&mut self, speed: u64) {
        self.speed = speed;
    }

    /// Counts bytes that were just copied.
    pub(super) fn account(&mut self, bytes: u64, now: i64) {
        if now > self.end {
            self.start = now;
            self.end = now + SLICE;
            self.done = 0;
        }
        self.done = self.done.saturating_add(bytes);
    }

    /// Until when to wait, if the job has to.
    pub(super) fn wait_until(&mut self, now: i64) -> Option<i64> {
        if self.speed == 0 || now > self.end {
            return None;
        }
        let quota = (self.speed / 10).max(1);
        if self.done < quota {
            return None;
        }
        let slice = u128::from(SLICE.unsigned_abs());
        let length = u128::from(self.done) * slice / u128::from(quota);
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.end = self.start.saturating_add(length);
        (self.end > now).then_some(self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_in_the_mean() {
        let mut rate = Rate::new(65536);
        rate.account(524_288, 0);
        let until = rate.wait_until(0).unwrap();
        assert_eq!(until / SLICE, 80, "eight seconds for eight times the speed");
        rate.account(1, until + 1);
        assert_eq!(rate.wait_until(until + 1), None);
    }

    #[test]
    fn no_limit_waits_for_nothing() {
        let mut rate = Rate::new(0);
        rate.account(u64::MAX, 0);
        assert_eq!(rate.wait_until(0), None);
        rate.set_speed(1);
        assert!(rate.wait_until(0).is_some(), "a new limit holds at once");
    }
}
