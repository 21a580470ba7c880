//! Several clients of one listening socket, at random, from a seed and in
//! simulated time: they come, wait their turn, negotiate, ask, read or do not,
//! stop sending or vanish, and at times their monitor is removed. A plain model
//! predicts the output of each, and the order of arrival decides which ones are
//! served.
//!
//! `QMONITOR_CHURN` and `QMONITOR_CHURN_SEED` are as in `churn.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use qmonitor::chardev::{chardev_add, qemu_chr_parse_cli, ChardevHost};
use qmonitor::main_loop::Host;
use qmonitor::monitor::{monitor_remove, MonitorId, MonitorMode, MonitorOptions};

use crate::churn::number;
use crate::fd_guard::FdGuard;
use crate::model::{Model, Rng};
use crate::world::*;

/// Clients that are served at the same time; as many others may wait.
const MAX_CLIENTS: usize = 4;

struct Visitor {
    /// None once it has vanished.
    stream: Option<UnixStream>,
    /// It sends no more, and must get all pending replies.
    half_closed: bool,
    model: Model,
}

impl Visitor {
    /// Takes what has arrived; true if the connection has ended.
    fn read(&mut self, transcript: &mut Vec<u8>) -> bool {
        let Some(stream) = &mut self.stream else {
            return false;
        };
        let mut bytes = Vec::new();
        let ended = match stream.read_to_end(&mut bytes) {
            Ok(_) => true,
            // The server had not read all its input.
            Err(e) if e.kind() == ErrorKind::ConnectionReset => true,
            Err(e) if e.kind() == ErrorKind::WouldBlock => false,
            Err(e) => panic!("{e}"),
        };
        self.model.read(&bytes);
        transcript.extend(bytes);
        ended
    }
}

struct Crowd {
    w: World,
    rng: Rng,
    path: PathBuf,
    _dir: tempfile::TempDir,
    drain: bool,
    monitor: MonitorId,
    /// In the order of arrival: the first ones are served, the others wait.
    visitors: Vec<Visitor>,
    next_id: i64,
    /// Requests `note` that must be carried out whatever their client does.
    to_be_noted: u64,
    transcript: Vec<u8>,
    counts: [u64; 6],
    /// Last, to be dropped last.
    _fds: FdGuard,
}

impl Crowd {
    fn new(seed: u64, drain: bool) -> Self {
        let fds = FdGuard::new();
        let mut w = World::new();
        w.rt.main_loop_mut().set_shuffle(Some(seed));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("q");
        let opts = format!(
            "socket,id=q,path={},server=on,wait=off,max-clients={MAX_CLIENTS}",
            path.display()
        );
        let (label, config) = qemu_chr_parse_cli(&opts, &mut Vec::new()).unwrap();
        chardev_add(&mut w.rt, &label, config).unwrap();
        let monitor = Self::init(&mut w, drain);
        Crowd {
            w,
            rng: Rng(seed.max(1)),
            path,
            _dir: dir,
            drain,
            monitor,
            visitors: Vec::new(),
            next_id: 0,
            to_be_noted: 0,
            transcript: Vec::new(),
            counts: [0; 6],
            _fds: fds,
        }
    }

    fn init(w: &mut World, drain: bool) -> MonitorId {
        let options = MonitorOptions {
            mode: Some(MonitorMode::Control),
            drain_on_close: Some(drain),
            ..MonitorOptions::new("q")
        };
        w.rt.monitor_init(&options).unwrap()
    }

    fn step(&mut self) {
        let n = self.rng.below(2 * MAX_CLIENTS as u64) as usize;
        if n >= self.visitors.len() {
            return self.arrive();
        }
        match self.rng.below(100) {
            0..=2 => self.vanish(n),
            3..=5 => self.half_close(n),
            6..=14 => self.negotiate(n),
            15..=59 => self.request(n),
            60..=69 => self.resolve(),
            70..=74 => {
                let event = [&EVENT_PLAIN, &EVENT_WATCHDOG, &EVENT_VSERPORT];
                let event = event[self.rng.below(3) as usize];
                self.w.emit(event, "outer");
            }
            75..=77 => self.w.advance(self.rng.below(1500)),
            78 if self.rng.below(3) == 0 => self.take_down(),
            78..=84 => self.w.settle(),
            _ => self.read(n),
        }
    }

    /// One more client; there is always room for it in the kernel's queue.
    fn arrive(&mut self) {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_nonblocking(true).unwrap();
        self.visitors.push(Visitor {
            stream: Some(stream),
            half_closed: false,
            model: Model::connected(),
        });
        self.counts[0] += 1;
        self.counts[1] += u64::from(self.visitors.len() > MAX_CLIENTS);
        self.tidy();
    }

    fn read(&mut self, n: usize) {
        self.w.settle();
        let visitor = &mut self.visitors[n];
        if visitor.read(&mut self.transcript) {
            assert!(visitor.half_closed, "nobody else ends a connection");
            assert!(
                visitor.model.is_owed_nothing(),
                "{:?}",
                visitor.model.in_band
            );
            self.visitors.remove(n);
        }
    }

    /// Reads everything and forgets clients that have gone noticeably. Then the
    /// first ones are served, and the others have got nothing.
    fn tidy(&mut self) {
        loop {
            if self.drain {
                // A client that left requests behind stays until they are done.
                while !self.w.rt.state.held.is_empty() {
                    self.resolve();
                    self.w.settle();
                }
            }
            // Also clients that left unread input behind.
            self.w.advance(50);
            let before = self.visitors.len();
            let served = before.min(MAX_CLIENTS);
            for n in (0..before).rev() {
                self.read(n);
            }
            let gone = |v: &Visitor| v.stream.is_none();
            for n in (0..served.min(self.visitors.len())).rev() {
                if gone(&self.visitors[n]) {
                    self.visitors.remove(n);
                }
            }
            if self.visitors.len() == before {
                break;
            }
        }
        for (n, visitor) in self.visitors.iter().enumerate() {
            assert_eq!(visitor.model.greeted, n < MAX_CLIENTS, "visitor {n}");
        }
        let served = self.visitors.len().min(MAX_CLIENTS);
        assert_eq!(self.w.rt.chardevs().len(), 1 + served);
    }

    fn send(&mut self, n: usize, text: &str) {
        let mut stream = self.visitors[n].stream.as_ref().unwrap();
        // The kernel has room for all requests between two reads.
        stream.write_all(text.as_bytes()).unwrap();
        if self.rng.below(4) > 0 {
            self.w.settle();
        }
    }

    fn can_ask(&self, n: usize) -> bool {
        let visitor = &self.visitors[n];
        visitor.stream.is_some() && !visitor.half_closed
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn negotiate(&mut self, n: usize) {
        let model = &self.visitors[n].model;
        if !self.can_ask(n) || model.negotiated || model.negotiation.is_some() {
            return;
        }
        let (id, oob) = (self.id(), self.rng.below(2) == 0);
        let text = self.visitors[n].model.negotiate(id, oob);
        self.send(n, &text);
    }

    fn request(&mut self, n: usize) {
        if !self.can_ask(n) {
            return;
        }
        let id = self.id();
        let model = &mut self.visitors[n].model;
        let ready = model.negotiated || model.negotiation.is_some();
        let text = model.request(&mut self.rng, id);
        self.to_be_noted += u64::from(ready && text.starts_with("{'execute': 'note'"));
        self.send(n, &text);
    }

    fn resolve(&mut self) {
        let held = self.w.rt.state.held.len() as u64;
        if held > 0 {
            let at = self.rng.below(held) as usize;
            let responder = self.w.rt.state.held.remove(at).unwrap();
            responder.respond(Ok(qmonitor::qapi::QDict::new().into()));
            self.counts[5] += 1;
        }
    }

    fn half_close(&mut self, n: usize) {
        if self.can_ask(n) {
            let visitor = &mut self.visitors[n];
            let stream = visitor.stream.as_ref().unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            visitor.half_closed = true;
            self.counts[2] += u64::from(!visitor.model.is_owed_nothing());
        }
    }

    fn vanish(&mut self, n: usize) {
        let visitor = &mut self.visitors[n];
        // Otherwise it depends on what the session has read.
        if visitor.stream.is_some() && !visitor.read(&mut self.transcript) {
            self.counts[3] += u64::from(!visitor.model.is_owed_nothing());
            visitor.stream = None;
        }
        self.tidy();
    }

    /// Removes the monitor with all its sessions; waiting clients go on
    /// waiting.
    fn take_down(&mut self) {
        if self.drain {
            return;
        }
        self.tidy();
        monitor_remove(&mut self.w.rt, self.monitor);
        assert_eq!(self.w.rt.chardevs().len(), 1);
        let waiting = self
            .visitors
            .split_off(self.visitors.len().min(MAX_CLIENTS));
        for mut visitor in std::mem::replace(&mut self.visitors, waiting) {
            assert!(visitor.read(&mut self.transcript), "its session is over");
        }
        self.monitor = Self::init(&mut self.w, self.drain);
        self.counts[4] += 1;
        self.tidy();
    }

    /// Answers everything; no remaining client waits for a reply.
    fn finish(&mut self) {
        loop {
            self.tidy();
            if self.w.rt.state.held.is_empty() {
                break;
            }
            self.resolve();
        }
        for visitor in &self.visitors[..self.visitors.len().min(MAX_CLIENTS)] {
            let model = &visitor.model;
            assert!(model.is_owed_nothing(), "unanswered: {:?}", model.in_band);
        }
        assert!(self.w.rt.state.reports.borrow().is_empty());
    }
}

const COUNTS: [&str; 6] = [
    "arrivals",
    "arrivals that had to wait",
    "half closes while owed something",
    "clients that vanished while owed something",
    "monitors taken down",
    "deferred answers",
];

#[test]
fn each_client_has_its_own_session_and_its_turn() {
    let steps = number("QMONITOR_CHURN").unwrap_or(10_000);
    let seed = number("QMONITOR_CHURN_SEED").unwrap_or(1);
    let mut crowd = Crowd::new(seed, false);
    for step in 0..steps {
        crowd.step();
        if step % 500 == 499 {
            crowd.finish();
        }
    }
    crowd.finish();
    for (what, count) in COUNTS.iter().zip(crowd.counts) {
        println!("{count} {what}");
        assert!(count > steps / 1000, "only {count} {what}");
    }
}

#[test]
fn with_drain_on_close_all_that_was_asked_is_carried_out() {
    let steps = number("QMONITOR_CHURN").unwrap_or(10_000);
    let seed = number("QMONITOR_CHURN_SEED").unwrap_or(1);
    let mut crowd = Crowd::new(seed, true);
    for step in 0..steps {
        crowd.step();
        if step % 500 == 499 {
            crowd.finish();
        }
    }
    // The waiting clients have their turn, too.
    while !crowd.visitors.is_empty() {
        crowd.finish();
        crowd.vanish(0);
    }
    let notes = crowd.w.rt.state.notes.iter().filter(|note| *note == "n");
    assert_eq!(notes.count() as u64, crowd.to_be_noted);
    assert!(crowd.counts[3] > steps / 1000, "{:?}", crowd.counts);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let mut crowd = Crowd::new(7, false);
        for _ in 0..2000 {
            crowd.step();
        }
        crowd.finish();
        (crowd.counts, crowd.transcript)
    };
    let (first, second) = (run(), run());
    assert_eq!(first.0, second.0);
    assert!(first.1 == second.1);
}
