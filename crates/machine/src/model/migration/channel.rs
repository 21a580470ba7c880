//! The way of the bytes: a descriptor, what is still to be written to it, and QEMU's words for
//! what goes wrong.

use std::io;

use nix::errno::Errno;
use nix::unistd::{read, write};
use qmonitor::main_loop::SharedFd;

/// What a channel leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A socket, in both directions.
    Socket,
    /// A program.
    Command,
    /// A file, or a descriptor of any other kind.
    File,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Socket => "socket",
            Kind::Command => "command",
            Kind::File => "file",
        }
    }
}

/// What reading gave.
pub(crate) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// Nothing yet.
    Nothing,
    /// The end.
    End,
}

/// An open channel.
pub(crate) struct Channel {
    /// Its descriptor, which does not block.
    pub(crate) fd: SharedFd,
    /// What it leads to.
    pub(crate) kind: Kind,
    unsent: Vec<u8>,
    /// How many of these were sent.
    at: usize,
}

impl Channel {
    pub(crate) fn new(fd: SharedFd, kind: Kind) -> Self {
        Channel {
            fd,
            kind,
            unsent: Vec::new(),
            at: 0,
        }
    }

    /// Where bytes to send are added.
    pub(crate) fn unsent(&mut self) -> &mut Vec<u8> {
        &mut self.unsent
    }

    /// Sends what it can, and tells whether that was all.
    ///
    /// # Errors
    ///
    /// `Unable to write to socket: Broken pipe`.
    pub(crate) fn flush(&mut self) -> Result<bool, String> {
        while self.at < self.unsent.len() {
            match write(self.fd.as_fd(), &self.unsent[self.at..]) {
                Ok(n) => self.at += n,
                Err(Errno::EAGAIN) => return Ok(false),
                Err(Errno::EINTR) => {}
                Err(e) => {
                    let e = qmonitor::qapi::Error::from_io("", &e.into());
                    let name = self.kind.name();
                    return Err(format!("Unable to write to {name}{}", e.desc()));
                }
            }
        }
        self.unsent.clear();
        self.at = 0;
        Ok(true)
    }

    /// Reads what has come.
    ///
    /// # Errors
    ///
    /// Those of read(2).
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<Received> {
        loop {
            return match read(self.fd.as_fd(), buffer) {
                Ok(0) => Ok(Received::End),
                Ok(n) => Ok(Received::Bytes(n)),
                Err(Errno::EAGAIN) => Ok(Received::Nothing),
                Err(Errno::EINTR) => continue,
                // A terminal or socket whose other side is gone.
                Err(Errno::EIO | Errno::ECONNRESET) => Ok(Received::End),
                Err(e) => Err(e.into()),
            };
        }
    }
}
