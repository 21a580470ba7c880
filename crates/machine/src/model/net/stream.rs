//! A back end on a stream socket (`-netdev stream`, `-netdev socket`): where it goes, and
//! what it is connected to. Frames come with their length in front; nothing in the machine
//! wants them, so they are counted.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use qmonitor::main_loop::{TimerId, WatchId};

/// Where a stream leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Unix {
        path: String,
        is_abstract: bool,
    },
    Inet {
        host: String,
        port: String,
        /// Whether addresses of these versions may be used.
        versions: (bool, bool),
    },
    /// An inherited descriptor.
    Fd(String),
    /// Another kind, which never answers.
    Other,
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Unix(s) => s.as_fd(),
            Socket::Tcp(s) => s.as_fd(),
        }
    }
}

impl Socket {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(s) => (&mut &*s).read(buffer),
            Socket::Tcp(s) => (&mut &*s).read(buffer),
        }
    }

    /// The address of the peer on the network.
    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        match self {
            Socket::Unix(_) => None,
            Socket::Tcp(s) => s.peer_addr().ok(),
        }
    }
}

/// A listening socket.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Listener::Unix(l) => l.as_fd(),
            Listener::Tcp(l) => l.as_fd(),
        }
    }
}

impl Listener {
    pub(crate) fn accept(&self) -> io::Result<Socket> {
        match self {
            Listener::Unix(l) => {
                let (socket, _) = l.accept()?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Unix(socket))
            }
            Listener::Tcp(l) => {
                let (socket, _) = l.accept()?;
                socket.set_nonblocking(true)?;
                Ok(Socket::Tcp(socket))
            }
        }
    }
}

/// Frames that come in, counted.
#[derive(Debug, Default)]
pub(crate) struct Frames {
    /// The bytes of the length that is being read.
    head: Vec<u8>,
    /// What is left of the frame.
    left: u32,
    /// How many are complete.
    pub(crate) count: u64,
}

impl Frames {
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.left > 0 {
                let part = bytes.len().min(self.left as usize);
                bytes = &bytes[part..];
                self.left -= part as u32;
                self.count += u64::from(self.left == 0);
                continue;
            }
            let (first, rest) = bytes.split_at(1);
            self.head.extend_from_slice(first);
            bytes = rest;
            if let Ok(head) = <[u8; 4]>::try_from(self.head.as_slice()) {
                self.left = u32::from_be_bytes(head);
                self.head.clear();
            }
        }
    }
}

/// A connection, with its watch.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) socket: Rc<Socket>,
    pub(crate) watch: WatchId,
    pub(crate) frames: Frames,
}

impl Connection {
    /// Reads all that is there; false at the end of the stream.
    pub(crate) fn drain(&mut self) -> bool {
        let mut buffer = [0; 4096];
        loop {
            match self.socket.read(&mut buffer) {
                Ok(0) => return false,
                Ok(n) => self.frames.take(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
    }
}

/// A back end.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) target: Target,
    /// Whether it is `-netdev socket`, which sends no events and has other texts.
    pub(crate) is_plain: bool,
    /// The listening socket, with its watch, which is there while no peer is connected.
    pub(crate) listener: Option<(Rc<Listener>, Option<WatchId>)>,
    /// The file to remove at the end.
    pub(crate) path: Option<PathBuf>,
    pub(crate) connection: Option<Connection>,
    /// The watch of a socket that is being connected.
    pub(crate) connecting: Option<WatchId>,
    pub(crate) timer: Option<TimerId>,
    pub(crate) reconnect: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_counted_however_they_come() {
        let bytes = b"\0\0\0\x04abcd\0\0\0\x01x\0\0\0\x02y";
        for size in 1..bytes.len() {
            let mut frames = Frames::default();
            bytes.chunks(size).for_each(|piece| frames.take(piece));
            assert_eq!((frames.count, frames.left), (2, 1), "{size}");
        }
    }
}
