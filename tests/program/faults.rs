//! Faults injected into the system calls of a session, with strace: each call
//! that a session makes, each error it can fail with, each time it is made.
//!
//! Whatever fails: the client gets the same transcript as without the fault,
//! or, if its bytes cannot be read or sent, the connection closes. The next
//! client is served. The program lives, does not spin, and ends in order.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::common::Server;

/// The errors of each call of a session. A call that is not listed here fails
/// the test.
const TABLE: [(&str, &[&str]); 12] = [
    ("ppoll", &["EINTR", "ENOMEM"]),
    (
        "accept4",
        &[
            "EAGAIN",
            "EINTR",
            "ECONNABORTED",
            "EMFILE",
            "ENFILE",
            "ENOBUFS",
            "ENOMEM",
        ],
    ),
    ("recvmsg", &["EINTR", "EAGAIN", "ECONNRESET", "ENOMEM"]),
    ("recvfrom", &["EINTR", "EAGAIN", "ECONNRESET", "ENOMEM"]),
    (
        "sendto",
        &[
            "EINTR",
            "EAGAIN",
            "EPIPE",
            "ECONNRESET",
            "ENOBUFS",
            "ENOMEM",
        ],
    ),
    ("shutdown", &["ENOTCONN"]),
    ("close", &["EINTR", "EIO"]),
    // With many descriptors.
    ("epoll_create1", &["EMFILE", "ENOMEM"]),
    ("timerfd_create", &["EMFILE", "ENOMEM"]),
    ("epoll_ctl", &["ENOMEM", "ENOSPC"]),
    ("epoll_wait", &["EINTR", "ENOMEM"]),
    // The same on a processor that has no other.
    ("epoll_pwait", &["EINTR", "ENOMEM"]),
];

/// Calls without injected faults: a look at a new descriptor, and memory,
/// without which Rust ends the program.
const LEFT_OUT: [&str; 6] = ["fcntl", "brk", "mmap", "munmap", "mremap", "madvise"];

/// How a client's session went.
#[derive(Debug, PartialEq)]
enum Session {
    /// Everything it received.
    Whole(String),
    /// Closed by the server, or the server was not there.
    Closed,
}

const REQUESTS: [&str; 4] = [
    "{'execute': 'qmp_capabilities'}",
    "{'execute': 'query-version', 'id': 1}",
    // Together, and with an answer that does not fit into one read.
    "{'execute': 'query-name', 'id': 2}{'execute': 'query-qmp-schema', 'id': 3}",
    "{'execute': 'nosuch', 'id': 4}",
];

/// Only a test that fails waits this long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A client's whole session.
#[track_caller]
fn session(socket: &Path, what: &str) -> Session {
    let start = Instant::now();
    let stream = loop {
        match UnixStream::connect(socket) {
            Ok(stream) => break stream,
            Err(e) => assert!(start.elapsed() < PATIENCE, "{what}: cannot connect: {e}"),
        }
        std::thread::yield_now();
    };
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = &stream;
    let mut reader = BufReader::new(&stream);
    let mut transcript = String::new();
    let mut lines = |count: usize| {
        (0..count).all(|_| match reader.read_line(&mut transcript) {
            Ok(n) => n > 0,
            Err(e) if e.kind() == ErrorKind::WouldBlock => panic!("{what}: the server hangs"),
            Err(_) => false,
        })
    };
    let mut went_well = lines(1);
    for request in REQUESTS {
        let expected = request.matches("execute").count();
        went_well = went_well && writer.write_all(request.as_bytes()).is_ok() && lines(expected);
    }
    if went_well {
        Session::Whole(transcript)
    } else {
        Session::Closed
    }
}

/// A server under strace; `inject` is strace's option.
struct Traced {
    server: Server,
    log: PathBuf,
}

impl Traced {
    fn start(inject: &[&str], args: &[&str]) -> Traced {
        // strace runs as a grandchild, so that the process we start and end is
        // the server.
        let mut all = vec!["-D", "-qq", "-o", "{dir}/log"];
        all.extend_from_slice(inject);
        all.push(env!("CARGO_BIN_EXE_qmonitor"));
        all.extend(["-nodefaults", "-qmp", "unix:{dir}/q,server=on,wait=off"]);
        all.extend_from_slice(args);
        let server = Server::start_program(Path::new("strace"), &all);
        let log = server.path("log");
        Traced { server, log }
    }

    fn session(&self, what: &str) -> Session {
        session(&self.server.path("q"), what)
    }

    /// Ends the server in order; the calls it made, by name.
    #[track_caller]
    fn quit(self, what: &str) -> Vec<String> {
        let start = Instant::now();
        // The fault may hit this client too.
        while self.server.path("q").exists() {
            assert!(start.elapsed() < PATIENCE, "{what}: cannot be ended");
            let _ = ask_to_quit(&self.server.path("q"));
        }
        // The directory goes with the server.
        let mut log = File::open(self.log).expect("strace has begun its log");
        let output = self.server.finish();
        assert_eq!(output.status.code(), Some(0), "{what}: {output:?}");
        let mut text = String::new();
        log.read_to_string(&mut text).unwrap();
        let name = |line: &str| line.split('(').next().unwrap().to_owned();
        text.lines().map(name).collect()
    }
}

fn ask_to_quit(socket: &Path) -> std::io::Result<()> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    (&stream).write_all(b"{'execute': 'qmp_capabilities'}{'execute': 'quit'}")?;
    (&stream).read_to_end(&mut Vec::new()).map(drop)
}

/// The occurrences of each call in a session, counted from the start of the
/// process, and the client's transcript.
struct Baseline {
    transcript: String,
    occurrences: Vec<(&'static str, &'static [&'static str], Vec<usize>)>,
    calls: usize,
}

impl Baseline {
    fn record(args: &[&str]) -> Baseline {
        let traced = Traced::start(&[], args);
        let Session::Whole(transcript) = traced.session("no fault") else {
            panic!("a session without a fault is closed");
        };
        let calls = traced.quit("no fault");
        // The first client comes after the first wait, or during it.
        let is_wait =
            |name: &String| ["ppoll", "epoll_wait", "epoll_pwait"].contains(&name.as_str());
        let begin = calls.iter().position(is_wait).expect("the server waits");
        // The second one only says `quit`.
        let is_accept = |at: &usize| calls[*at] == "accept4";
        let end = (begin..calls.len()).filter(is_accept).nth(1);
        let end = end.unwrap_or(calls.len());
        for name in &calls[begin..end] {
            let is_known = TABLE.iter().any(|(call, _)| call == name);
            assert!(
                is_known || LEFT_OUT.contains(&name.as_str()) || name.starts_with('+'),
                "what can {name} fail with?"
            );
        }
        let occurrences = TABLE.iter().map(|(call, errors)| {
            let number = |upto: usize| calls[..upto].iter().filter(|name| name == call).count();
            (*call, *errors, (number(begin) + 1..=number(end)).collect())
        });
        Baseline {
            transcript,
            occurrences: occurrences.collect(),
            calls: calls.len(),
        }
    }
}

/// One fault, or one that comes again and again.
struct Case {
    call: &'static str,
    error: &'static str,
    when: String,
    once: bool,
}

impl Case {
    fn name(&self) -> String {
        format!("{} {} {}", self.call, self.error, self.when)
    }

    /// Whether it loses bytes of the connection.
    fn may_close(&self) -> bool {
        ["recvmsg", "recvfrom", "sendto"].contains(&self.call)
            && !["EINTR", "EAGAIN"].contains(&self.error)
    }

    #[track_caller]
    fn run(&self, baseline: &Baseline, args: &[&str]) {
        let what = self.name();
        let Case {
            call, error, when, ..
        } = self;
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:error={error}:when={when}");
        let traced = Traced::start(&["-e", &trace, "-e", &inject], args);
        let sessions: Vec<_> = (0..4).map(|_| traced.session(&what)).collect();
        for session in &sessions {
            if let Session::Whole(transcript) = session {
                assert_eq!(*transcript, baseline.transcript, "{what}");
            }
        }
        let closed = sessions.iter().filter(|s| **s == Session::Closed).count();
        let allowed = match (self.may_close(), self.once) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => sessions.len(),
        };
        assert!(closed <= allowed, "{what}: {closed} clients lost");
        let calls = traced.quit(&what).len();
        assert!(calls < 10 * baseline.calls, "{what}: {calls} calls made");
    }
}

/// At most so many of the occurrences of a call, when they are all alike.
const SAMPLES: usize = 6;

fn cases(baseline: &Baseline) -> Vec<Case> {
    let mut cases = Vec::new();
    for (call, errors, occurrences) in &baseline.occurrences {
        let step = occurrences.len().div_ceil(SAMPLES).max(1);
        for error in *errors {
            let mut add = |when: String, once: bool| {
                cases.push(Case {
                    call,
                    error,
                    when,
                    once,
                });
            };
            for at in occurrences.iter().step_by(step) {
                add(at.to_string(), true);
            }
            if let Some(first) = occurrences.first() {
                add(format!("{first}+3"), false);
            }
        }
    }
    cases
}

/// Runs all cases with these arguments, two at a time.
fn run_all(args: &[&str]) {
    let works = Command::new("strace").arg("-V").output().is_ok();
    let may_trace = || {
        Command::new("strace")
            .args(["-qq", "-e", "trace=none", "true"])
            .status()
    };
    if !works || !may_trace().is_ok_and(|status| status.success()) {
        println!("strace is not installed or not allowed to trace: skipped");
        return;
    }
    let baseline = Baseline::record(args);
    let cases = cases(&baseline);
    assert!(cases.len() > 20, "the session was traced");
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let run = || case.run(&baseline, args);
                    if std::panic::catch_unwind(run).is_err() {
                        failed.lock().unwrap().push(case.name());
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "of {} faults: {failed:?}", cases.len());
    println!("{} faults", cases.len());
}

#[test]
fn a_session_survives_or_is_closed() {
    run_all(&[]);
}

/// So many descriptors that the loop waits with epoll.
#[test]
fn a_session_among_many_descriptors_survives_or_is_closed() {
    let args: Vec<String> = (0..64)
        .flat_map(|n| {
            let chardev = format!("socket,id=c{n},path={{dir}}/c{n},server=on,wait=off");
            ["-chardev".to_owned(), chardev]
        })
        .collect();
    run_all(&args.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A read may return any part of the sent bytes, and a write may take any part
/// of its bytes.
#[test]
fn short_reads_and_short_writes_change_nothing() {
    let server = Server::start(&[]);
    let expected: Vec<String> = {
        let mut client = server.qmp();
        client.send(REQUESTS[2]);
        (0..2).map(|_| client.line()).collect()
    };
    let mut client = server.qmp();
    for byte in REQUESTS[2].as_bytes() {
        client.send([*byte]);
    }
    for line in &expected {
        assert_eq!(client.line(), *line);
    }
    // Far more answers than the kernel holds for a client that does not read.
    const TIMES: usize = 40;
    client.send(REQUESTS[2].repeat(TIMES));
    for line in expected.iter().cycle().take(2 * TIMES) {
        assert_eq!(client.line(), *line);
    }
}
