//! Waiting by ppoll(2): one system call, exact answers, any kind of fd.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{ppoll, PollFd, PollFlags};
use nix::sys::time::TimeSpec;

use super::condition::Condition;

/// What the kernel reported for one fd. `key` is what the caller passed with
/// it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) key: usize,
    pub(super) condition: Condition,
    /// The number is not an open file (`POLLNVAL`).
    pub(super) invalid: bool,
}

/// The array given to ppoll, kept from turn to turn for its memory only.
#[derive(Default)]
pub(super) struct PollSet {
    fds: Vec<PollFd<'static>>,
}

impl PollSet {
    /// Waits until one of `items` is ready or `timeout` is over; None waits for
    /// ever. Adds the ready ones to `ready`, in the order of `items`; `key_of` knows
    /// their keys by their place. A signal ends the wait with nothing ready.
    pub(super) fn wait<'fd>(
        &mut self,
        items: impl Iterator<Item = (BorrowedFd<'fd>, Condition)>,
        key_of: impl Fn(usize) -> usize,
        timeout: Option<Duration>,
        ready: &mut Vec<Ready>,
    ) -> io::Result<()> {
        let mut fds: Vec<PollFd<'fd>> = std::mem::take(&mut self.fds);
        for (fd, condition) in items {
            fds.push(PollFd::new(fd, to_poll_flags(condition)));
        }
        let timeout = timeout.map(|timeout| TimeSpec::from(timeout.min(LONGEST)));
        let outcome = ppoll(&mut fds, timeout, None);
        let mut left = outcome.unwrap_or(0);
        for (place, fd) in fds.iter().enumerate() {
            if left == 0 {
                break;
            }
            // None would mean an event that was not asked for.
            let got = fd.revents().unwrap_or(PollFlags::POLLERR);
            if !got.is_empty() {
                ready.push(from_poll_flags(key_of(place), got));
                left -= 1;
            }
        }
        self.fds = recycle(fds);
        match outcome {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Takes the item of this key off the list if it comes first, as one does that was
/// first among the items of [`PollSet::wait`]. Returns whether it was there.
pub(super) fn take_first(ready: &mut Vec<Ready>, key: usize) -> bool {
    let is_first = ready.first().is_some_and(|one| one.key == key);
    if is_first {
        ready.remove(0);
    }
    is_first
}

/// A year. A longer timeout could overflow the kernel's type, while a wait that
/// ends early only costs a turn.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Hands the memory of a vector of borrowed fds on to the next turn: the
/// standard library collects an emptied vector of the same layout in place.
fn recycle(mut fds: Vec<PollFd<'_>>) -> Vec<PollFd<'static>> {
    fds.clear();
    fds.into_iter().map_while(|_| None).collect()
}

/// What can be asked for; the rest is reported unasked.
const ASKED: Condition = Condition::IN.with(Condition::PRI).with(Condition::OUT);

fn to_poll_flags(condition: Condition) -> PollFlags {
    PollFlags::from_bits_truncate((condition & ASKED).bits().into())
}

fn from_poll_flags(key: usize, flags: PollFlags) -> Ready {
    let invalid = flags.contains(PollFlags::POLLNVAL);
    let mut condition = Condition::from_bits(flags.bits().to_le_bytes()[0]);
    if invalid {
        condition |= Condition::ERR | Condition::HUP;
    }
    Ready {
        key,
        condition,
        invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::epoll::EpollFlags;
    use std::os::fd::AsFd;

    #[test]
    fn the_array_keeps_its_memory() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let mut set = PollSet::default();
        let mut ready = Vec::new();
        let mut wait = |set: &mut PollSet| {
            let items = (0..40).map(|_| (reader.as_fd(), Condition::IN));
            set.wait(items, |place| place, Some(Duration::ZERO), &mut ready)
                .unwrap();
            assert!(ready.is_empty());
        };
        wait(&mut set);
        let memory = (set.fds.as_ptr(), set.fds.capacity());
        assert!(memory.1 >= 40);
        wait(&mut set);
        assert_eq!((set.fds.as_ptr(), set.fds.capacity()), memory);
    }

    #[test]
    fn conditions_have_the_numbers_of_the_kernel() {
        for (flag, epoll, condition) in [
            (PollFlags::POLLIN, EpollFlags::EPOLLIN, Condition::IN),
            (PollFlags::POLLPRI, EpollFlags::EPOLLPRI, Condition::PRI),
            (PollFlags::POLLOUT, EpollFlags::EPOLLOUT, Condition::OUT),
            (PollFlags::POLLERR, EpollFlags::EPOLLERR, Condition::ERR),
            (PollFlags::POLLHUP, EpollFlags::EPOLLHUP, Condition::HUP),
        ] {
            assert_eq!(i16::from(condition.bits()), flag.bits());
            assert_eq!(i32::from(condition.bits()), epoll.bits());
            assert_eq!(from_poll_flags(0, flag).condition, condition);
            let asked = to_poll_flags(condition);
            assert!(asked == flag || (asked.is_empty() && !ASKED.contains(condition)));
        }
        let invalid = from_poll_flags(0, PollFlags::POLLNVAL);
        assert!(invalid.invalid);
        assert_eq!(invalid.condition, Condition::ERR | Condition::HUP);
    }

    #[test]
    fn endless_timeouts_do_not_overflow() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&writer, b"x").unwrap();
        let mut ready = Vec::new();
        PollSet::default()
            .wait(
                [(reader.as_fd(), Condition::IN)].into_iter(),
                |_| 9,
                Some(Duration::MAX),
                &mut ready,
            )
            .unwrap();
        assert_eq!(ready[0].key, 9);
        assert_eq!(ready[0].condition, Condition::IN);
    }
}
