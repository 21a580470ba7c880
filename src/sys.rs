//! Everything unsafe, in one place: five calls whose contracts the type system
//! does not express.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Once;

use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use polling::{Event, PollMode, Poller};

use crate::main_loop::SharedFd;

/// Registers an fd, level-triggered. The caller keeps a share of it until it
/// has deleted the registration, or dropped the poller.
pub(crate) fn register(poller: &Poller, fd: &SharedFd, event: Event) -> io::Result<()> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the number is open now, as `fd` is borrowed, and the entry of the
    // fd table that holds the share is only dropped after its deregistration.
    unsafe { poller.add_with_mode(number, event, PollMode::Level) }
}

/// Registers an fd that lives as long as the loop, which owns the poller too.
pub(crate) fn register_wake(poller: &Poller, fd: &impl AsFd, key: usize) -> io::Result<()> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the number is open now, as `fd` is borrowed; the loop drops its
    // poller before the eventfd.
    unsafe { poller.add_with_mode(number, Event::readable(key), PollMode::Level) }
}

/// Takes ownership of an fd that came as a bare number and that nothing else in
/// this process owns or closes: one just received with `SCM_RIGHTS`.
///
/// For an fd inherited from the parent process there is
/// [`own_inherited_fd`], which checks more.
///
/// # Errors
///
/// `EBADF` if the number is not an open file.
pub fn own_fd(number: RawFd) -> io::Result<OwnedFd> {
    fd_flags(number)?;
    // SAFETY: the number is open, as just seen, and the caller gives it up.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes ownership of an fd that the parent process passed on by leaving it
/// open (QEMU's `-add-fd fd=N`), and sets close-on-exec on it so that it is not
/// passed on any further.
///
/// What is inherited cannot have close-on-exec set, and what Rust opens has it,
/// so this refuses files of this process and what it was already called for.
///
/// # Errors
///
/// `EBADF` if the number is not an open file; `EBUSY` if it is close-on-exec.
pub fn own_inherited_fd(number: RawFd) -> io::Result<OwnedFd> {
    let flags = fd_flags(number)?;
    if flags.contains(FdFlag::FD_CLOEXEC) {
        return Err(nix::errno::Errno::EBUSY.into());
    }
    let fd = own_fd(number)?;
    fcntl(&fd, FcntlArg::F_SETFD(flags | FdFlag::FD_CLOEXEC))?;
    Ok(fd)
}

fn fd_flags(number: RawFd) -> io::Result<FdFlag> {
    if number < 0 {
        return Err(nix::errno::Errno::EBADF.into());
    }
    // SAFETY: the borrow lasts for one F_GETFD, which is defined for any number,
    // open or not; -1, which the type excludes, is turned away above.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    Ok(FdFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFD)?))
}

/// Makes a write to a closed pipe or socket fail with `EPIPE` where it would
/// kill the process: `SIGPIPE` is ignored if it has its default action, and left
/// alone if the program chose one. Rust's own start-up code does the same, but
/// not in a program whose `main` is C.
pub(crate) fn ignore_sigpipe() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: SIG_IGN installs no handler; what is put back is what the
        // kernel returned.
        unsafe {
            if let Ok(before) = sigaction(Signal::SIGPIPE, &ignore) {
                if !matches!(before.handler(), SigHandler::SigDfl) {
                    let _ = sigaction(Signal::SIGPIPE, &before);
                }
            }
        }
    });
}

/// Splits the process in two (fork(2)), as going to the background needs; true in
/// the new one.
///
/// # Errors
///
/// `EBUSY` if there is more than one thread, for only this one would be in the
/// new process, and locks that others hold would stay locked; else what fork(2)
/// fails with.
pub fn fork_process() -> io::Result<bool> {
    if std::fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(nix::errno::Errno::EBUSY.into());
    }
    // SAFETY: there is one thread, as just seen, and only it could start others,
    // so nothing is in a state that the new process could not go on with.
    match unsafe { nix::unistd::fork() }? {
        nix::unistd::ForkResult::Parent { .. } => Ok(false),
        nix::unistd::ForkResult::Child => Ok(true),
    }
}

/// Stands for an fd that was closed behind the back of what owns it, as can
/// happen to standard input.
#[cfg(test)]
pub(crate) struct ClosedFd;

#[cfg(test)]
impl AsFd for ClosedFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: no number this high is ever open, and what the tests do with
        // it is defined for numbers that are not: poll, and epoll_ctl.
        unsafe { BorrowedFd::borrow_raw(RawFd::MAX - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    fn os_error<T: std::fmt::Debug>(result: io::Result<T>) -> i32 {
        result.unwrap_err().raw_os_error().unwrap()
    }

    #[test]
    fn an_open_number_is_owned_and_closed() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(own_fd(writer.into_raw_fd()).unwrap());
        let mut byte = [0];
        assert_eq!(nix::unistd::read(&reader, &mut byte).unwrap(), 0);
    }

    #[test]
    fn what_is_not_open_is_refused() {
        let ebadf = nix::errno::Errno::EBADF as i32;
        assert_eq!(os_error(own_fd(-1)), ebadf);
        assert_eq!(os_error(own_fd(RawFd::MIN)), ebadf);
        assert_eq!(os_error(own_fd(RawFd::MAX)), ebadf);
        assert_eq!(os_error(own_inherited_fd(RawFd::MAX)), ebadf);
    }

    #[test]
    fn a_process_with_several_threads_is_not_split() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        let ebusy = nix::errno::Errno::EBUSY as i32;
        assert_eq!(os_error(fork_process()), ebusy);
        drop(end);
        thread.join().unwrap().unwrap_err();
    }

    #[test]
    fn an_inherited_fd_is_taken_once() {
        // pipe() without flags leaves close-on-exec clear, as an fd that came
        // through exec has it.
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let number = reader.into_raw_fd();
        let fd = own_inherited_fd(number).unwrap();
        assert_eq!(fd.as_raw_fd(), number);
        let ebusy = nix::errno::Errno::EBUSY as i32;
        assert_eq!(os_error(own_inherited_fd(number)), ebusy);
    }
}
