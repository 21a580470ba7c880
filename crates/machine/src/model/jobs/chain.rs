//! Chains of nodes below one another, as jobs see them, and copies of pieces.

use std::io;

use super::piece::Piece;
use super::work::{Disks, Failure};
use crate::model::block::{BlockOp, Blocks, Extent, ExtentKind, Filter};
use crate::model::Machine;
use qmonitor::qapi::Error;

/// The node below filters.
pub(crate) fn unfiltered(blocks: &Blocks, node: &str) -> String {
    let mut name = node;
    while let Some(node) = blocks.node(name).filter(|node| node.is_filter()) {
        let below = blocks.file_of(node).or_else(|| blocks.backing_of(node));
        match below {
            Some(below) => name = &below.name,
            None => break,
        }
    }
    name.to_owned()
}

/// The node below an image, without filters.
pub(crate) fn backing(blocks: &Blocks, node: &str) -> Option<String> {
    let image = unfiltered(blocks, node);
    let below = blocks.backing_of(blocks.node(&image)?)?;
    Some(unfiltered(blocks, &below.name))
}

/// The images from a node down to a base, which is left out. `None` if the base is not
/// below the node.
pub(crate) fn above(blocks: &Blocks, top: &str, base: Option<&str>) -> Option<Vec<String>> {
    let mut found = vec![unfiltered(blocks, top)];
    loop {
        let last = found.last()?;
        if Some(last.as_str()) == base {
            found.pop();
            return Some(found);
        }
        match backing(blocks, last) {
            Some(below) => found.push(below),
            None => return base.is_none().then_some(found),
        }
    }
}

/// The image in a chain that has that file.
pub(crate) fn find_file(blocks: &Blocks, top: &str, filename: &str) -> Option<String> {
    let chain = above(blocks, top, None)?;
    let has = |name: &String| blocks.node(name).is_some_and(|n| n.filename == filename);
    chain.into_iter().find(has)
}

/// Where the bytes of a chain are from an offset on, down to a base, which is not asked.
pub(super) fn status_above(
    blocks: &mut Blocks,
    top: &str,
    base: Option<&str>,
    offset: u64,
    length: u64,
) -> io::Result<Extent> {
    let mut node = unfiltered(blocks, top);
    let mut length = length;
    loop {
        let kind = ExtentKind::Unallocated;
        if Some(node.as_str()) == base {
            return Ok(Extent { length, kind });
        }
        let end = blocks.length(&node);
        if offset >= end {
            // An image that is shorter than those above has zeros behind its end.
            let kind = ExtentKind::Zero;
            return Ok(Extent { length, kind });
        }
        let extent = blocks.status(&node, offset, length.min(end - offset))?;
        length = extent.length;
        if extent.kind != ExtentKind::Unallocated {
            return Ok(extent);
        }
        match backing(blocks, &node) {
            Some(below) => node = below,
            None => return Ok(Extent { length, kind }),
        }
    }
}

/// Copies the next part of a piece from one node to another.
pub(super) fn copy_part(
    blocks: &mut Blocks,
    buffer: &mut Vec<u8>,
    nodes: (&str, &str),
    piece: &mut Piece,
) -> Result<(), Failure> {
    let (offset, length) = piece.next();
    copy(blocks, buffer, nodes, offset, length)?;
    piece.advance(length);
    Ok(())
}

/// Copies bytes from one node to another.
pub(super) fn copy(
    blocks: &mut Blocks,
    buffer: &mut Vec<u8>,
    (from, to): (&str, &str),
    offset: u64,
    length: u64,
) -> Result<(), Failure> {
    if blocks.is_host_file(from) && blocks.is_host_file(to) {
        return copy_with_holes(blocks, buffer, (from, to), offset, length);
    }
    copy_bytes(blocks, buffer, (from, to), offset, length)
}

/// Copies from file to file, and leaves out the holes: a piece may be larger than those.
fn copy_with_holes(
    blocks: &mut Blocks,
    buffer: &mut Vec<u8>,
    (from, to): (&str, &str),
    offset: u64,
    length: u64,
) -> Result<(), Failure> {
    let end = offset + length;
    let mut at = offset;
    while at < end {
        let extent = blocks.status(from, at, end - at).map_err(Failure::read)?;
        if extent.kind == ExtentKind::Data {
            copy_bytes(blocks, buffer, (from, to), at, extent.length)?;
        } else {
            let zeroed = blocks.write_zeroes(to, at, extent.length);
            zeroed.map_err(Failure::write)?;
        }
        at += extent.length;
    }
    Ok(())
}

fn copy_bytes(
    blocks: &mut Blocks,
    buffer: &mut Vec<u8>,
    (from, to): (&str, &str),
    offset: u64,
    length: u64,
) -> Result<(), Failure> {
    let length = usize::try_from(length).unwrap_or(0);
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    let bytes = &mut buffer[..length];
    blocks.read(from, offset, bytes).map_err(Failure::read)?;
    blocks.write(to, offset, bytes).map_err(Failure::write)
}

/// The reason for which a job refuses operations on its nodes.
pub(super) fn in_use(kind: &str) -> String {
    format!("block device is in use by block job: {kind}")
}

impl Machine {
    /// Puts a filter of a job above a node.
    pub(super) fn insert_filter(
        &mut self,
        name: Option<&str>,
        driver: &'static str,
        below: &str,
        filter: Filter,
    ) -> Result<String, Error> {
        let name = self.blocks.add_filter(name, driver, below, filter)?;
        self.replace_node(below, &name)?;
        Ok(name)
    }

    /// Closes a node that was made for a drive, if that drive has lost it.
    fn drop_unused(&mut self, node: &str) {
        if !self.is_in_drive(node) {
            self.blocks.close_unused_node(node);
        }
    }

    /// Checks that no job refuses an operation on the node in a drive.
    ///
    /// # Errors
    ///
    /// One does; the error has its words.
    pub(crate) fn check_drive(&self, drive: &str, node: &str, op: BlockOp) -> Result<(), Error> {
        let image = unfiltered(&self.blocks, node);
        self.blocks.refused_op(&image, op).map_or(Ok(()), |reason| {
            let name = if drive.is_empty() { &image } else { drive };
            Err(Error::new(format!("Node '{name}' is busy: {reason}")))
        })
    }
}

impl Disks for Machine {
    fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    fn remove_filter(&mut self, filter: &str) {
        let node = self.blocks.node(filter);
        let below = node.and_then(|node| {
            let below = self.blocks.file_of(node);
            below.or_else(|| self.blocks.backing_of(node))
        });
        let Some(below) = below.map(|node| node.name.clone()) else {
            return;
        };
        let replaced = self.replace_node(filter, &below);
        debug_assert!(replaced.is_ok(), "both nodes exist");
        self.blocks.close_filter(filter);
        self.drop_unused(&below);
    }

    fn release(&mut self, job: &str) {
        for node in self.blocks.unblock_ops(job) {
            self.drop_unused(&node);
        }
    }

    fn replace_node(&mut self, from: &str, to: &str) -> Result<(), Error> {
        Machine::replace_node(self, from, to)
    }
}
