//! A server that runs, and its clients.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use super::Session;
use qmonitor::main_loop::WatchId;

/// A server.
#[derive(Debug)]
pub struct NbdServer {
    /// The watch that waits for clients.
    pub watch: WatchId,
    /// Most clients at a time; zero for any number.
    pub most_clients: usize,
    /// Its clients, by number.
    pub clients: BTreeMap<u64, NbdClient>,
    /// The number of the next client.
    pub next: u64,
    /// The socket's file, which goes with the server.
    pub path: Option<String>,
}

/// A client of the server.
#[derive(Debug)]
pub struct NbdClient {
    #[allow(missing_docs)]
    pub session: Session,
    #[allow(missing_docs)]
    pub stream: Rc<NbdStream>,
    /// The watch that waits for its bytes.
    pub reading: Option<WatchId>,
    /// The watch that waits for space to send.
    pub writing: Option<WatchId>,
}

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

impl Drop for NbdServer {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Another program may have taken it.
            let _ = std::fs::remove_file(path);
        }
    }
}
