//! The human monitor over a unix socket: this program, QEMU and a floor, side
//! by side in one run, as ratios.
//!
//! The floor is a bare poll loop that answers a key with the bytes that draw
//! it: the least that an editor on a socket must do. It is a process of its
//! own: this bench, started again.
//!
//!     cargo bench --bench hmp              # all figures
//!     cargo bench --bench hmp -- --test    # each once, for CI

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A key and what is drawn for it; the second takes the first back.
const KEYS: [(&[u8], &[u8]); 2] = [(b"a", b"a\x1b[K"), (b"\x7f", b"\x1b[D\x1b[K")];

const PROMPT: &[u8] = b"(qemu) ";

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
    if which("qemu-system-x86_64") {
        servers.push(Kind::Qemu.start(dir.path()));
    } else {
        println!("qemu-system-x86_64 is not installed: its column is left out");
    }
    let table = |name: &str, f: &mut dyn FnMut(&Server) -> Option<f64>| {
        // Rounds take turns, so that a drifting machine drifts for all. The
        // best of each counts, because noise only makes things slower.
        let rounds = if quick { 1 } else { 7 };
        let mut best = vec![f64::INFINITY; servers.len()];
        for _ in 0..rounds {
            for (server, best) in servers.iter().zip(&mut best) {
                if let Some(seconds) = f(server) {
                    *best = best.min(seconds * 1e6);
                }
            }
        }
        print!("{name:<28}");
        for (server, value) in servers.iter().zip(&best).filter(|(_, v)| v.is_finite()) {
            print!("  {} {value:.1} us", server.kind.name());
            if server.kind != Kind::Qmonitor {
                print!(" (ours is {:.3} of it)", best[1] / value);
            }
        }
        println!();
    };
    let scale = |n: usize| if quick { 20 } else { n };
    table("a keystroke", &mut |s| Some(keystroke(s, scale(40_000))));
    table("a command of 9 keys", &mut |s| {
        (s.kind != Kind::Floor).then(|| command(s, scale(4_000)))
    });
    table("a pasted line, of 100", &mut |s| {
        (s.kind != Kind::Floor).then(|| paste(s, scale(4_000) / 100 + 1))
    });
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Floor,
    Qmonitor,
    Qemu,
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
            Kind::Qemu => "qemu",
        }
    }

    fn start(self, dir: &Path) -> Server {
        let socket = dir.join(self.name());
        let mut command = match self {
            Kind::Floor => Command::new(std::env::current_exe().expect("own path")),
            Kind::Qmonitor => Command::new(env!("CARGO_BIN_EXE_qmonitor")),
            Kind::Qemu => Command::new("qemu-system-x86_64"),
        };
        if self == Kind::Floor {
            command.arg("--floor").arg(&socket);
        } else {
            let monitor = format!("unix:{},server=on,wait=off", socket.display());
            command.args(["-machine", "none", "-nodefaults", "-display", "none"]);
            command.arg("-monitor").arg(monitor);
        }
        let child = command.stdin(Stdio::null()).spawn();
        Server {
            kind: self,
            socket,
            child: child.expect("the server starts"),
        }
    }
}

impl Server {
    /// A connection past banner and prompt.
    fn connect(&self) -> Client {
        let start = Instant::now();
        let stream = loop {
            match UnixStream::connect(&self.socket) {
                Ok(stream) => break stream,
                Err(_) if start.elapsed() < Duration::from_secs(10) => std::thread::yield_now(),
                Err(e) => panic!("{}: {e}", self.socket.display()),
            }
        };
        let timeout = Some(Duration::from_secs(60));
        stream.set_read_timeout(timeout).expect("a timeout");
        let mut client = Client { stream };
        if self.kind != Kind::Floor {
            client.read_prompts(1);
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

    /// Reads until the prompt has come that many times and nothing follows it.
    fn read_prompts(&mut self, count: usize) {
        let mut buf = [0; 65536];
        let (mut got, mut seen) = (Vec::new(), 0);
        while seen < count {
            let n = self.stream.read(&mut buf).expect("the server answers");
            assert!(n > 0, "the server closed the connection");
            got.extend_from_slice(&buf[..n]);
            seen += got.windows(PROMPT.len()).filter(|w| w == &PROMPT).count();
            // A prompt may come in two pieces.
            let keep = got.len().min(PROMPT.len() - 1);
            got.drain(..got.len() - keep);
        }
    }
}

/// Seconds from a key to its echo; the median, so that a scheduler's hiccup does
/// not count.
fn keystroke(server: &Server, n: usize) -> f64 {
    let mut client = server.connect();
    let mut buf = [0; 16];
    let mut times: Vec<f64> = KEYS
        .iter()
        .cycle()
        .take(n)
        .map(|(key, echo)| {
            let start = Instant::now();
            client.send(key);
            let buf = &mut buf[..echo.len()];
            client.stream.read_exact(buf).expect("the server answers");
            assert_eq!(&buf, echo);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[n / 2]
}

/// Seconds from a whole line to the next prompt, likewise.
fn command(server: &Server, n: usize) -> f64 {
    let mut client = server.connect();
    let mut times: Vec<f64> = (0..n)
        .map(|_| {
            let start = Instant::now();
            client.send(b"print 123\n");
            client.read_prompts(1);
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[n / 2]
}

/// Seconds a line, when a hundred of them come at once.
fn paste(server: &Server, rounds: usize) -> f64 {
    const LINES: usize = 100;
    let mut client = server.connect();
    let text = b"print 123\n".repeat(LINES);
    let start = Instant::now();
    for _ in 0..rounds {
        client.send(&text);
        client.read_prompts(LINES);
    }
    start.elapsed().as_secs_f64() / (rounds * LINES) as f64
}

fn which(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// The floor: a poll loop with one client at a time.
fn floor(path: &Path) {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use std::os::fd::AsFd;
    let listener = UnixListener::bind(path).expect("the floor can listen");
    loop {
        let (mut stream, _) = listener.accept().expect("a client");
        let mut buf = [0; 4096];
        let mut out = Vec::new();
        loop {
            let mut fds = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::NONE).expect("poll");
            let n = stream.read(&mut buf).unwrap_or(0);
            if n == 0 {
                break;
            }
            out.clear();
            for byte in &buf[..n] {
                let known = KEYS.iter().find(|(key, _)| key[0] == *byte);
                out.extend_from_slice(known.map_or(&[], |(_, echo)| echo));
            }
            if stream.write_all(&out).is_err() {
                break;
            }
        }
    }
}
