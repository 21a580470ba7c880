//! Nodes are offered, and what is told of them to clients of a server.

use std::io;

use super::bytes::{Extent, ExtentKind};
use super::exports::Export;
use super::granules::Bitmap;
use super::graph::{not_found, Blocks};
use qmonitor::qapi::Error;
use qmonitor::util::qemu_opts::id_wellformed;

/// Longest name and description.
const TEXT_MAX: usize = 4096;

impl Blocks {
    /// Offers a node.
    ///
    /// # Errors
    ///
    /// A name is bad or in use, there is no such node or bitmap, or the node cannot be
    /// written.
    pub fn export_add(&mut self, export: Export) -> Result<(), Error> {
        if !id_wellformed(&export.id) {
            return Err(Error::new("Invalid block export id"));
        }
        if self.exports.get(&export.id).is_some() {
            let id = &export.id;
            return Err(Error::new(format!(
                "Block export id '{id}' is already in use"
            )));
        }
        let node = self.node(&export.node);
        let node = node.ok_or_else(|| not_found("", &export.node))?;
        if export.writable && node.read_only {
            return Err(Error::new("Cannot export read-only node as writable"));
        }
        if export.name.len() > TEXT_MAX {
            return Err(Error::new(format!(
                "export name '{}' too long",
                export.name
            )));
        }
        if let Some(text) = export.description.as_ref().filter(|t| t.len() > TEXT_MAX) {
            return Err(Error::new(format!("description '{text}' too long")));
        }
        if self.exports.named(&export.name).is_some() {
            return Err(Error::new(format!(
                "NBD server already has export named '{}'",
                export.name
            )));
        }
        for name in &export.bitmaps {
            let bitmap = self.bitmap_in_chain(&export.node, name);
            let missing = || Error::new(format!("Bitmap '{name}' is not found"));
            let bitmap = bitmap.ok_or_else(missing)?;
            if !export.writable && bitmap.enabled && node.bitmap(name).is_some() {
                return Err(Error::new(format!(
                    "Enabled bitmap '{name}' incompatible with readonly export"
                )));
            }
        }
        self.hold_bitmaps(&export, true);
        self.exports.0.push(export);
        Ok(())
    }

    /// Offers a node no longer.
    pub fn export_remove(&mut self, id: &str) {
        if let Some(export) = self.exports.remove(id) {
            self.hold_bitmaps(&export, false);
            self.close_unused_node(&export.node);
        }
    }

    /// Bitmaps that clients may ask are changed by nothing else.
    fn hold_bitmaps(&mut self, export: &Export, busy: bool) {
        for name in &export.bitmaps {
            let mut node = self.node(&export.node);
            while let Some(it) = node.filter(|it| it.bitmap(name).is_none()) {
                node = self.next_of_chain(it);
            }
            let Some(node) = node.map(|it| it.name.clone()) else {
                continue;
            };
            let bitmap = self.node_mut(&node).and_then(|it| it.bitmap_mut(name));
            if let Some(bitmap) = bitmap {
                bitmap.busy = busy;
            }
        }
    }

    /// The bitmap of that name of a node or the nearest node below it.
    pub fn bitmap_in_chain(&self, node: &str, name: &str) -> Option<&Bitmap> {
        let mut node = self.node(node);
        while let Some(it) = node {
            if let Some(bitmap) = it.bitmap(name) {
                return Some(bitmap);
            }
            node = self.next_of_chain(it);
        }
        None
    }

    /// Whether bytes have data or are zeros, in whatever image of the chain they are.
    ///
    /// # Errors
    ///
    /// As [`status`](Self::status).
    pub fn status_in_all(&mut self, node: &str, offset: u64, length: u64) -> io::Result<Extent> {
        let mut extent = self.status(node, offset, length)?;
        let mut name = node.to_owned();
        while extent.kind == ExtentKind::Unallocated {
            let below = self.node(&name).and_then(|it| self.next_of_chain(it));
            // A filter was asked as the node below it.
            let Some(below) = below.map(|below| below.name.clone()) else {
                extent.kind = ExtentKind::Zero;
                break;
            };
            name = below;
            let there = self.length(&name).saturating_sub(offset);
            if there == 0 {
                extent.kind = ExtentKind::Zero;
                break;
            }
            let length = extent.length.min(there);
            extent = self.status(&name, offset, length)?;
        }
        Ok(extent)
    }
}
