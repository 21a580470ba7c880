//! Which way of waiting is in use, and the change from one to the other.
//!
//! ppoll gets the list of all fds at each call, which costs about 30 ns for each
//! fd. epoll costs as much as ppoll for seven, whatever their number, and a system
//! call whenever an fd comes or goes. So the loop starts with ppoll and goes over to
//! epoll at eight fds. It comes back when they are fewer than half of that, so that
//! a client coming and going at the threshold does not make it change each time.
//!
//! A wait that blocks is another matter: ppoll joins the queue of each fd and leaves it
//! again, epoll joins one. So if a few fds stay the same for long, the loop goes over to
//! epoll as well, until the first of them changes.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::bh::Wake;
use super::condition::Condition;
use super::counters::Counters;
use super::fdmon_epoll::{FdmonEpoll, WAKE_KEY};
use super::fdmon_poll::{take_first, PollSet, Ready};
use super::fds::{FdEntry, FdTable, Reports, Seat};
use crate::slots::Key;

/// How the loop chooses its way of waiting. What runs, and in which order, is
/// the same either way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FdmonPolicy {
    /// ppoll, until `upgrade_at` fds are waited for; then epoll, until they are
    /// fewer than half of it. Fewer fds have epoll as long as none of them changes, after
    /// 1000 waits in which none did.
    Auto {
        /// 8 by default: from there on epoll is the faster one, see `benches/loops`.
        upgrade_at: usize,
    },
    /// Always ppoll.
    Poll,
    /// Always epoll.
    Epoll,
}

impl Default for FdmonPolicy {
    fn default() -> Self {
        Self::Auto { upgrade_at: 8 }
    }
}

/// The way of waiting in use; see [`MainLoop::fdmon`](super::MainLoop::fdmon).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FdmonKind {
    /// ppoll(2).
    Poll,
    /// epoll(7).
    Epoll,
}

/// Turns to go on with ppoll after opening epoll failed, mostly because no fd
/// was left.
const TURNS_BEFORE_RETRY: u64 = 1000;

/// Waits for the same fds after which epoll is worth the ten system calls that it takes
/// to go over to it and back.
const LASTING: u32 = 1000;

#[derive(Default)]
pub(super) struct Fdmon {
    policy: FdmonPolicy,
    epoll: Option<FdmonEpoll>,
    poll_set: PollSet,
    /// Slots of the fds that ppoll waits for; of use without epoll only.
    polled: Vec<usize>,
    /// An outer loop has the epoll fd.
    pinned: bool,
    /// There is a handle that can write to the eventfd.
    wake_used: bool,
    retry_at: u64,
    /// How many waits were for the same fds, up to [`LASTING`].
    unchanged: u32,
    /// The way of waiting is the one that the policy wants, for the fds there are.
    settled: bool,
    /// Slots of entries that changed; empty between calls.
    changed: Vec<usize>,
}

impl Fdmon {
    pub(super) fn set_policy(&mut self, policy: FdmonPolicy) {
        self.policy = policy;
        self.retry_at = 0;
        self.settled = false;
    }

    pub(super) fn use_wake(&mut self) {
        self.wake_used = true;
    }

    pub(super) fn kind(&self) -> FdmonKind {
        match self.epoll {
            None => FdmonKind::Poll,
            Some(_) => FdmonKind::Epoll,
        }
    }

    fn wants_epoll(&self, polled: usize) -> bool {
        match self.policy {
            _ if self.pinned => true,
            FdmonPolicy::Poll => false,
            FdmonPolicy::Epoll => true,
            FdmonPolicy::Auto { .. } if self.unchanged == LASTING && polled > 1 => true,
            FdmonPolicy::Auto { upgrade_at } if self.epoll.is_some() => polled >= upgrade_at / 2,
            FdmonPolicy::Auto { upgrade_at } => polled >= upgrade_at,
        }
    }

    /// True if [`prepare`](Self::prepare) has nothing to do while no fd changes.
    pub(super) fn is_settled(&self) -> bool {
        self.settled && !self.epoll.as_ref().is_some_and(FdmonEpoll::is_spoiled)
    }

    /// Brings the set of fds up to date with the table: merges what changed,
    /// chooses the way of waiting, and tells the kernel if that is epoll.
    ///
    /// # Errors
    ///
    /// Opening epoll failed. The loop then goes on with ppoll, which is slower
    /// but right; it matters only to a caller that needs the epoll fd itself.
    pub(super) fn prepare(
        &mut self,
        fds: &mut FdTable,
        wanted: impl Fn(Key) -> Option<Condition>,
        wake: &Wake,
        counters: &mut Counters,
    ) -> io::Result<()> {
        self.changed.clear();
        if fds.has_changed() {
            self.unchanged = 0;
        }
        fds.settle(wanted, &mut self.changed);
        if self.epoll.as_ref().is_some_and(FdmonEpoll::is_spoiled) {
            self.leave_epoll(fds);
        }
        self.settled = true;
        let outcome = match (self.wants_epoll(fds.polled()), &mut self.epoll) {
            (false, None) => Ok(()),
            (false, Some(_)) => {
                self.leave_epoll(fds);
                counters.downgrades += 1;
                Ok(())
            }
            (true, Some(epoll)) => {
                for slot in self.changed.drain(..) {
                    if let Some(entry) = fds.get_mut(slot) {
                        epoll.sync(slot, entry, counters);
                    }
                }
                Ok(())
            }
            (true, None) if counters.turns < self.retry_at => {
                self.settled = false;
                Ok(())
            }
            (true, None) => {
                let entered = self.enter_epoll(fds, wake, counters);
                self.settled = entered.is_ok();
                entered
            }
        };
        if self.epoll.is_none() {
            self.list_polled(fds);
        }
        outcome
    }

    fn list_polled(&mut self, fds: &FdTable) {
        let polled = fds.iter().filter(|(_, entry)| !entry.interest.is_empty());
        self.polled.clear();
        self.polled.extend(polled.map(|(slot, _)| slot));
    }

    fn enter_epoll(
        &mut self,
        fds: &mut FdTable,
        wake: &Wake,
        counters: &mut Counters,
    ) -> io::Result<()> {
        self.retry_at = counters.turns.saturating_add(TURNS_BEFORE_RETRY);
        let mut epoll = FdmonEpoll::new(wake)?;
        for (slot, entry) in fds.iter_mut() {
            epoll.sync(slot, entry, counters);
        }
        self.retry_at = 0;
        if epoll.needs_ppoll(fds) && self.unchanged == LASTING {
            // Two system calls a wait are no gain; perhaps it is over later.
            self.unchanged = 0;
        }
        self.epoll = Some(epoll);
        counters.upgrades += 1;
        if !self.wants_epoll(fds.polled()) {
            self.leave_epoll(fds);
            counters.downgrades += 1;
        }
        Ok(())
    }

    fn leave_epoll(&mut self, fds: &mut FdTable) {
        self.epoll = None;
        for (_, entry) in fds.iter_mut() {
            entry.seat = Seat::None;
            entry.reports = Reports::default();
        }
    }

    /// Must be called for each entry that leaves the table, before the entry is
    /// dropped.
    pub(super) fn forget(&mut self, slot: usize, entry: &FdEntry, counters: &mut Counters) {
        // Fewer fds may be few enough for ppoll.
        self.settled = false;
        self.unchanged = 0;
        if let Some(epoll) = &mut self.epoll {
            epoll.forget(slot, entry, counters);
        }
    }

    /// Waits for what [`prepare`](Self::prepare) prepared. Returns true if
    /// another thread called.
    pub(super) fn wait(
        &mut self,
        fds: &mut FdTable,
        wake: &Wake,
        timeout: Option<Duration>,
        ready: &mut Vec<Ready>,
        counters: &mut Counters,
    ) -> io::Result<bool> {
        counters.waits += 1;
        if self.unchanged < LASTING {
            self.unchanged += 1;
            self.settled &= self.unchanged < LASTING;
        }
        if let Some(epoll) = &mut self.epoll {
            match epoll.wait(fds, timeout, &mut self.poll_set, ready, counters) {
                Ok(woken) => return Ok(woken),
                Err(_) => {
                    // Whatever the reason, ppoll needs less.
                    self.retry_at = counters.turns.saturating_add(TURNS_BEFORE_RETRY);
                    self.settled = false;
                    self.leave_epoll(fds);
                    self.list_polled(fds);
                    ready.clear();
                }
            }
        }
        let wake = self
            .wake_used
            .then(|| (wake.eventfd().as_fd(), Condition::IN));
        let before = usize::from(wake.is_some());
        let items = self.polled.iter().filter_map(|slot| {
            let entry = fds.get(*slot)?;
            Some((entry.as_fd(), entry.interest))
        });
        let key_of = |place: usize| match place.checked_sub(before) {
            Some(place) => self.polled[place],
            None => WAKE_KEY,
        };
        counters.wait_syscalls += 1;
        self.poll_set
            .wait(wake.into_iter().chain(items), key_of, timeout, ready)?;
        Ok(take_first(ready, WAKE_KEY))
    }

    /// Pins the loop to epoll from the next [`prepare`](Self::prepare) on, or
    /// releases it.
    pub(super) fn pin(&mut self, pinned: bool) {
        self.pinned = pinned;
        self.retry_at = 0;
        self.settled = false;
    }

    pub(super) fn epoll_fd(&self) -> Option<BorrowedFd<'_>> {
        self.epoll.as_ref().map(FdmonEpoll::as_fd)
    }

    /// True if the loop waits for an fd that the epoll fd does not cover.
    pub(super) fn has_fds_beside_epoll(&self, fds: &FdTable) -> bool {
        self.epoll
            .as_ref()
            .is_some_and(|epoll| epoll.needs_ppoll(fds))
    }
}
