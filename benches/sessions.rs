//! What a request costs the server while other sessions are idle: one of N sessions
//! asks, for N from 1 to 4000.
//!
//! Times are the server's processor time by the kernel's account. Client and server
//! share one processor: with two, each waits for the other to wake up, and that hides
//! everything else. The servers take turns in short rounds, and the best round of each
//! counts, so the ratios hold on a busy machine too.
//!
//!     cargo bench --bench sessions
//!     cargo bench --bench sessions -- --test   # a few requests, for CI

#[path = "support/process.rs"]
mod process;

use std::os::unix::net::UnixStream;

use process::{exchange, Server, REQUEST};

const SESSIONS: [usize; 7] = [1, 10, 20, 50, 100, 1000, 4000];

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    process::raise_fd_limit();
    process::stay_on_one_processor();
    let (rounds, requests) = if quick { (1, 5) } else { (50, 500) };
    let mut contenders: Vec<Contender> = SESSIONS.map(Contender::new).into();
    for _ in 0..rounds {
        for contender in &mut contenders {
            contender.round(requests);
        }
    }
    println!("a request of one of N sessions, server");
    let alone = contenders[0].best;
    for Contender { sessions, best, .. } in contenders {
        let n = sessions.len();
        println!("{n:>6} sessions {best:>8.2} us {:>6.2} times", best / alone);
    }
}

/// A server with so many sessions.
struct Contender {
    server: Server,
    sessions: Vec<UnixStream>,
    /// Microseconds for a request, in the best round.
    best: f64,
}

impl Contender {
    fn new(count: usize) -> Contender {
        let dir = tempfile::tempdir().expect("a temporary directory");
        // All alike, but for the number of those that come.
        let server = Server::qmonitor(dir.path(), ",max-clients=10000");
        let mut sessions: Vec<UnixStream> = (0..count).map(|_| server.negotiate()).collect();
        // The first requests of a session cost more: they are looked at for descriptors.
        (0..50).for_each(|_| exchange(&mut sessions[0], REQUEST));
        Contender {
            server,
            sessions,
            best: f64::INFINITY,
        }
    }

    fn round(&mut self, requests: usize) {
        let before = self.server.cpu();
        (0..requests).for_each(|_| exchange(&mut self.sessions[0], REQUEST));
        let spent = self.server.cpu() - before;
        let each = spent.as_secs_f64() * 1e6 / requests as f64;
        self.best = self.best.min(each);
    }
}
