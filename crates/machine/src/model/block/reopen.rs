//! Nodes that get other options while they are open: `blockdev-reopen`, and jobs that make a
//! node writable, or let it stop being so.

use super::graph::{no_node, not_found, Blocks};
use super::host::open_file;
use super::node::{BlockNode, Content, NodeId};
use crate::schema::{
    BlockdevCacheOptions, BlockdevDetectZeroesOptions, BlockdevDiscardOptions, BlockdevOptions,
    BlockdevOptionsBranch, BlockdevRef, BlockdevRefOrNull,
};
use qmonitor::qapi::Error;

/// What a node has and its new options may change.
struct Kept {
    id: NodeId,
    read_only: bool,
    direct: bool,
    no_flush: bool,
    detect_zeroes: BlockdevDetectZeroesOptions,
    file: Option<NodeId>,
    backing: Option<NodeId>,
}

impl Blocks {
    /// Gives nodes other options (`blockdev-reopen`), all of them or none.
    ///
    /// # Errors
    ///
    /// There is no such node, or an option cannot be changed.
    pub fn reopen_all(&mut self, options: &[BlockdevOptions]) -> Result<(), Error> {
        let mut kept: Vec<Kept> = Vec::new();
        for options in options {
            let changed = self.reopen_node(options, &mut kept);
            if changed.is_err() {
                for old in kept.into_iter().rev() {
                    self.put_back(&old);
                }
                return changed;
            }
        }
        Ok(())
    }

    fn reopen_node(
        &mut self,
        options: &BlockdevOptions,
        kept: &mut Vec<Kept>,
    ) -> Result<(), Error> {
        let name = options.node_name.as_deref();
        let name = name.ok_or_else(|| Error::new("node-name not specified"))?;
        let id = self.id(name).ok_or_else(|| no_node(name))?;
        let node = &self.nodes[&id];
        let detect = options.detect_zeroes;
        let detect_zeroes = detect.unwrap_or(BlockdevDetectZeroesOptions::Off);
        if detect_zeroes == BlockdevDetectZeroesOptions::Unmap
            && options.discard != Some(BlockdevDiscardOptions::Unmap)
        {
            return Err(Error::new(
                "setting detect-zeroes to unmap is not allowed without setting discard operation \
                 to unmap",
            ));
        }
        let (file, backing) = (node.file, node.backing);
        kept.push(Kept {
            id,
            read_only: node.read_only,
            direct: node.direct,
            no_flush: node.no_flush,
            detect_zeroes: node.detect_zeroes,
            file,
            backing,
        });
        let new_backing = self.new_backing(node, options)?;
        if node.driver != options.driver() {
            return Err(Error::new("Cannot change the option 'driver'"));
        }
        let new_file = self.new_file(node, options)?;
        let cache = options.cache.as_ref();
        let cached =
            |get: fn(&BlockdevCacheOptions) -> Option<bool>| cache.and_then(get).unwrap_or(false);
        let (direct, no_flush) = (cached(|c| c.direct), cached(|c| c.no_flush));
        self.reopen(id, options.read_only.unwrap_or(false))?;
        self.nodes.entry(id).and_modify(|node| {
            node.direct = direct;
            node.no_flush = no_flush;
            node.detect_zeroes = detect_zeroes;
        });
        self.set_children(id, new_file, new_backing);
        if let Some(old) = backing.filter(|_| backing != new_backing) {
            self.close_unused(old);
        }
        Ok(())
    }

    fn put_back(&mut self, old: &Kept) {
        // It was open like this a moment ago.
        let _ = self.reopen(old.id, old.read_only);
        self.nodes.entry(old.id).and_modify(|node| {
            node.direct = old.direct;
            node.no_flush = old.no_flush;
            node.detect_zeroes = old.detect_zeroes;
        });
        self.set_children(old.id, old.file, old.backing);
    }

    fn new_backing(
        &self,
        node: &BlockNode,
        options: &BlockdevOptions,
    ) -> Result<Option<NodeId>, Error> {
        let wanted = match &options.u {
            BlockdevOptionsBranch::Qcow2(image) => image.backing.as_ref(),
            BlockdevOptionsBranch::Qed(image) | BlockdevOptionsBranch::Vmdk(image) => {
                image.backing.as_ref()
            }
            _ => None,
        };
        let name = &node.name;
        match wanted {
            None if node.backing.is_some() => {
                Err(Error::new(format!("backing is missing for '{name}'")))
            }
            None | Some(BlockdevRefOrNull::Null(_)) => Ok(None),
            Some(BlockdevRefOrNull::Reference(other)) => {
                let found = self.id(other).ok_or_else(|| not_found("", other))?;
                if self.is_below(name, other) {
                    return Err(Error::new(format!(
                        "Making '{other}' a backing child of '{name}' would create a cycle"
                    )));
                }
                Ok(Some(found))
            }
            Some(BlockdevRefOrNull::Definition(options)) => {
                let old = node.backing.and_then(|id| self.nodes.get(&id));
                match old {
                    Some(old) if old.driver == options.driver() => Ok(node.backing),
                    _ => Err(Error::new("Cannot change the option 'backing.driver'")),
                }
            }
        }
    }

    fn new_file(
        &self,
        node: &BlockNode,
        options: &BlockdevOptions,
    ) -> Result<Option<NodeId>, Error> {
        let file = match &options.u {
            BlockdevOptionsBranch::HostDevice(file) | BlockdevOptionsBranch::File(file) => {
                if file.filename == node.filename {
                    return Ok(None);
                }
                return Err(Error::new("Cannot change the option 'filename'"));
            }
            BlockdevOptionsBranch::Raw(raw) => &raw.file,
            BlockdevOptionsBranch::Qcow2(image) => &image.file,
            BlockdevOptionsBranch::CopyOnRead(filter) => &filter.file,
            BlockdevOptionsBranch::Throttle(filter) => &filter.file,
            _ => return Ok(node.file),
        };
        match file {
            BlockdevRef::Reference(name) => {
                let found = self.id(name).ok_or_else(|| not_found("", name))?;
                if node.qcow2().is_some() {
                    let read_only = options.read_only.unwrap_or(false);
                    self.check_image(name, &node.name, read_only)?;
                }
                Ok(Some(found))
            }
            BlockdevRef::Definition(options) => {
                let old = node.file.and_then(|id| self.nodes.get(&id));
                let old = old.filter(|old| old.driver == options.driver());
                let old =
                    old.ok_or_else(|| Error::new("Cannot change the option 'file.driver'"))?;
                // The node there stays; only its options may change.
                self.new_file(old, options)?;
                Ok(node.file)
            }
        }
    }

    /// Makes a node one that can be written, or not, and the nodes that were made for it.
    ///
    /// # Errors
    ///
    /// There is no such node, or its file cannot be opened so.
    pub(crate) fn set_read_only(&mut self, node: &str, read_only: bool) -> Result<(), Error> {
        let id = self.id(node).ok_or_else(|| no_node(node))?;
        self.reopen(id, read_only)
    }

    fn reopen(&mut self, id: NodeId, read_only: bool) -> Result<(), Error> {
        let Some(node) = self.nodes.get(&id) else {
            return Ok(());
        };
        if node.read_only == read_only {
            return Ok(());
        }
        if read_only {
            self.settle(id);
        }
        let node = &self.nodes[&id];
        let below = node.file.and_then(|file| self.nodes.get(&file));
        match (node.file, below) {
            (Some(file), Some(below)) if below.implicit => self.reopen(file, read_only)?,
            (_, Some(below)) if below.read_only && !read_only => {
                return Err(Error::new("Block node is read-only"));
            }
            _ => {}
        }
        let node = &self.nodes[&id];
        let opened = match &node.content {
            Content::Host(_) => Some(open_file(&node.filename, read_only, node.direct)?),
            _ => None,
        };
        self.nodes.entry(id).and_modify(|node| {
            node.read_only = read_only;
            if let Some(file) = opened {
                node.content = Content::Host(file);
            }
        });
        Ok(())
    }
}
