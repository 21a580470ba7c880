//! The main loop: watches on fds, timers, bottom halves and signals, on one
//! thread.
//!
//! Everything in a monitor happens in callbacks of this loop. It knows nothing of
//! character devices or monitors; it is generic over a *host*, the one value
//! that owns the loop and all else, and each callback is given `&mut` host. So
//! a callback can do anything: remove itself, replace itself, remove what is
//! about to run after it, delete the object it was called for. The loop is
//! built so that none of this needs a thought on the caller's side.
//!
//! ```
//! use qmonitor::main_loop::{main_loop_wait, ClockType, Host, MainLoop};
//!
//! struct App {
//!     main_loop: MainLoop<App>,
//!     ticks: u32,
//! }
//!
//! impl Host for App {
//!     fn main_loop(&self) -> &MainLoop<Self> {
//!         &self.main_loop
//!     }
//!     fn main_loop_mut(&mut self) -> &mut MainLoop<Self> {
//!         &mut self.main_loop
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut app = App { main_loop: MainLoop::new()?, ticks: 0 };
//! let timer = app.main_loop.timer_new(ClockType::Realtime, "tick", |app: &mut App| {
//!     app.ticks += 1;
//! });
//! let now = app.main_loop.clock_get_ns(ClockType::Realtime);
//! app.main_loop.timer_mod(timer, now + 1_000_000); // in a millisecond
//! while app.ticks == 0 {
//!     main_loop_wait(&mut app, None)?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # A turn
//!
//! [`main_loop_wait`] makes one turn:
//!
//! ```text
//!   bottom halves scheduled before the turn, first come first served
//!        │
//!   gates are asked; fds whose open watches changed are settled
//!        │
//!   wait ── ppoll, or epoll when there are many fds
//!        │     until: an fd is ready, the first deadline, another thread calls,
//!        │            the caller's timeout
//!        │     not at all if bottom halves ran or are scheduled
//!        │
//!   one look: which watches are ready, which timers are due
//!        │
//!   ready watches of the lowest priority number, in order of addition,
//!        │     those that only hang up last
//!   due timers: realtime, virtual, host; by deadline, then order of arming
//!        │
//!   idle bottom halves scheduled before the turn
//! ```
//!
//! What is scheduled, added, armed or made ready during a turn waits for the
//! next one, so no callback can keep the turn from ending. What was found ready
//! does *not* run if before its place in the turn it was removed, replaced,
//! cancelled, put off, or its gate closed or its clock stopped.
//!
//! Watches are level-triggered: what is not dealt with is reported again in the
//! next turn. Only one priority class runs in a turn, as in GLib, so a watch
//! with a higher number runs when nothing more urgent is ready.
//!
//! # A callback and its slot
//!
//! ```text
//!            add                  ready
//!   (nothing) ──▶ in its slot ───────────▶ taken out, running
//!                  ▲   │                        │
//!                  │   │ remove, replace        │ returns
//!                  │   ▼                        ▼
//!                  │ dropped ◀── no ── slot still its own, and Keep?
//!                  │                            │
//!                  └─────────── put back ◀─ yes ┘
//! ```
//!
//! While it runs, a callback is not in the table, so it can be neither dropped
//! nor called a second time under its own feet; its id stays good. Ids carry a
//! serial that is never reused, so "still its own" is one comparison, and a
//! stale id finds nothing for ever.
//!
//! For the same reason [`main_loop_wait`] is not to be called from a callback:
//! whoever has to wait for something returns, and goes on from another callback.
//!
//! # Hang-up after the last data
//!
//! The kernel reports a hang-up as soon as the peer is gone, even if what it
//! sent last has not been read. Here, as long as an open watch of the fd asks
//! for [`IN`](Condition::IN) and there is something to read, no watch of the fd is
//! told [`HUP`](Condition::HUP). So the reader gets `IN` until it has everything; then
//! a pipe or terminal gives `HUP` alone, while a socket goes on giving `IN` and
//! reads return 0. Where nobody reads, because the gate is closed or only
//! hang-up was asked for, `HUP` is told at once. [`ERR`](Condition::ERR) is never held
//! back.
//!
//! # Fds that are not what they should be
//!
//! Regular files and `/dev/null` are always ready, whichever way of waiting is
//! in use. An fd that is not open gives `HUP|ERR` once, and its watch is removed
//! even if the callback says [`Keep`](Flow::Keep): nothing can come from it, and the
//! loop would spin.
//!
//! # Time
//!
//! Clocks are read through the loop. With [`TimeSource::simulated`] time stands
//! still while callbacks run and jumps to the next deadline when nothing is
//! ready; see [`main_loop_wait`].
//!
//! # In another program's loop
//!
//! A program that has its own loop waits for [`poll_fd`](MainLoop::poll_fd) to
//! become readable, or [`next_timeout`](MainLoop::next_timeout) to pass, and then
//! calls [`main_loop_wait`] with a timeout of zero.

mod bh;
mod clock;
mod condition;
mod counters;
mod fdmon;
mod fdmon_epoll;
mod fdmon_poll;
mod fds;
mod order;
mod signal;
mod slots;
mod sys;
mod timer;
mod turn;
mod watch;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::time::Duration;

pub use bh::{BhHandle, BhId};
pub use clock::{ClockType, TimeSource};
pub use condition::Condition;
pub use counters::Counters;
pub use fdmon::{FdmonKind, FdmonPolicy};
pub use signal::{Signal, SignalInfo};
pub use sys::{own_fd, own_inherited_fd};
pub use timer::TimerId;
pub use turn::main_loop_wait;
pub use watch::{Flow, SharedFd, Watch, WatchId};

use bh::{BhCallback, Bhs};
use clock::Clocks;
use fdmon::Fdmon;
use fds::FdTable;
use order::XorShift;
use slots::Slots;
use timer::Timers;
use turn::Scratch;
use watch::{Gate, WatchEntry};

/// The value that owns a main loop and everything its callbacks work on.
///
/// Both functions must always give the same loop.
pub trait Host: Sized + 'static {
    /// The host's loop.
    fn main_loop(&self) -> &MainLoop<Self>;
    /// The host's loop.
    fn main_loop_mut(&mut self) -> &mut MainLoop<Self>;
}

/// What kind of callback a [trace](MainLoop::set_trace) tells of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dispatch {
    /// A watch.
    Watch,
    /// A timer.
    Timer,
    /// A bottom half.
    Bh,
}

type Trace = Box<dyn FnMut(Dispatch, &'static str)>;

/// How long an idle bottom half waits at most, as in QEMU.
const IDLE_BH_DELAY: Duration = Duration::from_millis(10);

/// The main loop of a host `H`; see the [module page](self).
///
/// Where a function takes an id and returns a bool, it is false if there is no
/// such thing any more, which is never an error.
pub struct MainLoop<H> {
    watches: Slots<WatchEntry<H>>,
    /// Slots of the watches that have a gate.
    gated: Vec<usize>,
    fds: FdTable,
    // Before `bhs`, whose eventfd is registered in it.
    fdmon: Fdmon,
    clocks: Clocks,
    timers: Timers<H>,
    bhs: Bhs<H>,
    shuffle: Option<XorShift>,
    trace: Option<Trace>,
    counters: Counters,
    scratch: Scratch,
    /// Shared with the guard of the turn, which clears it even if a callback
    /// panics.
    in_turn: Rc<Cell<bool>>,
    /// The last turn ran nothing, so no gate can have changed in it.
    settled: bool,
}

/// Making a loop.
impl<H> MainLoop<H> {
    /// A loop in the system's time.
    ///
    /// The first one made in a process also sees to it that `SIGPIPE` does not
    /// kill: it is ignored if it has its default action.
    ///
    /// # Errors
    ///
    /// What eventfd(2) fails with, `EMFILE` mostly.
    pub fn new() -> io::Result<Self> {
        Self::with_time(TimeSource::system())
    }

    /// A loop in the given time; otherwise as [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_time(time: TimeSource) -> io::Result<Self> {
        sys::ignore_sigpipe();
        Ok(Self {
            watches: Slots::new(),
            gated: Vec::new(),
            fds: FdTable::new(),
            fdmon: Fdmon::default(),
            clocks: Clocks::new(time),
            timers: Timers::new(),
            bhs: Bhs::new()?,
            shuffle: None,
            trace: None,
            counters: Counters::default(),
            scratch: Scratch::default(),
            in_turn: Rc::default(),
            settled: false,
        })
    }
}

/// Watches.
impl<H> MainLoop<H> {
    /// Adds a watch. It can run from the next turn on.
    pub fn add_watch(&mut self, watch: Watch<H>) -> WatchId {
        let open = watch.gate.is_none();
        let gate = watch.gate.map(|is_open| Gate {
            is_open,
            at: self.gated.len(),
        });
        let gated = gate.is_some();
        let id = self.watches.insert(WatchEntry {
            name: watch.name,
            fd: 0,
            condition: watch.condition,
            priority: watch.priority,
            gate,
            open,
            callback: Some(watch.callback),
        });
        if gated {
            self.gated.push(id.slot);
        }
        let fd = self.fds.attach(watch.fd, id.slot);
        if let Some(entry) = self.watches.get_mut(id) {
            entry.fd = fd;
        }
        WatchId(id)
    }

    /// Removes a watch, at once: it does not run any more, not even if it was
    /// found ready in this turn, and its share of the fd is gone when this
    /// returns. A running callback ends undisturbed and is dropped then.
    pub fn remove_watch(&mut self, id: WatchId) -> bool {
        let Some(watch) = self.watches.remove(id.0) else {
            return false;
        };
        if let Some(gate) = &watch.gate {
            self.gated.swap_remove(gate.at);
            if let Some(moved) = self.gated.get(gate.at) {
                let moved = self.watches.at_mut(*moved);
                if let Some(other) = moved.and_then(|watch| watch.gate.as_mut()) {
                    other.at = gate.at;
                }
            }
        }
        if let Some(entry) = self.fds.detach(watch.fd, id.0.slot) {
            self.fdmon.forget(watch.fd, &entry, &mut self.counters);
        }
        true
    }

    /// Puts a new watch in the place of another, which is removed. Nothing
    /// happens if that one is gone already. The new one can run from the next
    /// turn on, and its place in the order is that of one just added.
    pub fn replace_watch(&mut self, id: WatchId, watch: Watch<H>) -> Option<WatchId> {
        if !self.has_watch(id) {
            return None;
        }
        // Added first: if it is on the same fd, that stays known to the kernel.
        let new = self.add_watch(watch);
        self.remove_watch(id);
        Some(new)
    }

    /// True until the watch is removed.
    pub fn has_watch(&self, id: WatchId) -> bool {
        self.watches.get(id.0).is_some()
    }

    /// How many watches there are.
    pub fn watch_count(&self) -> usize {
        self.watches.len()
    }
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
        self.timers.arm(id.0, deadline_ns)
    }

    /// Disarms a timer. False if it was not armed.
    pub fn timer_del(&mut self, id: TimerId) -> bool {
        self.timers.disarm(id.0)
    }

    /// Disarms a timer and forgets it.
    pub fn timer_free(&mut self, id: TimerId) -> bool {
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

    /// Moves the virtual clock on by `ns` nanoseconds, whether it runs or not;
    /// qtest's `clock_step`. Timers that fall due run in the next turn, if
    /// the clock is enabled.
    pub fn clock_step(&mut self, ns: u64) {
        self.clocks.step(ns);
    }

    /// Lets simulated time pass, on all clocks that run. Does nothing in the
    /// system's time. Timers that fall due run in the next turn.
    pub fn time_advance(&mut self, by: Duration) {
        self.clocks.advance(by);
    }
}

/// Bottom halves.
impl<H> MainLoop<H> {
    /// Makes a bottom half, not scheduled yet; QEMU's `qemu_bh_new()`.
    pub fn bh_new(&mut self, name: &'static str, callback: impl FnMut(&mut H) + 'static) -> BhId {
        BhId(self.bhs.insert(name, BhCallback::Many(Box::new(callback))))
    }

    /// Has a bottom half run at the start of the next turn, once, however
    /// often this is called before.
    pub fn bh_schedule(&mut self, id: BhId) -> bool {
        self.bhs.schedule(id.0)
    }

    /// Has a bottom half run at the end of the next turn, which waits for other
    /// things up to 10 ms first. Does nothing if it is scheduled already;
    /// [`bh_schedule`](Self::bh_schedule) overrides it.
    pub fn bh_schedule_idle(&mut self, id: BhId) -> bool {
        self.bhs.schedule_idle(id.0)
    }

    /// Takes a scheduling back. False if there was none.
    pub fn bh_cancel(&mut self, id: BhId) -> bool {
        self.bhs.cancel(id.0)
    }

    /// Forgets a bottom half, scheduled or not.
    pub fn bh_delete(&mut self, id: BhId) -> bool {
        self.bhs.delete(id.0)
    }

    /// True if it is scheduled, idle or not. It is not while its callback runs,
    /// unless that schedules it again.
    pub fn bh_scheduled(&self, id: BhId) -> bool {
        self.bhs.is_scheduled(id.0)
    }

    /// Runs `callback` at the start of the next turn; QEMU's
    /// `aio_bh_schedule_oneshot()`.
    pub fn bh_schedule_oneshot(
        &mut self,
        name: &'static str,
        callback: impl FnOnce(&mut H) + 'static,
    ) {
        let id = self.bhs.insert(name, BhCallback::Once(Box::new(callback)));
        self.bhs.schedule(id);
    }

    /// A handle by which other threads can schedule the bottom half.
    pub fn bh_handle(&mut self, id: BhId) -> BhHandle {
        self.fdmon.use_wake();
        self.bhs.handle(id.0)
    }
}

/// Looking on, and adjusting.
impl<H> MainLoop<H> {
    /// What the loop has done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Has `trace` called before each callback, with the callback's name; None
    /// ends it.
    pub fn set_trace(&mut self, trace: Option<Box<dyn FnMut(Dispatch, &'static str)>>) {
        self.trace = trace;
    }

    /// Chooses the way of waiting, from the next turn on.
    pub fn set_fdmon(&mut self, policy: FdmonPolicy) {
        self.fdmon.set_policy(policy);
    }

    /// The way of waiting in use.
    pub fn fdmon(&self) -> FdmonKind {
        self.fdmon.kind()
    }

    /// With a seed, has ready watches of one priority run in an order that
    /// depends on the seed alone, to find code that relies on one; hang-ups
    /// still come last. None restores the order of addition.
    pub fn set_shuffle(&mut self, seed: Option<u64>) {
        self.shuffle = seed.map(XorShift::new);
    }
}

/// In another program's loop.
impl<H> MainLoop<H> {
    /// One fd that is readable when a turn has fds to serve or another thread
    /// called. If this succeeds, the loop uses epoll from here on, whatever was
    /// set. Ask anew before each sleep: what changed since the last turn is
    /// made known to epoll here.
    ///
    /// The outer loop, each time before it sleeps, makes turns of zero timeout
    /// until one returns false, for only a turn asks the gates; then it sleeps
    /// until this fd is readable, but no longer than
    /// [`next_timeout`](Self::next_timeout).
    ///
    /// # Errors
    ///
    /// What epoll_create(2) and the like fail with, `EMFILE` mostly.
    ///
    /// ```
    /// # use std::os::fd::AsFd;
    /// # use std::time::Duration;
    /// # use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    /// # use qmonitor::main_loop::{main_loop_wait, ClockType, Host, MainLoop};
    /// # struct App { main_loop: MainLoop<App>, ticks: u32 }
    /// # impl Host for App {
    /// #     fn main_loop(&self) -> &MainLoop<Self> { &self.main_loop }
    /// #     fn main_loop_mut(&mut self) -> &mut MainLoop<Self> { &mut self.main_loop }
    /// # }
    /// # fn main() -> std::io::Result<()> {
    /// # let mut app = App { main_loop: MainLoop::new()?, ticks: 0 };
    /// # let timer = app.main_loop.timer_new(ClockType::Realtime, "tick", |app: &mut App| app.ticks += 1);
    /// # app.main_loop.timer_mod(timer, 1_000_000);
    /// loop {
    ///     while main_loop_wait(&mut app, Some(Duration::ZERO))? {}
    ///     if app.ticks > 0 {
    ///         break; // asked here: those turns may have done all there is
    ///     }
    ///     let timeout = match app.main_loop.next_timeout() {
    ///         None => PollTimeout::NONE,
    ///         // Rounded up, or the last millisecond would be spent spinning.
    ///         Some(timeout) => PollTimeout::try_from(timeout.as_micros().div_ceil(1000))
    ///             .unwrap_or(PollTimeout::MAX),
    ///     };
    ///     let fd = app.main_loop.poll_fd()?;
    ///     poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout)?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn poll_fd(&mut self) -> io::Result<BorrowedFd<'_>> {
        self.fdmon.pin(true);
        if let Err(error) = self.prepare_fds() {
            self.fdmon.pin(false);
            return Err(error);
        }
        self.fdmon
            .epoll_fd()
            .ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))
    }

    /// How long an outer loop may sleep before the next turn is due; None
    /// without end. It is zero if a turn has something to do at once, or might
    /// have because the last one ran something, or if it must look after fds
    /// that epoll does not take, such as regular files.
    pub fn next_timeout(&self) -> Option<Duration> {
        let at_once =
            !self.settled || self.fds.has_changed() || self.fdmon.has_fds_beside_epoll(&self.fds);
        let limit = self.wait_limit(None, at_once);
        match limit {
            // Simulated time does not pass by sleeping: a turn makes it pass.
            Some(_) if self.clocks.is_simulated() => Some(Duration::ZERO),
            _ => limit,
        }
    }

    /// Brings the set of fds to wait for up to date; fails as
    /// [`Fdmon::prepare`].
    fn prepare_fds(&mut self) -> io::Result<()> {
        let watches = &self.watches;
        let wanted = |slot| {
            let (_, watch) = watches.at(slot)?;
            watch.open.then_some(watch.condition)
        };
        let wake = self.bhs.wake();
        self.fdmon
            .prepare(&mut self.fds, wanted, wake, &mut self.counters)
    }

    /// How long the next wait may last: zero if `at_once` or bottom halves are
    /// scheduled, else up to `timeout` and the first deadline.
    fn wait_limit(&self, timeout: Option<Duration>, at_once: bool) -> Option<Duration> {
        if at_once
            || timeout == Some(Duration::ZERO)
            || self.bhs.has_scheduled()
            || self.bhs.is_signalled()
        {
            return Some(Duration::ZERO);
        }
        let deadline = self.timers.ns_to_next(&self.clocks);
        let idle = self.bhs.has_idle().then_some(IDLE_BH_DELAY);
        [timeout, deadline.map(Duration::from_nanos), idle]
            .into_iter()
            .flatten()
            .min()
    }
}
