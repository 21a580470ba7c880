//! What the parts of the block layer say of bytes to each other.

use std::io;

use crate::schema::BlkdebugEvent;

/// Where the bytes of a piece of a node are (`bdrv_block_status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// In this node.
    Data,
    /// They are zeros, and this node says so.
    Zero,
    /// Not in this node: the node below has them, or they are zeros.
    Unallocated,
}

/// A piece of a node whose bytes are all in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its length in bytes.
    pub length: u64,
    #[allow(missing_docs)]
    pub kind: ExtentKind,
}

/// The file below a format. It grows with writes behind its end, and has zeros there for
/// reads.
pub trait Bytes {
    #[allow(missing_docs)]
    fn length(&self) -> u64;
    /// Reads bytes.
    ///
    /// # Errors
    ///
    /// The host's, or those that were asked for.
    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()>;
    /// Makes bytes zero, which takes no space if the host can do that.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn zero(&mut self, offset: u64, length: u64) -> io::Result<()>;
    /// Makes the file longer or shorter.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn set_length(&mut self, length: u64) -> io::Result<()>;
    /// Has the host write what it holds back.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    fn flush(&mut self) -> io::Result<()>;
    /// Tells of a step, at which an error may have been asked for.
    fn happens(&mut self, event: BlkdebugEvent);
}

/// The error about a disk that is too short for an operation.
pub(super) fn beyond_end() -> io::Error {
    nix::errno::Errno::EIO.into()
}

/// The error about an operation that a driver does not have.
pub(super) fn unsupported() -> io::Error {
    nix::errno::Errno::ENOTSUP.into()
}
