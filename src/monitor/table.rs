//! The table of monitors, and how their output leaves.
//!
//! Whatever a monitor says is appended to its buffer. The buffer is handed to
//! the chardev once per turn: at the end of the dispatcher's run, or from a
//! bottom half when something else spoke (an event, a deferred reply). Only
//! when the chardev refuses is writability watched for, and that watch ends
//! with its first call.

use std::rc::Rc;
use std::time::Duration;

use super::clients::{remove_clients, NewMonitor};
use super::config::MonitorConfig;
use super::fds::MonitorFds;
use super::hmp::session::MonitorHmp;
use super::outbuf::OutBuf;
use super::qmp::MonitorQmp;
use super::runtime::Runtime;
use crate::chardev::{
    qemu_chr_fe_accept_input, qemu_chr_fe_add_watch, qemu_chr_fe_deinit, qemu_chr_fe_write,
    CharFrontend, Chardev,
};
use crate::main_loop::{main_loop_wait, ClockType, Condition, Flow, WatchId};
use crate::slots::{Key, Slots};
use crate::trace_event;

/// Names a monitor. Ids are never reused, so a stale one finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MonitorId(Key);

impl MonitorId {
    /// As the front end's opaque number.
    pub(crate) fn to_opaque(self) -> u64 {
        self.0.to_opaque()
    }

    /// Back from the front end's opaque number.
    pub(crate) fn from_opaque(opaque: u64) -> Self {
        MonitorId(Key::from_opaque(opaque))
    }
}

/// A monitor: what QMP and HMP sessions have in common (QEMU's `Monitor`).
pub struct Monitor {
    pub(crate) fe: CharFrontend,
    pub(crate) out: OutBuf,
    out_watch: Option<WatchId>,
    dirty: bool,
    /// Its output is being written. Cleared when that output is dropped.
    flushing: bool,
    pub(crate) fds: MonitorFds,
    pub(crate) config: Rc<MonitorConfig>,
    /// For the session of a client, the monitor that the client came to.
    pub(crate) parent: Option<MonitorId>,
    pub(crate) kind: MonitorKind,
}

/// The two kinds of monitors. QMP sessions are the many, so they are held in
/// place and the others are boxed.
#[allow(clippy::large_enum_variant)]
pub enum MonitorKind {
    /// For programs.
    Qmp(MonitorQmp),
    /// For people.
    Hmp(Box<MonitorHmp>),
}

impl Monitor {
    /// Whether a mux has given the focus to somebody else: what is said
    /// meanwhile is kept.
    fn holds_output(&self) -> bool {
        matches!(&self.kind, MonitorKind::Hmp(hmp) if hmp.holds_output())
    }

    /// Whether there is output that only waits for the client to take it.
    pub(crate) fn owes_output(&self) -> bool {
        !self.holds_output() && !self.out.unsent().is_empty()
    }

    /// Whether so much output waits that nothing more is read or carried out: a
    /// client that does not read is not read.
    pub(crate) fn over_budget(&self) -> bool {
        self.out.unsent().len() > OUTPUT_BUDGET
    }
}

/// Unsent output beyond which a monitor takes no more input.
const OUTPUT_BUDGET: usize = 64 * 1024;

/// All monitors of a runtime.
#[derive(Default)]
pub struct Monitors {
    slots: Slots<Monitor>,
    dirty: Vec<MonitorId>,
}

impl Monitors {
    /// Enters a monitor.
    pub(crate) fn insert(&mut self, new: NewMonitor, kind: MonitorKind) -> MonitorId {
        MonitorId(self.slots.insert(Monitor {
            fe: new.fe,
            out: OutBuf::default(),
            out_watch: None,
            dirty: false,
            flushing: false,
            fds: MonitorFds::default(),
            config: new.config,
            parent: new.parent,
            kind,
        }))
    }

    /// The monitor with this id.
    #[inline]
    pub fn get(&self, id: MonitorId) -> Option<&Monitor> {
        self.slots.get(id.0)
    }

    /// The monitor with this id, to change it.
    #[inline]
    pub fn get_mut(&mut self, id: MonitorId) -> Option<&mut Monitor> {
        self.slots.get_mut(id.0)
    }

    /// The QMP session with this id.
    #[inline]
    pub(crate) fn qmp_mut(&mut self, id: MonitorId) -> Option<&mut MonitorQmp> {
        match &mut self.get_mut(id)?.kind {
            MonitorKind::Qmp(q) => Some(q),
            MonitorKind::Hmp(_) => None,
        }
    }

    /// The HMP session with this id.
    pub(crate) fn hmp_mut(&mut self, id: MonitorId) -> Option<&mut MonitorHmp> {
        match &mut self.get_mut(id)?.kind {
            MonitorKind::Hmp(h) => Some(h),
            MonitorKind::Qmp(_) => None,
        }
    }

    /// All monitors, oldest slot first.
    pub fn iter(&self) -> impl Iterator<Item = (MonitorId, &Monitor)> {
        self.slots.iter().map(|(key, mon)| (MonitorId(key), mon))
    }

    pub(crate) fn ids(&self) -> Vec<MonitorId> {
        self.iter().map(|(id, _)| id).collect()
    }

    fn remove(&mut self, id: MonitorId) -> Option<Monitor> {
        self.slots.remove(id.0)
    }
}

/// What a trace calls a monitor: the label of its chardev.
pub(crate) fn label<S>(rt: &Runtime<S>, id: MonitorId) -> &str {
    let mon = rt.monitors.get(id);
    let chr = mon.and_then(|mon| rt.chardevs.get(mon.fe.chardev()));
    chr.map_or("(gone)", Chardev::label)
}

/// Marks a monitor as having something to say; the dispatcher's end or a
/// bottom half will flush it.
pub(crate) fn mark_dirty<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if mon.dirty {
        return;
    }
    mon.dirty = true;
    rt.monitors.dirty.push(id);
    if !rt.dispatcher.is_running() {
        rt.main_loop.bh_schedule(rt.dispatcher.flush_bh());
    }
}

/// Hands what monitors have said to their chardevs.
pub(crate) fn flush_dirty<S>(rt: &mut Runtime<S>) {
    // Those that flushing marks have their turn in the next run: monitors that
    // are wired to each other could go on for ever here.
    let mut list = std::mem::take(&mut rt.monitors.dirty);
    for id in list.drain(..) {
        monitor_flush(rt, id);
    }
    if rt.monitors.dirty.is_empty() {
        rt.monitors.dirty = list;
    }
}

/// Writes as much of the monitor's output as its chardev takes
/// (`monitor_flush`).
pub(crate) fn monitor_flush<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    mon.dirty = false;
    let waits = mon.flushing || mon.out_watch.is_some() || mon.holds_output();
    if waits || mon.out.unsent().is_empty() {
        return;
    }
    let held_back = mon.over_budget();
    let fe = mon.fe;
    // Taken out, because writing may come back to this monitor: chardevs can
    // be wired to one another. What it says meanwhile goes behind.
    let mut out = std::mem::take(&mut mon.out);
    mon.flushing = true;
    let len = out.unsent().len();
    trace_event!(monitor_flush, "{} has {len} bytes", label(rt, id));
    let n = match qemu_chr_fe_write(rt, fe, out.unsent()) {
        Ok(n) => n,
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => 0,
        // The chardev is broken: it will report the hang-up itself.
        Err(_) => out.unsent().len(),
    };
    out.advance(n);
    let refused = !out.unsent().is_empty();
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if !std::mem::replace(&mut mon.flushing, false) {
        // It was for a client that is gone by now.
        return;
    }
    mon.out.put_back(out);
    if refused {
        let watch = qemu_chr_fe_add_watch(rt, fe, Condition::OUT | Condition::HUP, move |rt, _| {
            monitor_unblocked(rt, id);
            Flow::Remove
        });
        if let Some(mon) = rt.monitors.get_mut(id) {
            mon.out_watch = watch;
            if watch.is_none() {
                // Nobody will ever tell when it can be written.
                mon.out.clear();
            }
        }
    }
    if let Some(mon) = rt.monitors.get_mut(id) {
        if let MonitorKind::Qmp(qmp) = &mut mon.kind {
            qmp.note_unsent(mon.out.unsent().len());
        }
    }
    if held_back {
        output_drained(rt, id);
    }
}

/// Goes on with a monitor that was held back by its output, if that has left.
fn output_drained<S>(rt: &mut Runtime<S>, id: MonitorId) {
    match rt.monitors.get(id) {
        Some(mon) if !mon.over_budget() => match mon.kind {
            MonitorKind::Qmp(_) => super::qmp::go_on(rt, id),
            MonitorKind::Hmp(_) => super::hmp::session::pump(rt, id),
        },
        _ => return,
    }
    accept_input(rt, id);
}

/// Tells the chardev that the monitor takes input again. Those that are polled
/// find out themselves; a mux has to be told.
pub(crate) fn accept_input<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if let Some(fe) = rt.monitors.get(id).map(|mon| mon.fe) {
        qemu_chr_fe_accept_input(rt, fe);
    }
}

fn monitor_unblocked<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if let Some(mon) = rt.monitors.get_mut(id) {
        mon.out_watch = None;
    }
    monitor_flush(rt, id);
}

/// Drops output nobody will read any more, as when the client has gone.
pub(crate) fn discard_output<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    mon.out.clear();
    mon.flushing = false;
    if let Some(watch) = mon.out_watch.take() {
        rt.main_loop.remove_watch(watch);
    }
}

/// Takes a monitor down and leaves its chardev to others (`monitor_data_destroy`).
///
/// What it has said so far is still written as far as the chardev takes it. Any
/// callback may call this, the handler of a command of this very monitor too;
/// that command is then not answered.
///
/// The clients of a chardev that serves several lose their sessions and their
/// connections, if it is their monitor, or one of the sessions, that is
/// removed.
pub fn monitor_remove<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let is_session = rt.monitors.get(id).is_some_and(|mon| mon.parent.is_some());
    monitor_remove_with(rt, id, is_session);
}

/// The same, the chardev included if it is to go as well.
pub(crate) fn monitor_remove_with<S>(rt: &mut Runtime<S>, id: MonitorId, chardev: bool) {
    monitor_flush(rt, id);
    discard_output(rt, id);
    if let Some(mon) = rt.monitors.remove(id) {
        remove_clients(rt, id, mon.fe);
        qemu_chr_fe_deinit(rt, mon.fe, chardev);
        rt.monitor_removed(id);
    }
}

/// How long clients that do not read are waited for at the end.
const LINGER_NS: i64 = 1_000_000_000;

/// Writes out what is left and takes all monitors down (`monitor_cleanup`).
pub(crate) fn monitor_cleanup<S>(rt: &mut Runtime<S>) {
    let now = |rt: &Runtime<S>| rt.main_loop.clock_get_ns(ClockType::Realtime);
    let deadline = now(rt) + LINGER_NS;
    rt.dispatcher.stop();
    for id in rt.monitors.ids() {
        monitor_flush(rt, id);
    }
    while rt.monitors.iter().any(|(_, m)| m.out_watch.is_some()) {
        let left = u64::try_from(deadline - now(rt)).unwrap_or(0);
        if left == 0 || main_loop_wait(rt, Some(Duration::from_nanos(left))).is_err() {
            break;
        }
    }
    for id in rt.monitors.ids() {
        monitor_remove(rt, id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::MonitorMode;

    /// As after 2^32 sessions on one place.
    #[test]
    fn the_id_of_a_removed_monitor_is_never_given_to_another() {
        let mut rt = Runtime::new(()).unwrap();
        let make = |rt: &mut Runtime<()>| {
            rt.monitor_parse("null", MonitorMode::Control, false)
                .unwrap();
            let ids = rt.monitors.ids();
            ids[ids.len() - 1]
        };
        let first = make(&mut rt);
        monitor_remove_with(&mut rt, first, true);
        rt.monitors.slots.wear_out(first.0);
        let last = make(&mut rt);
        monitor_remove_with(&mut rt, last, true);
        let next = make(&mut rt);
        assert!(first != next && last != next);
        assert!(rt.monitors.get(first).is_none());
        assert!(rt.monitors.get(last).is_none());
        assert!(rt.monitors.get(next).is_some());
        assert_eq!(MonitorId::from_opaque(next.to_opaque()), next);
    }
}
