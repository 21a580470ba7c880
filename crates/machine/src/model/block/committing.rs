//! The command `commit` of the human monitor: what an image has goes into the image below it,
//! all at once, and the image is empty afterwards.

use std::io;

use nix::errno::Errno;

use super::bytes::ExtentKind;
use super::graph::Blocks;
use super::node::BlockOp;

/// How much is copied at once.
const PIECE: u64 = 1 << 20;

impl Blocks {
    /// Whether there is an image below one, so that `commit all` means it.
    pub fn can_commit(&self, node: &str) -> bool {
        self.node(node).is_some_and(|node| node.backing.is_some())
    }

    /// Writes what an image has into the one below it, and empties it.
    ///
    /// # Errors
    ///
    /// There is no image below it, a job has one of them, or one cannot be read or written.
    pub fn commit_image(&mut self, name: &str) -> io::Result<()> {
        let node = self.node(name).ok_or(Errno::ENOMEDIUM)?;
        let below = self.backing_of(node).ok_or(Errno::ENOTSUP)?;
        let below = below.name.clone();
        let is_refused = self.refused_op(name, BlockOp::CommitSource).is_some()
            || self.refused_op(&below, BlockOp::CommitTarget).is_some();
        if is_refused {
            return Err(Errno::EBUSY.into());
        }
        let was_read_only = self.node(&below).is_some_and(|node| node.read_only);
        if was_read_only {
            let opened = self.set_read_only(&below, false);
            opened.map_err(|_| io::Error::from(Errno::EACCES))?;
        }
        let committed = self.move_down(name, &below);
        if was_read_only {
            // As QEMU does: an image that cannot be closed for writing stays open.
            let _ = self.set_read_only(&below, true);
        }
        committed
    }

    fn move_down(&mut self, name: &str, below: &str) -> io::Result<()> {
        let end = self.length(name);
        if end > self.length(below) {
            let grown = self.truncate(below, end);
            grown.map_err(|_| io::Error::from(Errno::EIO))?;
        }
        let mut buffer = Vec::new();
        let mut at = 0;
        while at < end {
            let extent = self.status(name, at, PIECE.min(end - at))?;
            match extent.kind {
                ExtentKind::Unallocated => {}
                ExtentKind::Zero => self.write_zeroes(below, at, extent.length)?,
                ExtentKind::Data => {
                    buffer.resize(usize::try_from(extent.length).unwrap_or(0), 0);
                    self.read(name, at, &mut buffer)?;
                    self.write(below, at, &buffer)?;
                }
            }
            at += extent.length;
        }
        self.flush(below)?;
        if let Some(id) = self.id(name) {
            self.with_image(id, |image, file| {
                let clusters = end.div_ceil(image.header.cluster_size());
                image.drop_clusters(file, 0, clusters, false).map(|_| ())
            })?;
        }
        self.flush(name)
    }
}
