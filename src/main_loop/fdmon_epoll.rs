//! Waiting by epoll.
//!
//! epoll keeps the set of fds in the kernel, so that a wait costs the same for
//! ten fds and for ten thousand, and only changes must be told. Crate `polling`
//! registers the fds; the wait is one `epoll_wait` on the crate's own epoll fd,
//! because its own wait makes five system calls. Three things stand between the
//! kernel's answers and those of ppoll:
//!
//! * The crate registers for urgent data wherever a watch asks to read. An fd with
//!   nothing but urgent data would end each wait at once, so it moves to the side
//!   table.
//! * epoll refuses regular files and /dev/null, which are always ready, and may
//!   run out of memory or of watches.
//! * `epoll_wait` counts in milliseconds; see [`FdmonEpoll::wait`].
//!
//! Registrations are level-triggered: the kernel looks at each reported fd again in the next
//! wait, in case something was left. For a socket that is always read to its end, which its
//! watch [tells](super::Flow::Drained), that look is a twentieth of what a request takes. So
//! after some such reports in a row the fd is registered for changes instead. The first
//! report that is not like that, or was not taken, changes it back, and the kernel then looks
//! at the fd as it is.
//!
//! The side table takes the fds of the first two kinds: they go to ppoll together
//! with the epoll fd itself, and epoll is asked only if that is readable.

use std::io;
use std::iter;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use polling::{Event, PollMode, Poller};

use super::bh::Wake;
use super::condition::Condition;
use super::counters::Counters;
use super::fdmon_poll::{take_first, PollSet, Ready};
use super::fds::{FdEntry, FdTable, Reports, Seat, ALWAYS};
use crate::sys;

/// The key of the eventfd in all sets. `polling` keeps `usize::MAX` for itself, in
/// the set too: for its timerfd, which only its own wait arms, and for the eventfd
/// behind `Poller::notify`, which nothing here calls.
pub(super) const WAKE_KEY: usize = usize::MAX - 1;
/// The key of the epoll fd among the side table's.
const EPOLL_KEY: usize = usize::MAX - 2;

/// After so many reports in a row that were read to the end, only changes are reported.
const STEADY: u8 = 32;

pub(super) struct FdmonEpoll {
    poller: Poller,
    /// The poller's epoll fd, a duplicate.
    epoll: Epoll,
    /// Room for the answer of a wait.
    events: Vec<EpollEvent>,
    /// Slots of the fds that ppoll waits for instead.
    side_table: Vec<usize>,
    /// The keys of the fds that ppoll waits for, kept for its memory only.
    keys: Vec<usize>,
    /// Slots of the fds that epoll reported for urgent data that no watch asked for.
    urgent: Vec<usize>,
    /// Slots of the fds that the last wait reported.
    reported: Vec<usize>,
    /// A registration could not be deleted, because foreign code closed the fd
    /// although the table holds a share of it. Only a new epoll gets rid of it.
    spoiled: bool,
}

impl FdmonEpoll {
    pub(super) fn new(wake: &Wake) -> io::Result<Self> {
        let poller = Poller::new()?;
        sys::register_wake(&poller, wake.eventfd(), WAKE_KEY)?;
        Ok(Self {
            epoll: Epoll(poller.as_fd().try_clone_to_owned()?),
            poller,
            events: Vec::new(),
            side_table: Vec::new(),
            keys: Vec::new(),
            urgent: Vec::new(),
            reported: Vec::new(),
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

    /// The slots and entries of the side table that are waited for.
    fn side_fds<'t>(&'t self, fds: &'t FdTable) -> impl Iterator<Item = (usize, &'t FdEntry)> {
        self.side_table.iter().filter_map(|slot| {
            let entry = fds.get(*slot)?;
            (!entry.interest.is_empty()).then_some((*slot, entry))
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
                entry.reports = Reports::default();
                match self.modify(slot, interest, entry) {
                    Ok(()) => entry.seat = Seat::Epoll(interest),
                    // Closed behind our back, and perhaps opened again.
                    Err(_) => self.add(slot, entry, counters),
                }
            }
        }
    }

    /// Registers an fd anew, for conditions.
    fn modify(&self, slot: usize, interest: Condition, entry: &FdEntry) -> io::Result<()> {
        let event = event_for(slot, interest);
        let level = PollMode::Level;
        self.poller.modify_with_mode(entry.as_fd(), event, level)
    }

    /// Chooses how the fds that were reported last are registered: for changes if all reports
    /// were read to the end for long, else for conditions.
    #[inline]
    fn take_stock(&mut self, fds: &mut FdTable, counters: &mut Counters) {
        while let Some(slot) = self.reported.pop() {
            let Some(entry) = fds.get_mut(slot) else {
                continue;
            };
            let reports = &mut entry.reports;
            if !reports.drained || !reports.input_only {
                reports.steady = 0;
                if reports.is_edge {
                    self.watch_conditions(slot, entry, counters);
                }
            } else if !reports.is_edge {
                reports.steady += 1;
                if reports.steady == STEADY {
                    self.watch_changes(slot, entry, counters);
                }
            }
        }
    }

    #[cold]
    fn watch_conditions(&mut self, slot: usize, entry: &mut FdEntry, counters: &mut Counters) {
        entry.reports = Reports::default();
        let Seat::Epoll(interest) = entry.seat else {
            return;
        };
        counters.ctl_syscalls += 1;
        // As it fails, so does the next wait's.
        self.spoiled |= self.modify(slot, interest, entry).is_err();
    }

    /// The crate cannot ask for the peer's half-close, which without this flag is no change
    /// if it comes together with the last bytes.
    #[cold]
    fn watch_changes(&mut self, slot: usize, entry: &mut FdEntry, counters: &mut Counters) {
        entry.reports.steady = 0;
        if entry.seat != Seat::Epoll(Condition::IN | ALWAYS) {
            return;
        }
        counters.ctl_syscalls += 1;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let mut event = EpollEvent::new(flags, slot as u64);
        entry.reports.is_edge = self.epoll.modify(entry.fd(), &mut event).is_ok();
    }

    fn add(&mut self, slot: usize, entry: &mut FdEntry, counters: &mut Counters) {
        counters.ctl_syscalls += 1;
        entry.reports = Reports::default();
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

    /// Waits, as [`PollSet::wait`] does. Returns true if another thread called.
    ///
    /// `epoll_wait` counts in milliseconds. It waits for the whole ones of the
    /// timeout, and only if nothing came in them does ppoll wait for the rest, on the
    /// epoll fd. So no wait ends early, and one that an fd ends is one system call.
    #[inline(never)]
    pub(super) fn wait(
        &mut self,
        fds: &mut FdTable,
        mut timeout: Option<Duration>,
        poll_set: &mut PollSet,
        ready: &mut Vec<Ready>,
        counters: &mut Counters,
    ) -> io::Result<bool> {
        if !self.reported.is_empty() {
            self.take_stock(fds, counters);
        }
        if !self.needs_ppoll(fds) {
            let (whole, rest) = split_timeout(timeout);
            if whole != EpollTimeout::ZERO || rest.is_zero() {
                let answer = self.wait_epoll(fds, whole, counters)?;
                if answer != Some(0) || rest.is_zero() {
                    return Ok(self.collect(answer.unwrap_or(0), fds, ready, counters));
                }
            }
            timeout = Some(rest);
        }
        self.wait_beside(fds, timeout, poll_set, ready, counters)
    }

    /// Waits by ppoll, for the epoll fd and the fds of the side table.
    fn wait_beside(
        &mut self,
        fds: &mut FdTable,
        timeout: Option<Duration>,
        poll_set: &mut PollSet,
        ready: &mut Vec<Ready>,
        counters: &mut Counters,
    ) -> io::Result<bool> {
        let mut keys = std::mem::take(&mut self.keys);
        keys.clear();
        keys.push(EPOLL_KEY);
        keys.extend(self.side_fds(fds).map(|(slot, _)| slot));
        let epoll = (self.poller.as_fd(), Condition::IN);
        let side = self.side_fds(fds);
        let items = iter::once(epoll).chain(side.map(|(_, entry)| (entry.as_fd(), entry.interest)));
        counters.wait_syscalls += 1;
        let waited = poll_set.wait(items, |place| keys[place], timeout, ready);
        self.keys = keys;
        waited?;
        if !take_first(ready, EPOLL_KEY) {
            return Ok(false);
        }
        let answer = self.wait_epoll(fds, EpollTimeout::ZERO, counters)?;
        Ok(self.collect(answer.unwrap_or(0), fds, ready, counters))
    }

    /// Waits for epoll alone. Returns how many events there are, none at all if a
    /// signal ended the wait.
    fn wait_epoll(
        &mut self,
        fds: &FdTable,
        timeout: EpollTimeout,
        counters: &mut Counters,
    ) -> io::Result<Option<usize>> {
        // Room for all, so that one wait reports all ready fds, as ppoll does: those
        // of the table, the eventfd, and the crate's own two.
        let room = fds.polled() + 3;
        if self.events.len() < room {
            self.events.resize(room * 2, EpollEvent::empty());
        }
        counters.wait_syscalls += 1;
        match self.epoll.wait(&mut self.events, timeout) {
            Ok(events) => Ok(Some(events)),
            Err(Errno::EINTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Lists what epoll reported, without the urgent data that no watch asked for.
    /// Returns true if another thread called.
    fn collect(
        &mut self,
        events: usize,
        fds: &mut FdTable,
        ready: &mut Vec<Ready>,
        counters: &mut Counters,
    ) -> bool {
        let mut woken = false;
        for event in &self.events[..events] {
            let Ok(key) = usize::try_from(event.data()) else {
                continue;
            };
            let Some(entry) = fds.get_mut(key) else {
                // Or it is one of the crate's own, which fires once.
                woken |= key == WAKE_KEY;
                continue;
            };
            entry.reports.input_only = event.events() == EpollFlags::EPOLLIN;
            entry.reports.drained = false;
            self.reported.push(key);
            let got = from_epoll_flags(event.events());
            let condition = got & (entry.interest | ALWAYS);
            if !condition.is_empty() {
                ready.push(Ready {
                    key,
                    condition,
                    invalid: false,
                });
            } else if got.contains(Condition::PRI) {
                self.urgent.push(key);
            }
        }
        while let Some(slot) = self.urgent.pop() {
            self.seat_aside(slot, fds, counters);
        }
        woken
    }

    /// Moves an fd to the side table.
    fn seat_aside(&mut self, slot: usize, fds: &mut FdTable, counters: &mut Counters) {
        if let Some(entry) = fds.get_mut(slot) {
            self.delete(entry, counters);
            self.side_table.push(slot);
            entry.seat = Seat::Ppoll;
        }
    }
}

/// The whole milliseconds of a timeout, as far as `epoll_wait` can count, and the
/// rest of it.
fn split_timeout(timeout: Option<Duration>) -> (EpollTimeout, Duration) {
    let Some(timeout) = timeout else {
        return (EpollTimeout::NONE, Duration::ZERO);
    };
    let whole = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rest = timeout.saturating_sub(Duration::from_millis(whole.unsigned_abs().into()));
    (
        EpollTimeout::try_from(whole).unwrap_or(EpollTimeout::MAX),
        rest,
    )
}

fn from_epoll_flags(flags: EpollFlags) -> Condition {
    Condition::from_bits(flags.bits().to_le_bytes()[0])
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
