//! Many sessions, and clients that do not behave: the cost of a session, in
//! time and in memory, on the program `qmonitor`.
//!
//! Times are the server's processor time by the kernel's account, without the
//! client's share.
//!
//!     cargo bench --bench load                   # ten sessions against 10 000
//!     cargo bench --bench load -- --cycles 100000
//!     cargo bench --bench load -- --test         # a few of each, for CI

#[path = "support/process.rs"]
mod process;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use process::{exchange, read_lines, send, Server, REQUEST};

/// The number of sessions that counts as many.
const MANY: usize = 10_000;

const SCHEMA: &[u8] = b"{\"execute\": \"query-qmp-schema\"}\n";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let quick = args.iter().any(|a| a == "--test");
    let cycles = args.iter().position(|a| a == "--cycles");
    let cycles = cycles.and_then(|at| args.get(at + 1)?.parse().ok());
    process::raise_fd_limit();
    sessions(if quick { 100 } else { MANY }, quick);
    unread(if quick { 1_000 } else { 10_000 });
    large(if quick { 1 << 20 } else { 60 << 20 });
    connections(cycles.unwrap_or(if quick { 200 } else { 20_000 }));
}

/// A server with that many sessions past their negotiation.
fn with_sessions(count: usize) -> (Server, Vec<UnixStream>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::qmonitor(dir.path(), &format!(",max-clients={MANY}"));
    let clients = (0..count).map(|_| server.negotiate()).collect();
    (server, clients)
}

fn open_fds(server: &Server) -> usize {
    let dir = format!("/proc/{}/fd", server.child.id());
    std::fs::read_dir(dir).expect("the server lives").count()
}

/// The server's time for each of `n` requests.
fn cost(server: &Server, n: usize, run: impl FnOnce()) -> f64 {
    let before = server.cpu();
    run();
    (server.cpu() - before).as_secs_f64() * 1e6 / n as f64
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
            send(client, REQUEST);
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
    let (small, mut few_clients) = with_sessions(10);
    let (big, mut many_clients) = with_sessions(many);
    let ways: [(&str, Way); 3] = [
        ("one of them", one_of_them),
        ("in turn", in_turn),
        ("all at once", all_at_once),
    ];
    for (name, run) in ways {
        let requests = if quick { many } else { many * 2 };
        let (mut few, mut lots) = (f64::MAX, f64::MAX);
        for _ in 0..if quick { 1 } else { 5 } {
            few = few.min(cost(&small, requests, || run(&mut few_clients, requests)));
            lots = lots.min(cost(&big, requests, || run(&mut many_clients, requests)));
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
    let (server, mut clients) = with_sessions(1);
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

/// What a server keeps of a request and a reply of so many bytes, once the client
/// has left.
fn large(bytes: usize) {
    let id = "x".repeat(bytes);
    kept("-qmp", "a request with a long id", &format!("\"{id}\""));
    // Indented, each number of the innermost list takes a line of 1000 blanks.
    const DEPTH: usize = 250;
    let numbers = vec!["1"; bytes / 750].join(",");
    let id = format!("{}{numbers}{}", "[".repeat(DEPTH), "]".repeat(DEPTH));
    kept("-qmp-pretty", "a pretty reply", &id);
}

fn kept(monitor: &str, what: &str, id: &str) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::with_monitor(dir.path(), monitor, "");
    exchange(&mut server.negotiate(), REQUEST);
    let before = server.resident();
    let request = format!("{{\"execute\": \"query-version\", \"id\": {id}}}\n");
    let mut client = server.negotiate();
    let mut writer = client.try_clone().expect("a second handle");
    let replied = std::thread::scope(|scope| {
        scope.spawn(move || send(&mut writer, request.as_bytes()));
        let mut reply = BufReader::new(&client);
        let mut bytes = 0;
        loop {
            let mut line = Vec::new();
            bytes += reply.read_until(b'\n', &mut line).expect("a reply");
            // A line of its own ends a pretty reply.
            if monitor == "-qmp" || line == b"}\r\n" {
                break bytes;
            }
        }
    });
    send(&mut client, REQUEST);
    drop(client);
    // A new client is served when the old one is gone.
    exchange(&mut server.negotiate(), REQUEST);
    println!(
        "{what}, {:.1} MB answered by {:.1} MB   the server grows by {} kB",
        id.len() as f64 / 1e6,
        replied as f64 / 1e6,
        server.resident() - before
    );
}

/// Clients that connect, negotiate and leave.
fn connections(cycles: usize) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let server = Server::qmonitor(dir.path(), "");
    let cycle = || drop(server.negotiate());
    for _ in 0..100 {
        cycle();
    }
    let (resident, fds) = (server.resident(), open_fds(&server));
    let start = Instant::now();
    for _ in 0..cycles {
        cycle();
    }
    let each = start.elapsed().as_secs_f64() * 1e6 / cycles as f64;
    println!(
        "{cycles} connections              {each:.0} us each, resident {:+} kB, descriptors {:+}",
        server.resident() - resident,
        open_fds(&server) as i64 - fds as i64
    );
}
