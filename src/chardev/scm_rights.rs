//! Receiving descriptors along with bytes (`SCM_RIGHTS`).
//!
//! A descriptor belongs to the bytes of the message that it was sent with, and
//! who takes descriptors must be able to rely on it: of two requests that come
//! close together, the first shall not get what was sent with the second. The
//! kernel does not keep them apart, though (unix(7), "ancillary data"):
//!
//! ```text
//!   sent       "aa"   "bb"   "cc"+fd   "dd"
//!   received   "aabbcc" with the descriptor, then "dd"
//! ```
//!
//! A read ends with the message that carries descriptors, but what was sent before
//! comes along in front of it, and nothing tells how much that is. QEMU
//! reads a monitor byte by byte, so that a descriptor comes with the first byte
//! that it was sent with. Here a look at the queue comes first: without a
//! descriptor in what it saw, all of that is read at once, and with one it goes
//! byte by byte until it has come.
//!
//! The look is one system call more for each read, which a client that never
//! passes a descriptor shall not pay for ever. The first bytes of a connection are read
//! without it, if the front end says that they are
//! [safe](super::CharHandlers::safe_start): the client of a monitor has to negotiate
//! before it can ask for a descriptor. And after [`LOOKS`] reads in a row
//! that brought none it is left out until one comes. What can go wrong then is
//! that this first one is read together with what was sent just before it: a
//! request in there that asks for a descriptor without bringing one gets it.

use std::io::{self, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{recv, recvmsg, MsgFlags};

use crate::sys::recv_with_rights;

/// Reads without a descriptor after which it is no longer looked for.
const LOOKS: u8 = 32;

/// Receives from one connection.
pub(super) struct Receiver {
    looks_left: u8,
}

impl Receiver {
    pub(super) fn new() -> Self {
        Receiver { looks_left: LOOKS }
    }

    /// Whether it looks for descriptors, so that a read may stop in front of some.
    pub(super) fn looks(&self) -> bool {
        self.looks_left > 0
    }

    /// Receives bytes that came without descriptors; or the first byte of a
    /// message that came with some, and the first of those. The others are
    /// closed at once. So many bytes as are `safe` are received without a look.
    pub(super) fn recv(
        &mut self,
        socket: BorrowedFd<'_>,
        buf: &mut [u8],
        safe: usize,
    ) -> io::Result<(usize, Option<OwnedFd>)> {
        let mut len = buf.len();
        if safe > 0 {
            len = len.min(safe);
        } else if self.looks_left > 0 {
            let (seen, with_rights) = look(socket, buf)?;
            if seen == 0 {
                return Ok((0, None));
            }
            if !with_rights {
                self.looks_left -= 1;
                let n = recv(socket.as_raw_fd(), &mut buf[..seen], MsgFlags::empty())?;
                return Ok((n, None));
            }
            len = 1;
        }
        let (n, fds) = recv_with_rights(socket, &mut buf[..len])?;
        let fd = fds.into_iter().next();
        if fd.is_some() {
            self.looks_left = LOOKS;
        }
        Ok((n, fd))
    }
}

/// How many bytes are there, and whether a descriptor is among them: without
/// room for it the kernel says that it cut it off, and takes nothing away.
fn look(socket: BorrowedFd<'_>, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut iov = [IoSliceMut::new(buf)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut iov, None, MsgFlags::MSG_PEEK)?;
    Ok((message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC)))
}
