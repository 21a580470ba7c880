//! Files by name, including `/dev/fdset/N`.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use nix::fcntl::{open, OFlag};
use nix::sys::stat::Mode;

use super::fd::set_nonblocking;
use crate::chardev::host::ChardevHost;
use crate::main_loop::SharedFd;
use crate::qapi::Error;

const FDSET: &str = "/dev/fdset/";

fn fdset_id(path: &str) -> Option<Option<i64>> {
    let id = path.strip_prefix(FDSET)?;
    Some(id.parse().ok().filter(|id| *id >= 0))
}

/// Opens a file, or takes a descriptor out of a set (`qemu_open`).
///
/// # Errors
///
/// Those of open(2); `ENOENT` without such a set, `EACCES` without a descriptor that was
/// opened in that way.
pub fn qemu_open<H: ChardevHost>(h: &mut H, path: &str, flags: OFlag) -> io::Result<SharedFd> {
    match fdset_id(path) {
        Some(Some(id)) => h.open_fdset(id, flags),
        Some(None) => Err(nix::errno::Errno::EINVAL.into()),
        None => {
            let mode = Mode::from_bits_truncate(0o666);
            // Never blocking: a FIFO without a reader or a line without a
            // carrier would hold up everybody.
            let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
            let fd: OwnedFd = open(path, flags, mode)?;
            Ok(Rc::new(fd))
        }
    }
}

/// Whether output to a path can be opened at once; see [`fifo_reader`].
#[derive(Debug)]
pub enum FifoReader {
    /// It is a FIFO without a reader: where QEMU blocks in open(2), a caller
    /// can wait by asking again.
    Missing,
    /// It is a FIFO with a reader. It is held open until this is dropped, so
    /// that the reader does not see an end before the backend opens it.
    Present(OwnedFd),
    /// It is no FIFO, or the backend will say what is wrong with it.
    NotAsked,
}

/// Looks whether a FIFO has a reader.
pub fn fifo_reader(path: &str) -> FifoReader {
    use std::os::unix::fs::FileTypeExt;
    if !std::fs::metadata(path).is_ok_and(|m| m.file_type().is_fifo()) {
        return FifoReader::NotAsked;
    }
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    match open(path, flags, Mode::empty()) {
        Ok(fd) => FifoReader::Present(fd),
        Err(nix::errno::Errno::ENXIO) => FifoReader::Missing,
        Err(_) => FifoReader::NotAsked,
    }
}

/// `Could not open 'PATH': REASON`.
pub(in crate::chardev) fn open_or_error<H: ChardevHost>(
    h: &mut H,
    path: &str,
    flags: OFlag,
) -> Result<SharedFd, Error> {
    qemu_open(h, path, flags).map_err(|e| Error::from_io(format!("Could not open '{path}'"), &e))
}

/// Opens a log file; the words for what goes wrong are different here.
pub(in crate::chardev) fn open_log<H: ChardevHost>(
    h: &mut H,
    path: &str,
    append: bool,
) -> Result<SharedFd, Error> {
    let how = if append {
        OFlag::O_APPEND
    } else {
        OFlag::O_TRUNC
    };
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | how;
    let log = qemu_open(h, path, flags).map_err(|e| match fdset_id(path) {
        Some(None) => Error::new(format!("Could not parse fdset {path}")),
        Some(_) if e.kind() == io::ErrorKind::NotFound => {
            Error::new(format!("Failed to find fdset {path}"))
        }
        _ => Error::from_io(format!("Could not create '{path}'"), &e),
    })?;
    // One of a set may be a pipe without a reader. Files do not mind.
    let _ = set_nonblocking((*log).as_fd());
    Ok(log)
}
