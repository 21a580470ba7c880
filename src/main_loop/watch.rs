//! Watches: a name, an fd or a gate or both, what to wait for, and what to run.

use std::fmt;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::condition::Condition;
use super::{LoopEvent, MainLoop};
use crate::slots::Key;

/// A share of an open file. A watch holds one, so the fd's number cannot be
/// reused while something still watches it.
pub type SharedFd = Rc<dyn AsFd>;

/// Names a watch. Never reused: the id of a removed watch finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WatchId(pub(super) Key);

/// What becomes of a watch after its callback, QEMU's `G_SOURCE_CONTINUE` and
/// `G_SOURCE_REMOVE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// It stays.
    Keep,
    /// It stays, and it has read all that the fd had: a read brought less than there was room
    /// for, and nothing follows that a read stops at. It is a hint that makes the next wait
    /// cheaper. Where it is wrong, input may lie there until more comes.
    Drained,
    /// It is removed.
    Remove,
}

pub(super) type WatchCallback<H> = Box<dyn FnMut(&mut H, Condition) -> Flow>;
type GateFn<H> = Box<dyn Fn(&H) -> bool>;

/// A watch on an fd, for [`MainLoop::add_watch`]; QEMU's
/// `qio_channel_add_watch()` and, with a [gate](Self::gate),
/// `io_add_watch_poll()`.
///
/// [`MainLoop::add_watch`]: super::MainLoop::add_watch
pub struct Watch<H> {
    pub(super) name: &'static str,
    pub(super) fd: Option<SharedFd>,
    pub(super) condition: Condition,
    pub(super) gate: Option<GateFn<H>>,
    pub(super) callback: WatchCallback<H>,
}

impl<H> Watch<H> {
    /// A watch without a gate. A trace shows `name`, which tells the function
    /// that runs ("tcp_chr_read"). `HUP` and `ERR` need not be asked for.
    pub fn new(
        name: &'static str,
        fd: SharedFd,
        condition: Condition,
        callback: impl FnMut(&mut H, Condition) -> Flow + 'static,
    ) -> Self {
        Self {
            name,
            fd: Some(fd),
            condition,
            gate: None,
            callback: Box::new(callback),
        }
    }

    /// A watch without an fd: it is ready in each turn in which its gate is open,
    /// and that turn does not block. For what an fd cannot tell, such as bytes
    /// that were read from it and still wait to be taken. The gate is asked in
    /// each turn, so it should be cheap.
    pub fn gate_only(
        name: &'static str,
        gate: impl Fn(&H) -> bool + 'static,
        mut callback: impl FnMut(&mut H) -> Flow + 'static,
    ) -> Self {
        Self {
            name,
            fd: None,
            condition: Condition::IN,
            gate: Some(Box::new(gate)),
            callback: Box::new(move |host, _| callback(host)),
        }
    }

    /// Sets the gate, QEMU's `fd_can_read`. While it is closed the fd is not
    /// polled, not even for hang-up. A closed gate is asked anew in each turn,
    /// an open one when the fd is ready, and once more just before the callback if
    /// others ran in between; so it must depend on nothing but the host. Thousands
    /// of idle watches with open gates cost a turn nothing.
    pub fn gate(mut self, gate: impl Fn(&H) -> bool + 'static) -> Self {
        self.gate = Some(Box::new(gate));
        self
    }
}

impl<H> fmt::Debug for Watch<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("name", &self.name)
            .field("fd", &self.fd.as_ref().map(|fd| fd.as_fd()))
            .field("condition", &self.condition)
            .field("gated", &self.gate.is_some())
            .finish_non_exhaustive()
    }
}

/// A gate, and its place in the loop's list of gates to ask before each wait, if
/// it is there.
pub(super) struct Gate<H> {
    pub(super) is_open: GateFn<H>,
    pub(super) at: usize,
}

/// A watch in the table.
pub(super) struct WatchEntry<H> {
    pub(super) name: &'static str,
    /// Its fd's place in the table of fds, which holds the share; none if the
    /// gate alone decides.
    pub(super) fd: Option<usize>,
    pub(super) condition: Condition,
    pub(super) gate: Option<Gate<H>>,
    /// The gate's last answer; always true without a gate.
    pub(super) open: bool,
    /// None exactly while it runs.
    pub(super) callback: Option<WatchCallback<H>>,
}

/// Watches.
impl<H> MainLoop<H> {
    /// Adds a watch. It can run from the next turn on.
    pub fn add_watch(&mut self, watch: Watch<H>) -> WatchId {
        let open = watch.gate.is_none();
        let gate = watch.gate.map(|is_open| Gate {
            is_open,
            at: self.asked.len(),
        });
        let id = self.watches.insert(WatchEntry {
            name: watch.name,
            fd: None,
            condition: watch.condition,
            gate,
            open,
            callback: Some(watch.callback),
        });
        if !open {
            self.asked.push(id);
        }
        let fd = watch.fd.map(|fd| self.fds.attach(fd, id));
        // A new fd tells an outer loop to make a turn; a gate alone must be asked.
        self.settled &= fd.is_some();
        self.note_watch(LoopEvent::WatchAdded, fd, watch.name);
        if let Some(entry) = self.watches.get_mut(id) {
            entry.fd = fd;
        }
        WatchId(id)
    }

    /// Removes a watch at once. It does not run any more, not even if this turn
    /// found it ready, and its share of the fd is dropped before this returns.
    /// If its callback is running, that ends undisturbed and is dropped then.
    pub fn remove_watch(&mut self, id: WatchId) -> bool {
        let Some(watch) = self.watches.remove(id.0) else {
            return false;
        };
        if let Some(gate) = watch.gate.filter(|_| !watch.open || watch.fd.is_none()) {
            self.unlist_asked(gate.at);
        }
        self.note_watch(LoopEvent::WatchRemoved, watch.fd, watch.name);
        let Some(fd) = watch.fd else {
            self.ready_unpolled -= usize::from(watch.open);
            return true;
        };
        if let Some(entry) = self.fds.detach(fd, id.0) {
            self.fdmon.forget(fd, &entry, &mut self.counters);
        }
        true
    }

    /// Notes that a watch's gate has opened or closed.
    pub(super) fn flip_gate(&mut self, id: Key) {
        let Some(watch) = self.watches.get_mut(id) else {
            return;
        };
        watch.open = !watch.open;
        let event = if watch.open {
            LoopEvent::GateOpens
        } else {
            LoopEvent::GateCloses
        };
        let (fd, name) = (watch.fd, watch.name);
        self.note_watch(event, fd, name);
        let Some(watch) = self.watches.get_mut(id) else {
            return;
        };
        let Some(fd) = watch.fd else {
            // It stays on the list: nothing but the gate tells when it closes.
            if watch.open {
                self.ready_unpolled += 1;
            } else {
                self.ready_unpolled -= 1;
            }
            return;
        };
        self.fds.mark_changed(fd);
        let Some(gate) = &mut watch.gate else { return };
        if watch.open {
            let at = gate.at;
            self.unlist_asked(at);
        } else {
            gate.at = self.asked.len();
            self.asked.push(id);
        }
    }

    fn unlist_asked(&mut self, at: usize) {
        self.asked.swap_remove(at);
        if let Some(moved) = self.asked.get(at) {
            let moved = self.watches.get_mut(*moved);
            if let Some(other) = moved.and_then(|watch| watch.gate.as_mut()) {
                other.at = at;
            }
        }
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
