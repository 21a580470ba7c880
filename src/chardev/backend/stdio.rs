//! Standard input and output.
//!
//! A terminal is put into a state in which each key comes at once and is not
//! echoed, and both descriptors are made non-blocking. Both belong to the
//! shell as well, so they are put back when the chardev goes, and
//! [`term_exit`] puts them back from anywhere, for a program that ends without
//! taking its chardevs down. A panic that unwinds drops the chardev and so restores
//! them too; one that aborts needs [`term_exit`] in a panic hook. While the
//! process is stopped the terminal is the shell's: see [`term_stop`].
//!
//! Standard input may be a terminal, a pipe, a socket, a regular file,
//! `/dev/null`, or closed. Its end stops input and nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Mutex;

use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::signal::{raise, SigSet, Signal};
use nix::sys::termios::{
    tcgetattr, tcsetattr, ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg,
    SpecialCharacterIndices, Termios,
};
use nix::unistd::{getpgrp, tcgetpgrp};

use super::fd::{char_fd_class, FdChardev};
use super::Backend;
use crate::chardev::class::{ChardevClass, ChardevId};
use crate::chardev::host::ChardevHost;
use crate::chardev::kind::BackendOptions;
use crate::chardev::schema as q;
use crate::main_loop::SharedFd;
use crate::qapi::Error;
use crate::util::qemu_opts::QemuOpts;

/// The state of standard input and output from before, while a chardev uses
/// them. There is one of them in a process, whatever the number of hosts.
static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

struct Saved {
    tty: Option<Termios>,
    input_flags: Option<OFlag>,
    output_flags: Option<OFlag>,
    allow_signal: bool,
    echo: bool,
}

/// Options of the stdio backend (QEMU's `ChardevStdio`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StdioConfig {
    /// Whether the terminal's interrupt and suspend keys stay in force.
    pub signal: Option<bool>,
}

impl BackendOptions for StdioConfig {
    type Arguments = q::ChardevStdio;

    fn from_opts(opts: &QemuOpts) -> Result<Self, Error> {
        let signal = opts.get_bool("signal");
        Ok(StdioConfig { signal })
    }

    fn from_arguments(arguments: q::ChardevStdio) -> Result<Self, Error> {
        let signal = arguments.signal;
        Ok(StdioConfig { signal })
    }
}

impl<H: ChardevHost> Backend<H> for StdioConfig {
    fn class(&self, kind: &'static str) -> ChardevClass<H> {
        ChardevClass {
            chr_set_echo: |_, _, echo| qemu_chr_set_echo_stdio(echo),
            is_terminal: |_, _| stdio_is_terminal(),
            ..char_fd_class(kind)
        }
    }

    fn open(&self, h: &mut H, id: ChardevId) -> Result<Option<String>, Error> {
        qemu_chr_open_stdio(h, id, self)?;
        Ok(None)
    }
}

fn qemu_chr_open_stdio<H: ChardevHost>(
    h: &mut H,
    id: ChardevId,
    config: &StdioConfig,
) -> Result<(), Error> {
    let mut saved = SAVED.lock().unwrap_or_else(|e| e.into_inner());
    if saved.is_some() {
        return Err(Error::new("cannot use stdio by multiple character devices"));
    }
    let (stdin, stdout) = (io::stdin(), io::stdout());
    *saved = Some(Saved {
        tty: tcgetattr(&stdin).ok(),
        input_flags: file_flags(stdin.as_fd()),
        output_flags: file_flags(stdout.as_fd()),
        allow_signal: config.signal.unwrap_or(true),
        echo: false,
    });
    drop(saved);
    let guard = TermGuard;
    qemu_chr_set_echo_stdio(false);
    let state = FdChardev::new(share(stdin.as_fd()), share(stdout.as_fd()));
    let state = state.with_guard(Box::new(guard));
    h.chardevs_mut().set_state(id, Box::new(state));
    Ok(())
}

/// A descriptor of our own for the same open file; none if it is closed.
fn share(fd: BorrowedFd<'_>) -> Option<SharedFd> {
    let fd: OwnedFd = fd.try_clone_to_owned().ok()?;
    Some(Rc::new(fd))
}

fn file_flags(fd: BorrowedFd<'_>) -> Option<OFlag> {
    let flags = fcntl(fd, FcntlArg::F_GETFL).ok()?;
    Some(OFlag::from_bits_retain(flags))
}

/// Sets the terminal up, with or without echo (`qemu_chr_set_echo_stdio`).
fn qemu_chr_set_echo_stdio(echo: bool) {
    let mut saved = SAVED.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(saved) = &mut *saved {
        saved.echo = echo;
        saved.take_over();
    }
}

impl Saved {
    /// Puts the terminal, if it is one, into our state.
    fn take_over(&self) {
        if let Some(tty) = &self.tty {
            let mut tty = tty.clone();
            raw_mode(&mut tty, self.echo, self.allow_signal);
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &tty);
        }
        let (stdin, stdout) = (io::stdin(), io::stdout());
        for fd in [stdin.as_fd(), stdout.as_fd()] {
            // Regular files do not mind; a closed descriptor is found out when it
            // is used.
            let _ = crate::chardev::net::fd::set_nonblocking(fd);
        }
    }

    /// Puts everything back as it was.
    fn give_back(&self) {
        if let Some(tty) = &self.tty {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, tty);
        }
        if let Some(flags) = self.input_flags {
            let _ = fcntl(io::stdin(), FcntlArg::F_SETFL(flags));
        }
        if let Some(flags) = self.output_flags {
            let _ = fcntl(io::stdout(), FcntlArg::F_SETFL(flags));
        }
    }
}

/// Whether a chardev uses standard input and that is a terminal.
fn stdio_is_terminal() -> bool {
    let mut is_terminal = false;
    with_terminal(|saved| is_terminal = saved.tty.is_some());
    is_terminal
}

/// Each key at once, eight bits, output still post-processed.
fn raw_mode(tty: &mut Termios, echo: bool, allow_signal: bool) {
    if !echo {
        tty.input_flags -= InputFlags::IGNBRK
            | InputFlags::BRKINT
            | InputFlags::PARMRK
            | InputFlags::ISTRIP
            | InputFlags::INLCR
            | InputFlags::IGNCR
            | InputFlags::ICRNL
            | InputFlags::IXON;
        tty.output_flags |= OutputFlags::OPOST;
        tty.local_flags -=
            LocalFlags::ECHO | LocalFlags::ECHONL | LocalFlags::ICANON | LocalFlags::IEXTEN;
        tty.control_flags -= ControlFlags::CSIZE | ControlFlags::PARENB;
        tty.control_flags |= ControlFlags::CS8;
        tty.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        tty.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
    }
    if !allow_signal {
        tty.local_flags -= LocalFlags::ISIG;
    }
}

/// Puts standard input and output back as they were, if a chardev uses them
/// (`term_exit`). Safe to call at any time, also twice.
pub fn term_exit() {
    if let Some(saved) = SAVED.lock().unwrap_or_else(|e| e.into_inner()).take() {
        saved.give_back();
    }
}

/// Stops the process, as SIGTSTP does without a handler. The shell has the terminal
/// meanwhile. For a handler of SIGTSTP in the main loop
/// ([`add_signals`](crate::main_loop::MainLoop::add_signals)), which has blocked
/// that signal in this thread. Returns when the process goes on.
///
/// The kernel decides whether it stops at all: not if its group is orphaned,
/// where no shell could have it go on, and not if the signal was ignored when it
/// was started.
pub fn term_stop() {
    with_terminal(Saved::give_back);
    let signal = SigSet::from(Signal::SIGTSTP);
    // Pending until it is not blocked any more.
    let _ = raise(Signal::SIGTSTP);
    let _ = signal.thread_unblock();
    let _ = signal.thread_block();
    term_continue();
}

/// Takes standard input and output over again, for a handler of SIGCONT: another program
/// may have changed the terminal's state meanwhile. Does nothing in the background,
/// where the terminal belongs to another program; the shell sends SIGCONT again when it
/// brings the process to the foreground.
pub fn term_continue() {
    // A terminal that controls no group belongs to no other program.
    if tcgetpgrp(io::stdin()).map_or(true, |group| group == getpgrp()) {
        with_terminal(Saved::take_over);
    }
}

fn with_terminal(f: impl FnOnce(&Saved)) {
    if let Some(saved) = &*SAVED.lock().unwrap_or_else(|e| e.into_inner()) {
        f(saved);
    }
}

/// Restores the terminal when the chardev goes.
struct TermGuard;

impl Drop for TermGuard {
    fn drop(&mut self) {
        term_exit();
    }
}
