//! Bottom halves: work put off to the next turn, from here or another thread.
//!
//! A turn first takes the whole queue and then runs what it took, so a bottom
//! half that schedules another, or itself, does not keep the turn from
//! reaching its fds. What was taken off the queue runs only if it still exists:
//! one bottom half may delete another that the turn has already taken.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{LoopEvent, MainLoop};
use crate::slots::{Key, Slots};

/// Names a bottom half. Never reused: the id of a deleted one finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct BhId(pub(super) Key);

pub(super) enum BhCallback<H> {
    Many(Box<dyn FnMut(&mut H)>),
    Once(Box<dyn FnOnce(&mut H)>),
}

struct BhEntry<H> {
    name: &'static str,
    /// None exactly while it runs.
    callback: Option<BhCallback<H>>,
    /// It is in the queue, or in what a turn took off it.
    scheduled: bool,
    /// Set while another thread's scheduling waits to be taken in.
    pending: Option<Arc<AtomicBool>>,
}

pub(super) struct Bhs<H> {
    slots: Slots<BhEntry<H>>,
    queue: VecDeque<Key>,
    wake: Arc<Wake>,
    /// Scratch of [`take_in`](Self::take_in).
    woken: Vec<Key>,
}

impl<H> Bhs<H> {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            slots: Slots::new(),
            queue: VecDeque::new(),
            wake: Arc::new(Wake::new()?),
            woken: Vec::new(),
        })
    }

    pub(super) fn insert(&mut self, name: &'static str, callback: BhCallback<H>) -> Key {
        self.slots.insert(BhEntry {
            name,
            callback: Some(callback),
            scheduled: false,
            pending: None,
        })
    }

    pub(super) fn schedule(&mut self, id: Key) -> bool {
        let Some(bh) = self.slots.get_mut(id) else {
            return false;
        };
        if !bh.scheduled {
            bh.scheduled = true;
            self.queue.push_back(id);
        }
        true
    }

    pub(super) fn delete(&mut self, id: Key) -> bool {
        let Some(bh) = self.slots.remove(id) else {
            return false;
        };
        if bh.scheduled {
            self.queue.retain(|other| *other != id);
        }
        true
    }

    pub(super) fn is_scheduled(&self, id: Key) -> bool {
        self.slots.get(id).is_some_and(|bh| bh.scheduled)
    }

    /// The name of a bottom half that is not scheduled.
    fn idle_name(&self, id: Key) -> Option<&'static str> {
        let bh = self.slots.get(id).filter(|bh| !bh.scheduled)?;
        Some(bh.name)
    }

    pub(super) fn has_scheduled(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Moves what is scheduled into an empty queue.
    pub(super) fn take_scheduled(&mut self, taken: &mut VecDeque<Key>) {
        std::mem::swap(&mut self.queue, taken);
    }

    /// Puts what was taken and did not run in front of what came since.
    pub(super) fn put_back_scheduled(&mut self, taken: &mut VecDeque<Key>) {
        while let Some(id) = taken.pop_back() {
            self.queue.push_front(id);
        }
    }

    /// Takes a callback out to be run, unless it was deleted since it was taken
    /// off the queue. A one-shot bottom half leaves the table here.
    pub(super) fn take(&mut self, id: Key) -> Option<(&'static str, BhCallback<H>)> {
        let bh = self.slots.get_mut(id)?;
        bh.scheduled = false;
        let taken = (bh.name, bh.callback.take()?);
        if matches!(taken.1, BhCallback::Once(_)) {
            self.slots.remove(id);
        }
        Some(taken)
    }

    pub(super) fn put_back(&mut self, id: Key, callback: BhCallback<H>) {
        if let Some(bh) = self.slots.get_mut(id) {
            bh.callback = Some(callback);
        }
    }

    pub(super) fn handle(&mut self, id: Key) -> BhHandle {
        let pending = match self.slots.get_mut(id) {
            Some(bh) => bh.pending.get_or_insert_default().clone(),
            None => Arc::default(),
        };
        BhHandle {
            id,
            pending,
            wake: self.wake.clone(),
        }
    }

    pub(super) fn wake(&self) -> &Wake {
        &self.wake
    }

    /// True if another thread's scheduling may be waiting to be taken in.
    pub(super) fn is_signalled(&self) -> bool {
        self.wake.signalled.load(Ordering::SeqCst)
    }

    /// Schedules what other threads asked for, and calls `scheduled` for each. True if
    /// there was anything.
    pub(super) fn take_in(&mut self, scheduled: &mut dyn FnMut(Key, &'static str)) -> bool {
        let mut woken = std::mem::take(&mut self.woken);
        self.wake.drain(&mut woken);
        let any = !woken.is_empty();
        for id in woken.drain(..) {
            if let Some(bh) = self.slots.get(id) {
                // Before the callback runs: a scheduling that comes while it
                // does must not be taken for the one being served.
                if let Some(pending) = &bh.pending {
                    pending.store(false, Ordering::SeqCst);
                }
                if !bh.scheduled {
                    scheduled(id, bh.name);
                }
                self.schedule(id);
            }
        }
        self.woken = woken;
        any
    }
}

/// What threads and the loop share: the ids they ask for, and the eventfd that
/// ends the loop's wait.
pub(super) struct Wake {
    eventfd: EventFd,
    queue: Mutex<Vec<Key>>,
    /// Set from the first request until the loop takes the queue; only the
    /// request that sets it writes to the eventfd.
    signalled: AtomicBool,
}

impl Wake {
    fn new() -> io::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self {
            eventfd: EventFd::from_flags(flags)?,
            queue: Mutex::new(Vec::new()),
            signalled: AtomicBool::new(false),
        })
    }

    pub(super) fn eventfd(&self) -> &EventFd {
        &self.eventfd
    }

    fn request(&self, id: Key) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push(id);
        drop(queue);
        if !self.signalled.swap(true, Ordering::SeqCst) {
            // Fails only if the counter is full, and then the eventfd is
            // readable.
            let _ = self.eventfd.write(1);
        }
    }

    fn drain(&self, into: &mut Vec<Key>) {
        // In this order: a request that finds the flag set and so writes
        // nothing has pushed its id before the flag is cleared, and the queue
        // is taken after. Clearing first would let the read swallow the write of
        // a request that is still to be noticed.
        let _ = self.eventfd.read();
        self.signalled.store(false, Ordering::SeqCst);
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(&mut *queue, into);
    }
}

/// Schedules one bottom half from any thread, and ends the loop's wait; QEMU's
/// `qemu_bh_schedule()` called outside the main loop's thread.
///
/// Any number of requests before the bottom half runs make it run once. The
/// handle may outlive the bottom half and the loop; it then does nothing.
///
/// ```
/// # use qmonitor::main_loop::{main_loop_wait, MainLoop};
/// # struct App { main_loop: MainLoop<App>, done: bool }
/// # qmonitor::impl_host!(App, main_loop);
/// # fn main() -> std::io::Result<()> {
/// # let mut app = App { main_loop: MainLoop::new()?, done: false };
/// let bh = app.main_loop.bh_new("done", |app: &mut App| app.done = true);
/// let handle = app.main_loop.bh_handle(bh);
/// let worker = std::thread::spawn(move || handle.schedule());
/// while !app.done {
///     main_loop_wait(&mut app, None)?;
/// }
/// # worker.join().unwrap();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct BhHandle {
    id: Key,
    pending: Arc<AtomicBool>,
    wake: Arc<Wake>,
}

impl BhHandle {
    /// Schedules the bottom half for the loop's next turn.
    pub fn schedule(&self) {
        if !self.pending.swap(true, Ordering::SeqCst) {
            self.wake.request(self.id);
        }
    }
}

impl fmt::Debug for BhHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BhHandle").field(&BhId(self.id)).finish()
    }
}

/// Bottom halves.
impl<H> MainLoop<H> {
    /// Makes a bottom half, not scheduled yet; QEMU's `qemu_bh_new()`.
    pub fn bh_new(&mut self, name: &'static str, callback: impl FnMut(&mut H) + 'static) -> BhId {
        BhId(self.bhs.insert(name, BhCallback::Many(Box::new(callback))))
    }

    /// Schedules a bottom half. It runs once, at the start of the next turn,
    /// however often this is called before.
    pub fn bh_schedule(&mut self, id: BhId) -> bool {
        if self.is_traced() {
            self.note_scheduled(id.0);
        }
        self.bhs.schedule(id.0)
    }

    #[cold]
    fn note_scheduled(&mut self, id: Key) {
        if let Some(name) = self.bhs.idle_name(id) {
            self.note(LoopEvent::BhScheduled(id.to_opaque()), name);
        }
    }

    /// Forgets a bottom half, scheduled or not.
    pub fn bh_delete(&mut self, id: BhId) -> bool {
        self.bhs.delete(id.0)
    }

    /// True if it is scheduled. It is not while its callback runs, unless that
    /// schedules it again.
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
        self.bh_schedule(BhId(id));
    }

    /// A handle by which other threads can schedule the bottom half.
    pub fn bh_handle(&mut self, id: BhId) -> BhHandle {
        self.fdmon.use_wake();
        self.bhs.handle(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_never_stops_calling_does_not_fill_the_queue() {
        let mut bhs = Bhs::<()>::new().unwrap();
        let id = bhs.insert("bh", BhCallback::Many(Box::new(|_| ())));
        let handle = bhs.handle(id);
        let other = bhs.insert("other", BhCallback::Many(Box::new(|_| ())));
        bhs.handle(other).schedule();
        for _ in 0..1000 {
            handle.schedule();
            handle.clone().schedule();
            bhs.handle(id).schedule();
        }
        assert_eq!(bhs.wake.queue.lock().unwrap().len(), 2);
        assert_eq!(bhs.wake.eventfd.read(), Ok(1), "one write for all");
        assert!(bhs.take_in(&mut |_, _| ()));
        assert!(!bhs.take_in(&mut |_, _| ()));
        handle.schedule();
        assert!(
            bhs.take_in(&mut |_, _| ()),
            "it can be called again once taken in"
        );
    }
}
