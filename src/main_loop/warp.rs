//! The virtual clock moved from outside, as QEMU's qtest protocol does it.
//!
//! A test that holds the clock wants to know that all is done when it is told the new time.
//! So the timers that fall due run here, in the middle of a turn, each at its own time.

use std::time::Duration;

use super::clock::ClockType;
use super::turn::run_timer;
use super::{Host, MainLoop};

impl<H> MainLoop<H> {
    /// From now on the virtual clock, which begins at 0, moves only by
    /// [`virtual_clock_warp`] and [`clock_step`](Self::clock_step).
    pub fn take_virtual_clock_in_hand(&mut self) {
        self.clocks.take_virtual_in_hand();
    }

    /// How long until the first timer of the virtual clock is due. None if there is none, or
    /// the clock is disabled.
    pub fn next_virtual_deadline(&self) -> Option<Duration> {
        let left = self.timers.ns_to_next_of(ClockType::Virtual, &self.clocks);
        left.map(Duration::from_nanos)
    }
}

/// Moves the virtual clock to a time, and runs the timers on the way, each when the
/// clock shows its deadline. A callback of the loop may call this. False if the time has
/// passed: the clock never goes back.
pub fn virtual_clock_warp<H: Host>(host: &mut H, to_ns: i64) -> bool {
    let mut due = Vec::new();
    loop {
        let main_loop = host.main_loop_mut();
        let left = to_ns.saturating_sub(main_loop.clock_get_ns(ClockType::Virtual));
        let Ok(left) = u64::try_from(left) else {
            return false;
        };
        let (timers, clocks) = (&main_loop.timers, &mut main_loop.clocks);
        let next = timers.ns_to_next_of(ClockType::Virtual, clocks);
        clocks.step(next.unwrap_or(left).min(left));
        if next.is_none_or(|next| next > left) {
            return true;
        }
        timers.list_due_of(ClockType::Virtual, clocks, &mut due);
        for one in due.drain(..) {
            run_timer(host, one);
        }
    }
}
