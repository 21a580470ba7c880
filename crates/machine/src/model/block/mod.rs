//! Block nodes: disks are made of them.
//!
//! A node is a file of the host, or a view of another node (`raw`). A device has
//! at most one, its *drive*; a node has at most one user that writes, which is a
//! device or another node. No guest reads or writes contents: jobs, clients of
//! exports and commands for tests do.

mod backend;
mod background;
mod bitmaps;
mod blockers;
mod bytes;
mod chain;
mod committing;
mod copy_on_read;
mod drive;
mod exporting;
mod exports;
mod faults;
mod granules;
mod graph;
mod host;
mod image;
mod io;
mod layers;
mod making;
mod names;
mod nbd;
mod node;
mod open;
mod permissions;
mod qcow2;
mod reopen;
mod sha256;
mod snapshots;

#[cfg(test)]
mod damage_test;
#[cfg(test)]
mod images_test;
#[cfg(test)]
mod kept_test;
#[cfg(test)]
mod tests;

use qmonitor::qapi::Error;

pub use backend::{Backend, Backends, Interface, Medium};
pub use background::take_wakes;
pub use bitmaps::NewBitmap;
pub use bytes::{Extent, ExtentKind};
pub(crate) use drive::set_drive;
pub use drive::Drive;
pub use exports::{Export, Exports};
pub use faults::add_rules;
pub use granules::{Bitmap, Granules};
pub(crate) use graph::no_node;
pub use graph::{BlockEvent, Blocks};
pub use image::{probe, Header};
pub use making::NewFile;
pub use nbd::{connect, NbdClient, NbdServer, NbdStream, Session};
pub use node::{BlockNode, BlockOp, Filter, NodeId};
pub use open::Image;
pub use qcow2::{NewImage, Qcow2, Snapshot, StoredBitmap};
pub use sha256::sha256;

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
