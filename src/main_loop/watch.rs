//! Watches: a name, an fd, what to wait for, and what to run.

use std::fmt;
use std::os::fd::AsFd;
use std::rc::Rc;

use super::condition::Condition;
use super::slots::Id;

/// A share of an open file. A watch holds one, so the fd's number cannot be
/// reused while something still watches it.
pub type SharedFd = Rc<dyn AsFd>;

/// Names a watch. Never reused: the id of a removed watch finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WatchId(pub(super) Id);

/// What becomes of a watch after its callback, QEMU's `G_SOURCE_CONTINUE` and
/// `G_SOURCE_REMOVE`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flow {
    /// It stays.
    Keep,
    /// It is removed.
    Remove,
}

pub(super) type WatchCallback<H> = Box<dyn FnMut(&mut H, Condition) -> Flow>;
type GateFn<H> = Box<dyn Fn(&H) -> bool>;

/// A watch on an fd, to be handed to [`MainLoop::add_watch`]; QEMU's
/// `qio_channel_add_watch()` and, with a [gate](Self::gate),
/// `io_add_watch_poll()`.
///
/// [`MainLoop::add_watch`]: super::MainLoop::add_watch
pub struct Watch<H> {
    pub(super) name: &'static str,
    pub(super) fd: SharedFd,
    pub(super) condition: Condition,
    pub(super) priority: i32,
    pub(super) gate: Option<GateFn<H>>,
    pub(super) callback: WatchCallback<H>,
}

impl<H> Watch<H> {
    /// A watch of priority 0 without a gate. The `name` says in a trace which
    /// function runs ("tcp_chr_read"). `HUP` and `ERR` need not be asked for.
    pub fn new(
        name: &'static str,
        fd: SharedFd,
        condition: Condition,
        callback: impl FnMut(&mut H, Condition) -> Flow + 'static,
    ) -> Self {
        Self {
            name,
            fd,
            condition,
            priority: 0,
            gate: None,
            callback: Box::new(callback),
        }
    }

    /// Asked anew in each turn before the wait, and once more just before the
    /// callback: while it says false the fd is not polled for this watch, not
    /// even for hang-up. QEMU's `fd_can_read`.
    pub fn gate(mut self, gate: impl Fn(&H) -> bool + 'static) -> Self {
        self.gate = Some(Box::new(gate));
        self
    }

    /// Sets the class, GLib's source priority: lower runs first, and a class
    /// runs only in a turn in which no lower one is ready. 0 by default.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = priority;
        self
    }
}

impl<H> fmt::Debug for Watch<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("name", &self.name)
            .field("fd", &self.fd.as_fd())
            .field("condition", &self.condition)
            .field("priority", &self.priority)
            .field("gated", &self.gate.is_some())
            .finish_non_exhaustive()
    }
}

/// A gate and where the loop's list of gated watches has this one.
pub(super) struct Gate<H> {
    pub(super) is_open: GateFn<H>,
    pub(super) at: usize,
}

/// A watch in the table.
pub(super) struct WatchEntry<H> {
    pub(super) name: &'static str,
    /// Its fd's place in the table of fds, which holds the share.
    pub(super) fd: usize,
    pub(super) condition: Condition,
    pub(super) priority: i32,
    pub(super) gate: Option<Gate<H>>,
    /// The gate's last answer before a wait; always true without a gate.
    pub(super) open: bool,
    /// None exactly while it runs.
    pub(super) callback: Option<WatchCallback<H>>,
}
