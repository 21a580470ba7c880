//! QMP over a unix socket: this program, `qemu-storage-daemon` and a floor,
//! side by side in one run, as ratios.
//!
//! The floor is a bare poll loop that answers each line of input with a fixed
//! line: the least that a server of this protocol must do. It is a process of
//! its own: this bench, started again.
//!
//!     cargo bench --bench qmp              # all figures
//!     cargo bench --bench qmp -- --test    # each once, for CI

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const REQUEST: &[u8] = b"{\"execute\": \"query-version\"}\n";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, path] = &args[..] {
        if flag == "--floor" {
            floor(Path::new(path));
            return;
        }
    }
    let quick = args.iter().any(|a| a == "--test");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut servers = vec![
        Kind::Floor.start(dir.path()),
        Kind::Qmonitor.start(dir.path()),
    ];
    if which("qemu-storage-daemon") {
        servers.push(Kind::StorageDaemon.start(dir.path()));
    } else {
        println!("qemu-storage-daemon is not installed: its column is left out");
    }
    let table =
        |name: &str, unit: &str, higher_is_better: bool, f: &mut dyn FnMut(&Server) -> f64| {
            // Rounds take turns, so that a drifting machine drifts for all. The
            // best of each counts, because noise only makes things slower.
            let rounds = if quick { 1 } else { 5 };
            let mut best = vec![None::<f64>; servers.len()];
            for _ in 0..rounds {
                for (server, best) in servers.iter().zip(&mut best) {
                    let value = f(server);
                    *best = Some(match *best {
                        Some(b) if higher_is_better => b.max(value),
                        Some(b) => b.min(value),
                        None => value,
                    });
                }
            }
            let ours = best[1].unwrap_or(f64::NAN);
            print!("{name:<28}");
            for (server, value) in servers.iter().zip(&best) {
                let value = value.unwrap_or(f64::NAN);
                print!("  {} {value:.1} {unit}", server.kind.name());
                if server.kind != Kind::Qmonitor {
                    print!(" (ours is {:.3} of it)", ours / value);
                }
            }
            println!();
        };
    let scale = |n: usize| if quick { (n / 100).max(2) } else { n };
    table("pipelined, 64 in flight", "k/s", true, &mut |s| {
        let n = match s.kind {
            Kind::StorageDaemon => scale(4_000),
            _ => scale(400_000),
        };
        pipelined(s, n) / 1000.0
    });
    table("one at a time", "us", false, &mut |s| {
        round_trip(
            s,
            scale(match s.kind {
                Kind::StorageDaemon => 2_000,
                _ => 50_000,
            }),
        ) * 1e6
    });
    table("one command of 1 MB", "ms", false, &mut |s| {
        if s.kind == Kind::StorageDaemon && quick {
            return f64::NAN;
        }
        one_megabyte(s) * 1e3
    });
    drop(servers);
    start_to_greeting(dir.path(), if quick { 2 } else { 20 });
    resident(dir.path());
    syscalls(dir.path(), if quick { 20 } else { 2_000 });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floor,
    Qmonitor,
    StorageDaemon,
}

struct Server {
    kind: Kind,
    socket: PathBuf,
    child: Child,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Qmonitor => "qmonitor",
            Kind::StorageDaemon => "qemu-storage-daemon",
        }
    }

    fn command(self, socket: &Path) -> Command {
        let path = socket.display();
        let mut command;
        match self {
            Kind::Floor => {
                command = Command::new(std::env::current_exe().expect("own path"));
                command.arg("--floor").arg(socket);
            }
            Kind::Qmonitor => {
                command = Command::new(env!("CARGO_BIN_EXE_qmonitor"));
                command.args(["-nodefaults", "-qmp"]);
                command.arg(format!("unix:{path},server=on,wait=off"));
            }
            Kind::StorageDaemon => {
                command = Command::new("qemu-storage-daemon");
                command.arg("--chardev");
                command.arg(format!("socket,id=m,path={path},server=on,wait=off"));
                command.args(["--monitor", "chardev=m"]);
            }
        }
        command.stdin(Stdio::null());
        command
    }

    fn start(self, dir: &Path) -> Server {
        let socket = dir.join(self.name());
        let _ = std::fs::remove_file(&socket);
        let child = self.command(&socket).spawn().expect("the server starts");
        Server {
            kind: self,
            socket,
            child,
        }
    }
}

impl Server {
    /// A connection past its negotiation.
    fn connect(&self) -> Client {
        let stream = connect(&self.socket);
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .expect("a timeout");
        let mut client = Client { stream };
        if self.kind != Kind::Floor {
            client.read_lines(1);
            client.send(b"{\"execute\": \"qmp_capabilities\"}\n");
            client.read_lines(1);
        }
        client
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client {
    stream: UnixStream,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// Reads until that many lines have come in one or several pieces; returns
    /// how many came.
    fn read_lines(&mut self, at_least: usize) -> usize {
        let mut buf = [0; 65536];
        let mut lines = 0;
        while lines < at_least {
            let n = self.stream.read(&mut buf).expect("the server answers");
            assert!(n > 0, "the server closed the connection");
            lines += buf[..n].iter().filter(|b| **b == b'\n').count();
        }
        lines
    }
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

/// Requests a second with 64 in flight.
fn pipelined(server: &Server, total: usize) -> f64 {
    const WINDOW: usize = 64;
    let mut client = server.connect();
    let batch = REQUEST.repeat(WINDOW);
    let start = Instant::now();
    client.send(&batch);
    let (mut sent, mut received) = (WINDOW, 0);
    while received < total {
        let n = client.read_lines(1);
        received += n;
        let more = n.min(total.saturating_sub(sent));
        client.send(&batch[..more * REQUEST.len()]);
        sent += more;
        if sent >= total && received >= total {
            break;
        }
    }
    total as f64 / start.elapsed().as_secs_f64()
}

/// Seconds for a request and its answer; the median, so that a scheduler's
/// hiccup does not count.
fn round_trip(server: &Server, n: usize) -> f64 {
    let mut client = server.connect();
    let mut times: Vec<f64> = (0..n)
        .map(|_| {
            let start = Instant::now();
            client.send(REQUEST);
            client.read_lines(1);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[n / 2]
}

/// Seconds until a command with a member of a million bytes is answered.
fn one_megabyte(server: &Server) -> f64 {
    let mut client = server.connect();
    let mut request = b"{\"execute\": \"query-version\", \"id\": [\"".to_vec();
    request.resize(1_000_000, b'x');
    request.extend_from_slice(b"\"]}\n");
    let start = Instant::now();
    let mut writer = client.stream.try_clone().expect("a second handle");
    std::thread::scope(|scope| {
        scope.spawn(move || writer.write_all(&request).expect("the server reads"));
        client.read_lines(1);
    });
    start.elapsed().as_secs_f64()
}

fn start_to_greeting(dir: &Path, n: usize) {
    print!("{:<28}", "start to greeting");
    for kind in [Kind::Qmonitor, Kind::StorageDaemon] {
        if kind == Kind::StorageDaemon && !which(kind.name()) {
            continue;
        }
        let mut times: Vec<f64> = (0..n)
            .map(|_| {
                let start = Instant::now();
                let server = kind.start(dir);
                let mut client = Client {
                    stream: connect(&server.socket),
                };
                client.read_lines(1);
                start.elapsed().as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        print!("  {} {:.2} ms (median of {n})", kind.name(), times[n / 2]);
    }
    println!();
}

/// Memory and threads after a client's session, idle.
fn resident(dir: &Path) {
    print!("{:<28}", "resident, idle");
    for kind in [Kind::Qmonitor, Kind::StorageDaemon] {
        if kind == Kind::StorageDaemon && !which(kind.name()) {
            continue;
        }
        let server = kind.start(dir);
        server.connect();
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id()));
        let status = status.unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name));
            line.map_or("?".to_owned(), |l| l.trim().to_owned())
        };
        print!(
            "  {} {}, threads {}",
            kind.name(),
            field("VmRSS:"),
            field("Threads:")
        );
    }
    println!();
}

/// System calls per request, counted by strace where it is installed.
fn syscalls(dir: &Path, n: usize) {
    if !which("strace") {
        println!("strace is not installed: system calls are not counted");
        return;
    }
    print!("{:<28}", "system calls a request");
    for kind in [Kind::Floor, Kind::Qmonitor, Kind::StorageDaemon] {
        if kind == Kind::StorageDaemon && !which(kind.name()) {
            continue;
        }
        let count = |requests: usize| {
            let socket = dir.join("traced");
            let log = dir.join("strace.out");
            let _ = std::fs::remove_file(&socket);
            let inner = kind.command(&socket);
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o"]).arg(&log);
            command.arg(inner.get_program()).args(inner.get_args());
            command.stdin(Stdio::null());
            let mut child = command.spawn().expect("strace starts");
            {
                let server_socket = socket.clone();
                let mut client = Client {
                    stream: connect(&server_socket),
                };
                if kind != Kind::Floor {
                    client.read_lines(1);
                    client.send(b"{\"execute\": \"qmp_capabilities\"}\n");
                    client.read_lines(1);
                }
                for _ in 0..requests {
                    client.send(REQUEST);
                    client.read_lines(1);
                }
                if kind == Kind::Floor {
                    client.send(b"quit\n");
                } else {
                    client.send(b"{\"execute\": \"quit\"}\n");
                }
                let _ = client.stream.read_to_end(&mut Vec::new());
            }
            let _ = child.wait();
            std::fs::read(&log).map_or(0, |log| log.iter().filter(|b| **b == b'\n').count())
        };
        let per_request = (count(n) as f64 - count(0) as f64) / n as f64;
        print!("  {} {per_request:.2}", kind.name());
    }
    println!();
}

fn which(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// The floor: a poll loop with one client at a time.
fn floor(path: &Path) {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use std::os::fd::AsFd;
    const REPLY: &[u8] = b"{\"return\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, \"package\": \"\"}}\r\n";
    let listener = UnixListener::bind(path).expect("the floor can listen");
    loop {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut buf = [0; 65536];
        let mut out = Vec::new();
        loop {
            let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).expect("poll");
            let n = stream.read(&mut buf).unwrap_or(0);
            if n == 0 {
                break;
            }
            if buf[..n].starts_with(b"quit") {
                return;
            }
            out.clear();
            for _ in 0..buf[..n].iter().filter(|b| **b == b'\n').count() {
                out.extend_from_slice(REPLY);
            }
            if stream.write_all(&out).is_err() {
                break;
            }
        }
    }
}
