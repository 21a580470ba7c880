//! A connection between a server and a client.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// A connection.
#[derive(Debug)]
pub enum NbdStream {
    #[allow(missing_docs)]
    Tcp(TcpStream),
    #[allow(missing_docs)]
    Unix(UnixStream),
}

impl NbdStream {
    /// Has reads and writes not wait.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            NbdStream::Tcp(stream) => {
                // Small answers are not to wait for more.
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)
            }
            NbdStream::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Has reads and writes fail that take too long.
    pub(super) fn set_patience(&self, limit: Duration) -> io::Result<()> {
        match self {
            NbdStream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
            NbdStream::Unix(stream) => {
                stream.set_read_timeout(Some(limit))?;
                stream.set_write_timeout(Some(limit))
            }
        }
    }

    pub(super) fn read_exact(&self, into: &mut [u8]) -> io::Result<()> {
        match self {
            NbdStream::Tcp(stream) => (&mut &*stream).read_exact(into),
            NbdStream::Unix(stream) => (&mut &*stream).read_exact(into),
        }
    }

    pub(super) fn write_all(&self, from: &[u8]) -> io::Result<()> {
        match self {
            NbdStream::Tcp(stream) => (&mut &*stream).write_all(from),
            NbdStream::Unix(stream) => (&mut &*stream).write_all(from),
        }
    }

    /// Reads bytes.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            NbdStream::Tcp(stream) => (&mut &*stream).read(into),
            NbdStream::Unix(stream) => (&mut &*stream).read(into),
        }
    }

    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn write(&self, from: &[u8]) -> io::Result<usize> {
        match self {
            NbdStream::Tcp(stream) => (&mut &*stream).write(from),
            NbdStream::Unix(stream) => (&mut &*stream).write(from),
        }
    }
}

impl AsFd for NbdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            NbdStream::Tcp(stream) => stream.as_fd(),
            NbdStream::Unix(stream) => stream.as_fd(),
        }
    }
}
