//! Everything at once, at random, from a seed: clients come, negotiate, ask,
//! read or do not, and go, while commands are held and answered and events
//! arise. A plain model of each client says what it may be told.
//!
//! `QMONITOR_CHURN=1000000` makes that many steps, `QMONITOR_CHURN_SEED` takes
//! another seed.

use std::collections::VecDeque;
use std::time::Duration;

use qmonitor::chardev::memory::MemoryPeer;
use qmonitor::chardev::{qemu_chr_be_can_write, qemu_chr_be_event, ChrEvent};
use qmonitor::main_loop::Host;
use serde_json::Value;

use crate::world::*;

/// xorshift64*
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % n
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Reply {
    Ok,
    Error,
}

/// What a request should be answered with, in band in this order.
#[derive(Debug)]
struct Asked {
    id: i64,
    reply: Reply,
    /// The event that the command causes.
    event: Option<String>,
}

struct Client {
    peer: MemoryPeer,
    connected: bool,
    /// Input was sent while the session did not read; a client that is cut off
    /// now would leave it to the next one.
    unread: bool,
    greeted: bool,
    /// The request for negotiation, and whether it asks for out-of-band.
    negotiation: Option<(i64, bool)>,
    negotiated: bool,
    oob: bool,
    in_band: VecDeque<Asked>,
    out_of_band: Vec<i64>,
    /// Events of its own commands that were seen, until their reply.
    seen: Vec<String>,
    partial: Vec<u8>,
}

impl Client {
    fn new(peer: MemoryPeer) -> Self {
        Client {
            peer,
            connected: false,
            unread: false,
            greeted: false,
            negotiation: None,
            negotiated: false,
            oob: false,
            in_band: VecDeque::new(),
            out_of_band: Vec::new(),
            seen: Vec::new(),
            partial: Vec::new(),
        }
    }

    fn is_owed_nothing(&self) -> bool {
        self.in_band.is_empty() && self.out_of_band.is_empty()
    }

    /// Takes output and holds it against the model.
    fn read(&mut self, bytes: &[u8]) {
        self.partial.extend(bytes);
        while let Some(end) = self.partial.iter().position(|b| *b == b'\n') {
            let rest = self.partial.split_off(end + 1);
            let line = std::mem::replace(&mut self.partial, rest);
            let text = String::from_utf8(line).unwrap();
            let line = text.strip_suffix("\r\n").expect("CR LF");
            self.hear(line);
        }
    }

    fn hear(&mut self, line: &str) {
        assert!(self.connected, "nobody is there to hear {line}");
        if !self.greeted {
            assert_eq!(line, GREETING);
            self.greeted = true;
            return;
        }
        let message: Value = serde_json::from_str(line).unwrap();
        if message.get("event").is_some() {
            assert!(self.negotiated, "an event before negotiation: {line}");
            self.seen
                .push(message["data"]["id"].as_str().unwrap().to_owned());
            return;
        }
        let id = message["id"]
            .as_i64()
            .unwrap_or_else(|| panic!("whose is {line}"));
        if let Some(at) = self.out_of_band.iter().position(|other| *other == id) {
            self.out_of_band.remove(at);
            return;
        }
        let asked = self.in_band.pop_front();
        let asked = asked.unwrap_or_else(|| panic!("nobody asked for {line}"));
        assert_eq!(asked.id, id, "{asked:?} is next, not {line}");
        let reply = match message.get("return") {
            Some(_) => Reply::Ok,
            None => Reply::Error,
        };
        assert_eq!(asked.reply, reply, "{line}");
        if let Some(event) = asked.event {
            let seen = self.seen.contains(&event);
            assert!(seen, "the reply came before its event: {line}");
        }
        if self.in_band.is_empty() {
            self.seen.clear();
        }
        if let Some((_, oob)) = self.negotiation.take_if(|(wanted, _)| *wanted == id) {
            self.negotiated = true;
            self.oob = oob;
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
        // What is still to happen might stop the session from reading.
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
            0..=9 if !self.clients[n].connected => self.connect(n),
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
        self.clients[n].read(&bytes);
    }

    fn connect(&mut self, n: usize) {
        let peer = self.clients[n].peer;
        self.clients[n].connected = true;
        peer.open(&mut self.w.rt);
        self.counts[1] += 1;
    }

    /// The client is cut off, whatever it was waiting for.
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
        self.counts[2] += u64::from(!self.clients[n].is_owed_nothing());
        qemu_chr_be_event(&mut self.w.rt, peer.chardev(), ChrEvent::Closed);
        // What was said to it is not for the next one.
        peer.output(&mut self.w.rt);
        self.clients[n] = Client::new(peer);
    }

    fn id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    fn negotiate(&mut self, n: usize) {
        let client = &self.clients[n];
        if !client.connected || client.negotiated || client.negotiation.is_some() {
            return;
        }
        let (id, oob) = (self.id(), self.rng.below(2) == 0);
        let enable = if oob { "'oob'" } else { "" };
        let client = &mut self.clients[n];
        client.negotiation = Some((id, oob));
        client.in_band.push_back(Asked {
            id,
            reply: Reply::Ok,
            event: None,
        });
        let request = capabilities_request(enable);
        self.send(
            n,
            format!("{}, 'id': {id}}}", &request[..request.len() - 1]),
        );
    }

    fn request(&mut self, n: usize) {
        if !self.clients[n].connected {
            return;
        }
        let id = self.id();
        // Past negotiation by the time this is executed.
        let ready = self.clients[n].negotiated || self.clients[n].negotiation.is_some();
        let mut asked = Asked {
            id,
            reply: Reply::Ok,
            event: None,
        };
        let text = match self.rng.below(12) {
            0..=4 => note_req("n", id),
            5..=6 => {
                asked.event = Some(format!("inner{id}"));
                format!("{{'execute': 'emit', 'arguments': {{'id': 'inner{id}'}}, 'id': {id}}}")
            }
            7 => req("hold", id),
            8 => {
                asked.reply = Reply::Error;
                req("nope", id)
            }
            9 => {
                asked.reply = Reply::Error;
                format!("{{'execute': {id}, 'id': {id}}}")
            }
            10 => format!("{{'execute': 'big', 'arguments': {{'size': 20000}}, 'id': {id}}}"),
            _ => {
                // Answered at once, whatever the answer is.
                self.clients[n].out_of_band.push(id);
                let command = ["note-oob", "hold-oob", "nope"][self.rng.below(3) as usize];
                self.counts[3] += 1;
                return self.send(n, oob(command, id));
            }
        };
        if !ready {
            asked.reply = Reply::Error;
            asked.event = None;
        }
        self.clients[n].in_band.push_back(asked);
        self.send(n, text);
    }

    /// Something that was held is answered. In band only one is, and by `Ok`.
    fn resolve(&mut self) {
        let held = self.w.rt.state.held.len() as u64;
        if held > 0 {
            let at = self.rng.below(held) as usize;
            let responder = self.w.rt.state.held.remove(at).unwrap();
            responder.respond(Ok(qmonitor::qapi::QDict::new().into()));
            self.counts[4] += 1;
        }
    }

    /// Everybody reads until all is said: nobody may be owed anything then.
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
                self.clients[n].read(&bytes);
            }
            if self.w.rt.state.held.is_empty() {
                break;
            }
        }
        for client in &self.clients {
            assert!(
                client.is_owed_nothing(),
                "unanswered: {:?}, out of band {:?}",
                client.in_band,
                client.out_of_band
            );
            assert!(client.partial.is_empty());
        }
    }
}

fn number(name: &str) -> Option<u64> {
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
