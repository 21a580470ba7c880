//! Threads of the host that stand for parts of the machine: processors and
//! iothreads.
//!
//! Everything the program does is done by the main loop, in one thread. But
//! management software asks for the thread of each processor and iothread: it
//! gives them affinities and priorities, puts them into cgroups, and reads how
//! much time they used. So each has one, which does nothing but
//! wait until a channel is closed.

use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::SigSet;
use nix::time::{clock_gettime, ClockId};

use qmonitor::qapi::Error;

/// A thread, which ends when this is dropped.
pub struct HostThread {
    id: i64,
    /// Closed when the thread has used the time that it is to use.
    spent: mpsc::Receiver<()>,
    /// Dropped first: that ends the thread.
    lifeline: Option<mpsc::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

impl HostThread {
    /// Starts a thread, under a name if one is given, which uses `busy` of processor time
    /// while the caller goes on.
    ///
    /// # Errors
    ///
    /// There can be no more threads.
    pub fn start(name: Option<String>, busy: Duration) -> Result<Self, Error> {
        let (lifeline, end) = mpsc::channel::<()>();
        let (ready, started) = mpsc::channel();
        let (busy_end, spent) = mpsc::channel();
        let mut builder = std::thread::Builder::new();
        if let Some(name) = name {
            builder = builder.name(name);
        }
        let handle = builder
            .spawn(move || {
                // Signals are for the main loop.
                let _ = SigSet::all().thread_block();
                let _ = ready.send(nix::unistd::gettid());
                let is_over = || end.try_recv() == Err(mpsc::TryRecvError::Disconnected);
                spend(busy, is_over);
                drop(busy_end);
                let _ = end.recv();
            })
            .map_err(|e| Error::from_io("a thread cannot be started", &e))?;
        let id = started
            .recv()
            .map_err(|_| Error::new("a thread ended too early"))?;
        Ok(HostThread {
            id: id.as_raw().into(),
            spent,
            lifeline: Some(lifeline),
            handle: Some(handle),
        })
    }

    /// The kernel's number of the thread, once it has used the time that it was started
    /// with: those who ask for the number look at that time next.
    pub fn id(&self) -> i64 {
        let _ = self.spent.recv();
        self.id
    }
}

impl Drop for HostThread {
    fn drop(&mut self) {
        self.lifeline = None;
        if let Some(handle) = self.handle.take() {
            let _ = handle.join();
        }
    }
}

/// Uses processor time of this thread, unless the thread is to end.
fn spend(time: Duration, is_over: impl Fn() -> bool) {
    let used = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from);
    let mut number = 1u64;
    // A clock that cannot be read ends it too.
    while used().is_ok_and(|used| used < time) && !is_over() {
        for _ in 0..10_000 {
            number = std::hint::black_box(number.wrapping_mul(0x5851_f42d_4c95_7f2d) + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn exists(id: i64) -> bool {
        std::path::Path::new(&format!("/proc/self/task/{id}")).exists()
    }

    /// True when the kernel comes to show `fact`. It updates `/proc` only after it
    /// has woken the thread that waits: for the end of another one, or for its word.
    fn comes_true(fact: impl Fn() -> bool) -> bool {
        let end = Instant::now() + Duration::from_secs(10);
        while !fact() && Instant::now() < end {
            std::thread::yield_now();
        }
        fact()
    }

    #[test]
    fn a_thread_is_there_under_its_name_until_it_is_dropped() {
        let thread = HostThread::start(Some("CPU 0/TCG".into()), Duration::ZERO).unwrap();
        let comm = std::fs::read_to_string(format!("/proc/self/task/{}/comm", thread.id()));
        assert_eq!(comm.unwrap(), "CPU 0/TCG\n");
        let id = thread.id();
        assert_ne!(id, i64::from(nix::unistd::gettid().as_raw()));
        drop(thread);
        assert!(comes_true(|| !exists(id)));
    }

    #[test]
    fn time_is_spent_before_the_number_is_told() {
        let thread = HostThread::start(None, Duration::from_millis(20)).unwrap();
        let path = format!("/proc/self/task/{}/schedstat", thread.id());
        let Ok(stat) = std::fs::read_to_string(&path) else {
            eprintln!("skipped: this kernel does not tell what threads used");
            return;
        };
        let nanoseconds = stat.split(' ').next().unwrap().parse::<u64>().unwrap();
        assert!(nanoseconds >= 20_000_000, "{stat}");
    }
}
