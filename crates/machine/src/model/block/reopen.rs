//! Nodes that become writable, or stop being so, while they are open.

use super::graph::{no_node, Blocks};
use super::host::open_file;
use super::node::{Content, NodeId};
use qmonitor::qapi::Error;

impl Blocks {
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
