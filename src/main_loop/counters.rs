//! What the loop has done, for tests and benches.

/// Counts since the loop was made; see [`MainLoop::counters`].
///
/// [`MainLoop::counters`]: super::MainLoop::counters
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Counters {
    /// Turns of the loop.
    pub turns: u64,
    /// Waits, at most one a turn, whether or not they could block.
    pub waits: u64,
    /// Watch callbacks run.
    pub watches: u64,
    /// Timer callbacks run.
    pub timers: u64,
    /// Bottom halves run, of any kind.
    pub bhs: u64,
    /// Wake-ups from other threads taken in.
    pub wakeups: u64,
    /// System calls made to wait: one a turn with ppoll, five with epoll as
    /// crate `polling` does it (timerfd_settime, epoll_ctl, epoll_wait, read,
    /// epoll_ctl), and one more ppoll where epoll's answer is ambiguous.
    pub wait_syscalls: u64,
    /// Calls of epoll_ctl made because what is watched had changed.
    pub ctl_syscalls: u64,
    /// Changes from ppoll to epoll.
    pub upgrades: u64,
    /// Changes from epoll to ppoll.
    pub downgrades: u64,
}
