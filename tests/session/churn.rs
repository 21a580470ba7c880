//! Everything at once, at random, from a seed: clients come, negotiate, ask,
//! read or do not, and go, while commands are held and answered and events
//! arise. A plain model predicts the output of each client.
//!
//! `QMONITOR_CHURN=1000000` makes that many steps, `QMONITOR_CHURN_SEED` sets
//! the seed.

use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::chardev::{qemu_chr_be_can_write, qemu_chr_be_event, ChrEvent};
use qmonitor::main_loop::Host;

use crate::model::{Model, Rng};
use crate::world::*;

struct Client {
    peer: MemoryPeer,
    /// Input was sent while the session did not read; a client that is cut off
    /// now would leave it to the next one.
    unread: bool,
    model: Model,
}

impl Client {
    fn new(peer: MemoryPeer) -> Self {
        Client {
            peer,
            unread: false,
            model: Model::default(),
        }
    }
}

struct Churn {
    w: World,
    rng: Rng,
    clients: Vec<Client>,
    next_id: i64,
    /// How often things happened, to know that they did.
    counts: [u64; 5],
}

const MONITORS: usize = 5;

impl Churn {
    fn new(seed: u64) -> Self {
        let mut w = World::new();
        w.rt.main_loop_mut().set_shuffle(Some(seed));
        let clients = (0..MONITORS)
            .map(|n| Client::new(w.monitor(&format!("m{n}"))))
            .collect();
        Churn {
            w,
            rng: Rng(seed.max(1)),
            clients,
            next_id: 0,
            counts: [0; 5],
        }
    }

    fn send(&mut self, n: usize, text: String) {
        let peer = self.clients[n].peer;
        // Pending work might stop the session from reading.
        self.w.settle();
        let reads = qemu_chr_be_can_write(&self.w.rt, peer.chardev()) > 0;
        peer.send(&mut self.w.rt, text);
        if reads && !self.clients[n].unread {
            self.w.settle();
        } else {
            self.clients[n].unread = true;
        }
    }

    fn step(&mut self) {
        let n = self.rng.below(MONITORS as u64) as usize;
        let peer = self.clients[n].peer;
        match self.rng.below(100) {
            0..=9 if !self.clients[n].model.connected => self.connect(n),
            0..=4 => self.disconnect(n),
            5..=14 => self.negotiate(n),
            15..=64 => self.request(n),
            65..=74 => self.resolve(),
            75..=79 => {
                let id = format!("outer{}", self.rng.below(4));
                let event = [&EVENT_PLAIN, &EVENT_WATCHDOG, &EVENT_VSERPORT];
                let event = event[self.rng.below(3) as usize];
                self.w.emit(event, &id);
                self.counts[0] += 1;
            }
            80..=82 => self.w.advance(self.rng.below(1500)),
            83..=87 => {
                let limit = [0, 1, 50, 5000, usize::MAX][self.rng.below(5) as usize];
                peer.limit(&mut self.w.rt, limit);
            }
            88..=91 => drop(self.w.rt.turn(Some(Duration::ZERO)).unwrap()),
            _ => {
                self.w.settle();
                self.read(n);
            }
        }
        let room = self.w.rt.state.reports.borrow().is_empty();
        assert!(room, "no client lags that far behind");
    }

    fn read(&mut self, n: usize) {
        let peer = self.clients[n].peer;
        let bytes = peer.output(&mut self.w.rt);
        self.clients[n].model.read(&bytes);
    }

    fn connect(&mut self, n: usize) {
        let peer = self.clients[n].peer;
        self.clients[n].model.connected = true;
        peer.open(&mut self.w.rt);
        self.counts[1] += 1;
    }

    /// Cuts the client off, whatever it was waiting for.
    fn disconnect(&mut self, n: usize) {
        self.w.settle();
        let peer = self.clients[n].peer;
        if qemu_chr_be_can_write(&self.w.rt, peer.chardev()) > 0 {
            self.clients[n].unread = false;
        }
        if self.clients[n].unread {
            return;
        }
        self.read(n);
        self.counts[2] += u64::from(!self.clients[n].model.is_owed_nothing());
        qemu_chr_be_event(&mut self.w.rt, peer.chardev(), ChrEvent::Closed);
        // The next client must not get its output.
        peer.output(&mut self.w.rt);
        self.clients[n] = Client::new(peer);
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn negotiate(&mut self, n: usize) {
        let model = &self.clients[n].model;
        if !model.connected || model.negotiated || model.negotiation.is_some() {
            return;
        }
        let (id, oob) = (self.id(), self.rng.below(2) == 0);
        let text = self.clients[n].model.negotiate(id, oob);
        self.send(n, text);
    }

    fn request(&mut self, n: usize) {
        if !self.clients[n].model.connected {
            return;
        }
        let id = self.id();
        let model = &mut self.clients[n].model;
        let before = model.out_of_band.len();
        let text = model.request(&mut self.rng, id);
        self.counts[3] += (model.out_of_band.len() - before) as u64;
        self.send(n, text);
    }

    /// Answers a held command, with `Ok`. Only one is held in band.
    fn resolve(&mut self) {
        let held = self.w.rt.state.held.len() as u64;
        if held > 0 {
            let at = self.rng.below(held) as usize;
            let responder = self.w.rt.state.held.remove(at).unwrap();
            responder.respond(Ok(qmonitor::qapi::QDict::new().into()));
            self.counts[4] += 1;
        }
    }

    /// All clients read until nothing more comes; then no reply may be missing.
    fn finish(&mut self) {
        for n in 0..MONITORS {
            self.clients[n].peer.limit(&mut self.w.rt, usize::MAX);
        }
        loop {
            while !self.w.rt.state.held.is_empty() {
                self.resolve();
            }
            for n in 0..MONITORS {
                let bytes = self.clients[n].peer.recv(&mut self.w.rt);
                self.clients[n].model.read(&bytes);
            }
            if self.w.rt.state.held.is_empty() {
                break;
            }
        }
        for client in &self.clients {
            let model = &client.model;
            assert!(
                model.is_owed_nothing(),
                "unanswered: {:?}, out of band {:?}",
                model.in_band,
                model.out_of_band
            );
        }
    }
}

pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn nobody_hears_what_is_not_for_them_and_nothing_is_lost() {
    let steps = number("QMONITOR_CHURN").unwrap_or(20_000);
    let seed = number("QMONITOR_CHURN_SEED").unwrap_or(1);
    let mut churn = Churn::new(seed);
    for step in 0..steps {
        churn.step();
        if step % 1000 == 999 {
            churn.finish();
            churn.w.rt.state.notes.clear();
        }
    }
    churn.finish();
    for (what, count) in [
        "events",
        "connections",
        "clients cut off while owed something",
        "out-of-band requests",
        "deferred answers",
    ]
    .iter()
    .zip(churn.counts)
    {
        println!("{count} {what}");
        assert!(count > steps / 1000, "only {count} {what}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let run = || {
        let mut churn = Churn::new(7);
        let mut all = Vec::new();
        for _ in 0..2000 {
            churn.step();
        }
        churn.finish();
        for n in 0..MONITORS {
            churn.w.emit(&EVENT_PLAIN, "end");
            all.extend(churn.clients[n].peer.recv(&mut churn.w.rt));
        }
        (churn.counts, churn.next_id, all)
    };
    assert_eq!(run(), run());
}
