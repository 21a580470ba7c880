//! Block nodes, of which disks are made.
//!
//! A node is a file of the host, or a view of another node (`raw`). A device has
//! at most one, its *drive*; a node has at most one user that writes, which is a
//! device or another node. Nothing in the machine reads or writes contents:
//! a node is opened, described, resized and closed.

mod drive;
mod node;

#[cfg(test)]
mod tests;

pub(crate) use drive::set_drive;
pub use drive::Drive;
pub(crate) use node::no_node;
pub use node::{BlockNode, Blocks};

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
}
