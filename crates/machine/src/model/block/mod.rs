//! Block nodes, of which disks are made.
//!
//! A node is a file of the host, or a view of another node (`raw`). A device has
//! at most one, its *drive*; a node has at most one user that writes, which is a
//! device or another node. Nothing in the machine reads or writes contents:
//! a node is opened, described, resized and closed.

mod backend;
mod drive;
mod image;
mod node;

#[cfg(test)]
mod tests;

use qmonitor::qapi::Error;

pub use backend::{Backend, Backends, Interface, Medium};
pub(crate) use drive::set_drive;
pub use drive::Drive;
pub use image::{probe, Header};
pub(crate) use node::no_node;
pub use node::{BlockNode, Blocks, Image};

/// How fast a drive may be; zero is without limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IoLimits {
    /// Bytes a second, in all, read and written.
    pub bps: [i64; 3],
    /// Operations a second, in all, read and written.
    pub iops: [i64; 3],
}

impl IoLimits {
    /// Whether there are none.
    pub fn is_unlimited(&self) -> bool {
        *self == IoLimits::default()
    }

    /// Checks that they do not contradict one another.
    ///
    /// # Errors
    ///
    /// They do, or one is out of range.
    pub fn check(&self) -> Result<(), Error> {
        for [total, read, write] in [self.bps, self.iops] {
            if total != 0 && (read != 0 || write != 0) {
                return Err(Error::new(
                    "bps/iops/max total values and read/write values cannot be used at the \
                     same time",
                ));
            }
            if total < 0 || read < 0 || write < 0 {
                return Err(Error::new(
                    "bps/iops/max values must be within [0, 1000000000000000]",
                ));
            }
        }
        Ok(())
    }
}
