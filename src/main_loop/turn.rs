//! One turn of the loop. The order of the steps is the module page's diagram.

use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

use super::bh::BhCallback;
use super::condition::Condition;
use super::fdmon_poll::Ready;
use super::fds::ALWAYS;
use super::order::{arrange, ReadyWatch};
use super::timer::{Due, TimerCallback};
use super::watch::{Flow, WatchCallback};
use super::{Host, LoopEvent, MainLoop, WatchId};
use crate::slots::Key;

/// The lists of a turn, kept for their memory: in the long run a turn allocates
/// nothing.
#[derive(Default)]
pub(super) struct Scratch {
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
/// that was to run, and no callback that runs, is lost then.
struct Turn<'h, H: Host> {
    host: &'h mut H,
    scratch: Scratch,
    /// The callback that runs, to be put back.
    watch: Option<(Key, WatchCallback<H>)>,
    timer: Option<(Key, TimerCallback<H>)>,
    bh: Option<(Key, BhCallback<H>)>,
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
        let scratch = std::mem::take(&mut main_loop.scratch);
        Ok(Self {
            host,
            scratch,
            watch: None,
            timer: None,
            bh: None,
        })
    }

    fn run(&mut self, timeout: Option<Duration>) -> io::Result<bool> {
        let main_loop = self.host.main_loop_mut();
        main_loop.counters.turns += 1;
        if main_loop.bhs.is_signalled() {
            main_loop.take_in_wakeup();
        }
        main_loop.bhs.take_scheduled(&mut self.scratch.bhs);
        let mut ran = self.run_bhs();
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
        let Turn { host, scratch, .. } = self;
        ask_listed_gates(*host, &mut scratch.flipped);
        let main_loop = host.main_loop_mut();
        main_loop.apply_flips(&mut scratch.flipped);
        let limit = main_loop.wait_limit(timeout, ran);
        let woken = main_loop.wait(limit, &mut scratch.ready_fds)?;
        ask_ready_gates(*host, &scratch.ready_fds, &mut scratch.flipped);
        let main_loop = host.main_loop_mut();
        main_loop.apply_flips(&mut scratch.flipped);
        main_loop.list_what_runs(limit.filter(|_| !woken), scratch);
        Ok(())
    }

    fn run_bhs(&mut self) -> bool {
        let mut ran = false;
        while let Some(id) = self.scratch.bhs.pop_front() {
            let main_loop = self.host.main_loop_mut();
            let Some((name, callback)) = main_loop.bhs.take(id) else {
                continue;
            };
            main_loop.counters.bhs += 1;
            main_loop.note(LoopEvent::BhRuns, name);
            ran = true;
            match callback {
                BhCallback::Once(callback) => callback(self.host),
                many @ BhCallback::Many(_) => {
                    let (_, running) = self.bh.insert((id, many));
                    if let BhCallback::Many(callback) = running {
                        callback(self.host);
                    }
                    self.put_back_bh();
                }
            }
        }
        ran
    }

    fn run_watches(&mut self) -> bool {
        let mut ran = false;
        for at in 0..self.scratch.ready.len() {
            let one = self.scratch.ready[at];
            // A callback that ran before may have closed the gate.
            let watch = self.host.main_loop().watches.get(one.id);
            let Some(watch) = watch else { continue };
            let gate = watch.gate.as_ref();
            if gate.is_some_and(|gate| !(gate.is_open)(self.host)) {
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
            let (_, callback) = self.watch.insert((one.id, callback));
            main_loop.counters.watches += 1;
            main_loop.note_watch(LoopEvent::WatchRuns, fd, name);
            ran = true;
            let flow = callback(self.host, one.condition);
            self.put_back_watch();
            if flow == Flow::Remove || one.invalid {
                self.host.main_loop_mut().remove_watch(WatchId(one.id));
            }
        }
        ran
    }

    fn run_timers(&mut self) -> bool {
        let mut ran = false;
        for at in 0..self.scratch.due.len() {
            let one = self.scratch.due[at];
            let main_loop = self.host.main_loop_mut();
            let Some((name, callback)) = main_loop.timers.take_due(&main_loop.clocks, one) else {
                continue;
            };
            let (_, callback) = self.timer.insert((one.id, callback));
            main_loop.counters.timers += 1;
            main_loop.note(LoopEvent::TimerRuns, name);
            ran = true;
            callback(self.host);
            self.put_back_timer();
        }
        ran
    }

    fn put_back_bh(&mut self) {
        if let Some((id, callback)) = self.bh.take() {
            self.host.main_loop_mut().bhs.put_back(id, callback);
        }
    }

    fn put_back_watch(&mut self) {
        if let Some((id, callback)) = self.watch.take() {
            if let Some(watch) = self.host.main_loop_mut().watches.get_mut(id) {
                watch.callback = Some(callback);
            }
        }
    }

    fn put_back_timer(&mut self) {
        if let Some((id, callback)) = self.timer.take() {
            if let Some(timer) = self.host.main_loop_mut().timers.get_mut(id) {
                timer.callback = Some(callback);
            }
        }
    }
}

impl<H: Host> Drop for Turn<'_, H> {
    fn drop(&mut self) {
        // Only after a panic is there anything to put back. The fds and timers
        // that did not have their turn are found again by the next one.
        self.put_back_bh();
        self.put_back_watch();
        self.put_back_timer();
        self.scratch.flipped.clear();
        let main_loop = self.host.main_loop_mut();
        main_loop.bhs.put_back_scheduled(&mut self.scratch.bhs);
        main_loop.scratch = std::mem::take(&mut self.scratch);
        main_loop.in_turn = false;
    }
}

/// Lists the watches whose gate was closed and is open now, and those without
/// an fd whose gate was open and is closed now.
fn ask_listed_gates<H: Host>(host: &H, flipped: &mut Vec<Key>) {
    let asked = host.main_loop().asked.iter();
    flipped.extend(asked.filter(|id| has_flipped(host, **id)));
}

/// Lists the watches whose gate was open, and is closed now that their fd is
/// ready. Nothing runs during the wait, so asking after it gives the same
/// answer as asking before it, and an idle watch costs nothing.
fn ask_ready_gates<H: Host>(host: &H, ready: &[Ready], flipped: &mut Vec<Key>) {
    let main_loop = host.main_loop();
    for entry in ready.iter().filter_map(|one| main_loop.fds.get(one.key)) {
        let watches = entry.watches.iter().copied();
        flipped.extend(watches.filter(|id| main_loop.is_open(*id) && has_flipped(host, *id)));
    }
}

/// Whether a watch has a gate whose answer has changed.
fn has_flipped<H: Host>(host: &H, id: Key) -> bool {
    let watch = host.main_loop().watches.get(id);
    watch.is_some_and(|watch| match &watch.gate {
        Some(gate) => (gate.is_open)(host) != watch.open,
        None => false,
    })
}

impl<H> MainLoop<H> {
    fn note(&mut self, event: LoopEvent, name: &'static str) {
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
        if let Some(trace) = &mut self.trace {
            let number = fd.and_then(|fd| Some(self.fds.get(fd)?.number()));
            trace(event(number), name);
        }
    }

    fn take_in_wakeup(&mut self) {
        self.counters.wakeups += u64::from(self.bhs.take_in());
    }

    fn is_open(&self, id: Key) -> bool {
        self.watches.get(id).is_some_and(|watch| watch.open)
    }

    fn apply_flips(&mut self, flipped: &mut Vec<Key>) {
        for id in flipped.drain(..) {
            self.flip_gate(id);
        }
    }

    /// Waits until fds are ready, which go to `ready_fds`, or the limit is over.
    /// Returns true if another thread called.
    fn wait(&mut self, limit: Option<Duration>, ready_fds: &mut Vec<Ready>) -> io::Result<bool> {
        // Without epoll ppoll will do.
        let _ = self.prepare_fds();
        let blocking = if self.clocks.is_simulated() {
            Some(Duration::ZERO)
        } else {
            limit
        };
        ready_fds.clear();
        let woken = self.fdmon.wait(
            &mut self.fds,
            self.bhs.wake(),
            blocking,
            ready_fds,
            &mut self.counters,
        )?;
        if woken {
            self.take_in_wakeup();
        }
        Ok(woken)
    }

    /// Lists the watches that are ready and the timers that are due. With none
    /// ready, simulated time goes on by `pass` first.
    fn list_what_runs(&mut self, pass: Option<Duration>, scratch: &mut Scratch) {
        scratch.ready.clear();
        for ready in scratch.ready_fds.drain(..) {
            self.list_ready(ready, &mut scratch.ready);
        }
        if self.ready_unpolled > 0 {
            self.list_unpolled(&mut scratch.ready);
        }
        if let Some(pass) = pass.filter(|_| scratch.ready.is_empty()) {
            if self.clocks.is_simulated() {
                self.clocks.advance(pass);
            }
        }
        arrange(&mut scratch.ready, self.shuffle.as_mut());
        scratch.due.clear();
        self.timers.list_due(&self.clocks, &mut scratch.due);
    }

    /// Lists the watches without an fd whose gate is open.
    fn list_unpolled(&self, list: &mut Vec<ReadyWatch>) {
        for id in &self.asked {
            let Some((number, watch)) = self.watches.get_numbered(*id) else {
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
    fn list_ready(&self, ready: Ready, list: &mut Vec<ReadyWatch>) {
        let Some(entry) = self.fds.get(ready.key) else {
            return;
        };
        let open = entry.watches.iter().filter_map(|id| {
            let (number, watch) = self.watches.get_numbered(*id)?;
            watch.open.then_some((*id, number, watch))
        });
        let wanted = open
            .clone()
            .fold(ALWAYS, |all, (_, _, watch)| all | watch.condition);
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
        let deadline = self.timers.ns_to_next(&self.clocks);
        let deadline = deadline.filter(|ns| *ns == 0 || !is_manual);
        [timeout, deadline.map(Duration::from_nanos)]
            .into_iter()
            .flatten()
            .min()
    }
}
