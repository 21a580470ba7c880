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
    /// System calls made to wait. One a wait; two where fds wait beside epoll and
    /// both have something, and where a timeout of epoll passes that is not of whole
    /// milliseconds.
    pub wait_syscalls: u64,
    /// Calls of epoll_ctl made because what is watched had changed.
    pub ctl_syscalls: u64,
    /// Changes from ppoll to epoll.
    pub upgrades: u64,
    /// Changes from epoll to ppoll.
    pub downgrades: u64,
}
