//! Names of nodes for people: the file's, or all options where a file's name would not
//! open the same (`bdrv_refresh_filename`).

use super::graph::Blocks;
use super::node::{BlockNode, Content};
use crate::schema::BlockdevDriver;

impl Blocks {
    /// The name of a node's image.
    pub fn filename(&self, node: &BlockNode) -> String {
        match self.plain_name(node) {
            Some(name) => name,
            None => format!("json:{}", self.options_text(node)),
        }
    }

    /// The file name that would open the same.
    fn plain_name(&self, node: &BlockNode) -> Option<String> {
        match &node.content {
            Content::Host(_) | Content::Remote(_) => Some(node.filename.clone()),
            Content::Null {
                given_size: None,
                read_zeroes: None,
                ..
            } => Some(node.filename.clone()),
            Content::Null { .. } => None,
            // A job's filter is called what is below it.
            Content::Filter(_) => {
                let below = node.shown().and_then(|id| self.nodes.get(&id));
                below.map(|below| self.filename(below))
            }
            Content::View {
                offset: 0,
                size: None,
            } if node.driver == BlockdevDriver::Raw => self.plain_name(self.file_of(node)?),
            Content::View { .. } | Content::Faults(_) => None,
            _ if self.is_backing_overridden(node) => None,
            _ => self.plain_name(self.file_of(node)?),
        }
    }

    /// Whether another image is below than the one that the image names.
    pub fn is_backing_overridden(&self, node: &BlockNode) -> bool {
        let backing = self.backing_of(node).map(|below| self.filename(below));
        node.qcow2().is_some() && node.auto_backing != backing
    }

    /// All options that matter, as JSON in the order of QEMU's tables.
    fn options_text(&self, node: &BlockNode) -> String {
        let driver = node.driver_name();
        let file = self.file_of(node).map(|file| self.options_text(file));
        let file = file.unwrap_or_else(|| "null".to_owned());
        match &node.content {
            Content::Host(_) => {
                let name = json_text(&node.filename);
                format!("{{\"driver\": \"{driver}\", \"filename\": {name}}}")
            }
            Content::Null {
                given_size,
                read_zeroes,
                ..
            } => {
                let zeroes = read_zeroes.map(|on| format!("\"read-zeroes\": {on}, "));
                let size = given_size.map(|size| format!(", \"size\": {size}"));
                format!(
                    "{{{}\"driver\": \"{driver}\"{}}}",
                    zeroes.unwrap_or_default(),
                    size.unwrap_or_default()
                )
            }
            Content::View { offset, size } if *offset != 0 || size.is_some() => {
                let size = size.map(|size| format!(", \"size\": {size}"));
                format!(
                    "{{\"offset\": {offset}, \"driver\": \"{driver}\"{}, \"file\": {file}}}",
                    size.unwrap_or_default()
                )
            }
            Content::Qcow2(_) if self.is_backing_overridden(node) => {
                let backing = self.backing_of(node).map(|below| self.options_text(below));
                let backing = backing.unwrap_or_else(|| "null".to_owned());
                format!("{{\"backing\": {backing}, \"driver\": \"{driver}\", \"file\": {file}}}")
            }
            Content::Faults(_) => format!("{{\"image\": {file}, \"driver\": \"{driver}\"}}"),
            _ => format!("{{\"driver\": \"{driver}\", \"file\": {file}}}"),
        }
    }

    /// Whether a node was put between others by a job that gave it no name: clients do not
    /// see it in chains.
    pub fn is_hidden(&self, node: &BlockNode) -> bool {
        matches!(node.content, Content::Filter(_)) && node.name.starts_with('#')
    }

    /// The first node from one downwards that clients see.
    pub fn skip_hidden<'a>(&'a self, mut node: &'a BlockNode) -> &'a BlockNode {
        while let Some(below) = node.shown().filter(|_| self.is_hidden(node)) {
            match self.nodes.get(&below) {
                Some(below) => node = below,
                None => break,
            }
        }
        node
    }

    /// The next node of a chain: what a filter shows, or the image below.
    pub fn next_of_chain(&self, node: &BlockNode) -> Option<&BlockNode> {
        let next = if node.is_filter() {
            node.shown()
        } else {
            node.backing
        };
        self.nodes.get(&next?).map(|next| self.skip_hidden(next))
    }
}

fn json_text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
