//! Every test ends with as many open descriptors as it started with. A guard in
//! the world of each test checks it.

use std::sync::Mutex;

/// Counts the descriptors of this process when made, and again when dropped. If
/// there are several guards, only the first and the last one count.
pub struct FdGuard(());

/// The number of guards, and of descriptors before the first.
static GUARDS: Mutex<(usize, Option<usize>)> = Mutex::new((0, None));

/// None if tests run side by side: descriptors are the process's.
fn open_fds() -> Option<usize> {
    let alone = std::env::var_os("RUST_TEST_THREADS").is_some_and(|n| n == "1");
    let fds = std::fs::read_dir("/proc/self/fd").ok().filter(|_| alone);
    fds.map(Iterator::count)
}

impl FdGuard {
    pub fn new() -> Self {
        let mut guards = GUARDS.lock().unwrap_or_else(|e| e.into_inner());
        if guards.0 == 0 {
            guards.1 = open_fds();
        }
        guards.0 += 1;
        FdGuard(())
    }
}

impl Drop for FdGuard {
    fn drop(&mut self) {
        let (left, before) = {
            let mut guards = GUARDS.lock().unwrap_or_else(|e| e.into_inner());
            guards.0 -= 1;
            *guards
        };
        if left > 0 || std::thread::panicking() {
            return;
        }
        // A test may have closed what it opened before its world.
        if let (Some(before), Some(now)) = (before, open_fds()) {
            assert!(now <= before, "descriptors: {before} before, {now} after");
        }
    }
}
