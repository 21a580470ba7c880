//! The toy host that the tests of the loop share, and its helpers.
//!
//! Time is simulated unless a test says otherwise, so nothing can block.

mod bhs;
mod edges;
mod model;
mod programs;
mod reentrancy;
mod signals;
mod timers;
mod waiting;
mod watches;
mod world;

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use nix::fcntl::OFlag;
use slab::Slab;

use super::*;
use crate::fd_guard::FdGuard;
use crate::impl_host;

/// A host with a log, and with objects that own a watch as chardevs do.
struct App {
    main_loop: MainLoop<App>,
    log: Vec<String>,
    chardevs: Slab<ToyChardev>,
    open: bool,
    /// Last, to be dropped last.
    _fds: FdGuard,
}

struct ToyChardev {
    watch: WatchId,
    fd: Rc<OwnedFd>,
}

impl_host!(App, main_loop);

impl App {
    fn new(policy: FdmonPolicy, time: TimeSource) -> Self {
        let fds = FdGuard::new();
        let mut main_loop = MainLoop::with_time(time).unwrap();
        main_loop.set_fdmon(policy);
        Self {
            main_loop,
            log: Vec::new(),
            chardevs: Slab::new(),
            open: true,
            _fds: fds,
        }
    }

    fn simulated() -> Self {
        Self::new(FdmonPolicy::default(), TimeSource::simulated())
    }

    /// A turn that lets no time pass.
    #[track_caller]
    fn turn(&mut self) -> bool {
        main_loop_wait(self, Some(Duration::ZERO)).unwrap()
    }

    /// A turn that may go on to the next deadline.
    #[track_caller]
    fn wait(&mut self) -> bool {
        main_loop_wait(self, None).unwrap()
    }

    /// Makes a turn and checks what it logged.
    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        let ran = self.turn();
        let log = std::mem::take(&mut self.log);
        assert_eq!(log, expected);
        assert_eq!(ran, !log.is_empty(), "what main_loop_wait() returned");
    }

    /// Makes a turn that may go on to the next deadline and checks its log.
    #[track_caller]
    fn expect_wait(&mut self, expected: &[&str]) {
        self.wait();
        assert_eq!(std::mem::take(&mut self.log), expected);
    }

    fn say(&mut self, what: impl Into<String>) {
        self.log.push(what.into());
    }

    /// Puts a new watch in the place of another. Nothing happens if that one is
    /// gone already.
    fn replace_watch(&mut self, id: WatchId, watch: Watch<App>) -> Option<WatchId> {
        if !self.main_loop.has_watch(id) {
            return None;
        }
        // Added first: if it is on the same fd, that stays known to the kernel.
        let new = self.main_loop.add_watch(watch);
        self.main_loop.remove_watch(id);
        Some(new)
    }

    /// A watch that logs its name and leaves its fd as it is.
    fn logger(&mut self, name: &'static str, fd: SharedFd, condition: Condition) -> WatchId {
        self.main_loop.add_watch(logger(name, fd, condition))
    }
}

fn logger(name: &'static str, fd: SharedFd, condition: Condition) -> Watch<App> {
    Watch::new(name, fd, condition, move |app: &mut App, got| {
        app.say(format!("{name} {got:?}"));
        Flow::Keep
    })
}

/// Runs a test with either way of waiting.
fn each_way(test: impl Fn(App)) {
    for policy in [FdmonPolicy::Poll, FdmonPolicy::Epoll] {
        test(App::new(policy, TimeSource::simulated()));
    }
}

/// A pipe whose reading end is to be watched.
struct Pipe {
    reader: Rc<OwnedFd>,
    writer: Option<OwnedFd>,
}

impl Pipe {
    fn new() -> Self {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).unwrap();
        Self {
            reader: Rc::new(reader),
            writer: Some(writer),
        }
    }

    /// A pipe with something to read.
    fn full() -> Self {
        let pipe = Self::new();
        pipe.write();
        pipe
    }

    fn fd(&self) -> SharedFd {
        self.reader.clone()
    }

    fn write(&self) {
        nix::unistd::write(self.writer.as_ref().unwrap(), b"x").unwrap();
    }

    fn hang_up(&mut self) {
        self.writer = None;
    }

    fn number(&self) -> RawFd {
        self.reader.as_raw_fd()
    }
}

/// Reads one byte, if there is one.
fn read_byte(fd: impl AsFd) -> Option<u8> {
    let mut byte = [0];
    match nix::unistd::read(fd, &mut byte) {
        Ok(1) => Some(byte[0]),
        _ => None,
    }
}

const IN: Condition = Condition::IN;
const OUT: Condition = Condition::OUT;
const HUP: Condition = Condition::HUP;
