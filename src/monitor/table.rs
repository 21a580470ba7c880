//! The table of monitors. It holds their state and calls none of them.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::config::MonitorConfig;
use super::fds::MonitorFds;
use super::hmp::session::MonitorHmp;
use super::outbuf::OutBuf;
use super::session::QmpSession;
use crate::chardev::CharFrontend;
use crate::main_loop::WatchId;
use crate::slots::{Key, Slots};

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

/// A monitor to be made.
pub(crate) struct NewMonitor {
    pub(crate) fe: CharFrontend,
    pub(crate) config: Rc<MonitorConfig>,
    /// The monitor whose client this is.
    pub(crate) parent: Option<MonitorId>,
}

/// A monitor, with what QMP and HMP have in common (QEMU's `Monitor`).
pub struct Monitor {
    pub(crate) fe: CharFrontend,
    pub(crate) out: OutBuf,
    /// Waits until the chardev takes output again.
    pub(super) out_watch: Option<WatchId>,
    /// It is on the list of those to be flushed.
    pub(super) dirty: bool,
    /// Its output is being written. Cleared when that output is dropped.
    pub(super) flushing: bool,
    pub(crate) fds: MonitorFds,
    pub(crate) config: Rc<MonitorConfig>,
    /// For the session of a client, the monitor on the listening chardev.
    pub(crate) parent: Option<MonitorId>,
    pub(crate) kind: MonitorKind,
}

/// The two kinds of monitors. QMP sessions far outnumber HMP ones, so they are
/// stored inline.
#[allow(clippy::large_enum_variant)]
pub enum MonitorKind {
    /// For programs.
    Qmp(MonitorQmp),
    /// For people.
    Hmp(Box<MonitorHmp>),
}

/// A QMP monitor (QEMU's `MonitorQMP`).
pub struct MonitorQmp {
    pub(crate) session: QmpSession<OwnedFd>,
    /// Unsent bytes of events since the output was last empty.
    pub(crate) unsent_events: usize,
    /// The dispatcher has it on its list.
    pub(crate) listed: bool,
}

impl Monitor {
    /// Whether a mux has given the focus to another front end, so that output
    /// is kept.
    #[inline]
    pub(super) fn holds_output(&self) -> bool {
        matches!(&self.kind, MonitorKind::Hmp(hmp) if hmp.holds_output())
    }

    /// Whether there is output that only waits for the client to take it.
    pub(crate) fn owes_output(&self) -> bool {
        !self.holds_output() && !self.out.unsent().is_empty()
    }

    /// Whether so much output waits that no input is read and no request carried out.
    /// A client that does not read is not read.
    #[inline]
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
    /// Those with output to be flushed.
    pub(super) dirty: Vec<MonitorId>,
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

    /// The QMP monitor with this id.
    #[inline]
    pub(crate) fn qmp(&self, id: MonitorId) -> Option<&MonitorQmp> {
        match &self.get(id)?.kind {
            MonitorKind::Qmp(q) => Some(q),
            MonitorKind::Hmp(_) => None,
        }
    }

    /// The QMP monitor with this id, to change it.
    #[inline]
    pub(crate) fn qmp_mut(&mut self, id: MonitorId) -> Option<&mut MonitorQmp> {
        match &mut self.get_mut(id)?.kind {
            MonitorKind::Qmp(q) => Some(q),
            MonitorKind::Hmp(_) => None,
        }
    }

    /// The HMP monitor with this id.
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

    pub(super) fn remove(&mut self, id: MonitorId) -> Option<Monitor> {
        self.slots.remove(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::removal::monitor_remove_with;
    use crate::monitor::{MonitorMode, Runtime};

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
