//! What needs a process of its own: standard input and output, and running
//! out of descriptors.
//!
//! Each test starts this test program again for one test only, which then sees in its
//! environment that it is the child.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use nix::pty::openpty;
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::sys::termios::{tcgetattr, LocalFlags, OutputFlags, Termios};

use super::*;
use crate::fd_guard::open_fds;

const CHILD: &str = "QMONITOR_TEST_CHILD";

fn child_mode() -> Option<String> {
    std::env::var(CHILD).ok()
}

/// Starts one test of this program as a child.
fn child(test: &str, mode: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg(format!("chardev::tests::process::{test}"))
        .env(CHILD, mode);
    command
}

/// The child on standard input and output: sends back what it gets, in capitals,
/// until there is a `q`.
fn echo_on_stdio(mode: &str) {
    let mut app = App::new();
    let signal = if mode == "nosignal" { "off" } else { "on" };
    let chr = app.add(&format!("stdio,id=s,signal={signal}"));
    let e = app.try_add("stdio,id=t").unwrap_err();
    assert_eq!(e.desc(), "cannot use stdio by multiple character devices");
    let front = app.attach(chr);
    app.fronts[front].on_read = |app, n, bytes| {
        app.write(n, bytes.to_ascii_uppercase()).unwrap();
    };
    app.write(front, "READY").unwrap();
    while !app.fronts[front].got.contains(&b'q') {
        main_loop_wait(&mut app, Some(Duration::from_millis(10))).unwrap();
        if mode == "eof" && app.fronts[front].events.contains(&ChrEvent::Closed) {
            app.write(front, "EOF SEEN").unwrap();
            break;
        }
    }
    match mode {
        "exit" => {
            stdio::term_exit();
            std::process::exit(0);
        }
        "panic" => panic!("on purpose"),
        _ => {}
    }
}

struct Terminal {
    /// What the user sees and types on.
    user: File,
    terminal: OwnedFd,
    before: Termios,
    child: Child,
    seen: Vec<u8>,
}

impl Terminal {
    fn start(test: &str, mode: &str) -> Self {
        let pty = openpty(None, None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let child = child(test, mode)
            .stdin(end())
            .stdout(end())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Terminal {
            user: pty.master.into(),
            terminal: pty.slave,
            before,
            child,
            seen: Vec::new(),
        }
    }

    fn until(&mut self, text: &str) {
        let mut buf = [0; 1024];
        while !self.seen.windows(text.len()).any(|w| w == text.as_bytes()) {
            let n = self.user.read(&mut buf).unwrap();
            assert!(n > 0);
            self.seen.extend(&buf[..n]);
        }
    }

    fn settings(&self) -> Termios {
        tcgetattr(&self.terminal).unwrap()
    }
}

#[test]
fn a_terminal_is_raw_meanwhile_and_restored_however_it_ends() {
    if let Some(mode) = child_mode() {
        return echo_on_stdio(&mode);
    }
    let _fds = FdGuard::new();
    for mode in ["drop", "exit", "panic", "nosignal"] {
        let test = "a_terminal_is_raw_meanwhile_and_restored_however_it_ends";
        let mut tty = Terminal::start(test, mode);
        tty.until("READY");
        let raw = tty.settings();
        let off = LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::IEXTEN;
        assert!(!raw.local_flags.intersects(off), "{mode}");
        assert!(raw.output_flags.contains(OutputFlags::OPOST));
        let signal = raw.local_flags.contains(LocalFlags::ISIG);
        assert_eq!(signal, mode != "nosignal");
        // Without a newline, and not echoed: only the answer is seen.
        tty.user.write_all(b"hello").unwrap();
        tty.until("HELLO");
        assert!(!tty.seen.windows(5).any(|w| w == b"hello"));
        tty.user.write_all(b"q").unwrap();
        tty.until("Q");
        tty.child.wait().unwrap();
        assert_eq!(tty.settings(), tty.before, "{mode}");
    }
}

#[test]
fn pipes_files_and_nothing_as_standard_input() {
    if let Some(mode) = child_mode() {
        return echo_on_stdio(&mode);
    }
    let _fds = FdGuard::new();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("in");
    std::fs::write(&path, "from a file").unwrap();
    for (stdin, answer) in [
        (Stdio::piped(), "FROM A PIPE"),
        (Stdio::from(File::open(&path).unwrap()), "FROM A FILE"),
        (Stdio::null(), ""),
    ] {
        let test = "pipes_files_and_nothing_as_standard_input";
        let mut child = child(test, "eof")
            .stdin(stdin)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(b"from a pipe").unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains(&format!("READY{answer}EOF SEEN")), "{text}");
    }
}

#[test]
fn nothing_leaks_and_no_descriptor_left_is_survived() {
    let _fds = FdGuard::new();
    if child_mode().is_none() {
        let test = "nothing_leaks_and_no_descriptor_left_is_survived";
        let status = child(test, "1").stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let opts = format!("socket,id=s,path={},server=on,wait=off", path.display());
    let mut app = App::new();
    let mut counts = Vec::new();
    for _ in 0..3 {
        let chr = app.add(&opts);
        let front = app.attach(chr);
        for _ in 0..3 {
            let client = UnixStream::connect(&path).unwrap();
            app.turn();
            send(&client, "x");
            app.turn();
        }
        app.turn();
        let fe = app.fronts[front].fe;
        qemu_chr_fe_deinit(&mut app, fe, true);
        counts.push(open_fds());
    }
    assert_eq!(counts[0], counts[2]);

    let chr = app.add(&opts);
    let front = app.attach(chr);
    let client = UnixStream::connect(&path).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 64, hard).unwrap();
    let mut all_others = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        all_others.push(file);
    }
    app.turn();
    app.expect_events(front, &[]);
    drop(all_others);
    app.advance(99);
    app.expect_events(front, &[]);
    app.advance(1);
    app.expect_events(front, &[ChrEvent::Opened]);
    send(&client, "at last");
    app.turn();
    app.expect_input(front, "at last");
}
