//! The cost of chardevs, against the barest loops that do the same, in one run.
//!
//!     cargo bench --bench chardev              # all figures
//!     cargo bench --bench chardev -- --test    # each once, for CI

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{getrusage, UsageWho};
use nix::sys::time::TimeValLike;

use qmonitor::chardev::*;
use qmonitor::impl_host;
use qmonitor::main_loop::{main_loop_wait, MainLoop};

fn main() {
    let quick = std::env::args().any(|a| a == "--test");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let scale = |n: usize| if quick { n / 100 } else { n };
    let rounds = if quick { 1 } else { 5 };

    let bytes = scale(1 << 30);
    compare(
        "socket to mux to ring buffer",
        "GB/s",
        rounds,
        [
            &mut || bytes as f64 / 1e9 / through_a_mux(dir.path(), bytes).as_secs_f64(),
            &mut || bytes as f64 / 1e9 / read_loop(dir.path(), bytes).as_secs_f64(),
        ],
    );
    let clients = scale(50_000);
    compare(
        "clients come and go",
        "k/s",
        rounds,
        [
            &mut || clients as f64 / 1e3 / serve_chardev(dir.path(), clients).as_secs_f64(),
            &mut || clients as f64 / 1e3 / accept_loop(dir.path(), clients).as_secs_f64(),
        ],
    );
    absent_server(
        dir.path(),
        Duration::from_millis(if quick { 250 } else { 5000 }),
    );
}

/// Rounds take turns, so that a drifting machine drifts for both. The best of
/// each counts, because noise only makes things slower.
fn compare(name: &str, unit: &str, rounds: usize, mut measures: [&mut dyn FnMut() -> f64; 2]) {
    let mut best = [0.0f64; 2];
    for _ in 0..rounds {
        for (measure, best) in measures.iter_mut().zip(&mut best) {
            *best = best.max(measure());
        }
    }
    let [ours, floor] = best;
    println!(
        "{name:<30} {ours:.2} {unit}, floor {floor:.2} {unit} (ours is {:.3} of it)",
        ours / floor
    );
}

struct App {
    main_loop: MainLoop<App>,
    chardevs: Chardevs<App>,
    ring: Option<CharFrontend>,
    received: usize,
    connections: usize,
}

impl_host!(App, main_loop);

impl ChardevHost for App {
    fn chardevs(&self) -> &Chardevs<Self> {
        &self.chardevs
    }
    fn chardevs_mut(&mut self) -> &mut Chardevs<Self> {
        &mut self.chardevs
    }
    fn chardev_report(&mut self, _: ChardevReport, _: &str) {}
}

/// Passes input on to the ring buffer, and counts.
const HANDLERS: CharHandlers<App> = CharHandlers::new(
    |_, _| CHR_READ_BUF_LEN,
    |app, _, bytes| {
        app.received += bytes.len();
        if let Some(ring) = app.ring {
            let written = qemu_chr_fe_write(app, ring, bytes);
            assert_eq!(written.expect("a ring buffer takes all"), bytes.len());
        }
    },
    |app, _, event| app.connections += usize::from(event == ChrEvent::Closed),
);

impl App {
    fn new() -> Self {
        App {
            main_loop: MainLoop::new().expect("a main loop"),
            chardevs: Chardevs::new(),
            ring: None,
            received: 0,
            connections: 0,
        }
    }

    fn add(&mut self, options: &str) -> CharFrontend {
        let (label, config) = qemu_chr_parse_cli(options, &mut Vec::new()).expect("options");
        let chr = chardev_add(self, &label, config).expect("a chardev").id;
        qemu_chr_fe_init(self, chr).expect("a front end")
    }

    fn run_until(&mut self, done: impl Fn(&App) -> bool) {
        while !done(self) {
            main_loop_wait(self, None).expect("the loop turns");
        }
    }
}

fn fresh(dir: &Path) -> PathBuf {
    let path = dir.join("socket");
    let _ = std::fs::remove_file(&path);
    path
}

/// Sends that many bytes to a server on a thread of its own.
fn sender(path: PathBuf, bytes: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stream = UnixStream::connect(path).expect("the server listens");
        let block = vec![b'x'; CHR_READ_BUF_LEN];
        let mut left = bytes;
        while left > 0 {
            let n = left.min(block.len());
            stream.write_all(&block[..n]).expect("the server reads");
            left -= n;
        }
    })
}

fn through_a_mux(dir: &Path, bytes: usize) -> Duration {
    let path = fresh(dir);
    let mut app = App::new();
    app.ring = Some(app.add("ringbuf,id=ring"));
    let mux = app.add(&format!(
        "socket,id=s,path={},server=on,wait=off,mux=on",
        path.display()
    ));
    qemu_chr_fe_set_handlers(&mut app, mux, Some(HANDLERS), 0);
    let start = Instant::now();
    let sender = sender(path, bytes);
    app.run_until(|app| app.received == bytes);
    let time = start.elapsed();
    sender.join().expect("the sender");
    time
}

/// The floor: reads and throws away.
fn read_loop(dir: &Path, bytes: usize) -> Duration {
    let path = fresh(dir);
    let listener = UnixListener::bind(&path).expect("a listener");
    let start = Instant::now();
    let sender = sender(path, bytes);
    let (mut stream, _) = listener.accept().expect("the sender");
    let mut buf = vec![0; CHR_READ_BUF_LEN];
    let mut left = bytes;
    while left > 0 {
        left -= stream.read(&mut buf).expect("input");
    }
    let time = start.elapsed();
    sender.join().expect("the sender");
    time
}

/// Connects, shuts down its sending side, and waits for the end, again and
/// again.
fn visitor(path: PathBuf, times: usize) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for _ in 0..times {
            let mut stream = UnixStream::connect(&path).expect("the server listens");
            stream.shutdown(Shutdown::Write).expect("a half close");
            assert_eq!(stream.read(&mut [0; 1]).expect("the end"), 0);
        }
    })
}

fn serve_chardev(dir: &Path, clients: usize) -> Duration {
    let path = fresh(dir);
    let mut app = App::new();
    let fe = app.add(&format!(
        "socket,id=s,path={},server=on,wait=off",
        path.display()
    ));
    qemu_chr_fe_set_handlers(&mut app, fe, Some(HANDLERS), 0);
    let start = Instant::now();
    let visitor = visitor(path, clients);
    app.run_until(|app| app.connections == clients);
    let time = start.elapsed();
    visitor.join().expect("the visitor");
    time
}

/// The floor: one client at a time, with a poll before each step, as a server
/// needs that has other work.
fn accept_loop(dir: &Path, clients: usize) -> Duration {
    let path = fresh(dir);
    let listener = UnixListener::bind(&path).expect("a listener");
    let wait = |fd: std::os::fd::BorrowedFd<'_>| {
        poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::NONE).expect("poll");
    };
    let start = Instant::now();
    let visitor = visitor(path, clients);
    for _ in 0..clients {
        wait(listener.as_fd());
        let (mut stream, _) = listener.accept().expect("a client");
        wait(stream.as_fd());
        assert_eq!(stream.read(&mut [0; 1]).expect("the end"), 0);
    }
    let time = start.elapsed();
    visitor.join().expect("the visitor");
    time
}

/// The cost of a client without its server.
fn absent_server(dir: &Path, duration: Duration) {
    let mut app = App::new();
    let path = fresh(dir);
    let fe = app.add(&format!(
        "socket,id=s,path={},reconnect-ms=100",
        path.display()
    ));
    qemu_chr_fe_set_handlers(&mut app, fe, Some(HANDLERS), 0);
    let cpu = || {
        let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("the CPU time");
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds()
    };
    let (start, before, mut turns) = (Instant::now(), cpu(), 0);
    while start.elapsed() < duration {
        main_loop_wait(&mut app, Some(duration)).expect("the loop turns");
        turns += 1;
    }
    println!(
        "{:<30} {turns} turns of the loop and {:.1} us of CPU a second, 10 attempts in each",
        "a client without its server",
        (cpu() - before) as f64 / start.elapsed().as_secs_f64(),
    );
    let attempts = start.elapsed().as_millis() / 100;
    assert!(
        turns <= attempts + 2,
        "{turns} turns for {attempts} attempts"
    );
}
