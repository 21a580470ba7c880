//! A monitor on the terminal that the program was started from.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::pty::openpty;
use nix::sys::signal::{kill, Signal};
use nix::sys::termios::{tcgetattr, LocalFlags, Termios};
use nix::sys::wait::{waitpid, WaitPidFlag, WaitStatus};
use nix::unistd::Pid;

/// Only a failing test waits this long, in milliseconds.
const PATIENCE: u16 = 20_000;

/// A person's terminal with the program in it.
struct Terminal {
    /// The person's end of the terminal.
    user: File,
    terminal: OwnedFd,
    /// The terminal's settings before the program started.
    before: Termios,
    child: Child,
}

impl Terminal {
    /// Starts the program and reads up to its prompt.
    #[track_caller]
    fn start(args: &[&str]) -> Terminal {
        let pty = openpty(None, None).expect("a terminal");
        let before = tcgetattr(&pty.slave).expect("its settings");
        let end = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        let child = Command::new(env!("CARGO_BIN_EXE_qmonitor"))
            .args(["-nodefaults", "-display", "none"])
            .args(args)
            .stdin(end())
            .stdout(end())
            .stderr(Stdio::null())
            // A job of its own, as from a shell: only such a job can be
            // stopped.
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let mut terminal = Terminal {
            user: pty.master.into(),
            terminal: pty.slave,
            before,
            child,
        };
        terminal.until("(qemu) ");
        terminal
    }

    /// Types keys; returns what the terminal shows up to and including `text`.
    #[track_caller]
    fn enter(&mut self, keys: &str, text: &str) -> String {
        self.user.write_all(keys.as_bytes()).expect("keys");
        self.until(text)
    }

    #[track_caller]
    fn until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while !seen.ends_with(text.as_bytes()) {
            let mut fds = [PollFd::new(self.user.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(PATIENCE)).expect("poll");
            let shown = String::from_utf8_lossy(&seen);
            assert!(ready > 0, "no {text:?} in time, but {shown:?}");
            let mut byte = [0];
            self.user.read_exact(&mut byte).expect("output");
            seen.push(byte[0]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    fn settings(&self) -> Termios {
        tcgetattr(&self.terminal).expect("settings")
    }

    /// Whether each key comes at once and is not echoed.
    fn is_raw(&self) -> bool {
        let flags = self.settings().local_flags;
        !flags.intersects(LocalFlags::ICANON | LocalFlags::ECHO)
    }

    fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the program lives");
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Waits for the end; the exit status.
    fn ended(&mut self) -> Option<i32> {
        self.child.wait().expect("an end").code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_is_left_as_it_was_however_the_program_ends() {
    for (keys, signal) in [
        ("quit\n", None),
        ("", Some(Signal::SIGTERM)),
        ("", Some(Signal::SIGINT)),
        ("", Some(Signal::SIGHUP)),
    ] {
        let mut terminal = Terminal::start(&["-monitor", "stdio"]);
        assert!(terminal.is_raw());
        terminal.user.write_all(keys.as_bytes()).unwrap();
        if let Some(signal) = signal {
            terminal.signal(signal);
        }
        assert_eq!(terminal.ended(), Some(0), "{signal:?}");
        assert_eq!(terminal.settings(), terminal.before, "{signal:?}");
    }
}

#[test]
fn the_shell_has_it_while_the_program_is_stopped() {
    let mut terminal = Terminal::start(&["-monitor", "stdio"]);
    terminal.enter("info na", "info na\x1b[K");
    for _ in 0..2 {
        terminal.signal(Signal::SIGTSTP);
        let status = waitpid(terminal.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(status, WaitStatus::Stopped(terminal.pid(), Signal::SIGTSTP));
        assert_eq!(terminal.settings(), terminal.before);
        terminal.signal(Signal::SIGCONT);
        // The unfinished line is there again, and typing goes on.
        let shown = terminal.until("info na\x1b[K");
        assert_eq!(shown, "\r(qemu) info na\x1b[K");
        assert!(terminal.is_raw());
    }
    terminal.enter("me\n", "info name\x1b[K\r\r\n");
    terminal.until("(qemu) ");
    terminal.enter("quit\n", "quit\x1b[K\r\r\n");
    assert_eq!(terminal.ended(), Some(0));
    assert_eq!(terminal.settings(), terminal.before);
}

/// Another program may have changed the terminal while a signal that cannot be
/// handled had stopped this one.
#[test]
fn it_is_taken_over_again_after_any_stop() {
    let mut terminal = Terminal::start(&["-monitor", "stdio"]);
    terminal.signal(Signal::SIGSTOP);
    waitpid(terminal.pid(), Some(WaitPidFlag::WUNTRACED)).unwrap();
    let before = &terminal.before;
    nix::sys::termios::tcsetattr(
        &terminal.terminal,
        nix::sys::termios::SetArg::TCSANOW,
        before,
    )
    .unwrap();
    terminal.signal(Signal::SIGCONT);
    assert_eq!(terminal.until("(qemu) "), "\r(qemu) ");
    assert!(terminal.is_raw());
}

#[test]
fn keys_that_qemu_ignores_work_there() {
    for args in [["-monitor", "stdio"], ["-serial", "mon:stdio"]] {
        let mut terminal = Terminal::start(&args);
        // Back by a word, to its end, and delete what follows.
        terminal.enter("print 7 8\x1bb\x02\x0b\n", "print 7\x1b[K\r\r\n");
        assert_eq!(terminal.until("(qemu) "), "0x7\r\r\n(qemu) ");
        // A letter of two bytes is one letter.
        terminal.enter("p 'ä\x7fx'\n", "p 'x'\x1b[K\r\r\n");
        assert_eq!(terminal.until("(qemu) "), "0x78\r\r\n(qemu) ");
        terminal.enter("\x12int\n", "print 7\x1b[K\r\r\n");
        assert_eq!(terminal.until("(qemu) "), "0x7\r\r\n(qemu) ");
    }
}

#[test]
fn the_editor_can_be_qemus_there_too() {
    let mut terminal = Terminal::start(&[
        "-chardev",
        "stdio,id=c",
        "-mon",
        "chardev=c,mode=readline,readline=on",
    ]);
    terminal.enter("print 7\x1bb\x02\x0b\n", "print 7\x1b[K\r\r\n");
    assert_eq!(terminal.until("(qemu) "), "0x7\r\r\n(qemu) ");
}
