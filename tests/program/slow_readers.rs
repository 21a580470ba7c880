//! Clients that ask for much and read nothing, on every backend that can carry
//! a monitor: the program goes on serving others, does not grow, and loses no
//! answer.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::common::{Client, Server};
use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;
use nix::sys::termios::{cfmakeraw, tcgetattr, tcsetattr, SetArg};

/// Enough to fill all buffers of the kernel many times.
const REQUESTS: usize = 100;
const REQUEST: &str = "{'execute': 'query-qmp-schema'}\n";

/// How much the server may grow, in kB.
const MAY_GROW: i64 = 4096;

/// A client that has asked for much and reads the answers only when told to. On
/// a terminal or fifo it has two files.
struct Slow {
    reader: Box<dyn BufRead>,
    writer: std::thread::JoinHandle<()>,
}

impl Slow {
    fn start(reader: impl Read + 'static, mut writer: impl Write + Send + 'static) -> Slow {
        let mut reader = BufReader::new(reader);
        line(&mut reader, "{\"QMP\"");
        writer
            .write_all(b"{'execute': 'qmp_capabilities'}\n")
            .unwrap();
        line(&mut reader, "{\"return\": {}");
        // In a thread: the server stops reading, and then so does this.
        let writer = std::thread::spawn(move || {
            for _ in 0..REQUESTS {
                writer.write_all(REQUEST.as_bytes()).unwrap();
            }
        });
        Slow {
            reader: Box::new(reader),
            writer,
        }
    }

    fn read_all(mut self) {
        for _ in 0..REQUESTS {
            line(&mut self.reader, "{\"return\": [");
        }
        self.writer.join().unwrap();
    }
}

#[track_caller]
fn line(reader: &mut impl BufRead, start: &str) {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).expect("a line");
    let whole = line.starts_with(start.as_bytes()) && line.ends_with(b"}\r\n");
    assert!(whole, "{}", line[..line.len().min(200)].escape_ascii());
}

/// The server under test with one more monitor, whose client must notice
/// nothing.
struct World {
    server: Server,
    other: Client,
    before: i64,
}

impl World {
    fn start(args: &[&str]) -> World {
        let server = Server::start(args);
        let mut other = server.qmp();
        other.ask("query-qmp-schema");
        let before = server.resident();
        World {
            server,
            other,
            before,
        }
    }

    #[track_caller]
    fn check(mut self, slow: Slow) {
        // By the time the other client has been served a hundred times, the
        // slow one is held back.
        for _ in 0..100 {
            self.other.ask("query-version");
        }
        let grown = self.server.resident() - self.before;
        assert!(grown < MAY_GROW, "{grown} kB");
        slow.read_all();
        let grown = self.server.resident() - self.before;
        assert!(grown < MAY_GROW, "{grown} kB at the end");
        self.other.ask("query-version");
    }
}

/// Opened once the server has made it.
fn open_when_there(path: &Path, flags: OFlag) -> File {
    let start = Instant::now();
    loop {
        match open(
            path,
            flags | OFlag::O_NOCTTY | OFlag::O_CLOEXEC,
            Mode::empty(),
        ) {
            Ok(fd) => return fd.into(),
            Err(e) => assert!(start.elapsed() < Duration::from_secs(20), "{e}"),
        }
        std::thread::yield_now();
    }
}

/// Bytes pass unchanged and are not echoed.
fn raw(terminal: impl AsFd) {
    let mut tty = tcgetattr(&terminal).unwrap();
    cfmakeraw(&mut tty);
    tcsetattr(&terminal, SetArg::TCSANOW, &tty).unwrap();
}

#[test]
fn on_a_unix_socket() {
    let w = World::start(&["-qmp", "unix:{dir}/slow,server=on,wait=off"]);
    let client = UnixStream::connect(w.server.path("slow")).unwrap();
    let slow = Slow::start(client.try_clone().unwrap(), client);
    w.check(slow);
}

#[test]
fn ten_thousand_requests_in_flight() {
    let mut w = World::start(&["-qmp", "unix:{dir}/slow,server=on,wait=off"]);
    let mut client = Client::connect(&w.server.path("slow"));
    client.expect_greeting();
    client.ask("qmp_capabilities");
    let writer = client.socket().try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        // Fails when the client leaves.
        (&writer)
            .write_all(REQUEST.repeat(10_000).as_bytes())
            .is_ok()
    });
    for _ in 0..100 {
        w.other.ask("query-version");
    }
    let grown = w.server.resident() - w.before;
    assert!(grown < MAY_GROW, "{grown} kB");
    client.socket().shutdown(std::net::Shutdown::Both).unwrap();
    sender.join().unwrap();
    w.other.ask("query-version");
}

#[test]
fn on_a_tcp_socket() {
    let mut w = World::start(&["-qmp", "tcp:127.0.0.1:0,server=on,wait=off"]);
    let chardevs = w.other.ask("query-chardev");
    let names = chardevs.as_array().unwrap().iter();
    let port = names
        .filter_map(|c| c["filename"].as_str()?.split("127.0.0.1:").nth(1))
        .map(|rest| rest.split(',').next().unwrap().parse::<u16>().unwrap())
        .next()
        .unwrap();
    let client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let slow = Slow::start(client.try_clone().unwrap(), client);
    w.check(slow);
}

#[test]
fn on_standard_input_and_output() {
    let mut w = World::start(&["-qmp", "stdio"]);
    let slow = Slow::start(w.server.stdout(), w.server.stdin());
    w.check(slow);
}

#[test]
fn on_a_pair_of_fifos() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["p.in", "p.out"] {
        nix::unistd::mkfifo(&path(name), Mode::S_IRWXU).unwrap();
    }
    let w = World::start(&["-qmp", &format!("pipe:{}", path("p").display())]);
    let reader = open_when_there(&path("p.out"), OFlag::O_RDONLY);
    let writer = open_when_there(&path("p.in"), OFlag::O_WRONLY);
    w.check(Slow::start(reader, writer));
}

#[test]
fn on_a_terminal_of_its_own() {
    let w = World::start(&[
        "-chardev",
        "pty,id=p,path={dir}/pty",
        "-mon",
        "p,mode=control",
    ]);
    let terminal = open_when_there(&w.server.path("pty"), OFlag::O_RDWR);
    let slow = Slow::start(terminal.try_clone().unwrap(), terminal);
    w.check(slow);
}

#[test]
fn on_a_serial_line() {
    let line = nix::pty::openpty(None, None).unwrap();
    raw(&line.slave);
    let name = nix::unistd::ttyname(&line.slave).unwrap();
    let chardev = format!("serial,id=p,path={}", name.display());
    let w = World::start(&["-chardev", &chardev, "-mon", "p,mode=control"]);
    let near: OwnedFd = line.master;
    let near = File::from(near);
    let slow = Slow::start(near.try_clone().unwrap(), near);
    w.check(slow);
}
