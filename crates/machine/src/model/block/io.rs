//! Bytes of nodes: read, written, made zero, given back, and where they are.
//!
//! A call does all its work at once. Callers hand over pieces, so that no call takes long.

use std::io;

use nix::errno::Errno;
use qmonitor::qapi::Error;

use super::bytes::{beyond_end, unsupported, Bytes, Extent, ExtentKind};
use super::graph::{no_node, not_found, BlockEvent, Blocks};
use super::host;
use super::node::{BlockNode, BlockOp, Content, NodeId};
use crate::schema::{BlkdebugEvent, BlkdebugIOType, BlockdevDetectZeroesOptions, BlockdevDriver};

/// Disks have whole sectors.
const SECTOR: u64 = 512;

/// What is done to a piece of a node.
#[derive(Clone, Copy)]
pub(super) enum Change<'a> {
    Write(&'a [u8]),
    Zero(u64),
    Discard(u64),
}

impl Change<'_> {
    pub(super) fn length(self) -> u64 {
        match self {
            Change::Write(bytes) => bytes.len() as u64,
            Change::Zero(length) | Change::Discard(length) => length,
        }
    }
}

/// A node as the file that a format is in.
pub(super) struct NodeBytes<'a> {
    pub(super) blocks: &'a mut Blocks,
    pub(super) id: NodeId,
}

impl Bytes for NodeBytes<'_> {
    fn length(&self) -> u64 {
        self.blocks.length_of(self.id)
    }

    fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.blocks.read_at(self.id, offset, into)
    }

    fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        self.blocks.change(self.id, offset, Change::Write(from))
    }

    fn zero(&mut self, offset: u64, length: u64) -> io::Result<()> {
        self.blocks.change(self.id, offset, Change::Zero(length))
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.blocks.set_length(self.id, length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.blocks.flush_at(self.id)
    }

    fn happens(&mut self, event: BlkdebugEvent) {
        self.blocks.happens(self.id, event);
    }
}

impl Blocks {
    /// How large the disk is, in bytes, in whole sectors.
    pub fn length(&self, node: &str) -> u64 {
        self.id(node).map_or(0, |id| self.length_of(id))
    }

    pub(super) fn length_of(&self, id: NodeId) -> u64 {
        let Some(node) = self.nodes.get(&id) else {
            return 0;
        };
        let length = match &node.content {
            Content::Host(file) => host::length(file),
            Content::Remote(remote) => remote.size(),
            Content::Null { size, .. } => *size,
            Content::Described(header) => header.virtual_size,
            Content::View {
                size: Some(size), ..
            } => *size,
            Content::View { offset, size: None } => {
                let below = node.shown().map_or(0, |below| self.length_of(below));
                below.saturating_sub(*offset)
            }
            Content::Filter(_) | Content::Faults(_) => {
                node.shown().map_or(0, |below| self.length_of(below))
            }
            Content::Qcow2(image) => image.header.size,
            Content::Taken => 0,
        };
        length.div_ceil(SECTOR) * SECTOR
    }

    /// Whether a node is a file of the host, seen through views of it.
    pub(crate) fn is_host_file(&self, node: &str) -> bool {
        let mut id = self.id(node);
        while let Some(node) = id.and_then(|id| self.nodes.get(&id)) {
            match node.content {
                Content::Host(_) => return true,
                Content::View { .. } | Content::Filter(_) => id = node.shown(),
                _ => return false,
            }
        }
        false
    }

    /// Reads bytes of a disk, from the nodes below where this one has none.
    ///
    /// # Errors
    ///
    /// The disk ends before, or its file cannot be read.
    pub fn read(&mut self, node: &str, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let id = self.reach(node, offset, into.len() as u64)?;
        self.read_at(id, offset, into)
    }

    /// Writes bytes of a disk and marks its dirty bitmaps.
    ///
    /// # Errors
    ///
    /// The disk ends before, cannot be written, or its file has no space.
    pub fn write(&mut self, node: &str, offset: u64, from: &[u8]) -> io::Result<()> {
        let id = self.reach_to_write(node, offset, from.len() as u64)?;
        self.change(id, offset, Change::Write(from))
    }

    /// Makes bytes of a disk zero, which takes no space if the format can do that.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_zeroes(&mut self, node: &str, offset: u64, length: u64) -> io::Result<()> {
        let id = self.reach_to_write(node, offset, length)?;
        self.change(id, offset, Change::Zero(length))
    }

    /// Gives the space of bytes back. They are zeros afterwards, or as before.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn discard(&mut self, node: &str, offset: u64, length: u64) -> io::Result<()> {
        let id = self.reach_to_write(node, offset, length)?;
        self.change(id, offset, Change::Discard(length))
    }

    /// Has the host write what it holds back of a disk.
    ///
    /// # Errors
    ///
    /// The host's.
    pub fn flush(&mut self, node: &str) -> io::Result<()> {
        let id = self.reach(node, 0, 0)?;
        self.flush_at(id)
    }

    /// Where the bytes from an offset on are, seen by this node alone, and how long that goes
    /// on, at most a length. A filter is asked as the node below it.
    ///
    /// # Errors
    ///
    /// The disk ends before, or its tables cannot be read.
    pub fn status(&mut self, node: &str, offset: u64, length: u64) -> io::Result<Extent> {
        let id = self.reach(node, offset, length)?;
        self.status_at(id, offset, length)
    }

    /// Makes a disk larger or smaller.
    ///
    /// # Errors
    ///
    /// There is no such node, it cannot be written, its driver cannot do that, or the host
    /// refuses.
    pub fn truncate(&mut self, name: &str, length: u64) -> Result<(), Error> {
        let node = self.node(name).ok_or_else(|| not_found("", name))?;
        if node.read_only {
            return Err(Error::new("Image is read-only"));
        }
        let id = self.id(name).ok_or_else(|| no_node(name))?;
        self.set_length(id, length).map_err(|e| {
            if e.raw_os_error() == Some(Errno::ENOTSUP as i32) {
                Error::new("Image format driver does not support resize")
            } else if e.raw_os_error() == Some(Errno::EFBIG as i32) {
                Error::from_io("Failed to grow the L1 table", &e)
            } else {
                Error::from_io("Failed to resize underlying file", &e)
            }
        })
    }

    /// Makes a disk larger or smaller (`block_resize`).
    ///
    /// # Errors
    ///
    /// As [`truncate`](Self::truncate), or the size is negative, or a job has the disk.
    pub fn resize(&mut self, name: &str, size: i64) -> Result<(), Error> {
        self.node(name).ok_or_else(|| not_found("", name))?;
        let size =
            u64::try_from(size).map_err(|_| Error::new("Parameter 'size' expects a >0 size"))?;
        self.check_op(name, BlockOp::Resize)?;
        if size % SECTOR != 0 && self.node(name).is_some_and(|n| n.qcow2().is_some()) {
            return Err(Error::new("The new size must be a multiple of 512"));
        }
        let is_writer = |node: &BlockNode, role: &str| {
            matches!(node.content, Content::Filter(_)) || role == "file" && node.qcow2().is_some()
        };
        let filter = self
            .parents(name)
            .find(|(node, role)| is_writer(node, role));
        if let Some((filter, role)) = filter {
            return Err(Error::new(format!(
                "Permission conflict on node '{name}': permissions 'resize' are both required \
                 by an unnamed block device (uses node '{name}' as 'root' child) and unshared by \
                 node '{}' (uses node '{name}' as '{role}' child).",
                filter.name
            )));
        }
        self.truncate(name, size)
    }

    fn reach(&self, name: &str, offset: u64, length: u64) -> io::Result<NodeId> {
        let id = self.id(name).ok_or(Errno::ENOENT)?;
        let end = offset.checked_add(length).ok_or_else(beyond_end)?;
        if end > self.length_of(id) {
            return Err(beyond_end());
        }
        Ok(id)
    }

    fn reach_to_write(&self, name: &str, offset: u64, length: u64) -> io::Result<NodeId> {
        let id = self.reach(name, offset, length)?;
        if self.nodes[&id].read_only {
            return Err(Errno::EPERM.into());
        }
        Ok(id)
    }

    pub(super) fn at(&mut self, id: NodeId) -> io::Result<&mut BlockNode> {
        self.nodes.get_mut(&id).ok_or_else(|| Errno::ENOENT.into())
    }

    pub(super) fn read_at(&mut self, id: NodeId, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.check_fault(id, BlkdebugIOType::Read, offset, into.len() as u64)?;
        let (node, threads) = self.at_with_threads(id)?;
        let shown = node.shown();
        let keeps = node.driver == BlockdevDriver::CopyOnRead;
        match (&mut node.content, shown) {
            (Content::View { .. }, Some(image)) if keeps => {
                self.at_once(|blocks| blocks.read_and_keep(image, offset, into))
            }
            (Content::Host(file), _) => host::read(file, offset, into),
            (Content::Remote(remote), _) => remote.read(offset, into, threads),
            (Content::Null { .. }, _) => {
                into.fill(0);
                Ok(())
            }
            (Content::View { offset: start, .. }, Some(below)) => {
                let offset = offset + *start;
                self.happens(below, BlkdebugEvent::ReadAio);
                self.read_at(below, offset, into)
            }
            (Content::Filter(_) | Content::Faults(_), Some(below)) => {
                self.read_at(below, offset, into)
            }
            (Content::Qcow2(_), _) => self.at_once(|blocks| blocks.read_image(id, offset, into)),
            _ => Err(unsupported()),
        }
    }

    /// Changes a piece of a node, which may be behind its end if a format is in the node.
    pub(super) fn change(&mut self, id: NodeId, offset: u64, change: Change<'_>) -> io::Result<()> {
        if change.length() == 0 {
            return Ok(());
        }
        let kind = match change {
            Change::Write(_) => BlkdebugIOType::Write,
            Change::Zero(_) => BlkdebugIOType::WriteZeroes,
            Change::Discard(_) => BlkdebugIOType::Discard,
        };
        match change {
            Change::Write(_) => self.happens(id, BlkdebugEvent::Pwritev),
            Change::Zero(_) => self.happens(id, BlkdebugEvent::PwritevZero),
            Change::Discard(_) => {}
        }
        self.check_fault(id, kind, offset, change.length())?;
        self.note_write(id, offset, change)?;
        let (node, threads) = self.at_with_threads(id)?;
        let detects = node.detect_zeroes != BlockdevDetectZeroesOptions::Off;
        let change = match change {
            Change::Write(from) if detects && from.iter().all(|byte| *byte == 0) => {
                Change::Zero(from.len() as u64)
            }
            change => change,
        };
        let shown = node.shown();
        match (&mut node.content, shown) {
            (Content::Host(file), _) => change_file(file, offset, change),
            (Content::Remote(remote), _) => match change {
                Change::Write(from) => remote.write(offset, from, threads),
                Change::Zero(length) => remote.clear(offset, length, true, threads),
                Change::Discard(length) => remote.clear(offset, length, false, threads),
            },
            (Content::Null { .. }, _) => Ok(()),
            (Content::View { offset: start, .. }, Some(below)) => {
                let offset = offset + *start;
                if kind == BlkdebugIOType::Write {
                    self.happens(below, BlkdebugEvent::WriteAio);
                }
                self.change(below, offset, change)
            }
            (Content::Faults(_), Some(below)) => self.change(below, offset, change),
            (Content::Filter(_), Some(below)) => {
                self.at_once(|blocks| blocks.change_filtered(id, below, offset, change))
            }
            (Content::Qcow2(_), _) => {
                self.at_once(|blocks| blocks.change_image(id, offset, change))
            }
            _ => Err(unsupported()),
        }
    }

    /// Marks bitmaps, and tells of a threshold.
    fn note_write(&mut self, id: NodeId, offset: u64, change: Change<'_>) -> io::Result<()> {
        let node = self.at(id)?;
        let end = offset + change.length();
        for bitmap in node.bitmaps.iter_mut().filter(|b| b.enabled) {
            bitmap.set.insert(offset, change.length());
        }
        if matches!(change, Change::Discard(_)) {
            return Ok(());
        }
        node.highest_write = node.highest_write.max(end);
        let threshold = node.write_threshold;
        if threshold > 0 && end > threshold {
            node.write_threshold = 0;
            let event = BlockEvent::WriteThreshold {
                node: node.name.clone(),
                threshold,
                exceeded: end - threshold,
            };
            self.events.push(event);
        }
        Ok(())
    }

    fn change_filtered(
        &mut self,
        id: NodeId,
        below: NodeId,
        offset: u64,
        change: Change<'_>,
    ) -> io::Result<()> {
        self.copy_old_bytes(id, below, offset, change.length())?;
        self.change(below, offset, change)?;
        let copy = match &self.at(id)?.content {
            Content::Filter(filter) => filter.copy_after,
            _ => None,
        };
        copy.map_or(Ok(()), |target| self.change(target, offset, change))
    }

    /// Copies what is about to be overwritten, if a job waits for it.
    fn copy_old_bytes(
        &mut self,
        id: NodeId,
        below: NodeId,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        let end = offset + length;
        let mut from = offset;
        loop {
            let Content::Filter(filter) = &self.at(id)?.content else {
                return Ok(());
            };
            let Some((target, todo)) = &filter.copy_before else {
                return Ok(());
            };
            let target = *target;
            from -= from % u64::from(todo.set.granularity());
            let Some((start, size)) = todo.set.next(from, 1 << 16).filter(|(at, _)| *at < end)
            else {
                return Ok(());
            };
            let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
            self.read_at(below, start, &mut bytes)?;
            self.change(target, start, Change::Write(&bytes))?;
            if let Content::Filter(filter) = &mut self.at(id)?.content {
                if let Some((_, todo)) = &mut filter.copy_before {
                    todo.set.remove(start, size);
                }
            }
            from = start + size;
        }
    }

    fn flush_at(&mut self, id: NodeId) -> io::Result<()> {
        self.check_fault(id, BlkdebugIOType::Flush, 0, u64::MAX)?;
        let node = self.nodes.get_mut(&id).ok_or(Errno::ENOENT)?;
        if node.no_flush {
            return Ok(());
        }
        let below = node.shown().or(node.file);
        let threads = self.background.as_mut().filter(|_| self.may_wait);
        match (&mut node.content, below) {
            (Content::Host(file), _) => match threads {
                Some(threads) => threads.flush(id, file),
                None => file.sync_data(),
            },
            (Content::Remote(remote), _) => remote.flush(threads.as_deref()),
            (_, Some(below)) => self.flush_at(below),
            _ => Ok(()),
        }
    }

    pub(super) fn status_at(&mut self, id: NodeId, offset: u64, length: u64) -> io::Result<Extent> {
        self.check_fault(id, BlkdebugIOType::BlockStatus, offset, length)?;
        let (node, threads) = self.at_with_threads(id)?;
        let shown = node.shown();
        let all = |kind| Extent { length, kind };
        Ok(match (&mut node.content, shown) {
            (Content::Host(file), _) => host::status(file, offset, length),
            (Content::Remote(remote), _) => remote.status(offset, length, threads)?,
            (Content::Null { read_zeroes, .. }, _) => all(if *read_zeroes == Some(true) {
                ExtentKind::Zero
            } else {
                ExtentKind::Data
            }),
            (Content::View { offset: start, .. }, Some(below)) => {
                let offset = offset + *start;
                self.status_at(below, offset, length)?
            }
            (Content::Filter(_) | Content::Faults(_), Some(below)) => {
                self.status_at(below, offset, length)?
            }
            (Content::Qcow2(_), _) => {
                self.at_once(|blocks| blocks.image_status(id, offset, length))?
            }
            _ => all(ExtentKind::Data),
        })
    }

    fn set_length(&mut self, id: NodeId, length: u64) -> io::Result<()> {
        let node = self.at(id)?;
        let shown = node.shown();
        match (&mut node.content, shown) {
            (Content::Host(file), _) => file.set_len(length)?,
            (Content::View { offset, size: None }, Some(below)) => {
                let length = *offset + length;
                self.set_length(below, length)?;
            }
            (Content::Filter(_) | Content::Faults(_), Some(below)) => {
                self.set_length(below, length)?;
            }
            (Content::Qcow2(_), _) => self.with_image(id, |q, file| q.set_size(file, length))?,
            _ => return Err(unsupported()),
        }
        let length = self.length_of(id);
        for bitmap in &mut self.at(id)?.bitmaps {
            bitmap.set.set_length(length);
        }
        Ok(())
    }
}

fn change_file(file: &std::fs::File, offset: u64, change: Change<'_>) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    match change {
        Change::Write(from) => file.write_all_at(from, offset),
        Change::Zero(length) => host::zero(file, offset, length),
        Change::Discard(length) => {
            // Not every host can, and no client is promised it.
            host::punch(file, offset, length).or(Ok(()))
        }
    }
}
