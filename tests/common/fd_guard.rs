//! Each test has descriptors of its own, and ends with as many open ones as it
//! started with. The worlds that tests are made of hold a guard for this.
//!
//! Tests run side by side in one process. If they shared a table of descriptors,
//! none could count its own, and a child process started by one would hold
//! the sockets of all others until its exec: a test that closes a socket and
//! expects the other end to notice at once would fail now and then. So the first
//! guard of a thread gives it a table of its own, which threads and processes
//! started from there share or copy.

use std::cell::Cell;

/// Counts the descriptors of this thread when made, and again when dropped. Of
/// several on one thread the first counts, and then the last.
///
/// A test that opens descriptors before its world makes a guard before these: the
/// thread's new table has only the standard ones.
pub struct FdGuard(());

thread_local! {
    static HAS_OWN_TABLE: Cell<bool> = const { Cell::new(false) };
    /// Guards there are.
    static GUARDS: Cell<usize> = const { Cell::new(0) };
    /// Descriptors there were before them.
    static BEFORE: Cell<usize> = const { Cell::new(0) };
}

/// Leaves all other threads' table of descriptors for a new one. Where the kernel
/// cannot, the threads go on sharing it.
#[allow(unsafe_code)]
fn take_own_table() -> bool {
    use nix::libc::{syscall, SYS_close_range, CLOSE_RANGE_UNSHARE};
    // SAFETY: what this closes are copies of other threads' descriptors, in a table
    // that only this thread has. It has opened none itself so far.
    unsafe { syscall(SYS_close_range, 3, u32::MAX, CLOSE_RANGE_UNSHARE) == 0 }
}

/// How many descriptors the calling thread has.
pub fn open_fds() -> usize {
    let fds = std::fs::read_dir("/proc/thread-self/fd");
    fds.map_or(0, Iterator::count)
}

impl FdGuard {
    pub fn new() -> Self {
        if !HAS_OWN_TABLE.get() {
            HAS_OWN_TABLE.set(take_own_table());
        }
        if GUARDS.get() == 0 {
            BEFORE.set(open_fds());
        }
        GUARDS.set(GUARDS.get() + 1);
        FdGuard(())
    }
}

impl Drop for FdGuard {
    fn drop(&mut self) {
        GUARDS.set(GUARDS.get() - 1);
        if GUARDS.get() > 0 || std::thread::panicking() || !HAS_OWN_TABLE.get() {
            return;
        }
        // A test may have closed what it opened before its world.
        let (before, now) = (BEFORE.get(), open_fds());
        assert!(now <= before, "descriptors: {before} before, {now} after");
    }
}
