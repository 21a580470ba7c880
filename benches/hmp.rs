//! The human monitor over a unix socket: this program, QEMU and a floor, side
//! by side in one run, as ratios.
//!
//! The floor is a bare poll loop that answers a key with the bytes that draw
//! it: the least that an editor on a socket must do. It is a process of its
//! own: this bench, started again.
//!
//!     cargo bench --bench hmp              # all figures
//!     cargo bench --bench hmp -- --test    # each once, for CI

#[path = "support/floor.rs"]
mod floor;
#[path = "support/process.rs"]
mod process;
#[path = "support/table.rs"]
mod table;

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use process::{connect, is_installed, send};
use table::{median, Measure};

/// A key and what is drawn for it; the second takes the first back.
const KEYS: [(&[u8], &[u8]); 2] = [(b"a", b"a\x1b[K"), (b"\x7f", b"\x1b[D\x1b[K")];

const PROMPT: &[u8] = b"(qemu) ";

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let [_, flag, path] = &args[..] {
        if flag == "--floor" {
            floor::serve(Path::new(path), echo);
            return;
        }
    }
    let quick = args.iter().any(|a| a == "--test");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut kinds = vec![Kind::Qmonitor, Kind::Floor];
    if is_installed(Kind::Qemu.name()) {
        kinds.push(Kind::Qemu);
    } else {
        println!("qemu-system-x86_64 is not installed: its column is left out");
    }
    let start = |kind: &Kind| (kind.name(), kind.start(dir.path()));
    let servers: Vec<(&str, Server)> = kinds.iter().map(start).collect();
    let measure = |what, run: &mut dyn FnMut(&Server) -> Option<f64>| {
        let measure = Measure {
            what,
            unit: "us",
            better: f64::min,
            rounds: if quick { 1 } else { 7 },
        };
        measure.print(&servers, |server| Some(run(server)? * 1e6));
    };
    let scale = |n: usize| if quick { 20 } else { n };
    measure("a keystroke", &mut |s| Some(keystroke(s, scale(40_000))));
    measure("a command of 9 keys", &mut |s| {
        (s.kind != Kind::Floor).then(|| command(s, scale(4_000)))
    });
    measure("a pasted line, of 100", &mut |s| {
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
    process: process::Server,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Floor => "floor",
            Kind::Qmonitor => "qmonitor",
            Kind::Qemu => "qemu-system-x86_64",
        }
    }

    fn start(self, dir: &Path) -> Server {
        let socket = dir.join(self.name());
        let mut command = match self {
            Kind::Floor => Command::new(std::env::current_exe().expect("own path")),
            Kind::Qmonitor => Command::new(env!("CARGO_BIN_EXE_qmonitor")),
            Kind::Qemu => Command::new(self.name()),
        };
        if self == Kind::Floor {
            command.arg("--floor").arg(&socket);
        } else {
            let monitor = format!("unix:{},server=on,wait=off", socket.display());
            command.args(["-machine", "none", "-nodefaults", "-display", "none"]);
            command.arg("-monitor").arg(monitor);
        }
        Server {
            kind: self,
            process: process::Server::start(command, socket),
        }
    }
}

impl Server {
    /// A connection past banner and prompt.
    fn connect(&self) -> UnixStream {
        let mut client = connect(&self.process.socket);
        let timeout = Some(Duration::from_secs(60));
        client.set_read_timeout(timeout).expect("a timeout");
        if self.kind != Kind::Floor {
            read_prompts(&mut client, 1);
        }
        client
    }
}

/// Reads until the prompt has come that many times and nothing follows it.
fn read_prompts(client: &mut UnixStream, count: usize) {
    let mut buf = [0; 65536];
    let (mut got, mut seen) = (Vec::new(), 0);
    while seen < count {
        let n = client.read(&mut buf).expect("the server answers");
        assert!(n > 0, "the server closed the connection");
        got.extend_from_slice(&buf[..n]);
        seen += got.windows(PROMPT.len()).filter(|w| w == &PROMPT).count();
        // A prompt may come in two pieces.
        let keep = got.len().min(PROMPT.len() - 1);
        got.drain(..got.len() - keep);
    }
}

/// Seconds from a key to its echo.
fn keystroke(server: &Server, n: usize) -> f64 {
    let mut client = server.connect();
    let mut buf = [0; 16];
    let mut keys = KEYS.iter().cycle();
    median(n, || {
        let (key, echo) = keys.next().expect("there are always more");
        let start = Instant::now();
        send(&mut client, key);
        let buf = &mut buf[..echo.len()];
        client.read_exact(buf).expect("the server answers");
        assert_eq!(&buf, echo);
        start.elapsed().as_secs_f64()
    })
}

/// Seconds from a whole line to the next prompt.
fn command(server: &Server, n: usize) -> f64 {
    let mut client = server.connect();
    median(n, || {
        let start = Instant::now();
        send(&mut client, b"print 123\n");
        read_prompts(&mut client, 1);
        start.elapsed().as_secs_f64()
    })
}

/// Seconds a line, when a hundred of them come at once.
fn paste(server: &Server, rounds: usize) -> f64 {
    const LINES: usize = 100;
    let mut client = server.connect();
    let text = b"print 123\n".repeat(LINES);
    let start = Instant::now();
    for _ in 0..rounds {
        send(&mut client, &text);
        read_prompts(&mut client, LINES);
    }
    start.elapsed().as_secs_f64() / (rounds * LINES) as f64
}

/// The floor: draws what was typed.
fn echo(input: &mut Vec<u8>, output: &mut Vec<u8>) -> bool {
    for byte in input.drain(..) {
        let known = KEYS.iter().find(|(key, _)| key[0] == byte);
        output.extend_from_slice(known.map_or(&[], |(_, echo)| echo));
    }
    true
}
