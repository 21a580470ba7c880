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
//! passes a descriptor shall not pay for ever. After [`LOOKS`] reads in a row
//! that brought none it is left out until one comes. What can go wrong then is
//! that this first one is read together with what was sent just before it: a
//! request in there that asks for a descriptor without bringing one gets it.

use std::io::{self, IoSliceMut};
use std::os::fd::{OwnedFd, RawFd};

use nix::libc::{SCM_RIGHTS, SOL_SOCKET};
use nix::sys::socket::{recv, recvmsg, MsgFlags};

use crate::main_loop::own_fd;

/// Room for what the kernel passes in one message at most (`SCM_MAX_FD`, 253):
/// with less, descriptors beyond it would be cut off in silence.
#[repr(align(8))]
struct RightsBuf([u8; 1040]);

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

    /// Receives bytes that came without descriptors; or the first byte of a
    /// message that came with some, and the first of those. The others are
    /// closed at once.
    pub(super) fn recv(
        &mut self,
        socket: RawFd,
        buf: &mut [u8],
    ) -> io::Result<(usize, Option<OwnedFd>)> {
        let mut len = buf.len();
        if self.looks_left > 0 {
            let (seen, with_rights) = look(socket, buf)?;
            if seen == 0 {
                return Ok((0, None));
            }
            if !with_rights {
                self.looks_left -= 1;
                let n = recv(socket, &mut buf[..seen], MsgFlags::empty())?;
                return Ok((n, None));
            }
            len = 1;
        }
        let (n, fd) = recv_with_rights(socket, &mut buf[..len])?;
        if fd.is_some() {
            self.looks_left = LOOKS;
        }
        Ok((n, fd))
    }
}

fn recv_with_rights(socket: RawFd, buf: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut room = RightsBuf([0; 1040]);
    let mut iov = [IoSliceMut::new(buf)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let n = recvmsg::<()>(socket, &mut iov, Some(&mut room.0), flags)?.bytes;
    let received = numbers(&room.0).into_iter();
    let mut received: Vec<_> = received.filter_map(|n| own_fd(n).ok()).collect();
    received.truncate(1);
    Ok((n, received.pop()))
}

/// The descriptors in a buffer of control messages, as the kernel lays it out:
/// length as a machine word, level, type, data; zeros behind the last one.
///
/// The iterator of crate `nix` gives nothing at all of a buffer that was cut
/// off, which is what comes when this process has room for some of the
/// descriptors only. Those have been opened, and would stay so for ever.
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

/// How many bytes are there, and whether a descriptor is among them: without
/// room for it the kernel says that it cut it off, and takes nothing away.
fn look(socket: RawFd, buf: &mut [u8]) -> io::Result<(usize, bool)> {
    let mut iov = [IoSliceMut::new(buf)];
    let message = recvmsg::<()>(socket, &mut iov, None, MsgFlags::MSG_PEEK)?;
    Ok((message.bytes, message.flags.contains(MsgFlags::MSG_CTRUNC)))
}

#[cfg(test)]
mod tests {
    use super::*;

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
