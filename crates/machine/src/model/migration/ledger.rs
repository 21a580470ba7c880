//! The figures of a migration, and its pace: how much may be sent now, and when the rest is
//! so little that the machine can be stopped for it.
//!
//! Nothing runs in this machine, so most of its memory is zero and costs a few bytes to tell
//! of. A guest that writes can be simulated by a rate (`-dirty-rate`): all memory counts as in
//! use, and so many bytes change in a second. They are counted as if they were sent, and are
//! not sent.

/// The size of a page.
pub const PAGE: u64 = 4096;

/// What a page of zeros costs, and one with content.
const ZERO_COST: u64 = 9;
const NORMAL_COST: u64 = PAGE + 8;

const MS: i64 = 1_000_000;
/// The limit of a second is kept in pieces of this length.
const WINDOW: i64 = 100 * MS;
/// The rate of change is looked at so often at most.
const PERIOD: i64 = 1000 * MS;

/// What the settings say about the pace.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes in a second; 0 for any.
    pub bandwidth: u64,
    /// Bytes in a second to reckon with at the end; 0 for those of the last window.
    pub switchover_bandwidth: u64,
    /// How long the machine may stand still, in milliseconds.
    pub downtime_limit: u64,
    /// Bytes that change in a second.
    pub dirty_rate: u64,
}

/// How a guest is slowed down that writes faster than can be sent (`auto-converge`).
#[derive(Debug, Clone, Copy)]
pub struct Brake {
    /// How much of what was sent may have been changed, in percent.
    pub threshold: u64,
    /// By how many percent the guest is slowed first.
    pub initial: u64,
    /// By how many more each time.
    pub increment: u64,
    /// By how many at most.
    pub max: u64,
}

/// The figures. Times are nanoseconds of the machine's clock.
#[derive(Debug, Clone)]
pub struct Ledger {
    started: i64,
    set_up: Option<i64>,
    stopped: Option<i64>,
    ended: Option<i64>,
    downtime: Option<i64>,
    total: u64,
    /// Whether a simulated guest uses all of it.
    is_in_use: bool,
    /// Pages still to look at in this pass, and simulated pages to send.
    unseen: u64,
    dirty: u64,
    duplicate: u64,
    normal: u64,
    transferred: u64,
    precopy_bytes: u64,
    downtime_bytes: u64,
    postcopy_bytes: u64,
    is_postcopy: bool,
    sync_count: u64,
    last_sync: i64,
    /// Of a page that was begun to change when memory was looked at last, in bytes and
    /// nanoseconds of a second.
    fraction: u64,
    window: i64,
    window_bytes: u64,
    window_pages: u64,
    threshold: u64,
    mbps: f64,
    pages_per_second: u64,
    expected_downtime: i64,
    /// What changed and what was sent in the period so far.
    period: i64,
    period_dirty: u64,
    period_sent: u64,
    dirty_pages_rate: u64,
    throttle: u64,
    high_rates: u32,
}

impl Ledger {
    /// The figures of a migration that starts now, of so many bytes of memory.
    pub fn new(now: i64, total: u64, pace: &Pace) -> Self {
        Ledger {
            started: now,
            set_up: None,
            stopped: None,
            ended: None,
            downtime: None,
            total,
            is_in_use: pace.dirty_rate > 0,
            unseen: total.div_ceil(PAGE),
            dirty: 0,
            duplicate: 0,
            normal: 0,
            transferred: 0,
            precopy_bytes: 0,
            downtime_bytes: 0,
            postcopy_bytes: 0,
            is_postcopy: false,
            sync_count: 0,
            last_sync: now,
            fraction: 0,
            window: now,
            window_bytes: 0,
            window_pages: 0,
            threshold: 0,
            mbps: 0.0,
            pages_per_second: 0,
            expected_downtime: i64::try_from(pace.downtime_limit).unwrap_or(i64::MAX),
            period: now,
            period_dirty: 0,
            period_sent: 0,
            dirty_pages_rate: 0,
            throttle: 0,
            high_rates: 0,
        }
    }

    /// The channel is there: the first pass begins. Returns its number.
    pub fn begin(&mut self, now: i64) -> u64 {
        self.set_up = Some(now);
        (self.window, self.last_sync, self.period) = (now, now, now);
        self.sync_count = 1;
        1
    }

    /// How many bytes may be sent before the window ends; `None` for any.
    pub fn budget(&self, pace: &Pace) -> Option<u64> {
        if self.stopped.is_some() && !self.is_postcopy || pace.bandwidth == 0 {
            return None;
        }
        let share = pace.bandwidth / 10;
        Some(share.max(1).saturating_sub(self.window_bytes))
    }

    /// Closes the window if its time is over; returns when that is the case otherwise.
    pub fn turn_window(&mut self, now: i64, pace: &Pace) -> Option<i64> {
        let spent = now - self.window;
        if spent < WINDOW {
            return Some(self.window + WINDOW);
        }
        let ms = spent as u64 / MS as u64;
        let bandwidth = if pace.switchover_bandwidth == 0 {
            self.window_bytes / ms
        } else {
            pace.switchover_bandwidth / 1000
        };
        self.threshold = bandwidth.saturating_mul(pace.downtime_limit);
        self.mbps = self.window_bytes as f64 * 8.0 / ms as f64 / 1000.0;
        self.pages_per_second = self.window_pages * 1000 / ms;
        if self.dirty_pages_rate > 0 && self.window_bytes > 10_000 {
            let ms = self.remaining() / bandwidth.max(1);
            self.expected_downtime = i64::try_from(ms).unwrap_or(i64::MAX);
        }
        (self.window, self.window_bytes, self.window_pages) = (now, 0, 0);
        None
    }

    /// Pages of this pass that were not looked at yet.
    pub fn unseen(&self) -> u64 {
        self.unseen
    }

    /// Looks at up to `count` pages of zeros, as far as the limit allows. Returns how many.
    pub fn send_zeros(&mut self, count: u64, pace: &Pace) -> u64 {
        let cost = if self.is_in_use {
            NORMAL_COST
        } else {
            ZERO_COST
        };
        let count = self.affordable(count.min(self.unseen), cost, pace);
        self.unseen -= count;
        *if self.is_in_use {
            &mut self.normal
        } else {
            &mut self.duplicate
        } += count;
        self.spend(count * cost, count);
        count
    }

    /// Counts a page of zeros among pages with content.
    pub fn send_zero(&mut self) {
        self.unseen = self.unseen.saturating_sub(1);
        self.duplicate += 1;
        self.spend(ZERO_COST, 1);
    }

    /// Counts a page with content that was written to the stream.
    pub fn send_page(&mut self) {
        self.unseen = self.unseen.saturating_sub(1);
        self.normal += 1;
        self.spend(NORMAL_COST, 1);
    }

    /// Counts simulated pages as sent, as far as the limit allows.
    pub fn send_dirty(&mut self, pace: &Pace) {
        let count = self.affordable(self.dirty, NORMAL_COST, pace);
        self.dirty -= count;
        self.normal += count;
        self.spend(count * NORMAL_COST, count);
    }

    /// Counts bytes that are no pages.
    pub fn send_bytes(&mut self, bytes: u64) {
        self.transferred += bytes;
        self.window_bytes += bytes;
    }

    fn affordable(&self, count: u64, cost: u64, pace: &Pace) -> u64 {
        match self.budget(pace) {
            None => count,
            Some(budget) => count.min(budget.div_ceil(cost)),
        }
    }

    fn spend(&mut self, bytes: u64, pages: u64) {
        self.transferred += bytes;
        self.window_bytes += bytes;
        self.window_pages += pages;
        self.period_sent += bytes;
        if self.is_postcopy {
            self.postcopy_bytes += bytes;
        } else if self.stopped.is_some() {
            self.downtime_bytes += bytes;
        } else {
            self.precopy_bytes += bytes;
        }
    }

    /// Looks which pages have changed (`migration_bitmap_sync`). Returns the number of the
    /// pass that begins.
    pub fn sync(&mut self, now: i64, pace: &Pace, brake: Option<&Brake>) -> u64 {
        if self.stopped.is_none() {
            self.simulate(now, pace);
        }
        self.last_sync = now;
        if now - self.period >= PERIOD {
            let ms = (now - self.period) as u64 / MS as u64;
            self.dirty_pages_rate = self.period_dirty * 1000 / ms;
            if let Some(brake) = brake {
                self.brake(brake);
            }
            (self.period, self.period_dirty, self.period_sent) = (now, 0, 0);
        }
        self.sync_count += 1;
        self.sync_count
    }

    /// Adds the pages that a guest has written to since the last look.
    fn simulate(&mut self, now: i64, pace: &Pace) {
        let rate = u128::from(pace.dirty_rate) * u128::from(100 - self.throttle) / 100;
        let written = rate * (now - self.last_sync) as u128 + u128::from(self.fraction);
        let page = u128::from(PAGE) * 1_000_000_000;
        self.fraction = u64::try_from(written % page).unwrap_or(0);
        let pages = u64::try_from(written / page).unwrap_or(u64::MAX);
        let pages = pages.min(self.total / PAGE - self.dirty.min(self.total / PAGE));
        self.dirty += pages;
        self.period_dirty += pages;
    }

    /// Slows the guest down if it writes too much for the second time.
    fn brake(&mut self, brake: &Brake) {
        let limit = self.period_sent.saturating_mul(brake.threshold) / 100;
        if self.period_dirty * PAGE <= limit {
            return;
        }
        self.high_rates += 1;
        if self.high_rates >= 2 {
            self.high_rates = 0;
            self.throttle = match self.throttle {
                0 => brake.initial,
                throttle => throttle + brake.increment,
            }
            .min(brake.max);
        }
    }

    /// Whether looking for changes may show that the rest is little enough.
    pub fn seems_done(&self) -> bool {
        self.remaining() < self.threshold
    }

    /// Whether the machine may be stopped for the rest.
    pub fn may_stop(&self) -> bool {
        self.remaining() == 0 || self.seems_done()
    }

    /// The machine stands still from now on.
    pub fn stop(&mut self, now: i64, pace: &Pace) {
        self.simulate(now, pace);
        self.last_sync = now;
        self.stopped = Some(now);
    }

    /// The machine runs on the other side, and the rest follows.
    pub fn postcopy(&mut self, now: i64) {
        self.is_postcopy = true;
        self.downtime = self.stopped.map(|stopped| now - stopped);
    }

    /// All has been sent.
    pub fn end(&mut self, now: i64) {
        self.ended = Some(now);
        let downtime = self.stopped.map(|stopped| now - stopped);
        self.downtime = self.downtime.or(downtime);
        let ms = self.total_time(now) - self.setup_time().unwrap_or(0);
        if ms > 0 {
            self.mbps = self.transferred as f64 * 8.0 / ms as f64 / 1000.0;
        }
    }

    /// Bytes of memory still to send.
    pub fn remaining(&self) -> u64 {
        (self.unseen + self.dirty).saturating_mul(PAGE)
    }

    /// Milliseconds until the channel was there.
    pub fn setup_time(&self) -> Option<i64> {
        self.set_up.map(|set_up| (set_up - self.started) / MS)
    }

    /// Milliseconds in all.
    pub fn total_time(&self, now: i64) -> i64 {
        (self.ended.unwrap_or(now) - self.started) / MS
    }

    /// Milliseconds without a running machine, once it runs again.
    pub fn downtime(&self) -> Option<i64> {
        self.downtime.map(|ns| ns / MS)
    }

    /// Milliseconds that the machine would stand still.
    pub fn expected_downtime(&self) -> i64 {
        self.expected_downtime
    }

    /// By how many percent the guest is slowed down.
    pub fn throttle(&self) -> u64 {
        self.throttle
    }

    /// The figures of memory.
    pub fn ram(&self) -> crate::schema::MigrationRAMStats {
        let int = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        crate::schema::MigrationRAMStats {
            transferred: int(self.transferred),
            remaining: int(self.remaining()),
            total: int(self.total),
            duplicate: int(self.duplicate),
            normal: int(self.normal),
            normal_bytes: int(self.normal.saturating_mul(PAGE)),
            dirty_pages_rate: int(self.dirty_pages_rate),
            mbps: self.mbps,
            dirty_sync_count: int(self.sync_count),
            postcopy_requests: 0,
            page_size: int(PAGE),
            multifd_bytes: 0,
            pages_per_second: self.pages_per_second,
            precopy_bytes: self.precopy_bytes,
            downtime_bytes: self.downtime_bytes,
            postcopy_bytes: self.postcopy_bytes,
            dirty_sync_missed_zero_copy: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn pace(bandwidth: u64, dirty_rate: u64) -> Pace {
        Pace {
            bandwidth,
            switchover_bandwidth: 0,
            downtime_limit: 300,
            dirty_rate,
        }
    }

    #[test]
    fn a_window_takes_its_share_and_no_more() {
        let pace = pace(90_000, 0);
        let mut ledger = Ledger::new(0, 1 << 30, &pace);
        assert_eq!(ledger.begin(0), 1);
        assert_eq!(ledger.budget(&pace), Some(9000));
        assert_eq!(ledger.send_zeros(1 << 20, &pace), 1000);
        assert_eq!(ledger.budget(&pace), Some(0));
        assert_eq!(ledger.turn_window(SECOND / 20, &pace), Some(SECOND / 10));
        assert_eq!(ledger.turn_window(SECOND / 10, &pace), None);
        assert_eq!(ledger.budget(&pace), Some(9000));
        let ram = ledger.ram();
        assert_eq!((ram.duplicate, ram.transferred), (1000, 9000));
        assert_eq!((ram.pages_per_second, ram.mbps), (10_000, 0.72));
        // 300 ms at 90 bytes a millisecond.
        assert!(!ledger.seems_done());
    }

    #[test]
    fn what_a_guest_writes_comes_back_in_the_next_pass() {
        let pace = pace(0, 409_600);
        let mut ledger = Ledger::new(0, 1 << 20, &pace);
        ledger.begin(0);
        assert_eq!(ledger.send_zeros(256, &pace), 256);
        assert_eq!(ledger.remaining(), 0);
        assert_eq!(ledger.sync(SECOND, &pace, None), 2);
        assert_eq!(ledger.remaining(), 409_600);
        assert_eq!(ledger.ram().dirty_pages_rate, 100);
        ledger.send_dirty(&pace);
        // A page and a half, and then the other half.
        ledger.sync(SECOND + SECOND / 100 * 3 / 2, &pace, None);
        assert_eq!(ledger.remaining(), 4096);
        ledger.sync(SECOND + SECOND / 100 * 2, &pace, None);
        assert_eq!(ledger.remaining(), 2 * 4096);
        // No more than there is.
        ledger.sync(100 * SECOND, &pace, None);
        assert_eq!(ledger.remaining(), 1 << 20);
    }

    #[test]
    fn what_was_written_before_the_stop_is_sent() {
        let pace = pace(0, 4096);
        let mut ledger = Ledger::new(0, 1 << 20, &pace);
        ledger.begin(0);
        ledger.send_zeros(256, &pace);
        ledger.stop(3 * SECOND, &pace);
        assert_eq!(ledger.remaining(), 3 * 4096);
        ledger.sync(9 * SECOND, &pace, None);
        assert_eq!(ledger.remaining(), 3 * 4096);
        ledger.send_dirty(&pace);
        ledger.end(10 * SECOND);
        assert_eq!(ledger.downtime(), Some(7000));
        assert_eq!(ledger.total_time(99 * SECOND), 10_000);
    }
}
