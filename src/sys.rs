//! Everything unsafe, in one place: calls whose contracts the type system does
//! not express.
//!
//! Nothing here makes a descriptor of a number that just anyone may choose.
//! What the kernel hands out is owned before anything else sees its number, and
//! what the parent process left open is known from the start of the program
//! ([`InheritedFds`]).
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::offset_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Once;

use nix::errno::Errno;
use nix::fcntl::{fcntl, FcntlArg, FdFlag};
use nix::libc::{c_char, sa_family_t, sockaddr_un, socklen_t, AF_UNIX, SCM_RIGHTS, SOL_SOCKET};
use nix::sys::signal::{sigaction, SaFlags, SigAction, SigHandler, SigSet, Signal};
use nix::sys::socket::{accept4, recvmsg, MsgFlags, SockFlag, SockaddrLike, UnixAddr};
use polling::{Event, PollMode, Poller};

/// Registers a descriptor, level-triggered. The caller keeps a share of it until
/// it has deleted the registration, or dropped the poller.
pub(crate) fn register(poller: &Poller, fd: &Rc<dyn AsFd>, event: Event) -> io::Result<()> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the number is open now, as `fd` is borrowed, and the entry of the
    // table of descriptors that holds the share is only dropped after the
    // registration is deleted.
    unsafe { poller.add_with_mode(number, event, PollMode::Level) }
}

/// Registers a descriptor that lives as long as the loop, which owns the poller
/// too.
pub(crate) fn register_wake(poller: &Poller, fd: &impl AsFd, key: usize) -> io::Result<()> {
    let number = fd.as_fd().as_raw_fd();
    // SAFETY: the number is open now, as `fd` is borrowed; the loop drops its
    // poller before the eventfd.
    unsafe { poller.add_with_mode(number, Event::readable(key), PollMode::Level) }
}

/// Accepts a connection, which does not block and is closed on exec.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let number = accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: the kernel just opened it for this call.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// The columns of the terminal on standard output, if it tells.
pub(crate) fn terminal_columns() -> Option<usize> {
    let mut size = nix::libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the call fills in a winsize, and there is one.
    let done = unsafe {
        nix::libc::ioctl(
            nix::libc::STDOUT_FILENO,
            nix::libc::TIOCGWINSZ,
            &raw mut size,
        )
    };
    (done == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// How long the path in the address of a unix socket may be.
pub(crate) const UNIX_PATH_MAX: usize = 108;

/// The address of a unix socket in the file system. The path may fill the address to its
/// last byte: the kernel asks for no NUL there, and `UnixAddr::new` does.
///
/// # Errors
///
/// `ENAMETOOLONG`, and `EINVAL` for a path that is empty or has a NUL.
pub(crate) fn unix_path_addr(path: &str) -> nix::Result<UnixAddr> {
    if path.is_empty() || path.contains('\0') {
        return Err(Errno::EINVAL);
    }
    let mut raw = sockaddr_un {
        sun_family: AF_UNIX as sa_family_t,
        sun_path: [0; UNIX_PATH_MAX],
    };
    if path.len() > raw.sun_path.len() {
        return Err(Errno::ENAMETOOLONG);
    }
    for (to, from) in raw.sun_path.iter_mut().zip(path.bytes()) {
        *to = from as c_char;
    }
    let len = (offset_of!(sockaddr_un, sun_path) + path.len()) as socklen_t;
    // SAFETY: `raw` is a whole `sockaddr_un`, and the first `len` bytes of it are the
    // family and the path.
    let addr = unsafe { UnixAddr::from_raw((&raw const raw).cast(), Some(len)) };
    addr.ok_or(Errno::EINVAL)
}

/// Room for as many descriptors as the kernel passes in one message
/// (`SCM_MAX_FD`, 253). With less, the kernel cuts off the others in silence.
#[repr(align(8))]
struct RightsBuf([u8; 1040]);

thread_local! {
    /// All zeros between calls: to clear it for each would cost more than the rest.
    static RIGHTS: RefCell<RightsBuf> = const { RefCell::new(RightsBuf([0; 1040])) };
}

/// Receives bytes and the descriptors that came with them. The descriptors are
/// closed on exec.
pub(crate) fn recv_with_rights(
    socket: BorrowedFd<'_>,
    buf: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    RIGHTS.with_borrow_mut(|room| {
        let mut iov = [IoSliceMut::new(buf)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let n = recvmsg::<()>(socket.as_raw_fd(), &mut iov, Some(&mut room.0), flags)?.bytes;
        // A control message begins with its length.
        if room.0[..size_of::<usize>()] == [0; size_of::<usize>()] {
            return Ok((n, Vec::new()));
        }
        let received = numbers(&room.0);
        room.0.fill(0);
        // SAFETY: the kernel just opened each of them for this call and wrote its
        // number into the buffer, which held zeros before.
        let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
        Ok((n, received.into_iter().map(own).collect()))
    })
}

/// The descriptors in a buffer of control messages, as the kernel lays it out:
/// length as a machine word, level, type, data; zeros behind the last one.
///
/// The iterator of crate `nix` yields nothing if the buffer was cut off. That
/// happens when this process has room for some of the descriptors only; those
/// are open all the same, and would never be closed.
fn numbers(mut control: &[u8]) -> Vec<RawFd> {
    const WORD: usize = size_of::<usize>();
    let int = |bytes: &[u8]| i32::from_ne_bytes(bytes.try_into().unwrap_or_default());
    let mut all = Vec::new();
    while let Some((length, _)) = control.split_first_chunk::<WORD>() {
        let length = usize::from_ne_bytes(*length);
        let Some(message) = control.get(WORD..length).filter(|m| m.len() >= 8) else {
            break;
        };
        if (int(&message[..4]), int(&message[4..8])) == (SOL_SOCKET, SCM_RIGHTS) {
            all.extend(message[8..].chunks_exact(4).map(int));
        }
        let next = control.get(length.next_multiple_of(WORD)..);
        control = next.unwrap_or_default();
    }
    all
}

/// The descriptors that the parent process left open for this one, to be taken
/// by number: `-chardev socket,fd=N`, `-add-fd fd=N`.
///
/// A number in a command line says nothing about who owns it. So the program
/// notes at its start which descriptors it inherited, and only those can be
/// taken, each once. Without that there are none, and each number is refused.
///
/// ```no_run
/// # use qmonitor::chardev::ChardevHost;
/// # struct State;
/// // First thing in main():
/// // SAFETY: nothing has been opened yet.
/// let inherited = unsafe { qmonitor::InheritedFds::at_start() };
/// // ...
/// let mut rt = qmonitor::Runtime::new(State)?;
/// rt.chardevs_mut().set_inherited_fds(inherited);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct InheritedFds {
    /// Each belongs to this table and to nothing else in the process.
    numbers: BTreeSet<RawFd>,
}

impl InheritedFds {
    /// All descriptors that are open and not closed on exec: that is how
    /// inherited ones come, and how Rust opens none. Empty where `/proc` cannot
    /// be read.
    ///
    /// # Safety
    ///
    /// Nothing in the process owns or borrows any of them, the standard streams
    /// excepted, or closes any of them later. It is so at the start of `main`.
    pub unsafe fn at_start() -> Self {
        let names = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
        let numbers = names.filter_map(|name| name.ok()?.file_name().to_str()?.parse().ok());
        InheritedFds {
            numbers: numbers.filter(|number| is_inheritable(*number)).collect(),
        }
    }

    /// The descriptor with this number, to look at before it is taken. None if
    /// it was not inherited or has been taken.
    pub fn get(&self, number: RawFd) -> Option<BorrowedFd<'_>> {
        // Asked again, in case it was closed behind our back and the number is
        // that of a file of ours by now.
        if !self.numbers.contains(&number) || !is_inheritable(number) {
            return None;
        }
        // SAFETY: it is open, as just seen, and belongs to the table, which is
        // borrowed.
        Some(unsafe { BorrowedFd::borrow_raw(number) })
    }

    /// Takes the descriptor with this number. It is closed on exec from now on.
    ///
    /// A standard stream is moved away, and `/dev/null` takes its place: the
    /// rest of the process goes on using the number.
    ///
    /// # Errors
    ///
    /// `EBADF` if the number is not an open file, `EBUSY` if it was not inherited
    /// or has been taken.
    pub fn take(&mut self, number: RawFd) -> io::Result<OwnedFd> {
        let Some(fd) = self.get(number) else {
            let is_open = fd_flags(number).is_ok();
            return Err(if is_open { Errno::EBUSY } else { Errno::EBADF }.into());
        };
        if number <= 2 {
            let moved = fd.try_clone_to_owned()?;
            put_null_at(number)?;
            self.numbers.remove(&number);
            return Ok(moved);
        }
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
        self.numbers.remove(&number);
        // SAFETY: it was the table's, which has forgotten it.
        Ok(unsafe { OwnedFd::from_raw_fd(number) })
    }

    /// Moves the descriptor with this number, if it is here, into a table of its own, for
    /// another runtime of the process.
    #[must_use]
    pub fn split_off(&mut self, number: RawFd) -> Self {
        let moved = self.numbers.take(&number);
        InheritedFds {
            numbers: moved.into_iter().collect(),
        }
    }

    /// A table of these, as if they were inherited.
    #[cfg(test)]
    pub(crate) fn of(fds: impl IntoIterator<Item = OwnedFd>) -> Self {
        use std::os::fd::IntoRawFd;
        let numbers = fds.into_iter().map(IntoRawFd::into_raw_fd);
        InheritedFds {
            numbers: numbers.collect(),
        }
    }
}

/// Puts `/dev/null` in the place of a standard stream.
fn put_null_at(number: RawFd) -> io::Result<()> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    match number {
        0 => nix::unistd::dup2_stdin(&null)?,
        1 => nix::unistd::dup2_stdout(&null)?,
        _ => nix::unistd::dup2_stderr(&null)?,
    }
    Ok(())
}

fn is_inheritable(number: RawFd) -> bool {
    fd_flags(number).is_ok_and(|flags| !flags.contains(FdFlag::FD_CLOEXEC))
}

fn fd_flags(number: RawFd) -> nix::Result<FdFlag> {
    // SAFETY: F_GETFD only reads, and is defined for any number, open or not.
    let flags = unsafe { nix::libc::fcntl(number, nix::libc::F_GETFD) };
    Errno::result(flags).map(FdFlag::from_bits_retain)
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

    /// Each Rust file of this package, with its path below `src`.
    fn sources() -> Vec<(String, String)> {
        let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut sources = Vec::new();
        let mut dirs = vec![src.clone()];
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    let name = path.strip_prefix(&src).unwrap().display().to_string();
                    sources.push((name, text));
                }
            }
        }
        sources.sort();
        sources
    }

    /// Signatures of public functions, and of all functions of public traits.
    fn public_signatures(text: &str) -> Vec<String> {
        let mut signatures = Vec::new();
        let mut in_trait = false;
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            in_trait = (in_trait && line != "}") || line.starts_with("pub trait ");
            let word = line.trim_start();
            let is_public = word.starts_with("pub fn ") || word.starts_with("pub const fn ");
            if is_public || (in_trait && word.starts_with("fn ")) {
                let mut signature = word.to_owned();
                while !signature.ends_with(['{', ';', '}']) {
                    signature.extend(lines.next().map(str::trim));
                }
                signatures.push(signature);
            }
        }
        signatures
    }

    /// Only a bare number can be mistaken for a descriptor that something else
    /// owns, so no safe function that others can call may make one of a number.
    ///
    /// This reads signatures in the source. It does not see through a type
    /// alias, a macro, or a number that is wrapped in a type of its own.
    #[test]
    fn no_safe_public_function_takes_a_bare_descriptor_number() {
        let bare = ["RawFd", "fd: i32", "fd: c_int"];
        let mut found = Vec::new();
        for (name, text) in sources() {
            for signature in public_signatures(&text) {
                let parameters = signature.split(" -> ").next().unwrap_or_default();
                if bare.iter().any(|bare| parameters.contains(bare)) {
                    found.push(format!("{name}: {parameters}"));
                }
            }
        }
        // These look the number up among those they own.
        let sound = [
            "sys.rs: pub fn get(&self, number: RawFd)",
            "sys.rs: pub fn take(&mut self, number: RawFd)",
            "sys.rs: pub fn split_off(&mut self, number: RawFd)",
        ];
        assert_eq!(found, sound);
    }

    #[test]
    fn descriptors_are_made_of_numbers_in_this_file_only() {
        for (name, text) in sources() {
            let makes = ["from_raw_fd(", "borrow_raw("].map(|call| text.contains(call));
            assert!(name.ends_with("sys.rs") || makes == [false; 2], "{name}");
        }
    }

    #[test]
    fn descriptors_come_with_their_own_message_only() {
        use nix::sys::socket::{
            sendmsg, socketpair, AddressFamily, ControlMessage, SockFlag, SockType,
        };
        let _fds = crate::fd_guard::FdGuard::new();
        let kind = SockType::Stream;
        let pair = socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC);
        let (ours, theirs) = pair.unwrap();
        let sent = [ours.as_raw_fd(); 3];
        for count in [3, 0, 1, 0] {
            let rights = [ControlMessage::ScmRights(&sent[..count])];
            let iov = [io::IoSlice::new(b"x")];
            let none = MsgFlags::empty();
            sendmsg::<()>(theirs.as_raw_fd(), &iov, &rights, none, None).unwrap();
            let (n, received) = recv_with_rights(ours.as_fd(), &mut [0; 9]).unwrap();
            assert_eq!((n, received.len()), (1, count));
        }
    }

    #[test]
    fn a_path_fills_the_address_of_a_unix_socket() {
        for len in [1, UNIX_PATH_MAX - 1, UNIX_PATH_MAX] {
            let path = "ä".repeat(len / 2) + &"x".repeat(len % 2);
            let addr = unix_path_addr(&path).unwrap();
            assert_eq!(addr.path(), Some(std::path::Path::new(&path)));
            assert_eq!(addr.path_len(), len);
            assert!(UnixAddr::new(path.as_str()).is_ok_and(|same| same == addr) || len == 108);
        }
        let long = "x".repeat(UNIX_PATH_MAX + 1);
        assert_eq!(unix_path_addr(&long), Err(Errno::ENAMETOOLONG));
        assert_eq!(unix_path_addr(""), Err(Errno::EINVAL));
        assert_eq!(unix_path_addr("x\0y"), Err(Errno::EINVAL));
    }

    fn os_error<T: std::fmt::Debug>(result: io::Result<T>) -> Errno {
        Errno::from_raw(result.unwrap_err().raw_os_error().unwrap())
    }

    #[test]
    fn an_inherited_descriptor_is_taken_once() {
        // pipe() without flags leaves close-on-exec clear, as it is on a
        // descriptor that came through exec.
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let number = reader.as_raw_fd();
        let mut inherited = InheritedFds::of([reader]);
        assert_eq!(inherited.get(number).unwrap().as_raw_fd(), number);
        let fd = inherited.take(number).unwrap();
        assert_eq!(fd.as_raw_fd(), number);
        assert_eq!(fd_flags(number), Ok(FdFlag::FD_CLOEXEC));
        assert!(inherited.get(number).is_none());
        assert_eq!(os_error(inherited.take(number)), Errno::EBUSY);
        drop(fd);
        assert_eq!(
            nix::unistd::write(&writer, b"x"),
            Err(Errno::EPIPE),
            "the taken one was the only one"
        );
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let mut inherited = InheritedFds::default();
        assert!(inherited.get(reader.as_raw_fd()).is_none());
        assert_eq!(os_error(inherited.take(reader.as_raw_fd())), Errno::EBUSY);
        for number in [-1, RawFd::MIN, RawFd::MAX] {
            assert_eq!(os_error(inherited.take(number)), Errno::EBADF);
        }
    }

    /// As when foreign code closed an inherited one, and a file of ours was
    /// given its number.
    #[test]
    fn a_number_that_is_a_file_of_ours_by_now_is_refused() {
        let (reader, _writer) = nix::unistd::pipe().unwrap();
        let number = reader.as_raw_fd();
        let mut inherited = InheritedFds::of([reader]);
        fcntl(
            inherited.get(number).unwrap(),
            FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC),
        )
        .unwrap();
        assert!(inherited.get(number).is_none());
        assert_eq!(os_error(inherited.take(number)), Errno::EBUSY);
        // SAFETY: the table has refused it, so nothing else owns it.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }

    fn control_message(kind: i32, data: &[i32]) -> Vec<u8> {
        let length = size_of::<usize>() + 8 + 4 * data.len();
        let mut bytes = length.to_ne_bytes().to_vec();
        for int in [SOL_SOCKET, kind].iter().chain(data) {
            bytes.extend(int.to_ne_bytes());
        }
        bytes.resize(length.next_multiple_of(size_of::<usize>()), 0);
        bytes
    }

    #[test]
    fn numbers_are_found_among_other_control_messages() {
        let credentials = nix::libc::SCM_CREDENTIALS;
        let parts = [
            control_message(credentials, &[1, 2, 3]),
            control_message(SCM_RIGHTS, &[4]),
            control_message(SCM_RIGHTS, &[5, 6, 7]),
        ];
        let mut control = parts.concat();
        assert_eq!(numbers(&control), [4, 5, 6, 7]);
        control.resize(1040, 0);
        assert_eq!(numbers(&control), [4, 5, 6, 7]);
    }

    #[test]
    fn a_buffer_that_makes_no_sense_ends_the_search() {
        let good = control_message(SCM_RIGHTS, &[4]);
        for length in [0, 1, size_of::<usize>(), 15, usize::MAX] {
            let bad = [&good[..], &length.to_ne_bytes(), &[1; 24]].concat();
            assert_eq!(numbers(&bad), [4], "{length}");
        }
        assert!(numbers(&good[..good.len() - 9]).is_empty());
        assert!(numbers(&[]).is_empty());
    }
}
