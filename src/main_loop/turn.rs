//! One turn of the loop. The order of the steps is the module page's diagram.

use std::cell::Cell;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::time::Duration;

use super::bh::{BhCallback, Ticket};
use super::condition::Condition;
use super::fdmon_poll::Ready;
use super::fds::ALWAYS;
use super::order::{arrange, ReadyWatch};
use super::timer::Due;
use super::watch::Flow;
use super::{Host, LoopEvent, MainLoop, WatchId};
use crate::slots::Key;

/// How long an idle bottom half waits at most, as in QEMU.
const IDLE_BH_DELAY: Duration = Duration::from_millis(10);

/// The lists of a turn, kept for their memory: in the long run a turn allocates
/// nothing.
#[derive(Default)]
pub(super) struct Scratch {
    bhs: Vec<Ticket>,
    flipped: Vec<Key>,
    ready_fds: Vec<Ready>,
    ready: Vec<ReadyWatch>,
    due: Vec<Due>,
}

/// Makes one turn of the host's loop: runs what is to be run, waiting for it up
/// to `timeout`, or for ever if that is None. See the [module page](super) for
/// the order. QEMU's `main_loop_wait()`.
///
/// True if anything ran. False if the time was over, or the wait was ended by a
/// signal that is not [added](MainLoop::add_signals), by a call from another
/// thread, or by an fd whose gate turned out to be closed.
///
/// In [simulated time](super::TimeSource::simulated) a turn never blocks. If no
/// fd is ready, time jumps to the first deadline or by `timeout`, whichever
/// comes first. With neither, nothing inside can ever happen again, and
/// the turn returns false at once: a test that waits for another process or
/// thread either turns until that has acted, or uses the system's time.
///
/// # Errors
///
/// What ppoll(2) or epoll_wait(2) fail with, which is lack of memory. The turn
/// can be made again.
///
/// # Panics
///
/// In a debug build, if called from inside a callback of the same loop. In a
/// release build that is an error of kind [`io::ErrorKind::Deadlock`].
pub fn main_loop_wait<H: Host>(host: &mut H, timeout: Option<Duration>) -> io::Result<bool> {
    let main_loop = host.main_loop_mut();
    let _guard = InTurn::begin(&main_loop.in_turn)?;
    let mut scratch = std::mem::take(&mut main_loop.scratch);
    let outcome = turn(host, timeout, &mut scratch);
    let main_loop = host.main_loop_mut();
    main_loop.scratch = scratch;
    main_loop.settled = matches!(outcome, Ok(false));
    outcome
}

/// Set while a turn is made.
struct InTurn(Rc<Cell<bool>>);

impl InTurn {
    fn begin(flag: &Rc<Cell<bool>>) -> io::Result<Self> {
        const RE_ENTERED: &str = "main_loop_wait() called from inside a callback of the same loop";
        if flag.replace(true) {
            debug_assert!(false, "{RE_ENTERED}");
            return Err(io::Error::new(io::ErrorKind::Deadlock, RE_ENTERED));
        }
        Ok(Self(flag.clone()))
    }
}

impl Drop for InTurn {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

fn turn<H: Host>(
    host: &mut H,
    timeout: Option<Duration>,
    scratch: &mut Scratch,
) -> io::Result<bool> {
    let main_loop = host.main_loop_mut();
    main_loop.counters.turns += 1;
    if main_loop.bhs.is_signalled() {
        main_loop.take_in_wakeup();
    }
    let before = main_loop.bhs.take_scheduled(&mut scratch.bhs);
    let mut ran = run_bhs(host, &mut scratch.bhs);
    // A turn that had bottom halves to run does not look at fds as well: nearly
    // always nothing is there, and the look is a system call. But never two
    // turns in a row, so that bottom halves cannot starve them.
    let main_loop = host.main_loop_mut();
    main_loop.looked = !(ran && main_loop.looked);
    if !main_loop.looked {
        return Ok(true);
    }

    ask_listed_gates(host, &mut scratch.flipped);
    let main_loop = host.main_loop_mut();
    main_loop.apply_flips(&mut scratch.flipped);
    let limit = main_loop.wait_limit(timeout, ran);
    let woken = main_loop.wait(limit, &mut scratch.ready_fds)?;
    ask_ready_gates(host, &scratch.ready_fds, &mut scratch.flipped);
    let main_loop = host.main_loop_mut();
    main_loop.apply_flips(&mut scratch.flipped);
    main_loop.list_what_runs(limit.filter(|_| !woken), scratch);

    ran |= run_watches(host, &mut scratch.ready);
    ran |= run_timers(host, &mut scratch.due);

    let bhs = &mut host.main_loop_mut().bhs;
    if bhs.has_idle() {
        bhs.take_idle(before, &mut scratch.bhs);
        ran |= run_bhs(host, &mut scratch.bhs);
    }
    Ok(ran)
}

/// Lists the watches whose gate was closed and is open now, and those without
/// an fd whose gate was open and is closed now.
fn ask_listed_gates<H: Host>(host: &H, flipped: &mut Vec<Key>) {
    let asked = host.main_loop().asked.iter();
    flipped.extend(asked.filter(|id| has_flipped(host, **id)));
}

/// Lists the watches whose gate was open, and is found closed now that their
/// fd is ready. As nothing runs during the wait, that comes to the same as
/// asking all of them before it, and an idle watch costs nothing.
fn ask_ready_gates<H: Host>(host: &H, ready: &[Ready], flipped: &mut Vec<Key>) {
    let main_loop = host.main_loop();
    for entry in ready.iter().filter_map(|one| main_loop.fds.get(one.key)) {
        let watches = entry.watches.iter().copied();
        flipped.extend(watches.filter(|id| main_loop.is_open(*id) && has_flipped(host, *id)));
    }
}

/// Whether a watch has a gate that does not say what it said before.
fn has_flipped<H: Host>(host: &H, id: Key) -> bool {
    let watch = host.main_loop().watches.get(id);
    watch.is_some_and(|watch| match &watch.gate {
        Some(gate) => (gate.is_open)(host) != watch.open,
        None => false,
    })
}

fn run_bhs<H: Host>(host: &mut H, tickets: &mut Vec<Ticket>) -> bool {
    let mut ran = false;
    for ticket in tickets.drain(..) {
        let main_loop = host.main_loop_mut();
        let Some((name, id, callback)) = main_loop.bhs.take(ticket) else {
            continue;
        };
        main_loop.counters.bhs += 1;
        main_loop.note(LoopEvent::BhRuns, name);
        ran = true;
        match callback {
            BhCallback::Once(callback) => callback(host),
            BhCallback::Many(mut callback) => {
                callback(host);
                let bhs = &mut host.main_loop_mut().bhs;
                bhs.put_back(id, BhCallback::Many(callback));
            }
        }
    }
    ran
}

fn run_watches<H: Host>(host: &mut H, ready: &mut Vec<ReadyWatch>) -> bool {
    let mut ran = false;
    for one in ready.drain(..) {
        // A callback that ran before may have closed the gate.
        let watch = host.main_loop().watches.get(one.id);
        let Some(watch) = watch else { continue };
        let gate = watch.gate.as_ref();
        if gate.is_some_and(|gate| !(gate.is_open)(host)) {
            continue;
        }
        let main_loop = host.main_loop_mut();
        let Some(watch) = main_loop.watches.get_mut(one.id) else {
            continue;
        };
        let (name, fd) = (watch.name, watch.fd);
        let Some(mut callback) = watch.callback.take() else {
            continue;
        };
        main_loop.counters.watches += 1;
        main_loop.note_watch(LoopEvent::WatchRuns, fd, name);
        ran = true;
        let flow = callback(host, one.condition);
        let main_loop = host.main_loop_mut();
        if let Some(watch) = main_loop.watches.get_mut(one.id) {
            watch.callback = Some(callback);
            if flow == Flow::Remove || one.invalid {
                main_loop.remove_watch(WatchId(one.id));
            }
        }
    }
    ran
}

fn run_timers<H: Host>(host: &mut H, due: &mut Vec<Due>) -> bool {
    let mut ran = false;
    for one in due.drain(..) {
        let main_loop = host.main_loop_mut();
        let Some((name, mut callback)) = main_loop.timers.take_due(&main_loop.clocks, one) else {
            continue;
        };
        main_loop.counters.timers += 1;
        main_loop.note(LoopEvent::TimerRuns, name);
        ran = true;
        callback(host);
        if let Some(timer) = host.main_loop_mut().timers.get_mut(one.id) {
            timer.callback = Some(callback);
        }
    }
    ran
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
        let blocking = match self.clocks.is_simulated() {
            true => Some(Duration::ZERO),
            false => limit,
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
                    priority: watch.priority,
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
                    priority: watch.priority,
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
        let deadline = self.timers.ns_to_next(&self.clocks);
        let idle = self.bhs.has_idle().then_some(IDLE_BH_DELAY);
        [timeout, deadline.map(Duration::from_nanos), idle]
            .into_iter()
            .flatten()
            .min()
    }
}
