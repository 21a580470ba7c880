//! Receiving descriptors along with bytes (`SCM_RIGHTS`).

use std::io::{self, IoSliceMut};
use std::os::fd::{OwnedFd, RawFd};

use nix::sys::socket::{recvmsg, ControlMessageOwned, MsgFlags};

use crate::main_loop::own_fd;

/// Room for what the kernel passes in one message at most (`SCM_MAX_FD`):
/// with less, descriptors beyond it would be cut off in silence.
const SCM_MAX_FD: usize = 253;

/// A buffer for control messages, to be used again for each read.
pub(super) struct RightsBuf(Vec<u8>);

impl RightsBuf {
    pub(super) fn new() -> Self {
        RightsBuf(nix::cmsg_space!([RawFd; SCM_MAX_FD]))
    }

    fn room(&mut self) -> &mut [u8] {
        // nix hands out an empty vector of the right capacity.
        let capacity = self.0.capacity();
        self.0.clear();
        self.0.resize(capacity, 0);
        &mut self.0
    }
}

/// Receives bytes and, if descriptors came with them, the first one. The
/// others are closed at once.
pub(super) fn recv_with_fd(
    socket: RawFd,
    buf: &mut [u8],
    rights: &mut RightsBuf,
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut iov = [IoSliceMut::new(buf)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(socket, &mut iov, Some(rights.room()), flags)?;
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
