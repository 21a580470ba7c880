//! QMP over a unix socket: this program, `qemu-storage-daemon` and two floors,
//! side by side in one run, as ratios.
//!
//! The bare floor answers each line of input with a fixed line: the least that a
//! server of this protocol must do. The honest floor reads typed requests and
//! writes typed replies with serde: the least that is of use. Each is a process
//! of its own: this bench, started again.
//!
//!     cargo bench --bench qmp              # all figures
//!     cargo bench --bench qmp -- --test    # each once, for CI

#[path = "support/floor.rs"]
mod floor;
#[path = "support/process.rs"]
mod process;
#[path = "support/qmp_floors.rs"]
mod qmp_floors;
#[path = "support/table.rs"]
mod table;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::{connect, exchange, is_installed, read_lines, send, NEGOTIATION, REQUEST};
use table::{median, Measure};

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, path] = &args[..] {
        let floor: Option<floor::Answer> = match flag.as_str() {
            "--bare-floor" => Some(qmp_floors::bare),
            "--honest-floor" => Some(qmp_floors::honest),
            _ => None,
        };
        if let Some(answer) = floor {
            floor::serve(Path::new(path), answer);
            return;
        }
    }
    let quick = args.iter().any(|a| a == "--test");
    let dir = tempfile::tempdir().expect("a temporary directory");
    if !Kind::installed().contains(&Kind::StorageDaemon) {
        println!("qemu-storage-daemon is not installed: its column is left out");
    }
    speeds(dir.path(), quick);
    start_to_greeting(dir.path(), if quick { 2 } else { 20 });
    resident(dir.path());
    syscalls(dir.path(), if quick { 20 } else { 2_000 });
    // The wake-up of a second processor hides what a single request costs.
    println!("client and server on one processor:");
    process::stay_on_one_processor();
    speeds(dir.path(), quick);
}

fn speeds(dir: &Path, quick: bool) {
    let start = |kind: &Kind| (kind.name(), kind.start(dir));
    let servers: Vec<(&str, Server)> = Kind::installed().iter().map(start).collect();
    let rounds = if quick { 1 } else { 5 };
    // QEMU needs a hundred times as long.
    let scale = |kind: Kind, n: usize, of_qemu: usize| {
        let n = if kind == Kind::StorageDaemon {
            of_qemu
        } else {
            n
        };
        if quick {
            (n / 100).max(2)
        } else {
            n
        }
    };
    let measure = |what, unit, better| Measure {
        what,
        unit,
        better,
        rounds,
    };
    measure("pipelined, 64 in flight", "k/s", f64::max).print(&servers, |s| {
        Some(pipelined(s, scale(s.kind, 400_000, 4_000)) / 1000.0)
    });
    measure("one at a time", "us", f64::min).print(&servers, |s| {
        Some(round_trip(s, scale(s.kind, 50_000, 2_000)) * 1e6)
    });
    measure("one command of 1 MB", "ms", f64::min).print(&servers, |s| {
        let skipped = s.kind == Kind::StorageDaemon && quick;
        (!skipped).then(|| one_megabyte(s) * 1e3)
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Qmonitor,
    BareFloor,
    HonestFloor,
    StorageDaemon,
}

/// A server with its kind.
struct Server {
    kind: Kind,
    process: process::Server,
}

impl Kind {
    /// The first is what the others are compared with.
    fn installed() -> Vec<Kind> {
        let mut kinds = vec![Kind::Qmonitor, Kind::BareFloor, Kind::HonestFloor];
        if is_installed(Kind::StorageDaemon.name()) {
            kinds.push(Kind::StorageDaemon);
        }
        kinds
    }

    fn installed_monitors() -> impl Iterator<Item = Kind> {
        Kind::installed()
            .into_iter()
            .filter(|kind| !kind.is_floor())
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Qmonitor => "qmonitor",
            Kind::BareFloor => "bare floor",
            Kind::HonestFloor => "honest floor",
            Kind::StorageDaemon => "qemu-storage-daemon",
        }
    }

    fn is_floor(self) -> bool {
        matches!(self, Kind::BareFloor | Kind::HonestFloor)
    }

    fn command(self, socket: &Path) -> Command {
        let path = socket.display();
        let this = || Command::new(std::env::current_exe().expect("own path"));
        let mut command;
        match self {
            Kind::Qmonitor => {
                command = Command::new(env!("CARGO_BIN_EXE_qmonitor"));
                command.args(["-nodefaults", "-qmp"]);
                command.arg(format!("unix:{path},server=on,wait=off"));
            }
            Kind::BareFloor => {
                command = this();
                command.arg("--bare-floor").arg(socket);
            }
            Kind::HonestFloor => {
                command = this();
                command.arg("--honest-floor").arg(socket);
            }
            Kind::StorageDaemon => {
                command = Command::new("qemu-storage-daemon");
                command.arg("--chardev");
                command.arg(format!("socket,id=m,path={path},server=on,wait=off"));
                command.args(["--monitor", "chardev=m"]);
            }
        }
        command
    }

    fn start(self, dir: &Path) -> Server {
        let socket = dir.join(self.name());
        Server {
            kind: self,
            process: process::Server::start(self.command(&socket), socket),
        }
    }

    /// A connection past its negotiation.
    fn negotiate(self, socket: &Path) -> UnixStream {
        let mut client = connect(socket);
        let timeout = Some(Duration::from_secs(60));
        client.set_read_timeout(timeout).expect("a timeout");
        if !self.is_floor() {
            read_lines(&mut client, 1);
            exchange(&mut client, NEGOTIATION);
        }
        client
    }
}

impl Server {
    fn connect(&self) -> UnixStream {
        self.kind.negotiate(&self.process.socket)
    }
}

/// Requests a second with 64 in flight.
fn pipelined(server: &Server, total: usize) -> f64 {
    const WINDOW: usize = 64;
    let mut client = server.connect();
    let batch = REQUEST.repeat(WINDOW);
    let start = Instant::now();
    send(&mut client, &batch);
    let (mut sent, mut received) = (WINDOW, 0);
    while received < total {
        let n = read_lines(&mut client, 1);
        received += n;
        let more = n.min(total.saturating_sub(sent));
        send(&mut client, &batch[..more * REQUEST.len()]);
        sent += more;
        if sent >= total && received >= total {
            break;
        }
    }
    total as f64 / start.elapsed().as_secs_f64()
}

/// Seconds for a request and its answer.
fn round_trip(server: &Server, n: usize) -> f64 {
    let mut client = server.connect();
    median(n, || {
        let start = Instant::now();
        exchange(&mut client, REQUEST);
        start.elapsed().as_secs_f64()
    })
}

/// Seconds until a command with a member of a million bytes is answered.
fn one_megabyte(server: &Server) -> f64 {
    let mut client = server.connect();
    let mut request = b"{\"execute\": \"query-version\", \"id\": [\"".to_vec();
    request.resize(1_000_000, b'x');
    request.extend_from_slice(b"\"]}\n");
    let start = Instant::now();
    let mut writer = client.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&request).expect("the server reads"));
        read_lines(&mut client, 1);
    });
    start.elapsed().as_secs_f64()
}

fn start_to_greeting(dir: &Path, n: usize) {
    print!("{:<28}", "start to greeting");
    for kind in Kind::installed_monitors() {
        let time = median(n, || {
            let start = Instant::now();
            let server = kind.start(dir);
            read_lines(&mut connect(&server.process.socket), 1);
            start.elapsed().as_secs_f64() * 1e3
        });
        print!("  {} {time:.2} ms (median of {n})", kind.name());
    }
    println!();
}

/// Memory and threads after a client's session, idle.
fn resident(dir: &Path) {
    print!("{:<28}", "resident, idle");
    for kind in Kind::installed_monitors() {
        let server = kind.start(dir);
        server.connect();
        let memory = server.process.status("VmRSS");
        let threads = server.process.status("Threads");
        print!("  {} {memory}, threads {threads}", kind.name());
    }
    println!();
}

/// System calls per request, counted by strace where it is installed: those of a
/// session with some requests less those of a session with none.
fn syscalls(dir: &Path, n: usize) {
    if !is_installed("strace") {
        println!("strace is not installed: system calls are not counted");
        return;
    }
    print!("{:<28}", "system calls a request");
    for kind in Kind::installed() {
        let per_request = (traced(kind, dir, n) as f64 - traced(kind, dir, 0) as f64) / n as f64;
        print!("  {} {per_request:.2}", kind.name());
    }
    println!();
}

/// The number of system calls of a server that answers so many requests.
fn traced(kind: Kind, dir: &Path, requests: usize) -> usize {
    let (socket, log) = (dir.join("traced"), dir.join("strace.out"));
    let inner = kind.command(&socket);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o"]).arg(&log);
    strace.arg(inner.get_program()).args(inner.get_args());
    let mut server = process::Server::start(strace, socket);
    let mut client = kind.negotiate(&server.socket);
    for _ in 0..requests {
        exchange(&mut client, REQUEST);
    }
    send(&mut client, b"{\"execute\": \"quit\"}\n");
    let _ = client.read_to_end(&mut Vec::new());
    let _ = server.child.wait();
    std::fs::read(&log).map_or(0, |log| log.iter().filter(|b| **b == b'\n').count())
}
