//! A mock in the test's own thread, with clients in memory: the same seed gives the same bytes.

use std::io;
use std::ops::Range;
use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::qapi::{QDict, QObject};

use crate::front::{add_fault, add_stub, expect, seed_from_env, verdict, Received, Told};
use crate::mock::{Builder, Mock};
use crate::scenario::Scenario;
use crate::server::Server;
use crate::words::{Event, Request};

/// A mock whose time and turns are the test's.
pub struct Sim {
    server: Server,
    seed: u64,
    peers: Vec<MemoryPeer>,
}

#[track_caller]
fn unwrap<T>(result: Result<T, String>, seed: u64) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("{e}; seed {seed}"),
    }
}

fn no_client() -> String {
    "no client is connected".to_owned()
}

impl Mock {
    /// Runs a test once for each seed, each time with a fresh machine. `QMONITOR_SEED` picks
    /// one of them.
    ///
    /// # Panics
    ///
    /// If the test does, or if an expectation failed; the seed is printed.
    pub fn sweep(seeds: Range<u64>, test: impl FnMut(&mut Sim)) {
        Mock::machine().sweep(seeds, test);
    }
}

impl Builder {
    /// Runs a test once for each seed, as [`Mock::sweep`].
    ///
    /// # Panics
    ///
    /// If the test does, or if an expectation failed; the seed is printed.
    pub fn sweep(self, seeds: Range<u64>, mut test: impl FnMut(&mut Sim)) {
        let seeds = seed_from_env().map_or(seeds, |seed| seed..seed.saturating_add(1));
        for seed in seeds {
            let told = Told(seed);
            let mut sim = self.clone().seed(seed).sim();
            test(&mut sim);
            sim.verify();
            drop(told);
        }
    }

    /// Makes the mock in this thread.
    ///
    /// # Panics
    ///
    /// If the machine cannot be made.
    #[track_caller]
    pub fn sim(self) -> Sim {
        let setup = self.setup();
        let seed = setup.seed;
        Sim {
            server: unwrap(Server::start(setup), seed),
            seed,
            peers: Vec::new(),
        }
    }
}

impl Sim {
    /// A mock of the scenario in a text.
    ///
    /// # Panics
    ///
    /// If the scenario is wrong.
    #[track_caller]
    pub fn of(scenario: &str) -> Sim {
        let scenario = Scenario::read("", scenario, None);
        unwrap(Builder::of(scenario), 0).sim()
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Switches on a fault: a built-in one by its name, or one written as in a scenario.
    ///
    /// # Panics
    ///
    /// If there is no such fault.
    #[track_caller]
    pub fn fault(&mut self, fault: impl AsRef<str>) {
        unwrap(add_fault(&self.server.kit(), fault.as_ref()), self.seed);
    }

    /// Answers a request with this value.
    ///
    /// # Panics
    ///
    /// If it does not fit the schema.
    #[track_caller]
    pub fn reply(&mut self, request: &Request, value: impl Into<QObject>) {
        let mut stub = QDict::new();
        stub.insert("when", request.to_dict());
        stub.insert("reply", QDict::from_iter([("return", value.into())]));
        unwrap(add_stub(&self.server.kit(), &stub, None), self.seed);
    }

    /// Expects that a request comes so often.
    ///
    /// # Panics
    ///
    /// If a matcher is wrong.
    #[track_caller]
    pub fn expect(&mut self, request: &Request, times: u64) {
        unwrap(expect(&self.server.kit(), request, times), self.seed);
    }

    /// Connects a client, to which [`send`](Self::send) and [`pipe`](Self::pipe) belong from now
    /// on. Returns its number, for [`peer`](Self::peer).
    ///
    /// # Panics
    ///
    /// If the process is out of descriptors.
    #[track_caller]
    pub fn connect(&mut self) -> usize {
        let n = self.peers.len();
        let label = format!("client{n}");
        let (rt, _) = self.server.parts();
        let made = MemoryPeer::new(rt, &label).and_then(|peer| {
            let options = MonitorOptions {
                mode: Some(MonitorMode::Control),
                ..MonitorOptions::new(&label)
            };
            rt.monitor_init(&options)?;
            peer.open(rt);
            Ok(peer)
        });
        let peer = unwrap(made.map_err(|e| e.to_string()), self.seed);
        self.peers.push(peer);
        n
    }

    /// The client's end of a connection, and the runtime that its functions take.
    pub fn peer(&mut self, n: usize) -> Option<(MemoryPeer, &mut crate::kit::Rt)> {
        let peer = self.peers.get(n).copied()?;
        Some((peer, self.server.parts().0))
    }

    #[track_caller]
    fn last(&self) -> MemoryPeer {
        unwrap(self.peers.last().copied().ok_or_else(no_client), self.seed)
    }

    /// Sends a request.
    ///
    /// # Panics
    ///
    /// If no client is connected.
    #[track_caller]
    pub fn send(&mut self, request: impl std::borrow::Borrow<Request>) {
        self.send_raw(request.borrow().to_json() + "\n");
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If no client is connected.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: impl AsRef<[u8]>) {
        let peer = self.last();
        peer.send(self.server.parts().0, bytes);
    }

    /// Disconnects.
    ///
    /// # Panics
    ///
    /// If no client is connected.
    #[track_caller]
    pub fn close(&mut self) {
        let peer = self.last();
        peer.close(self.server.parts().0);
        self.settle();
    }

    /// Hands what comes for the client over, piece by piece, until nothing is left to do at this
    /// instant.
    ///
    /// # Panics
    ///
    /// If no client is connected.
    #[track_caller]
    pub fn pipe(&mut self, mut take: impl FnMut(&[u8])) {
        let last = self.peers.len().checked_sub(1);
        let n = unwrap(last.ok_or_else(no_client), self.seed);
        while let Some(piece) = unwrap(self.piece(n).map_err(|e| e.to_string()), self.seed) {
            take(&piece);
        }
    }

    /// The next piece of output for a client. None if nothing is left to do at this instant.
    pub(crate) fn piece(&mut self, n: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(peer) = self.peers.get(n).copied() else {
            return Ok(None);
        };
        loop {
            let turned = self.server.turn()?;
            let output = peer.output(self.server.parts().0);
            if !output.is_empty() {
                return Ok(Some(output));
            }
            if !turned {
                return Ok(None);
            }
        }
    }

    /// Whether a client is connected.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_open(&mut self, n: usize) -> bool {
        use qmonitor::chardev::ChardevHost;

        let peer = self.peer(n);
        peer.is_some_and(|(peer, rt)| {
            let chr = rt.chardevs().get(peer.chardev());
            chr.is_some_and(qmonitor::chardev::Chardev::is_open)
        })
    }

    /// All that comes for the client until nothing is left to do at this instant.
    ///
    /// # Panics
    ///
    /// If no client is connected.
    #[track_caller]
    pub fn recv(&mut self) -> String {
        let mut all = Vec::new();
        self.pipe(|bytes| all.extend_from_slice(bytes));
        String::from_utf8_lossy(&all).into_owned()
    }

    fn settle(&mut self) {
        let settled = self.server.settle().map_err(|e| e.to_string());
        unwrap(settled, self.seed);
    }

    /// Lets time pass, and what is due happen.
    ///
    /// # Panics
    ///
    /// If the scenario's time is real.
    #[track_caller]
    pub fn advance(&mut self, time: Duration) {
        unwrap(self.server.step(Some(time)), self.seed);
    }

    /// Sends an event, whether the schema has it or not.
    pub fn emit(&mut self, event: &Event) {
        let (rt, kit) = self.server.parts();
        kit.emit(rt, &event.event, &event.data, None);
    }

    /// Answers what is held at a point. Returns how many requests were held.
    pub fn release(&mut self, point: &str) -> usize {
        let (rt, kit) = self.server.parts();
        kit.clone().release(rt, point)
    }

    /// The requests that came.
    pub fn received(&self) -> Received {
        let entries = |journal: &crate::kit::journal::Journal| journal.iter().cloned().collect();
        Received {
            entries: self.server.kit().with_journal(entries),
            seed: self.seed,
        }
    }

    /// Verifies what was expected.
    ///
    /// # Panics
    ///
    /// If something does not hold.
    #[track_caller]
    pub fn verify(&self) {
        if let Err(e) = verdict(&self.server.kit(), self.seed) {
            panic!("{e}");
        }
    }
}
