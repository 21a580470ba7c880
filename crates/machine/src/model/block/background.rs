//! Calls that may block, on threads of their own: flushes, and requests to other servers.
//!
//! A job that needs one gets the error `WouldBlock` and waits. When the call has returned, a
//! byte on a socket wakes the loop, the job does the same step again and finds the answer.
//! With a simulated clock everything is done at once, because time would go on meanwhile.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc::{channel, Receiver, Sender, TryRecvError};
use std::sync::Arc;

use nix::errno::Errno;

use super::graph::Blocks;
use super::node::{BlockNode, NodeId};

type Task = Box<dyn FnOnce() + Send>;

/// The threads of a machine, and the socket by which they wake its loop.
#[derive(Debug)]
pub struct Background {
    waker: Waker,
    /// The loop's end, until the loop watches it.
    unwatched: Option<Rc<UnixStream>>,
    flushing: Option<Lane>,
    flushes: HashMap<NodeId, Pending<io::Result<()>>>,
}

/// Wakes the loop.
#[derive(Debug, Clone)]
pub(super) struct Waker(Arc<UnixStream>);

/// A thread that carries out calls one after the other.
#[derive(Debug)]
pub(super) struct Lane {
    tasks: Sender<Task>,
    waker: Waker,
}

/// The answer of a call that is still out.
#[derive(Debug)]
pub(super) struct Pending<T>(Receiver<T>);

impl Background {
    /// # Errors
    ///
    /// The host has no socket left.
    pub(super) fn new() -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        theirs.set_nonblocking(true)?;
        Ok(Background {
            waker: Waker(Arc::new(theirs)),
            unwatched: Some(Rc::new(ours)),
            flushing: None,
            flushes: HashMap::new(),
        })
    }

    /// The socket that the loop is to watch, once.
    pub(super) fn take_unwatched(&mut self) -> Option<Rc<UnixStream>> {
        self.unwatched.take()
    }

    /// A thread.
    ///
    /// # Errors
    ///
    /// The host has none left.
    pub(super) fn lane(&self, name: &str) -> io::Result<Lane> {
        let (tasks, taken) = channel::<Task>();
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || taken.into_iter().for_each(|task| task()))?;
        Ok(Lane {
            tasks,
            waker: self.waker.clone(),
        })
    }

    /// Has a file of a node written to its disk.
    ///
    /// # Errors
    ///
    /// The host's, or that the answer is not there yet.
    pub(super) fn flush(&mut self, node: NodeId, file: &File) -> io::Result<()> {
        if let Some(pending) = self.flushes.get(&node) {
            let answer = pending.poll()?;
            self.flushes.remove(&node);
            return answer;
        }
        let lane = match self.flushing.take() {
            Some(lane) => lane,
            None => self.lane("flush")?,
        };
        let lane = self.flushing.insert(lane);
        let file = file.try_clone()?;
        self.flushes
            .insert(node, lane.run(move || file.sync_data()));
        Err(io::ErrorKind::WouldBlock.into())
    }
}

impl Lane {
    /// Has the thread make a call.
    pub(super) fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = channel();
        let waker = self.waker.clone();
        let task = Box::new(move || {
            // The node may be closed meanwhile.
            let _ = answer.send(call());
            waker.wake();
        });
        // A thread that is gone has dropped its end, which the answer tells.
        let _ = self.tasks.send(task);
        Pending(pending)
    }
}

impl Waker {
    fn wake(&self) {
        // A full socket wakes the loop as well.
        let _ = (&*self.0).write(&[1]);
    }
}

impl<T> Pending<T> {
    /// The answer.
    ///
    /// # Errors
    ///
    /// It is not there yet, or the thread is gone.
    pub(super) fn poll(&self) -> io::Result<T> {
        self.0.try_recv().map_err(|e| match e {
            TryRecvError::Empty => io::ErrorKind::WouldBlock.into(),
            TryRecvError::Disconnected => Errno::EIO.into(),
        })
    }
}

impl Blocks {
    /// A node, and the threads that may make its calls.
    pub(super) fn at_with_threads(
        &mut self,
        id: NodeId,
    ) -> io::Result<(&mut BlockNode, Option<&Background>)> {
        let node = self.nodes.get_mut(&id).ok_or(Errno::ENOENT)?;
        let threads = self.background.as_ref().filter(|_| self.may_wait);
        Ok((node, threads))
    }

    /// Does something that may be told to come back later (`WouldBlock`), if there are threads
    /// for what takes long.
    pub(crate) fn waiting<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        if self.has_threads && self.background.is_none() {
            // Without sockets everything is done at once.
            self.background = Background::new().ok();
        }
        self.may_wait = self.background.is_some();
        let result = work(self);
        self.may_wait = false;
        result
    }

    /// Does something at once, since a half of it cannot be done again.
    pub(super) fn at_once<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let may_wait = std::mem::take(&mut self.may_wait);
        let result = work(self);
        self.may_wait = may_wait;
        result
    }

    /// The socket that the loop is to watch from now on, once.
    pub(crate) fn take_unwatched(&mut self) -> Option<Rc<UnixStream>> {
        self.background.as_mut()?.take_unwatched()
    }
}

/// Reads the bytes that woke the loop.
pub fn take_wakes(mut socket: &UnixStream) {
    let mut bytes = [0; 64];
    while matches!(socket.read(&mut bytes), Ok(read) if read == bytes.len()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flush_is_asked_for_until_its_answer_is_there() {
        let mut background = Background::new().unwrap();
        let socket = background.take_unwatched().unwrap();
        socket.set_nonblocking(false).unwrap();
        let file = tempfile::tempfile().unwrap();
        let error = background.flush(NodeId(1), &file).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        let mut byte = [0];
        (&*socket).read_exact(&mut byte).unwrap();
        background.flush(NodeId(1), &file).unwrap();
    }
}
