//! Timers on the three clocks.

use std::time::Duration;

use super::armed::{Armed, Arming, Entry};
use super::clock::{saturating_ns, ClockType, Clocks};
use super::{LoopEvent, MainLoop};
use crate::slots::{Key, Slots};

/// Names a timer. Never reused: the id of a freed timer finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TimerId(pub(super) Key);

pub(super) type TimerCallback<H> = Box<dyn FnMut(&mut H)>;

pub(super) struct TimerEntry<H> {
    pub(super) name: &'static str,
    clock: ClockType,
    /// None exactly while it runs.
    pub(super) callback: Option<TimerCallback<H>>,
}

/// A timer found due after the wait. It runs only if it is still armed as it
/// was then: what a callback armed anew meanwhile waits for the next turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) id: Key,
    arming: Arming,
}

pub(super) struct Timers<H> {
    slots: Slots<TimerEntry<H>>,
    /// By clock.
    armed: [Armed; 3],
    /// How many are armed, on all clocks.
    armed_count: usize,
    /// The number of the last arming.
    armings: u64,
    /// By place: the number of the arming that is in force, 0 if there is none. Apart
    /// from the timers, to be quickly read for thousands of entries.
    in_force: Vec<u64>,
}

impl<H> Timers<H> {
    pub(super) fn new() -> Self {
        Self {
            slots: Slots::new(),
            armed: Default::default(),
            armed_count: 0,
            armings: 0,
            in_force: Vec::new(),
        }
    }

    pub(super) fn insert(
        &mut self,
        clock: ClockType,
        name: &'static str,
        callback: TimerCallback<H>,
    ) -> Key {
        let id = self.slots.insert(TimerEntry {
            name,
            clock,
            callback: Some(callback),
        });
        if id.place() == self.in_force.len() {
            self.in_force.push(0);
        }
        id
    }

    pub(super) fn get_mut(&mut self, id: Key) -> Option<&mut TimerEntry<H>> {
        self.slots.get_mut(id)
    }

    pub(super) fn is_armed(&self, id: Key) -> bool {
        self.slots.get(id).is_some() && self.in_force[id.place()] != 0
    }

    pub(super) fn arm(&mut self, id: Key, deadline: i64) -> bool {
        let Some(timer) = self.slots.get(id) else {
            return false;
        };
        self.armings += 1;
        let arming = Arming {
            deadline,
            number: self.armings,
        };
        let clock = timer.clock;
        let before = std::mem::replace(&mut self.in_force[id.place()], self.armings);
        self.armed[clock as usize].insert(Entry { arming, id });
        if before == 0 {
            self.armed_count += 1;
        } else {
            self.forget_one(clock);
        }
        true
    }

    pub(super) fn arm_in(&mut self, id: Key, delay: Duration, clocks: &Clocks) -> bool {
        let Some(timer) = self.slots.get(id) else {
            return false;
        };
        let now = clocks.get_ns(timer.clock);
        self.arm(id, now.saturating_add(saturating_ns(delay)))
    }

    pub(super) fn disarm(&mut self, id: Key) -> bool {
        let Some(timer) = self.slots.get(id) else {
            return false;
        };
        let clock = timer.clock;
        let before = std::mem::take(&mut self.in_force[id.place()]);
        if before != 0 {
            self.armed_count -= 1;
            self.forget_one(clock);
        }
        before != 0
    }

    /// Notes that a timer of this clock is no longer armed as it was.
    fn forget_one(&mut self, clock: ClockType) {
        let in_force = &self.in_force;
        self.armed[clock as usize].forget_one(|entry| is_in_force(in_force, entry));
    }

    pub(super) fn remove(&mut self, id: Key) -> bool {
        self.disarm(id);
        self.slots.remove(id).is_some()
    }

    /// Whether any timer is armed, if only on a clock that is disabled.
    pub(super) fn any_armed(&self) -> bool {
        self.armed_count > 0
    }

    /// Nanoseconds until the first timer of a running clock is due, 0 if it is.
    pub(super) fn ns_to_next(&self, clocks: &Clocks) -> Option<u64> {
        ClockType::ALL
            .into_iter()
            .filter_map(|clock| {
                let left = self.ns_to_next_of(clock, clocks)?;
                (left == 0 || clocks.runs(clock)).then_some(left)
            })
            .min()
    }

    /// Nanoseconds until the first timer of one clock is due; None if the clock is disabled.
    pub(super) fn ns_to_next_of(&self, clock: ClockType, clocks: &Clocks) -> Option<u64> {
        let next = self.armed[clock as usize].first()?;
        let left = next.arming.deadline.saturating_sub(clocks.get_ns(clock));
        let left = u64::try_from(left).unwrap_or(0);
        clocks.is_enabled(clock).then_some(left)
    }

    /// Lists the timers that are due, clock by clock, earliest first. They stay
    /// armed until [`take_due`](Self::take_due), so that a callback that runs
    /// before them can still put them off.
    pub(super) fn list_due(&self, clocks: &Clocks, due: &mut Vec<Due>) {
        for clock in ClockType::ALL {
            self.list_due_of(clock, clocks, due);
        }
    }

    /// The same for one clock.
    pub(super) fn list_due_of(&self, clock: ClockType, clocks: &Clocks, due: &mut Vec<Due>) {
        let armed = &self.armed[clock as usize];
        let Some(first) = armed.first().filter(|_| clocks.is_enabled(clock)) else {
            return;
        };
        let now = clocks.get_ns(clock);
        if first.arming.deadline > now {
            return;
        }
        let before = due.len();
        armed.for_each_until(now, &mut |entry| {
            if is_in_force(&self.in_force, entry) {
                let (id, arming) = (entry.id, entry.arming);
                due.push(Due { id, arming });
            }
        });
        due[before..].sort_unstable_by_key(|due| due.arming);
    }

    /// Disarms a due timer and takes its callback out to be run; nothing if it
    /// was freed, put off, armed anew, or its clock stopped since it was listed.
    pub(super) fn take_due(
        &mut self,
        clocks: &Clocks,
        due: Due,
    ) -> Option<(&'static str, TimerCallback<H>)> {
        let timer = self.slots.get_mut(due.id)?;
        let in_force = self.in_force[due.id.place()];
        if in_force != due.arming.number || !clocks.is_enabled(timer.clock) {
            return None;
        }
        let taken = (timer.name, timer.callback.take()?);
        self.disarm(due.id);
        Some(taken)
    }
}

/// Whether a timer is still armed as this entry says.
fn is_in_force(in_force: &[u64], entry: &Entry) -> bool {
    in_force[entry.id.place()] == entry.arming.number
}

/// Timers and clocks.
impl<H> MainLoop<H> {
    /// Makes a timer, not armed yet; QEMU's `timer_new_ns()`.
    pub fn timer_new(
        &mut self,
        clock: ClockType,
        name: &'static str,
        callback: impl FnMut(&mut H) + 'static,
    ) -> TimerId {
        TimerId(self.timers.insert(clock, name, Box::new(callback)))
    }

    /// Arms a timer for a time of its clock in nanoseconds, instead of any other
    /// it was armed for. A time that has passed means the next turn.
    pub fn timer_mod(&mut self, id: TimerId, deadline_ns: i64) -> bool {
        let armed = self.timers.arm(id.0, deadline_ns);
        if self.is_traced() {
            self.note_armed(id.0, deadline_ns);
        }
        armed
    }

    /// Arms a timer for `delay` from now on its clock, instead of any other time
    /// it was armed for.
    pub fn timer_mod_in(&mut self, id: TimerId, delay: Duration) -> bool {
        let armed = self.timers.arm_in(id.0, delay, &self.clocks);
        if self.is_traced() {
            self.note_armed_in(id.0, saturating_ns(delay));
        }
        armed
    }

    #[cold]
    fn note_armed(&mut self, id: Key, deadline_ns: i64) {
        if let Some(timer) = self.timers.slots.get(id) {
            let now = self.clocks.get_ns(timer.clock);
            self.note_armed_in(id, deadline_ns.saturating_sub(now));
        }
    }

    fn note_armed_in(&mut self, id: Key, ns: i64) {
        if let Some(name) = self.timers.slots.get(id).map(|timer| timer.name) {
            self.note(LoopEvent::TimerArmed(id.to_opaque(), ns), name);
        }
    }

    /// Tells the trace of a timer that is about to be disarmed.
    fn note_disarmed(&mut self, id: Key) {
        if self.is_traced() && self.timers.is_armed(id) {
            if let Some(name) = self.timers.slots.get(id).map(|timer| timer.name) {
                self.note(LoopEvent::TimerDisarmed(id.to_opaque()), name);
            }
        }
    }

    /// Disarms a timer. False if it was not armed.
    pub fn timer_del(&mut self, id: TimerId) -> bool {
        self.note_disarmed(id.0);
        self.timers.disarm(id.0)
    }

    /// Disarms a timer and forgets it.
    pub fn timer_free(&mut self, id: TimerId) -> bool {
        self.note_disarmed(id.0);
        self.timers.remove(id.0)
    }

    /// True if the timer is armed. It is not while its callback runs, unless
    /// that arms it again.
    pub fn timer_pending(&self, id: TimerId) -> bool {
        self.timers.is_armed(id.0)
    }

    /// The time of a clock in nanoseconds; QEMU's `qemu_clock_get_ns()`.
    pub fn clock_get_ns(&self, clock: ClockType) -> i64 {
        self.clocks.get_ns(clock)
    }

    /// Enables or disables a clock; QEMU's `qemu_clock_enable()`. The timers of
    /// a disabled clock do not run. The virtual clock also stands still: disable
    /// it when the machine stops. All are enabled at first.
    pub fn clock_enable(&mut self, clock: ClockType, enabled: bool) {
        self.clocks.enable(clock, enabled);
    }

    /// Moves the virtual clock on by `ns` nanoseconds, whether it runs or not. Timers that
    /// fall due run in the next turn, if the clock is enabled;
    /// [`virtual_clock_warp`](super::virtual_clock_warp) runs them at once.
    pub fn clock_step(&mut self, ns: u64) {
        self.clocks.step(ns);
    }

    /// How long until the first timer of a running clock is due, whatever moves the time. None
    /// if no timer is armed.
    pub fn next_deadline(&self) -> Option<Duration> {
        self.timers
            .ns_to_next(&self.clocks)
            .map(Duration::from_nanos)
    }

    /// Lets simulated time pass, on all clocks that run. Does nothing in the
    /// system's time. Timers that fall due run in the next turn.
    pub fn time_advance(&mut self, by: Duration) {
        self.clocks.advance(by);
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::TimeSource;
    use super::*;

    fn fixture() -> (Timers<()>, Clocks) {
        (Timers::new(), Clocks::new(TimeSource::simulated()))
    }

    fn due_ids(timers: &Timers<()>, clocks: &Clocks) -> Vec<Key> {
        let mut due = Vec::new();
        timers.list_due(clocks, &mut due);
        due.iter().map(|due| due.id).collect()
    }

    #[test]
    fn due_timers_come_by_deadline_then_by_arming() {
        let (mut timers, mut clocks) = fixture();
        let ids: Vec<Key> = (0..4)
            .map(|_| timers.insert(ClockType::Realtime, "t", Box::new(|_| ())))
            .collect();
        timers.arm(ids[0], 20);
        timers.arm(ids[1], 10);
        timers.arm(ids[2], 20);
        timers.arm(ids[3], 30);
        timers.arm(ids[0], 20); // re-armed: now after ids[2]
        clocks.advance(Duration::from_nanos(20));
        assert_eq!(due_ids(&timers, &clocks), [ids[1], ids[2], ids[0]]);
        assert_eq!(timers.ns_to_next(&clocks), Some(0));
    }

    #[test]
    fn the_next_deadline_is_the_nearest_of_the_running_clocks() {
        let (mut timers, mut clocks) = fixture();
        assert_eq!(timers.ns_to_next(&clocks), None);
        let real = timers.insert(ClockType::Realtime, "r", Box::new(|_| ()));
        let virt = timers.insert(ClockType::Virtual, "v", Box::new(|_| ()));
        timers.arm(real, 50);
        timers.arm(virt, 5);
        assert_eq!(timers.ns_to_next(&clocks), Some(5));
        clocks.enable(ClockType::Virtual, false);
        assert_eq!(timers.ns_to_next(&clocks), Some(50));
        timers.disarm(real);
        assert_eq!(timers.ns_to_next(&clocks), None);
    }

    #[test]
    fn extreme_deadlines_do_not_overflow() {
        let (mut timers, mut clocks) = fixture();
        let timer = timers.insert(ClockType::Realtime, "t", Box::new(|_| ()));
        timers.arm(timer, i64::MIN);
        assert_eq!(timers.ns_to_next(&clocks), Some(0));
        timers.arm(timer, i64::MAX);
        clocks.advance(Duration::MAX);
        assert_eq!(due_ids(&timers, &clocks), [timer]);
    }

    #[test]
    fn a_freed_timer_is_neither_armed_nor_found() {
        let (mut timers, clocks) = fixture();
        let timer = timers.insert(ClockType::Host, "t", Box::new(|_| ()));
        timers.arm(timer, -1);
        assert!(timers.is_armed(timer));
        assert!(timers.remove(timer));
        assert!(!timers.remove(timer));
        assert!(!timers.arm(timer, 0));
        assert!(!timers.is_armed(timer));
        assert_eq!(due_ids(&timers, &clocks), []);
    }
}
