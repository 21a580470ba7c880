//! One turn of the loop. The order of the steps is the module page's diagram.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bh::BhCallback;
use super::condition::Condition;
use super::fdmon_poll::Ready;
use super::fds::{FdTable, ALWAYS};
use super::order::{arrange, ReadyWatch};
use super::timer::Due;
use super::watch::{Flow, WatchEntry};
use super::{Host, LoopEvent, MainLoop, WatchId};
use crate::slots::{Key, Slots};

/// The lists of a turn, kept for their memory: in the long run a turn allocates
/// nothing.
#[derive(Default)]
pub(super) struct Lists {
    bhs: VecDeque<Key>,
    flipped: Vec<Key>,
    ready_fds: Vec<Ready>,
    ready: Vec<ReadyWatch>,
    due: Vec<Due>,
}

/// Makes one turn of the host's loop: waits up to `timeout` for something to
/// run, or without limit if that is None, and runs it. See the [module
/// page](super) for the order. QEMU's `main_loop_wait()`.
///
/// Returns true if anything ran. False means that the timeout passed, or that
/// the wait was ended by a signal that is not [added](MainLoop::add_signals),
/// by a call from another thread, or by an fd whose gate turned out to be
/// closed.
///
/// In [simulated time](super::TimeSource::simulated) a turn never blocks. If no
/// fd is ready, time jumps to the first deadline or by `timeout`, whichever
/// comes first. With neither, nothing inside can ever happen again, and
/// the turn returns false at once: a test that waits for another process or
/// thread either turns until that has acted, or uses the system's time.
///
/// # Errors
///
/// Fails as ppoll(2) or epoll_wait(2) do, for want of memory. The turn can be
/// made again.
///
/// # Panics
///
/// In a debug build, if called from inside a callback of the same loop. In a
/// release build that is an error of kind [`io::ErrorKind::Deadlock`].
///
/// If a callback panics and the panic is caught outside, the loop can go on: the
/// callback stays where it was, as if it had returned [`Flow::Keep`], and what
/// did not have its turn runs in the next.
pub fn main_loop_wait<H: Host>(host: &mut H, timeout: Option<Duration>) -> io::Result<bool> {
    let mut turn = Turn::begin(host)?;
    let outcome = turn.run(timeout);
    turn.host.main_loop_mut().settled = matches!(outcome, Ok(false));
    outcome
}

/// A turn under way. Dropping it ends the turn, after a panic as well: nothing
/// that was to run is lost then.
struct Turn<'h, H: Host> {
    host: &'h mut H,
}

impl<'h, H: Host> Turn<'h, H> {
    fn begin(host: &'h mut H) -> io::Result<Self> {
        const RE_ENTERED: &str = "main_loop_wait() called from inside a callback of the same loop";
        let main_loop = host.main_loop_mut();
        if main_loop.in_turn {
            debug_assert!(false, "{RE_ENTERED}");
            return Err(io::Error::new(io::ErrorKind::Deadlock, RE_ENTERED));
        }
        main_loop.in_turn = true;
        main_loop.settled = false;
        Ok(Self { host })
    }

    fn run(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let main_loop = self.host.main_loop_mut();
        main_loop.counters.turns += 1;
        main_loop.note(LoopEvent::TurnBegins(main_loop.counters.turns), "");
        if main_loop.bhs.is_signalled() {
            main_loop.take_in_wakeup();
        }
        let mut ran = false;
        if main_loop.bhs.has_scheduled() {
            main_loop.bhs.take_scheduled(&mut main_loop.lists.bhs);
            ran = self.run_bhs();
        }
        // A turn that had bottom halves to run does not look at fds as well: nearly
        // always nothing is there, and the look is a system call. But never two
        // turns in a row, so that bottom halves cannot starve them.
        let main_loop = self.host.main_loop_mut();
        main_loop.looked = !(ran && main_loop.looked);
        if !main_loop.looked {
            return Ok(true);
        }
        self.look(timeout, ran)?;
        ran |= self.run_watches();
        ran |= self.run_timers();
        Ok(ran)
    }

    /// Waits, and lists what is to run.
    fn look(&mut self, timeout: Option<Duration>, ran: bool) -> io::Result<()> {
        if !self.host.main_loop().asked.is_empty() {
            self.ask_listed_gates();
        }
        let main_loop = self.host.main_loop_mut();
        let limit = main_loop.wait_limit(timeout, ran);
        main_loop.note(LoopEvent::WaitBegins(limit), "");
        let woken = main_loop.wait(limit)?;
        main_loop.note(LoopEvent::WaitEnds, "");
        self.ask_ready_gates();
        let main_loop = self.host.main_loop_mut();
        main_loop.list_what_runs(limit.filter(|_| !woken));
        Ok(())
    }

    /// Asks the gates that were closed, and those of watches without an fd, and notes
    /// which have changed.
    fn ask_listed_gates(&mut self) {
        let mut flipped = std::mem::take(&mut self.host.main_loop_mut().lists.flipped);
        let (host, main_loop) = (&*self.host, self.host.main_loop());
        let asked = main_loop.asked.iter().filter(|id| {
            let watch = main_loop.watches.get(**id);
            watch.is_some_and(|watch| has_flipped(host, watch))
        });
        flipped.extend(asked);
        let main_loop = self.host.main_loop_mut();
        for id in flipped.drain(..) {
            main_loop.flip_gate(id);
        }
        main_loop.lists.flipped = flipped;
    }

    /// Asks the open gates of ready fds, and notes which are closed now. Nothing runs
    /// during the wait, so asking after it gives the same answer as asking before it,
    /// and an idle watch costs nothing.
    fn ask_ready_gates(&mut self) {
        for at in 0..self.host.main_loop().lists.ready_fds.len() {
            let fd = self.host.main_loop().lists.ready_fds[at].key;
            let mut from = 0;
            while let Some((at, id)) = next_flipped(self.host, fd, from) {
                self.host.main_loop_mut().flip_gate(id);
                from = at + 1;
            }
        }
    }

    fn run_bhs(&mut self) -> bool {
        let mut ran = false;
        loop {
            let main_loop = self.host.main_loop_mut();
            let Some(id) = main_loop.lists.bhs.pop_front() else {
                return ran;
            };
            let Some((name, callback)) = main_loop.bhs.take(id) else {
                continue;
            };
            main_loop.counters.bhs += 1;
            main_loop.note(LoopEvent::BhRuns(id.to_opaque()), name);
            ran = true;
            match callback {
                BhCallback::Once(callback) => callback(self.host),
                BhCallback::Many(callback) => {
                    let mut running = Running::new(self.host, id, callback, |main_loop, id, it| {
                        main_loop.bhs.put_back(id, BhCallback::Many(it));
                    });
                    if let (host, Some(callback)) = running.parts() {
                        callback(host);
                    }
                }
            }
            self.host.main_loop_mut().note(LoopEvent::Returns, name);
        }
    }

    fn run_watches(&mut self) -> bool {
        let mut ran = false;
        for at in 0..self.host.main_loop().lists.ready.len() {
            let one = self.host.main_loop().lists.ready[at];
            // A callback that ran before may have closed the gate. If none did, the
            // gate still answers what it did after the wait.
            if ran && !gate_is_open(self.host, one.id) {
                continue;
            }
            let main_loop = self.host.main_loop_mut();
            let Some(watch) = main_loop.watches.get_mut(one.id) else {
                continue;
            };
            let (name, fd) = (watch.name, watch.fd);
            let Some(callback) = watch.callback.take() else {
                continue;
            };
            main_loop.counters.watches += 1;
            main_loop.note_watch(LoopEvent::WatchRuns, fd, name);
            ran = true;
            let mut running = Running::new(self.host, one.id, callback, |main_loop, id, it| {
                if let Some(watch) = main_loop.watches.get_mut(id) {
                    watch.callback = Some(it);
                }
            });
            let flow = match running.parts() {
                (host, Some(callback)) => callback(host, one.condition),
                (_, None) => Flow::Keep,
            };
            drop(running);
            self.host.main_loop_mut().note(LoopEvent::Returns, name);
            if flow == Flow::Remove || one.invalid {
                self.host.main_loop_mut().remove_watch(WatchId(one.id));
            } else if flow == Flow::Drained {
                self.host.main_loop_mut().note_drained(fd);
            }
        }
        ran
    }

    fn run_timers(&mut self) -> bool {
        let mut ran = false;
        for at in 0..self.host.main_loop().lists.due.len() {
            let one = self.host.main_loop().lists.due[at];
            ran |= run_timer(self.host, one);
        }
        ran
    }
}

/// Runs a timer that was found due; false if it is so no more.
pub(super) fn run_timer<H: Host>(host: &mut H, one: Due) -> bool {
    let main_loop = host.main_loop_mut();
    let Some((name, callback)) = main_loop.timers.take_due(&main_loop.clocks, one) else {
        return false;
    };
    main_loop.counters.timers += 1;
    main_loop.note(LoopEvent::TimerRuns(one.id.to_opaque()), name);
    let mut running = Running::new(host, one.id, callback, |main_loop, id, it| {
        if let Some(timer) = main_loop.timers.get_mut(id) {
            timer.callback = Some(it);
        }
    });
    if let (host, Some(callback)) = running.parts() {
        callback(host);
    }
    drop(running);
    host.main_loop_mut().note(LoopEvent::Returns, name);
    true
}

impl<H: Host> Drop for Turn<'_, H> {
    fn drop(&mut self) {
        let main_loop = self.host.main_loop_mut();
        // Only after a panic is any left. The fds and timers that did not have their
        // turn are found again by the next one.
        main_loop.bhs.put_back_scheduled(&mut main_loop.lists.bhs);
        main_loop.in_turn = false;
    }
}

/// A callback while it runs. Dropping it puts the callback back into its slot, after a
/// panic as well, unless the slot is gone.
struct Running<'h, H: Host, C, P: Fn(&mut MainLoop<H>, Key, C)> {
    host: &'h mut H,
    id: Key,
    callback: Option<C>,
    put_back: P,
}

impl<'h, H: Host, C, P: Fn(&mut MainLoop<H>, Key, C)> Running<'h, H, C, P> {
    #[inline]
    fn new(host: &'h mut H, id: Key, callback: C, put_back: P) -> Self {
        Running {
            host,
            id,
            callback: Some(callback),
            put_back,
        }
    }

    /// The host and the callback, which is there until the drop.
    #[inline]
    fn parts(&mut self) -> (&mut H, Option<&mut C>) {
        (self.host, self.callback.as_mut())
    }
}

impl<H: Host, C, P: Fn(&mut MainLoop<H>, Key, C)> Drop for Running<'_, H, C, P> {
    #[inline]
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take() {
            (self.put_back)(self.host.main_loop_mut(), self.id, callback);
        }
    }
}

/// The first open watch of an fd, from that place on, whose gate is closed now.
fn next_flipped<H: Host>(host: &H, fd: usize, from: usize) -> Option<(usize, Key)> {
    let main_loop = host.main_loop();
    let watches = main_loop.fds.get(fd)?.watches.iter().enumerate();
    let mut watches = watches.skip(from).filter(|(_, id)| {
        let watch = main_loop.watches.get(**id);
        watch.is_some_and(|watch| watch.open && has_flipped(host, watch))
    });
    watches.next().map(|(at, id)| (at, *id))
}

/// Whether a watch has a gate whose answer has changed.
fn has_flipped<H: Host>(host: &H, watch: &WatchEntry<H>) -> bool {
    let gate = watch.gate.as_ref();
    gate.is_some_and(|gate| (gate.is_open)(host) != watch.open)
}

fn gate_is_open<H: Host>(host: &H, id: Key) -> bool {
    let watch = host.main_loop().watches.get(id);
    let gate = watch.and_then(|watch| watch.gate.as_ref());
    gate.is_none_or(|gate| (gate.is_open)(host))
}

impl<H> MainLoop<H> {
    /// Tells the trace of a step.
    #[inline]
    pub(super) fn note(&mut self, event: LoopEvent, name: &'static str) {
        if self.is_traced() {
            self.tell(event, name);
        }
    }

    /// Whether there is a trace, and its steps are wanted.
    #[inline]
    pub(super) fn is_traced(&self) -> bool {
        self.traced.load(Ordering::Relaxed)
    }

    #[cold]
    fn tell(&mut self, event: LoopEvent, name: &'static str) {
        if let Some(trace) = &mut self.trace {
            trace(event, name);
        }
    }

    /// Notes something about a watch, given its fd's place in the table, if it
    /// has one.
    pub(super) fn note_watch(
        &mut self,
        event: fn(Option<RawFd>) -> LoopEvent,
        fd: Option<usize>,
        name: &'static str,
    ) {
        if self.is_traced() {
            let number = fd.and_then(|fd| Some(self.fds.get(fd)?.number()));
            self.tell(event(number), name);
        }
    }

    /// Notes that a watch has read all that its fd had.
    #[inline]
    fn note_drained(&mut self, fd: Option<usize>) {
        if let Some(entry) = fd.and_then(|fd| self.fds.get_mut(fd)) {
            entry.reports.drained = true;
        }
    }

    fn take_in_wakeup(&mut self) {
        let (trace, traced) = (&mut self.trace, self.traced);
        let any = self.bhs.take_in(&mut |id, name| {
            if traced.load(Ordering::Relaxed) {
                if let Some(trace) = trace {
                    trace(LoopEvent::BhCalled(id.to_opaque()), name);
                }
            }
        });
        self.counters.wakeups += u64::from(any);
    }

    /// Waits until fds are ready, which are listed, or the limit is over. Returns
    /// true if another thread called.
    fn wait(&mut self, limit: Option<Duration>) -> io::Result<bool> {
        if self.fds.has_changed() || !self.fdmon.is_settled() {
            // Without epoll ppoll will do.
            let _ = self.prepare_fds();
        }
        let blocking = if self.clocks.is_simulated() {
            Some(Duration::ZERO)
        } else {
            limit
        };
        self.lists.ready_fds.clear();
        let woken = self.fdmon.wait(
            &mut self.fds,
            self.bhs.wake(),
            blocking,
            &mut self.lists.ready_fds,
            &mut self.counters,
        )?;
        if woken {
            self.take_in_wakeup();
        }
        Ok(woken)
    }

    /// Lists the watches that are ready and the timers that are due. With none
    /// ready, simulated time goes on by `pass` first.
    fn list_what_runs(&mut self, pass: Option<Duration>) {
        let ready = &mut self.lists.ready;
        ready.clear();
        for one in &self.lists.ready_fds {
            list_ready(*one, &self.fds, &self.watches, ready);
        }
        if self.ready_unpolled > 0 {
            list_unpolled(&self.asked, &self.watches, ready);
        }
        if self.clocks.is_simulated() && ready.is_empty() {
            if let Some(pass) = pass {
                self.clocks.advance(pass);
            }
        }
        arrange(ready, self.shuffle.as_mut());
        self.lists.due.clear();
        if self.timers.any_armed() {
            self.timers.list_due(&self.clocks, &mut self.lists.due);
        }
    }

    /// Brings the set of fds to wait for up to date; fails as
    /// [`Fdmon::prepare`](super::fdmon::Fdmon::prepare).
    pub(super) fn prepare_fds(&mut self) -> io::Result<()> {
        let watches = &self.watches;
        let wanted = |id| {
            let watch = watches.get(id)?;
            watch.open.then_some(watch.condition)
        };
        let wake = self.bhs.wake();
        self.fdmon
            .prepare(&mut self.fds, wanted, wake, &mut self.counters)
    }

    /// How long the next wait may last: zero if `at_once`, or bottom halves are
    /// scheduled, or a watch without an fd is ready, else up to `timeout` and the
    /// first deadline.
    pub(super) fn wait_limit(&self, timeout: Option<Duration>, at_once: bool) -> Option<Duration> {
        if at_once
            || timeout == Some(Duration::ZERO)
            || self.ready_unpolled > 0
            || self.bhs.has_scheduled()
            || self.bhs.is_signalled()
        {
            return Some(Duration::ZERO);
        }
        let is_manual = self.clocks.is_manual();
        if !self.timers.any_armed() {
            return timeout;
        }
        let deadline = self.timers.ns_to_next(&self.clocks);
        let deadline = deadline.filter(|ns| *ns == 0 || !is_manual);
        match (timeout, deadline.map(Duration::from_nanos)) {
            (Some(timeout), Some(deadline)) => Some(timeout.min(deadline)),
            (timeout, deadline) => timeout.or(deadline),
        }
    }
}

/// Lists the watches without an fd whose gate is open.
fn list_unpolled<H>(asked: &[Key], watches: &Slots<WatchEntry<H>>, list: &mut Vec<ReadyWatch>) {
    for id in asked {
        let Some((number, watch)) = watches.get_numbered(*id) else {
            continue;
        };
        if watch.open {
            list.push(ReadyWatch {
                id: *id,
                number,
                condition: watch.condition,
                invalid: false,
            });
        }
    }
}

/// Lists the watches that an fd's condition makes ready.
fn list_ready<H>(
    ready: Ready,
    fds: &FdTable,
    watches: &Slots<WatchEntry<H>>,
    list: &mut Vec<ReadyWatch>,
) {
    let Some(entry) = fds.get(ready.key) else {
        return;
    };
    let open = entry.watches.iter().filter_map(|id| {
        let (number, watch) = watches.get_numbered(*id)?;
        watch.open.then_some((*id, number, watch))
    });
    let wanted = if entry.has_changed() {
        // A gate that closed just now.
        open.clone()
            .fold(ALWAYS, |all, (_, _, watch)| all | watch.condition)
    } else {
        entry.interest
    };
    let readable = (ready.condition & wanted).contains(Condition::IN);
    for (id, number, watch) in open {
        let mut condition = ready.condition & (watch.condition | ALWAYS);
        if readable {
            condition = condition - Condition::HUP;
        }
        if !condition.is_empty() {
            list.push(ReadyWatch {
                id,
                number,
                condition,
                invalid: ready.invalid,
            });
        }
    }
}
