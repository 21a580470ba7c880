//! Waiting by epoll, through crate `polling`, in level-triggered mode.
//!
//! epoll keeps the set of fds in the kernel, so that a wait costs the same for
//! ten fds and for ten thousand, and only changes must be told. Three things
//! stand between the crate and the exact answers of ppoll:
//!
//! * It reports "readable", "writable", "hung up" and "in error" as four flags.
//!   The first two include the others, so a hang-up with data before it
//!   looks like one without. When any but the plain two is set, one ppoll
//!   without a timeout asks again, for those fds only.
//! * It registers for urgent data wherever a watch asks to read. An fd with
//!   nothing but urgent data would end each wait at once, so it moves to the side
//!   table.
//! * epoll refuses regular files and /dev/null, which are always ready, and may
//!   run out of memory or of watches.
//!
//! The side table takes all of these: its fds go to ppoll together with the
//! epoll fd itself, and epoll is asked only if that is readable.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use polling::{Event, Events, PollMode, Poller};

use super::bh::Wake;
use super::condition::Condition;
use super::counters::Counters;
use super::fdmon_poll::{PollSet, Ready};
use super::fds::{FdEntry, FdTable, Seat};
use crate::sys;

/// The key of the eventfd in all sets. `polling` keeps `usize::MAX` for itself.
pub(super) const WAKE_KEY: usize = usize::MAX - 1;
/// The key of the epoll fd among the side table's.
const EPOLL_KEY: usize = usize::MAX - 2;

/// The system calls of one wait of the crate.
const SYSCALLS_PER_WAIT: u64 = 5;

pub(super) struct FdmonEpoll {
    poller: Poller,
    events: Events,
    /// Slots of the fds that ppoll waits for instead.
    side_table: Vec<usize>,
    ambiguous: Vec<Event>,
    /// A registration could not be deleted, because foreign code closed the fd
    /// although the table holds a share of it. Only a new epoll gets rid of it.
    spoiled: bool,
}

impl FdmonEpoll {
    pub(super) fn new(wake: &Wake) -> io::Result<Self> {
        let poller = Poller::new()?;
        sys::register_wake(&poller, wake.eventfd(), WAKE_KEY)?;
        Ok(Self {
            poller,
            events: Events::new(),
            side_table: Vec::new(),
            ambiguous: Vec::new(),
            spoiled: false,
        })
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.spoiled
    }

    /// True if the loop waits for an fd of the side table.
    pub(super) fn needs_ppoll(&self, fds: &FdTable) -> bool {
        self.side_fds(fds).next().is_some()
    }

    fn side_fds<'t>(
        &'t self,
        fds: &'t FdTable,
    ) -> impl Iterator<Item = (usize, BorrowedFd<'t>, Condition)> {
        self.side_table.iter().filter_map(|slot| {
            let entry = fds.get(*slot)?;
            let wanted = !entry.interest.is_empty();
            wanted.then(|| (*slot, entry.as_fd(), entry.interest))
        })
    }

    /// Makes the registration of an entry what its interest says.
    pub(super) fn sync(&mut self, slot: usize, entry: &mut FdEntry, counters: &mut Counters) {
        let interest = entry.interest;
        match entry.seat {
            Seat::Ppoll => {}
            Seat::None if interest.is_empty() => {}
            Seat::None => self.add(slot, entry, counters),
            Seat::Epoll(_) if interest.is_empty() => {
                self.delete(entry, counters);
                entry.seat = Seat::None;
            }
            Seat::Epoll(registered) if registered == interest => {}
            Seat::Epoll(_) => {
                counters.ctl_syscalls += 1;
                let event = event_for(slot, interest);
                let level = PollMode::Level;
                match self.poller.modify_with_mode(entry.as_fd(), event, level) {
                    Ok(()) => entry.seat = Seat::Epoll(interest),
                    // Closed behind our back, and perhaps opened again.
                    Err(_) => self.add(slot, entry, counters),
                }
            }
        }
    }

    fn add(&mut self, slot: usize, entry: &mut FdEntry, counters: &mut Counters) {
        counters.ctl_syscalls += 1;
        let event = event_for(slot, entry.interest);
        entry.seat = match sys::register(&self.poller, entry.fd(), event) {
            Ok(()) => Seat::Epoll(entry.interest),
            // EPERM for what is always ready, EBADF for what is not open,
            // ENOSPC and ENOMEM: ppoll takes them all.
            Err(_) => {
                self.side_table.push(slot);
                Seat::Ppoll
            }
        };
    }

    fn delete(&mut self, entry: &FdEntry, counters: &mut Counters) {
        counters.ctl_syscalls += 1;
        if self.poller.delete(entry.as_fd()).is_err() {
            self.spoiled = true;
        }
    }

    /// Forgets an entry that has left the table, before its fd is dropped.
    pub(super) fn forget(&mut self, slot: usize, entry: &FdEntry, counters: &mut Counters) {
        match entry.seat {
            Seat::None => {}
            Seat::Epoll(_) => self.delete(entry, counters),
            Seat::Ppoll => self.side_table.retain(|other| *other != slot),
        }
    }

    /// Waits; as [`PollSet::wait`].
    pub(super) fn wait(
        &mut self,
        fds: &mut FdTable,
        timeout: Option<Duration>,
        poll_set: &mut PollSet,
        ready: &mut Vec<Ready>,
        counters: &mut Counters,
    ) -> io::Result<()> {
        if self.needs_ppoll(fds) {
            let epoll = (EPOLL_KEY, self.poller.as_fd(), Condition::IN);
            let items = std::iter::once(epoll).chain(self.side_fds(fds));
            counters.wait_syscalls += 1;
            poll_set.wait(items, timeout, ready)?;
            let before = ready.len();
            ready.retain(|one| one.key != EPOLL_KEY);
            if ready.len() == before {
                return Ok(());
            }
            self.wait_epoll(fds, Some(Duration::ZERO), counters)?;
        } else {
            self.wait_epoll(fds, timeout, counters)?;
        }
        self.collect(fds, poll_set, ready, counters)
    }

    fn wait_epoll(
        &mut self,
        fds: &FdTable,
        timeout: Option<Duration>,
        counters: &mut Counters,
    ) -> io::Result<()> {
        // Room for all, so that one wait reports all ready fds, as ppoll does.
        let room = NonZeroUsize::MIN.saturating_add(fds.polled() + 2);
        if self.events.capacity() < room {
            self.events =
                Events::with_capacity(room.saturating_mul(NonZeroUsize::MIN.saturating_add(1)));
        }
        self.events.clear();
        counters.wait_syscalls += SYSCALLS_PER_WAIT;
        self.poller.wait(&mut self.events, timeout).map(drop)
    }

    /// Turns the crate's events into exact conditions.
    fn collect(
        &mut self,
        fds: &mut FdTable,
        poll_set: &mut PollSet,
        ready: &mut Vec<Ready>,
        counters: &mut Counters,
    ) -> io::Result<()> {
        self.ambiguous.clear();
        for event in self.events.iter() {
            if event.is_interrupt() || event.is_priority() || event.is_err() == Some(true) {
                self.ambiguous.push(event);
                continue;
            }
            let mut condition = Condition::empty();
            if event.readable {
                condition |= Condition::IN;
            }
            if event.writable {
                condition |= Condition::OUT;
            }
            ready.push(Ready {
                key: event.key,
                condition,
                invalid: false,
            });
        }
        if self.ambiguous.is_empty() {
            return Ok(());
        }
        let known = ready.len();
        let items = self.ambiguous.iter().filter_map(|event| {
            let entry = fds.get(event.key)?;
            Some((event.key, entry.as_fd(), entry.interest))
        });
        counters.wait_syscalls += 1;
        poll_set.wait(items, Some(Duration::ZERO), ready)?;
        self.seat_urgent_aside(fds, &ready[known..], counters);
        Ok(())
    }

    /// Moves to the side table each fd that epoll reports for urgent data alone
    /// though no watch asked for that.
    fn seat_urgent_aside(&mut self, fds: &mut FdTable, asked: &[Ready], counters: &mut Counters) {
        for at in 0..self.ambiguous.len() {
            let event = self.ambiguous[at];
            if !event.is_priority() || asked.iter().any(|one| one.key == event.key) {
                continue;
            }
            if let Some(entry) = fds.get_mut(event.key) {
                if !entry.interest.contains(Condition::PRI) {
                    self.delete(entry, counters);
                    self.side_table.push(event.key);
                    entry.seat = Seat::Ppoll;
                }
            }
        }
    }
}

fn event_for(slot: usize, interest: Condition) -> Event {
    let mut event = Event::new(
        slot,
        interest.contains(Condition::IN),
        interest.contains(Condition::OUT),
    );
    event.set_priority(interest.contains(Condition::PRI));
    event.set_interrupt(true);
    event
}
