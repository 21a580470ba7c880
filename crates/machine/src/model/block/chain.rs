//! Images below images, as the images name them.

use std::path::Path;

use super::graph::Blocks;
use super::node::{BlockNode, NodeId};
use super::open::Image;
use crate::schema::BlockdevDriver;
use qmonitor::qapi::Error;

/// More images than this are never below one another.
const MAX_DEPTH: usize = 256;

impl Blocks {
    /// Opens the image below one, if the image names one.
    pub(super) fn open_named_backing(&mut self, id: NodeId) -> Result<(), Error> {
        let node = &self.nodes[&id];
        let Some(header) = node.qcow2().map(|image| &image.header) else {
            return Ok(());
        };
        let Some(filename) = full_name(&node.filename, header.backing.as_deref()) else {
            return Ok(());
        };
        let format = header.backing_format.clone();
        self.depth += 1;
        let opened = self.open_named(filename, format.as_deref());
        self.depth -= 1;
        let backing = opened?;
        let name = self.filename(&self.nodes[&backing]);
        self.set_backing_id(id, Some(backing));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.auto_backing = Some(name);
        }
        Ok(())
    }

    /// Remembers which image an image names, though another one or none is below.
    pub(super) fn note_named_backing(&mut self, id: NodeId) {
        if let Some(node) = self.nodes.get_mut(&id) {
            let named = node.qcow2().and_then(|image| image.header.backing.clone());
            node.auto_backing = named;
        }
    }

    fn open_named(&mut self, filename: String, format: Option<&str>) -> Result<NodeId, Error> {
        if self.depth > MAX_DEPTH {
            return Err(Error::new(format!(
                "Backing file '{filename}' creates an infinite loop."
            )));
        }
        let failed = |e: &Error| match e.desc() {
            // It was said by the image that closes the circle.
            text if text.ends_with(" creates an infinite loop.") => Error::new(text.to_owned()),
            text => Error::new(format!("Could not open backing file: {text}")),
        };
        let unknown = |_| Error::new(format!("Unknown driver '{}'", format.unwrap_or_default()));
        let format = format.map(str::parse::<BlockdevDriver>).transpose();
        let image = Image {
            filename: Some(filename),
            format: format.map_err(unknown).map_err(|e| failed(&e))?,
            read_only: Some(true),
            ..Image::default()
        };
        let (name, _) = self.open_layers(&image).map_err(|e| failed(&e))?;
        self.id(&name).ok_or_else(|| Error::new("no such node"))
    }

    /// The file of the image below, as the image names it and in full.
    pub fn named_backing(&self, node: &BlockNode) -> Option<(String, String)> {
        let named = node.qcow2()?.header.backing.clone()?;
        let full = full_name(&node.filename, Some(&named))?;
        Some((named, full))
    }

    /// Reads the bitmaps that an image has; from now on they are in use.
    pub(super) fn load_bitmaps(&mut self, id: NodeId) -> Result<(), Error> {
        let node = &self.nodes[&id];
        if node
            .qcow2()
            .is_none_or(|image| image.stored_bitmaps().is_empty())
        {
            return Ok(());
        }
        let read_only = node.read_only;
        let loaded = self.with_image(id, |image, file| {
            let mut bitmaps = image.load_bitmaps(file)?;
            if !read_only {
                image.mark_bitmaps(file)?;
            }
            // The newest is the first.
            bitmaps.reverse();
            Ok(bitmaps)
        });
        let bitmaps = loaded.map_err(|e| Error::from_io("Could not read bitmaps", &e))?;
        self.nodes
            .entry(id)
            .and_modify(|node| node.bitmaps = bitmaps);
        Ok(())
    }
}

/// The name of a file that an image names: beside the image, unless it begins at the root.
pub(super) fn full_name(image: &str, named: Option<&str>) -> Option<String> {
    let named = named.filter(|name| !name.is_empty())?;
    let is_url = named
        .split_once(':')
        .is_some_and(|(scheme, _)| !scheme.contains('/'));
    if is_url || Path::new(named).is_absolute() {
        return Some(named.to_owned());
    }
    let directory = image.rfind('/').map_or("", |at| &image[..=at]);
    Some(format!("{directory}{named}"))
}
