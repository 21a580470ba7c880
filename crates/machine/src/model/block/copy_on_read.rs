//! The filter `copy-on-read`: what is read from the images below one goes into that one.

use std::io;

use super::bytes::ExtentKind;
use super::graph::Blocks;
use super::io::Change;
use super::node::NodeId;

impl Blocks {
    /// Reads bytes of an image and keeps those that it had not.
    pub(super) fn read_and_keep(
        &mut self,
        image: NodeId,
        offset: u64,
        into: &mut [u8],
    ) -> io::Result<()> {
        let end = offset + into.len() as u64;
        let can_keep = self
            .nodes
            .get(&image)
            .is_some_and(|node| !node.read_only && node.qcow2().is_some());
        let mut at = offset;
        while can_keep && at < end {
            let extent = self.status_at(image, at, end - at)?;
            if extent.kind == ExtentKind::Unallocated {
                self.keep(image, at, at + extent.length)?;
            }
            at += extent.length;
        }
        self.read_at(image, offset, into)
    }

    /// Writes whole clusters that the image has not, as far as they are below it.
    fn keep(&mut self, image: NodeId, start: u64, end: u64) -> io::Result<()> {
        let cluster = self.nodes.get(&image).and_then(|node| node.qcow2());
        let cluster = cluster.map_or(512, |image| image.header.cluster_size());
        let end = (end.div_ceil(cluster) * cluster).min(self.length_of(image));
        let mut at = start - start % cluster;
        let mut bytes = Vec::new();
        while at < end {
            let length = cluster.max(65536).min(end - at);
            bytes.resize(usize::try_from(length).unwrap_or(0), 0);
            self.read_at(image, at, &mut bytes)?;
            let change = if bytes.iter().all(|byte| *byte == 0) {
                Change::Zero(length)
            } else {
                Change::Write(&bytes)
            };
            self.change(image, at, change)?;
            at += length;
        }
        Ok(())
    }
}
