//! Standard input and output.
//!
//! A terminal is put into a state in which each key comes at once and is not
//! echoed, and both descriptors are made non-blocking. Both belong to the
//! shell as well, so they are put back when the chardev goes, and
//! [`term_exit`] puts them back from anywhere, for a program that ends without
//! taking its chardevs down. A panic that unwinds drops the chardev and so restores
//! them too; one that aborts needs [`term_exit`] in a panic hook.
//!
//! What standard input may be: a terminal, a pipe, a socket, a regular file,
//! `/dev/null`, or closed. Its end stops input and nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Mutex;

use nix::fcntl::{fcntl, FcntlArg, OFlag};
use nix::sys::termios::{
    tcgetattr, tcsetattr, ControlFlags, InputFlags, LocalFlags, OutputFlags, SetArg,
    SpecialCharacterIndices, Termios,
};

use super::config::StdioConfig;
use super::fd::{char_fd_class, FdChardev};
use super::host::ChardevHost;
use super::table::{ChardevClass, ChardevId};
use crate::main_loop::SharedFd;
use crate::qapi::Error;

/// What standard input and output were like before, while a chardev uses
/// them. There is one of them in a process, whatever the number of hosts.
static SAVED: Mutex<Option<Saved>> = Mutex::new(None);

struct Saved {
    tty: Option<Termios>,
    input_flags: Option<OFlag>,
    output_flags: Option<OFlag>,
    allow_signal: bool,
}

/// The class of stdio chardevs.
pub(super) fn char_stdio_class<H: ChardevHost>() -> ChardevClass<H> {
    ChardevClass {
        chr_set_echo: |_, _, echo| qemu_chr_set_echo_stdio(echo),
        ..char_fd_class("stdio")
    }
}

/// Opens the backend (`qemu_chr_open_stdio`).
pub(super) fn qemu_chr_open_stdio<H: ChardevHost>(
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
    });
    drop(saved);
    let guard = TermGuard;
    for fd in [stdin.as_fd(), stdout.as_fd()] {
        // Regular files do not mind; a closed descriptor is found out below.
        let _ = super::net::set_nonblocking(fd);
    }
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
    let saved = SAVED.lock().unwrap_or_else(|e| e.into_inner());
    if let Some(saved) = &*saved {
        if let Some(tty) = &saved.tty {
            let mut tty = tty.clone();
            raw_mode(&mut tty, echo, saved.allow_signal);
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &tty);
        }
    }
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
    let saved = SAVED.lock().unwrap_or_else(|e| e.into_inner()).take();
    let Some(saved) = saved else { return };
    if let Some(tty) = &saved.tty {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, tty);
    }
    if let Some(flags) = saved.input_flags {
        let _ = fcntl(io::stdin(), FcntlArg::F_SETFL(flags));
    }
    if let Some(flags) = saved.output_flags {
        let _ = fcntl(io::stdout(), FcntlArg::F_SETFL(flags));
    }
}

/// Restores the terminal when the chardev goes.
struct TermGuard;

impl Drop for TermGuard {
    fn drop(&mut self) {
        term_exit();
    }
}
