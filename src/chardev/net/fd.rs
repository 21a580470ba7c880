//! Sockets that exist already: those that an `fd` address names.

use std::io;
use std::num::{IntErrorKind, ParseIntError};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::sys::socket::{self, sockopt};

use super::activation::numbers_named;
use crate::chardev::host::ChardevHost;
use crate::qapi::Error;

/// Sets `O_NONBLOCK`.
///
/// # Errors
///
/// Those of fcntl(2).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    use nix::fcntl::{fcntl, FcntlArg, OFlag};
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// The socket that an `fd` address names (`socket_get_fd`).
///
/// To a monitor it is a name given with `getfd`, even if it looks like a
/// number, and is used up even if it turns out not to be a socket. Where there
/// is no monitor it is the number of a descriptor that the parent process left
/// open, which is taken only if it is a socket. QEMU does not know names there; here
/// one stands for the next socket that systemd has passed on under it.
pub(in crate::chardev) fn socket_get_fd<H: ChardevHost>(
    h: &mut H,
    name: &str,
) -> Result<OwnedFd, Error> {
    let not_a_socket = || Error::new(format!("File descriptor '{name}' is not a socket"));
    if let Some(fd) = h.monitor_get_fd(name) {
        let fd = fd?;
        return if is_socket(&fd) {
            Ok(fd)
        } else {
            Err(not_a_socket())
        };
    }
    let inherited = h.chardevs_mut().inherited_fds_mut();
    let not_taken = |number: &RawFd| inherited.get(*number).is_some();
    let number = match name.parse::<RawFd>() {
        Ok(number) => number,
        Err(e) => match numbers_named(name).into_iter().find(not_taken) {
            Some(number) => number,
            None => return Err(no_number(name, &e)),
        },
    };
    if inherited.get(number).is_some_and(|fd| !is_socket(&fd)) {
        return Err(not_a_socket());
    }
    inherited.take(number).map_err(|e| match e.raw_os_error() {
        Some(code) if code == Errno::EBUSY as i32 => {
            Error::new(format!("File descriptor '{name}' is already in use"))
        }
        _ => not_a_socket(),
    })
}

/// QEMU's words for a text that should be a descriptor's number.
fn no_number(text: &str, e: &ParseIntError) -> Error {
    let what = format!("Unable to parse FD number {text}");
    match e.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            Error::from_io(what, &Errno::ERANGE.into())
        }
        _ => Error::new(what),
    }
}

fn is_socket(fd: &impl AsFd) -> bool {
    socket::getsockopt(fd, sockopt::SockType).is_ok()
}
