//! The main loop: watches on fds, timers, bottom halves and signals, on one
//! thread.
//!
//! Everything in a monitor happens in callbacks of this loop. It knows nothing
//! of character devices or monitors. It is generic over a *host*, the one value
//! that owns the loop and all else, and each callback gets `&mut` host. So a
//! callback can do anything: remove itself, put another in its place, remove
//! what is about to run after it, delete the object it was called for. Callers
//! need not think about any of this.
//!
//! ```
//! use std::time::Duration;
//!
//! use qmonitor::impl_host;
//! use qmonitor::main_loop::{main_loop_wait, ClockType, MainLoop};
//!
//! struct App {
//!     main_loop: MainLoop<App>,
//!     ticks: u32,
//! }
//!
//! impl_host!(App, main_loop);
//!
//! # fn main() -> std::io::Result<()> {
//! let mut app = App { main_loop: MainLoop::new()?, ticks: 0 };
//! let timer = app.main_loop.timer_new(ClockType::Realtime, "tick", |app: &mut App| {
//!     app.ticks += 1;
//! });
//! app.main_loop.timer_mod_in(timer, Duration::from_millis(1));
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
//!        │     if any ran, the turn ends here; but the turn after such a one
//!        │     always goes on
//!   closed gates, and those of watches without an fd, are asked;
//!        │     fds whose open watches changed are settled
//!        │
//!   wait ── ppoll, or epoll when there are many fds
//!        │     until: an fd is ready, the first deadline, another thread calls,
//!        │            the caller's timeout
//!        │     without blocking if bottom halves ran or are scheduled, or the
//!        │     gate of a watch without an fd is open
//!        │
//!   open gates of ready fds are asked
//!        │
//!   one look: which watches are ready, which timers are due
//!        │
//!   ready watches, in order of addition, those that only hang up last
//!        │
//!   due timers: realtime, virtual, host; by deadline, then order of arming
//! ```
//!
//! No callback can keep the turn from ending: whatever it schedules, adds, arms
//! or makes ready waits for the next turn. A watch or timer that was found
//! ready does *not* run if it is removed or put off, if its gate closes or if
//! its clock stops before its place in the turn.
//!
//! Watches are level-triggered: a condition that no callback deals with is
//! reported again in the next turn.
//!
//! # A callback and its slot
//!
//! ```text
//!            add                  ready
//!   (nothing) ──▶ in its slot ───────────▶ taken out, running
//!                  ▲   │                        │
//!                  │   │ remove                 │ returns
//!                  │   ▼                        ▼
//!                  │ dropped ◀── no ── slot still its own, and Keep?
//!                  │                            │
//!                  └─────────── put back ◀─ yes ┘
//! ```
//!
//! While it runs, a callback is not in the table, so it can be neither dropped
//! nor called a second time under its own feet; its id stays good. An id is never
//! given out twice, so "still its own" is one comparison, and a stale id finds
//! nothing for ever.
//!
//! For the same reason a callback must not call [`main_loop_wait`]. Code that
//! has to wait for something returns, and another callback goes on. A callback
//! that panics is put back too, as if it had returned [`Keep`](Flow::Keep).
//!
//! # Hang-up after the last data
//!
//! The kernel reports a hang-up as soon as the peer is gone, even if its last
//! data has not been read. Here, as long as an open watch of the fd asks for
//! [`IN`](Condition::IN) and there is something to read, no watch of the fd is
//! told [`HUP`](Condition::HUP). So the reader gets `IN` until it has
//! everything; then a pipe or terminal gives `HUP` alone, while a socket goes
//! on giving `IN` and reads return 0. If no watch reads, because the gate is
//! closed or only hang-up was asked for, the watches are told `HUP` at once.
//! [`ERR`](Condition::ERR) is never held back.
//!
//! # Fds that are not what they should be
//!
//! Regular files and `/dev/null` are always ready, in either way of waiting. An
//! fd that is not open gives `HUP|ERR` once, and its watch is removed even if
//! the callback says [`Keep`](Flow::Keep): nothing can come from it, and the
//! loop would spin.
//!
//! # Time
//!
//! Clocks are read through the loop. With [`TimeSource::simulated`] time stands
//! still while callbacks run and jumps to the next deadline when nothing is
//! ready; see [`main_loop_wait`]. The virtual clock alone can be
//! [taken in hand](MainLoop::take_virtual_clock_in_hand): then [`virtual_clock_warp`] moves it.
//!
//! # In another program's loop
//!
//! A program that has its own loop waits for [`poll_fd`](MainLoop::poll_fd) to
//! become readable, or [`next_timeout`](MainLoop::next_timeout) to pass, and then
//! calls [`main_loop_wait`] with a timeout of zero.

mod armed;
mod bh;
mod clock;
mod condition;
mod counters;
mod fdmon;
mod fdmon_epoll;
mod fdmon_poll;
mod fds;
mod order;
mod outer;
mod signal;
mod timer;
mod turn;
mod warp;
mod watch;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

pub use bh::{BhHandle, BhId};
pub use clock::{ClockType, TimeSource};
pub use condition::Condition;
pub use counters::Counters;
pub use fdmon::{FdmonKind, FdmonPolicy};
pub use signal::{Signal, SignalInfo};
pub use timer::TimerId;
pub use turn::main_loop_wait;
pub use warp::virtual_clock_warp;
pub use watch::{Flow, SharedFd, Watch, WatchId};

use crate::slots::{Key, Slots};

use bh::Bhs;
use clock::Clocks;
use fdmon::Fdmon;
use fds::FdTable;
use order::XorShift;
use timer::Timers;
use turn::Lists;
use watch::WatchEntry;

/// The value that owns a main loop and everything its callbacks work on.
///
/// Both functions must always return the same loop.
pub trait Host: Sized + 'static {
    /// The host's loop.
    fn main_loop(&self) -> &MainLoop<Self>;
    /// The host's loop.
    fn main_loop_mut(&mut self) -> &mut MainLoop<Self>;
}

/// A step that a [trace](MainLoop::set_trace) reports. The numbers of bottom halves and
/// timers tell those of the same name apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum LoopEvent {
    /// A turn begins, the loop's so many-th.
    TurnBegins(u64),
    /// The loop looks which fds are ready, and waits for one up to this time, or for ever.
    WaitBegins(Option<Duration>),
    /// The wait is over.
    WaitEnds,
    /// A watch on this fd was added; none if it has only a gate.
    WatchAdded(Option<RawFd>),
    /// A watch on this fd was removed, or removed itself.
    WatchRemoved(Option<RawFd>),
    /// The gate of a watch on this fd was found open.
    GateOpens(Option<RawFd>),
    /// The gate of a watch on this fd was found closed.
    GateCloses(Option<RawFd>),
    /// A watch on this fd is about to run.
    WatchRuns(Option<RawFd>),
    /// This timer was armed, for so many nanoseconds from now.
    TimerArmed(u64, i64),
    /// This timer was disarmed before it was due.
    TimerDisarmed(u64),
    /// This timer is about to run.
    TimerRuns(u64),
    /// This bottom half was scheduled.
    BhScheduled(u64),
    /// Another thread has scheduled this bottom half.
    BhCalled(u64),
    /// This bottom half is about to run.
    BhRuns(u64),
    /// The watch, timer or bottom half that ran has returned.
    Returns,
}

/// Takes the steps of a loop, each with the name of what it is about.
pub type LoopTrace = Box<dyn FnMut(LoopEvent, &'static str)>;

/// For a loop without a trace.
static NO_TRACE: AtomicBool = AtomicBool::new(false);

/// The main loop of a host `H`; see the [module page](self).
///
/// A function that takes an id and returns a bool returns false if the id names
/// nothing any more. That is never an error.
pub struct MainLoop<H> {
    // First, to be dropped before the fds that are registered in it.
    fdmon: Fdmon,
    watches: Slots<WatchEntry<H>>,
    /// The watches whose gate is asked before each wait: it was closed
    /// when last asked, or there is no fd.
    asked: Vec<Key>,
    /// How many watches without an fd have an open gate, as far as known.
    ready_unpolled: usize,
    fds: FdTable,
    clocks: Clocks,
    timers: Timers<H>,
    bhs: Bhs<H>,
    shuffle: Option<XorShift>,
    /// Whether the trace is to be called; asked before each step.
    traced: &'static AtomicBool,
    trace: Option<LoopTrace>,
    counters: Counters,
    lists: Lists,
    /// A turn is under way.
    in_turn: bool,
    /// The last turn ran nothing, so no gate can have changed in it.
    settled: bool,
    /// Whether the last turn looked at the fds; one of bottom halves alone does
    /// not.
    looked: bool,
}

/// Making a loop.
impl<H> MainLoop<H> {
    /// A loop in the system's time.
    ///
    /// The first loop of a process also keeps `SIGPIPE` from killing it: the
    /// signal is ignored if it has its default action.
    ///
    /// # Errors
    ///
    /// Fails as eventfd(2) does, mostly with `EMFILE`.
    pub fn new() -> io::Result<Self> {
        Self::with_time(TimeSource::system())
    }

    /// A loop in the given time; otherwise as [`new`](Self::new).
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn with_time(time: TimeSource) -> io::Result<Self> {
        crate::sys::ignore_sigpipe();
        Ok(Self {
            watches: Slots::new(),
            asked: Vec::new(),
            ready_unpolled: 0,
            fds: FdTable::new(),
            fdmon: Fdmon::default(),
            clocks: Clocks::new(time),
            timers: Timers::new(),
            bhs: Bhs::new()?,
            shuffle: None,
            traced: &NO_TRACE,
            trace: None,
            counters: Counters::default(),
            lists: Lists::default(),
            in_turn: false,
            settled: false,
            looked: true,
        })
    }
}

/// Looking on, and adjusting.
impl<H> MainLoop<H> {
    /// What the loop has done so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Calls `trace` at each step for as long as `wanted` is true. While it is not, a
    /// step costs a load and a branch.
    pub fn set_trace(&mut self, wanted: &'static AtomicBool, trace: LoopTrace) {
        self.traced = wanted;
        self.trace = Some(trace);
    }

    /// Chooses the way of waiting, from the next turn on.
    pub fn set_fdmon(&mut self, policy: FdmonPolicy) {
        self.fdmon.set_policy(policy);
    }

    /// The way of waiting in use.
    pub fn fdmon(&self) -> FdmonKind {
        self.fdmon.kind()
    }

    /// With a seed, runs ready watches in an order that depends on the seed
    /// alone. This finds code that relies on the order of addition. Hang-ups
    /// still come last. None restores the order of addition.
    pub fn set_shuffle(&mut self, seed: Option<u64>) {
        self.shuffle = seed.map(XorShift::new);
    }
}
