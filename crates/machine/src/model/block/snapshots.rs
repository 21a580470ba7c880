//! Internal snapshots of nodes, and what is kept of a machine with them.

use std::io;

use nix::errno::Errno;

use super::graph::Blocks;
use super::io::Change;
use super::node::NodeId;
use super::qcow2::Snapshot;

impl Blocks {
    /// Whether a node can have internal snapshots now.
    pub fn can_snapshot(&self, name: &str) -> bool {
        self.node(name)
            .is_some_and(|node| node.qcow2().is_some() && !node.read_only)
    }

    /// The internal snapshots of a node, the oldest first.
    pub fn snapshots(&self, name: &str) -> &[Snapshot] {
        let image = self.node(name).and_then(|node| node.qcow2());
        image.map_or(&[], |image| &image.snapshots)
    }

    /// Makes an internal snapshot and returns its number. What was written with
    /// [`write_vm_state`](Self::write_vm_state) is in it.
    ///
    /// # Errors
    ///
    /// The node has no snapshots, or there is no space.
    pub fn snapshot_save(
        &mut self,
        name: &str,
        snapshot: &str,
        date: (u32, u32),
        vm_clock: u64,
        vm_state_size: u64,
    ) -> io::Result<String> {
        let id = self.snapshot_node(name)?;
        self.with_image(id, |image, file| {
            image.snapshot_create(file, snapshot, date, vm_clock, vm_state_size)
        })
    }

    /// Makes a disk what it was at a snapshot, named by its number.
    ///
    /// # Errors
    ///
    /// There is no such snapshot, or the image cannot be written.
    pub fn snapshot_load(&mut self, name: &str, snapshot: &str) -> io::Result<()> {
        let id = self.snapshot_node(name)?;
        let gone = self.with_image(id, |image, file| image.snapshot_goto(file, snapshot));
        let length = self.length_of(id);
        for bitmap in &mut self.at(id)?.bitmaps {
            bitmap.set.set_length(length);
        }
        gone
    }

    /// Takes a snapshot away, named by its number.
    ///
    /// # Errors
    ///
    /// There is no such snapshot, or the image cannot be written.
    pub fn snapshot_delete(&mut self, name: &str, snapshot: &str) -> io::Result<Snapshot> {
        let id = self.snapshot_node(name)?;
        self.with_image(id, |image, file| image.snapshot_delete(file, snapshot))
    }

    /// Writes a part of a saved machine, which the next snapshot keeps.
    ///
    /// # Errors
    ///
    /// The node has no snapshots, or there is no space.
    pub fn write_vm_state(&mut self, name: &str, offset: u64, from: &[u8]) -> io::Result<()> {
        let id = self.snapshot_node(name)?;
        let start = self.vm_state_start(id)?;
        self.change_image(id, start + offset, Change::Write(from))
    }

    /// Reads a part of the saved machine that the last snapshot loaded has.
    ///
    /// # Errors
    ///
    /// The node has no snapshots, or the image cannot be read.
    pub fn read_vm_state(&mut self, name: &str, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let id = self.snapshot_node(name)?;
        let start = self.vm_state_start(id)?;
        self.read_image(id, start + offset, into)
    }

    /// Drops what [`write_vm_state`](Self::write_vm_state) wrote, once a snapshot has it.
    ///
    /// # Errors
    ///
    /// The image cannot be written.
    pub fn drop_vm_state(&mut self, name: &str, length: u64) -> io::Result<()> {
        let id = self.snapshot_node(name)?;
        let start = self.vm_state_start(id)?;
        self.with_image(id, |image, file| {
            let clusters = length.div_ceil(image.header.cluster_size());
            image
                .drop_clusters(file, start, clusters, false)
                .map(|_| ())
        })
    }

    fn vm_state_start(&mut self, id: NodeId) -> io::Result<u64> {
        let image = self.at(id)?.qcow2().ok_or(Errno::ENOTSUP)?;
        Ok(image.vm_state_start())
    }

    fn snapshot_node(&self, name: &str) -> io::Result<NodeId> {
        let id = self.id(name).ok_or(Errno::ENOENT)?;
        if self.nodes[&id].qcow2().is_none() {
            return Err(Errno::ENOTSUP.into());
        }
        Ok(id)
    }
}
