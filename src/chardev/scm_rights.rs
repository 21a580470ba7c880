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

use std::io::{self, IoSliceMut};
use std::os::fd::{OwnedFd, RawFd};

use nix::sys::socket::{recv, recvmsg, ControlMessageOwned, MsgFlags};

use crate::main_loop::own_fd;

/// Room for what the kernel passes in one message at most (`SCM_MAX_FD`, 253):
/// with less, descriptors beyond it would be cut off in silence.
#[repr(align(8))]
struct RightsBuf([u8; 1040]);

/// Receives bytes that came without descriptors, or the first byte of a
/// message that came with some and the first of those. The others are closed
/// at once.
pub(super) fn recv_with_fd(
    socket: RawFd,
    buf: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let (seen, with_rights) = look(socket, buf)?;
    if !with_rights {
        let n = recv(socket, &mut buf[..seen], MsgFlags::empty())?;
        return Ok((n, None));
    }
    let mut room = RightsBuf([0; 1040]);
    let mut iov = [IoSliceMut::new(&mut buf[..1])];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut iov, Some(&mut room.0), flags)?;
    let mut first = None;
    if let Ok(controls) = message.cmsgs() {
        for control in controls {
            if let ControlMessageOwned::ScmRights(numbers) = control {
                for fd in numbers.into_iter().filter_map(|n| own_fd(n).ok()) {
                    first.get_or_insert(fd);
                }
            }
        }
    }
    Ok((message.bytes, first))
}

/// How many bytes are there, and whether a descriptor is among them: without
/// room for it the kernel says that it cut it off, and takes nothing away.
fn look(socket: RawFd, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut iov = [IoSliceMut::new(buf)];
    let message = recvmsg::<()>(socket, &mut iov, None, MsgFlags::MSG_PEEK)?;
    Ok((message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC)))
}
