//! Servers that are processes of their own, and their clients.
#![allow(dead_code, reason = "each bench uses a part")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sched::{sched_getaffinity, sched_setaffinity, CpuSet};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::Pid;

pub const NEGOTIATION: &[u8] = b"{\"execute\": \"qmp_capabilities\"}\n";
pub const REQUEST: &[u8] = b"{\"execute\": \"query-version\"}\n";

/// A running server, killed when dropped.
pub struct Server {
    pub child: Child,
    pub socket: PathBuf,
}

impl Server {
    /// Starts a command that listens on this socket.
    pub fn start(mut command: Command, socket: PathBuf) -> Server {
        // A server of the same name may have been there before.
        let _ = std::fs::remove_file(&socket);
        let child = command.stdin(Stdio::null()).spawn();
        Server {
            child: child.expect("the server starts"),
            socket,
        }
    }

    /// Starts `qmonitor`, listening with these options of the socket besides.
    pub fn qmonitor(dir: &Path, options: &str) -> Server {
        Server::with_monitor(dir, "-qmp", options)
    }

    /// The same with `-qmp` or `-qmp-pretty`.
    pub fn with_monitor(dir: &Path, monitor: &str, options: &str) -> Server {
        let socket = dir.join("q");
        let mut command = Command::new(env!("CARGO_BIN_EXE_qmonitor"));
        let form = format!("unix:{},server=on,wait=off{options}", socket.display());
        command.args(["-nodefaults", monitor, &form]);
        Server::start(command, socket)
    }

    /// A client past its negotiation.
    pub fn negotiate(&self) -> UnixStream {
        let mut client = connect(&self.socket);
        read_lines(&mut client, 1);
        exchange(&mut client, NEGOTIATION);
        client
    }

    pub fn proc_file(&self, name: &str) -> String {
        let path = format!("/proc/{}/{name}", self.child.id());
        std::fs::read_to_string(path).expect("the server lives")
    }

    /// A field of its status, such as `VmRSS`.
    pub fn status(&self, field: &str) -> String {
        let status = self.proc_file("status");
        let mut fields = status.lines().filter_map(|line| line.split_once(':'));
        let found = fields.find(|(name, _)| *name == field);
        found.expect("a field of the status").1.trim().to_owned()
    }

    /// Resident memory in kB.
    pub fn resident(&self) -> i64 {
        let memory = self.status("VmRSS");
        let kb = memory.split_whitespace().next();
        kb.and_then(|kb| kb.parse().ok()).expect("kilobytes")
    }

    /// Time on the processor so far.
    pub fn cpu(&self) -> Duration {
        let text = self.proc_file("schedstat");
        let ns = text
            .split_whitespace()
            .next()
            .and_then(|ns| ns.parse().ok());
        Duration::from_nanos(ns.expect("nanoseconds"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects as soon as the server listens.
pub fn connect(socket: &Path) -> UnixStream {
    let start = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Ok(stream) => return stream,
            Err(_) if start.elapsed() < Duration::from_secs(60) => std::thread::yield_now(),
            Err(e) => panic!("{}: {e}", socket.display()),
        }
    }
}

pub fn send(client: &mut UnixStream, bytes: &[u8]) {
    client.write_all(bytes).expect("the server reads");
}

/// Reads until that many lines have come in one or several pieces; returns how
/// many came.
pub fn read_lines(client: &mut UnixStream, at_least: usize) -> usize {
    let mut buf = [0; 65536];
    let mut lines = 0;
    while lines < at_least {
        let n = client.read(&mut buf).expect("the server answers");
        assert!(n > 0, "the server closed the connection");
        lines += buf[..n].iter().filter(|b| **b == b'\n').count();
    }
    lines
}

pub fn exchange(client: &mut UnixStream, request: &[u8]) {
    send(client, request);
    read_lines(client, 1);
}

/// As many descriptors as this process and those that it starts may have.
pub fn raise_fd_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// This process, and those that it starts from here on, run on one processor.
pub fn stay_on_one_processor() {
    let this = Pid::from_raw(0);
    let allowed = sched_getaffinity(this).expect("processors");
    let first = (0..CpuSet::count()).find(|cpu| allowed.is_set(*cpu) == Ok(true));
    let mut one = CpuSet::new();
    one.set(first.expect("a processor")).expect("it is one");
    sched_setaffinity(this, &one).expect("a smaller set");
}

pub fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}
