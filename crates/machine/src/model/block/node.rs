//! Block nodes, which know nothing of the devices that use them.

use std::fs::File;

use super::faults::Faults;
use super::granules::Bitmap;
use super::image::Header;
use super::nbd::Remote;
use super::qcow2::Qcow2;
use crate::schema::{BlockdevDetectZeroesOptions, BlockdevDriver};

/// A node for the block layer itself, which names are too slow for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) u64);

/// A node of the block layer.
#[derive(Debug)]
pub struct BlockNode {
    /// Its name.
    pub name: String,
    /// Its driver.
    pub driver: BlockdevDriver,
    /// The name of a driver that only jobs use.
    pub job_driver: Option<&'static str>,
    /// The name of the file at the bottom.
    pub filename: String,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// How writes are cached: past the host's cache, and without making them safe.
    pub direct: bool,
    #[allow(missing_docs)]
    pub no_flush: bool,
    /// Whether writes of zeros are detected.
    pub detect_zeroes: BlockdevDetectZeroesOptions,
    /// Where its contents are.
    pub(super) content: Content,
    /// The node that it shows or that its format is in.
    pub(super) file: Option<NodeId>,
    /// The node below, which has what is not in this one.
    pub(super) backing: Option<NodeId>,
    /// The name of the image below that the image itself leads to.
    pub(super) auto_backing: Option<String>,
    /// Whether it was made for another node, and goes with it.
    pub(super) implicit: bool,
    /// Its dirty bitmaps, the newest first; those without a name are a job's.
    pub bitmaps: Vec<Bitmap>,
    /// The write beyond this offset is told; zero for none.
    pub write_threshold: u64,
    /// The end of the highest write.
    pub highest_write: u64,
    /// Who refuses operations on it, and with which words.
    pub(super) blockers: Vec<Blocker>,
}

/// A user that refuses operations on a node.
#[derive(Debug, Clone)]
pub(super) struct Blocker {
    pub(super) owner: String,
    pub(super) reason: String,
    pub(super) except: Vec<BlockOp>,
}

/// Operations that one user of a node refuses to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BlockOp {
    BackupSource,
    BackupTarget,
    Change,
    CommitSource,
    CommitTarget,
    Delete,
    Eject,
    ExternalSnapshot,
    InternalSnapshot,
    InternalSnapshotDelete,
    MirrorSource,
    MirrorTarget,
    Replace,
    Resize,
    Stream,
}

/// Where the bytes of a node are.
#[derive(Debug)]
pub(super) enum Content {
    /// In a file of the host.
    Host(File),
    /// At another server.
    Remote(Box<Remote>),
    /// Nowhere; there is a size only.
    Null {
        size: u64,
        /// What was said of it.
        given_size: Option<u64>,
        read_zeroes: Option<bool>,
    },
    /// In the node below, from an offset on, all of it or so many bytes.
    View { offset: u64, size: Option<u64> },
    /// In a format; this program knows only its header.
    Described(Header),
    /// In clusters of the node below.
    Qcow2(Box<Qcow2>),
    /// In the node below, unless it is to fail.
    Faults(Box<Faults>),
    /// In a filter that a job put here.
    Filter(Filter),
    /// It is being worked on.
    Taken,
}

/// What a filter of a job does with a write to the node below.
#[derive(Debug, Default)]
pub struct Filter {
    /// The node that old bytes go to before they are overwritten, as long as this bitmap has
    /// them (`copy-before-write`).
    pub copy_before: Option<(NodeId, Bitmap)>,
    /// The node that is written as well (`copy-mode=write-blocking`).
    pub copy_after: Option<NodeId>,
}

impl BlockNode {
    /// The name of its driver.
    pub fn driver_name(&self) -> &'static str {
        self.job_driver.unwrap_or(self.driver.as_str())
    }

    /// The node that a filter or a view has its bytes in.
    pub(super) fn shown(&self) -> Option<NodeId> {
        match self.content {
            Content::View { .. } | Content::Faults(_) | Content::Filter(_) => {
                self.file.or(self.backing)
            }
            _ => None,
        }
    }

    /// Whether it passes everything on to the node that it shows.
    pub fn is_filter(&self) -> bool {
        matches!(
            self.driver,
            BlockdevDriver::CopyOnRead
                | BlockdevDriver::Throttle
                | BlockdevDriver::Compress
                | BlockdevDriver::Blkdebug
                | BlockdevDriver::CopyBeforeWrite
                | BlockdevDriver::Preallocate
        ) || matches!(self.content, Content::Filter(_))
    }

    /// What the format says of the disk, where only that is known.
    pub fn header(&self) -> Option<&Header> {
        match &self.content {
            Content::Described(header) => Some(header),
            _ => None,
        }
    }

    /// The image in it, if its format is `qcow2`.
    pub fn qcow2(&self) -> Option<&Qcow2> {
        match &self.content {
            Content::Qcow2(image) => Some(image),
            _ => None,
        }
    }

    /// Its bitmap of that name.
    pub fn bitmap(&self, name: &str) -> Option<&Bitmap> {
        self.bitmaps
            .iter()
            .find(|b| b.name.as_deref() == Some(name))
    }

    #[allow(missing_docs)]
    pub fn bitmap_mut(&mut self, name: &str) -> Option<&mut Bitmap> {
        let mut bitmaps = self.bitmaps.iter_mut();
        bitmaps.find(|b| b.name.as_deref() == Some(name))
    }
}
