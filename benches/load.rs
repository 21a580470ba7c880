//! Many sessions, and clients that do not behave: the cost of a session, in
//! time and in memory, on the program `qmonitor`.
//!
//! Times are the server's processor time by the kernel's account, without the
//! client's share.
//!
//!     cargo bench --bench load                   # ten sessions against 10 000
//!     cargo bench --bench load -- --cycles 100000
//!     cargo bench --bench load -- --test         # a few of each, for CI

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{getrlimit, setrlimit, Resource};

/// The number of sessions that counts as many.
const MANY: usize = 10_000;

const NEGOTIATION: &[u8] = b"{\"execute\": \"qmp_capabilities\"}\n";
const REQUEST: &[u8] = b"{\"execute\": \"query-version\"}\n";
const SCHEMA: &[u8] = b"{\"execute\": \"query-qmp-schema\"}\n";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let quick = args.iter().any(|a| a == "--test");
    let cycles = args.iter().position(|a| a == "--cycles");
    let cycles = cycles.and_then(|at| args.get(at + 1)?.parse().ok());
    // This process as well: it has the other ends of the sockets.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    sessions(if quick { 100 } else { MANY }, quick);
    unread(if quick { 1_000 } else { 10_000 });
    connections(cycles.unwrap_or(if quick { 200 } else { 20_000 }));
}

/// A running `qmonitor`, killed when dropped.
struct Server(Child);

impl Server {
    fn start(args: impl IntoIterator<Item = String>) -> Server {
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmonitor"));
        command.arg("-nodefaults").args(args).stdin(Stdio::null());
        Server(command.spawn().expect("the server starts"))
    }

    /// A server with that many sessions past their negotiation.
    fn with_sessions(count: usize) -> (Server, Vec<UnixStream>) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("q");
        let form = format!("unix:{},server=on,wait=off", path.display());
        let server = Server::start(["-qmp".to_owned(), format!("{form},max-clients={MANY}")]);
        let clients = (0..count).map(|_| {
            let mut client = connect(&path);
            read_lines(&mut client, 1);
            exchange(&mut client, NEGOTIATION);
            client
        });
        let clients = clients.collect();
        (server, clients)
    }

    fn proc_file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.0.id());
        std::fs::read_to_string(path).expect("the server lives")
    }

    /// Time on the processor so far.
    fn cpu(&self) -> Duration {
        let text = self.proc_file("schedstat");
        let ns = text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok());
        Duration::from_nanos(ns.expect("nanoseconds"))
    }

    /// Resident memory in kB.
    fn resident(&self) -> i64 {
        let status = self.proc_file("status");
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        let kb = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
        kb.expect("kilobytes")
    }

    fn open_fds(&self) -> usize {
        let dir = format!("/proc/{}/fd", self.0.id());
        std::fs::read_dir(dir).expect("the server lives").count()
    }

    /// The server's time for each of `n` requests.
    fn cost(&self, n: usize, run: impl FnOnce()) -> f64 {
        let before = self.cpu();
        run();
        (self.cpu() - before).as_secs_f64() * 1e6 / n as f64
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads until that many lines have come.
fn read_lines(client: &mut UnixStream, count: usize) {
    let mut buf = [0; 65536];
    let mut lines = 0;
    while lines < count {
        let n = client.read(&mut buf).expect("the server answers");
        assert!(n > 0, "the server closed the connection");
        lines += buf[..n].iter().filter(|b| **b == b'\n').count();
    }
}

fn exchange(client: &mut UnixStream, request: &[u8]) {
    client.write_all(request).expect("the server reads");
    read_lines(client, 1);
}

/// One session after the other, n requests in all.
fn in_turn(clients: &mut [UnixStream], n: usize) {
    for i in 0..n {
        let at = i % clients.len();
        exchange(&mut clients[at], REQUEST);
    }
}

/// One session, the others being idle.
fn one_of_them(clients: &mut [UnixStream], n: usize) {
    in_turn(&mut clients[..1], n);
}

/// All sessions at once, again and again.
fn all_at_once(clients: &mut [UnixStream], n: usize) {
    for _ in 0..n.div_ceil(clients.len()) {
        for client in &mut *clients {
            client.write_all(REQUEST).expect("the server reads");
        }
        for client in &mut *clients {
            read_lines(client, 1);
        }
    }
}

/// The distribution of requests over sessions.
type Way = fn(&mut [UnixStream], usize);

/// A request with many open sessions, compared with ten; and their memory.
fn sessions(many: usize, quick: bool) {
    let (small, mut few_clients) = Server::with_sessions(10);
    let (big, mut many_clients) = Server::with_sessions(many);
    let ways: [(&str, Way); 3] = [
        ("one of them", one_of_them),
        ("in turn", in_turn),
        ("all at once", all_at_once),
    ];
    for (name, run) in ways {
        let requests = if quick { many } else { many * 2 };
        let (mut few, mut lots) = (f64::MAX, f64::MAX);
        for _ in 0..if quick { 1 } else { 5 } {
            few = few.min(small.cost(requests, || run(&mut few_clients, requests)));
            lots = lots.min(big.cost(requests, || run(&mut many_clients, requests)));
        }
        println!(
            "a request, {name:<16} 10 sessions {few:.2} us  {many} sessions {lots:.2} us  ({:.2} times)",
            lots / few
        );
    }
    // A server with ten sessions has everything that sessions share.
    let weigh = |what: &str| {
        let each = (big.resident() - small.resident()) as f64 / (many - 10) as f64;
        println!("resident a session, {what:<28} {each:.2} kB");
    };
    weigh("after some requests");
    for client in few_clients.iter_mut().chain(&mut many_clients) {
        exchange(client, SCHEMA);
    }
    weigh("after query-qmp-schema");
    let long = [b" ".repeat(60_000), REQUEST.to_vec()].concat();
    for client in few_clients.iter_mut().chain(&mut many_clients) {
        exchange(client, &long);
    }
    weigh("after a request of 60 kB");
}

/// A client that asks for much and reads nothing.
fn unread(requests: usize) {
    let (server, mut clients) = Server::with_sessions(1);
    exchange(&mut clients[0], SCHEMA);
    let before = server.resident();
    let client = &clients[0];
    let mut writer = client.try_clone().expect("a second handle");
    let sender = std::thread::spawn(move || writer.write_all(&SCHEMA.repeat(requests)));
    // Once the server does nothing any more, it has stopped reading.
    let mut last = server.cpu();
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = server.cpu();
        if now == last {
            break;
        }
        last = now;
    }
    let grown = server.resident() - before;
    println!("{requests} unread query-qmp-schema      the server grows by {grown} kB");
    read_lines(&mut clients[0], requests);
    sender
        .join()
        .expect("no panic")
        .expect("the server read all");
    println!(
        "... and all of them are answered  {} kB",
        server.resident() - before
    );
}

/// Clients that connect, negotiate and leave.
fn connections(cycles: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let socket = dir.path().join("q");
    let form = format!("unix:{},server=on,wait=off", socket.display());
    let server = Server::start(["-qmp".to_owned(), form]);
    let cycle = || {
        let mut client = connect(&socket);
        read_lines(&mut client, 1);
        exchange(&mut client, NEGOTIATION);
    };
    for _ in 0..100 {
        cycle();
    }
    let (resident, fds) = (server.resident(), server.open_fds());
    let start = Instant::now();
    for _ in 0..cycles {
        cycle();
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / cycles as f64;
    println!(
        "{cycles} connections              {each:.0} us each, resident {:+} kB, descriptors {:+}",
        server.resident() - resident,
        server.open_fds() as i64 - fds as i64
    );
}

fn connect(socket: &Path) -> UnixStream {
    let start = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(_) if start.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
            Err(e) => panic!("{}: {e}", socket.display()),
        }
    }
}
