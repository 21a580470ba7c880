//! All nodes, and how they use each other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use super::backend::Backends;
use super::background::Background;
use super::exports::Exports;
use super::host;
use super::nbd::Remote;
use super::node::{BlockNode, BlockOp, Content, Filter, NodeId};
use crate::schema::{BlockdevDetectZeroesOptions, BlockdevDriver};
use qmonitor::qapi::Error;

/// All nodes, in order of making.
#[derive(Debug, Default)]
pub struct Blocks {
    pub(super) nodes: BTreeMap<NodeId, BlockNode>,
    names: HashMap<String, NodeId>,
    /// The nodes that use each node, so that no search goes through all of them.
    users: HashMap<NodeId, BTreeSet<NodeId>>,
    /// The nodes on which each owner refuses operations.
    pub(super) refused: HashMap<String, Vec<NodeId>>,
    /// The back ends with names of their own.
    pub backends: Backends,
    /// Nodes that devices have since something was put in or took the place of another one.
    pub(super) held: Vec<NodeId>,
    /// The nodes that a server offers.
    pub exports: Exports,
    /// How many nodes without a name there were.
    unnamed: usize,
    made: u64,
    /// How many images are being opened below one another.
    pub(super) depth: usize,
    /// The server of a node that is about to be made, and the name of the node.
    pub connected: Option<Result<(Remote, String), Error>>,
    /// Whether calls may be made by threads.
    pub has_threads: bool,
    pub(super) background: Option<Background>,
    /// Whether what is asked for right now may be told that it has to wait.
    pub(super) may_wait: bool,
    /// What happened since it was last taken.
    pub(super) events: Vec<BlockEvent>,
}

/// What clients are told of, though no command of theirs was it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlockEvent {
    /// A write went beyond the threshold of a node.
    WriteThreshold {
        #[allow(missing_docs)]
        node: String,
        #[allow(missing_docs)]
        threshold: u64,
        /// How many bytes it went beyond.
        exceeded: u64,
    },
}

impl Blocks {
    /// The node of that name.
    pub fn node(&self, name: &str) -> Option<&BlockNode> {
        self.nodes.get(self.names.get(name)?)
    }

    #[allow(missing_docs)]
    pub fn node_mut(&mut self, name: &str) -> Option<&mut BlockNode> {
        self.nodes.get_mut(self.names.get(name)?)
    }

    /// What a filter calls a node.
    pub fn id(&self, name: &str) -> Option<NodeId> {
        self.names.get(name).copied()
    }

    /// The name of a node that a filter knows.
    pub fn name_of(&self, id: NodeId) -> &str {
        self.nodes.get(&id).map_or("", |node| &node.name)
    }

    /// All nodes, the newest first, as they are listed.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = &BlockNode> {
        self.nodes.values().rev()
    }

    /// The node that another one shows, or that its format is in.
    pub fn file_of(&self, node: &BlockNode) -> Option<&BlockNode> {
        self.nodes.get(&node.file?)
    }

    /// The node below another one, which has what is not in that.
    pub fn backing_of(&self, node: &BlockNode) -> Option<&BlockNode> {
        self.nodes.get(&node.backing?)
    }

    /// The node that one of the names of a command means. No node is found by the name of a
    /// device.
    ///
    /// # Errors
    ///
    /// There is none.
    pub fn find(&self, device: &str, name: &str) -> Result<&BlockNode, Error> {
        self.node(name).ok_or_else(|| not_found(device, name))
    }

    /// What happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<BlockEvent> {
        std::mem::take(&mut self.events)
    }

    /// A name for a node that has none.
    pub(super) fn new_name(&mut self) -> String {
        self.unnamed += 1;
        format!("#block{:03}", self.unnamed)
    }

    pub(super) fn insert(&mut self, node: BlockNode) -> NodeId {
        self.made += 1;
        let id = NodeId(self.made);
        self.names.insert(node.name.clone(), id);
        for child in [node.file, node.backing].into_iter().flatten() {
            self.users.entry(child).or_default().insert(id);
        }
        self.nodes.insert(id, node);
        id
    }

    /// Takes a node out of the graph, but none of those below it.
    fn take_out(&mut self, id: NodeId) -> Option<BlockNode> {
        let node = self.nodes.remove(&id)?;
        self.names.remove(&node.name);
        for child in [node.file, node.backing].into_iter().flatten() {
            self.forget_user(child, id);
        }
        Some(node)
    }

    fn forget_user(&mut self, child: NodeId, user: NodeId) {
        if let Some(users) = self.users.get_mut(&child) {
            users.remove(&user);
            if users.is_empty() {
                self.users.remove(&child);
            }
        }
    }

    /// Gives a node other nodes below it.
    pub(super) fn set_children(
        &mut self,
        id: NodeId,
        file: Option<NodeId>,
        backing: Option<NodeId>,
    ) {
        let Some(node) = self.nodes.get_mut(&id) else {
            return;
        };
        let old = [
            std::mem::replace(&mut node.file, file),
            std::mem::replace(&mut node.backing, backing),
        ];
        for child in old.into_iter().flatten() {
            self.forget_user(child, id);
        }
        for child in [file, backing].into_iter().flatten() {
            self.users.entry(child).or_default().insert(id);
        }
    }

    pub(super) fn set_backing_id(&mut self, id: NodeId, backing: Option<NodeId>) {
        let file = self.nodes.get(&id).and_then(|node| node.file);
        self.set_children(id, file, backing);
    }

    /// The mark that [`drop_since`](Self::drop_since) takes.
    pub(super) fn mark(&self) -> u64 {
        self.made
    }

    /// Drops the nodes that were made since a mark.
    pub(super) fn drop_since(&mut self, mark: u64) {
        let new: Vec<_> = self
            .nodes
            .keys()
            .filter(|id| id.0 > mark)
            .copied()
            .collect();
        for id in new {
            self.take_out(id);
        }
    }

    /// Whether a node was made for a drive or another node, and goes with it.
    pub fn is_implicit(&self, name: &str) -> bool {
        self.node(name).is_some_and(|node| node.implicit)
    }

    /// The nodes that use a node, and as what.
    pub fn parents<'a>(
        &'a self,
        name: &str,
    ) -> impl Iterator<Item = (&'a BlockNode, &'static str)> + 'a {
        let id = self.id(name);
        let users = id.and_then(|id| self.users.get(&id)).into_iter().flatten();
        let users = users.filter_map(|user| self.nodes.get(user));
        users.map(move |node| (node, if node.file == id { "file" } else { "backing" }))
    }

    /// The image whose clusters are in a node, which it shares with no other writer.
    pub(crate) fn image_in(&self, name: &str) -> Option<&BlockNode> {
        let mut parents = self.parents(name);
        let image = parents.find(|(node, role)| *role == "file" && node.qcow2().is_some());
        image.map(|(node, _)| node)
    }

    /// Closes a node (`blockdev-del`), which no device uses.
    ///
    /// # Errors
    ///
    /// There is no such node, or another node or a job uses it.
    pub(super) fn remove(&mut self, name: &str) -> Result<(), Error> {
        self.node(name).ok_or_else(|| no_node(name))?;
        self.check_op(name, BlockOp::Delete)?;
        let is_below = self.parents(name).any(|(_, role)| role == "backing");
        if self.is_implicit(name) && !is_below {
            return Err(Error::new(format!(
                "Node {name} is not owned by the monitor"
            )));
        }
        let used = self
            .parents(name)
            .next()
            .map(|(node, role)| (&node.name, role));
        match used {
            Some((parent, "backing")) => {
                return Err(Error::new(format!(
                    "Node '{name}' is busy: node is used as backing hd of '{parent}'"
                )))
            }
            Some(_) => return Err(Error::new(format!("Block device {name} is in use"))),
            None => {}
        }
        self.close(name);
        Ok(())
    }

    /// Closes a node that nothing uses, and those made for it.
    pub fn close(&mut self, name: &str) {
        if let Some(id) = self.id(name) {
            self.close_id(id);
        }
    }

    pub(super) fn close_id(&mut self, id: NodeId) {
        if self
            .nodes
            .get(&id)
            .is_some_and(|node| !node.blockers.is_empty())
        {
            // A job works with it, and drops it at its end.
            return;
        }
        self.settle(id);
        let Some(node) = self.take_out(id) else {
            return;
        };
        for child in [node.file, node.backing].into_iter().flatten() {
            self.close_unused(child);
        }
    }

    /// Takes a filter of a job away, but not the node below it.
    pub(crate) fn close_filter(&mut self, name: &str) {
        if let Some(id) = self.id(name) {
            self.take_out(id);
        }
    }

    /// Closes a node that was made for a user and lost it.
    pub(crate) fn close_unused_node(&mut self, name: &str) {
        if let Some(id) = self.id(name) {
            self.close_unused(id);
        }
    }

    /// Closes a node that was made for another one and lost it.
    pub(super) fn close_unused(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get(&id) else {
            return;
        };
        let name = node.name.clone();
        let is_used = self.parents(&name).next().is_some()
            || self.backends.user(&name).is_some()
            || self.held.contains(&id);
        if node.implicit && !is_used {
            self.close_id(id);
        }
    }

    /// The file at the bottom of a node.
    fn host_file(&self, id: NodeId) -> Option<&File> {
        let node = self.nodes.get(&id)?;
        match (&node.content, node.file) {
            (Content::Host(file), _) => Some(file),
            (_, Some(file)) => self.host_file(file),
            _ => self.host_file(node.shown()?),
        }
    }

    pub(super) fn file_under(&self, name: &str) -> Option<&File> {
        self.host_file(self.id(name)?)
    }

    /// Whether a file of the host is at the bottom.
    pub fn has_file(&self, node: &BlockNode) -> bool {
        self.file_under(&node.name).is_some()
    }

    /// The space it takes on the host, in bytes. A server does not tell.
    pub fn actual_size(&self, name: &str) -> Option<u64> {
        let mut bottom = self.node(name)?;
        while let Some(below) = self.file_of(bottom) {
            bottom = below;
        }
        let is_remote = bottom.driver == BlockdevDriver::Nbd;
        (!is_remote).then(|| self.file_under(name).map_or(0, host::space))
    }

    /// Puts a node below another one, or takes the one there away. The image is not changed.
    pub fn set_backing(&mut self, node: &str, backing: Option<&str>) {
        let backing = backing.and_then(|name| self.id(name));
        let Some(id) = self.id(node) else {
            return;
        };
        let old = self.nodes[&id].backing;
        self.set_backing_id(id, backing);
        if let Some(old) = old.filter(|_| old != backing) {
            self.close_unused(old);
        }
    }

    /// Gives all nodes and back ends that use one node another one, except that other one
    /// itself. What devices have is changed by
    /// [`Machine::replace_node`](crate::Machine::replace_node).
    ///
    /// # Errors
    ///
    /// There is no such node, or it would be below itself.
    pub(crate) fn replace(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let from_id = self.id(from).ok_or_else(|| no_node(from))?;
        let to_id = self.id(to).ok_or_else(|| no_node(to))?;
        // The new node and what is below it keep what they have.
        let below = self.below(to_id);
        let users = self.users.get(&from_id).into_iter().flatten();
        let users: Vec<_> = users.filter(|id| !below.contains(id)).copied().collect();
        let other = |child: Option<NodeId>| child.map(|id| if id == from_id { to_id } else { id });
        for id in users {
            let node = &self.nodes[&id];
            let (file, backing) = (other(node.file), other(node.backing));
            self.set_children(id, file, backing);
        }
        self.backends.replace_node(from, to);
        self.exports.replace_node(from, to);
        Ok(())
    }

    /// A node and all below it.
    fn below(&self, top: NodeId) -> Vec<NodeId> {
        let mut found = vec![top];
        let mut next = 0;
        while next < found.len() {
            if let Some(node) = self.nodes.get(&found[next]) {
                let children = [node.file, node.backing].into_iter().flatten();
                let new: Vec<_> = children.filter(|id| !found.contains(id)).collect();
                found.extend(new);
            }
            next += 1;
        }
        found
    }

    /// Whether a node is another one or below it.
    pub fn is_below(&self, node: &str, top: &str) -> bool {
        match (self.id(node), self.id(top)) {
            (Some(node), Some(top)) => self.below(top).contains(&node),
            _ => false,
        }
    }

    /// Makes a filter of a job above a node, which nothing uses yet. Without a name it gets
    /// one.
    ///
    /// # Errors
    ///
    /// The name is bad or in use, or there is no such node.
    pub fn add_filter(
        &mut self,
        name: Option<&str>,
        driver: &'static str,
        below: &str,
        filter: Filter,
    ) -> Result<String, Error> {
        if let Some(name) = name {
            self.check_name(name)?;
        }
        let child = self.id(below).ok_or_else(|| no_node(below))?;
        let name = name.map_or_else(|| self.new_name(), str::to_owned);
        let node = &self.nodes[&child];
        let known = driver.parse::<BlockdevDriver>().ok();
        let as_file = known.is_some();
        let node = BlockNode {
            job_driver: known.is_none().then_some(driver),
            file: as_file.then_some(child),
            backing: (!as_file).then_some(child),
            implicit: true,
            read_only: node.read_only,
            ..BlockNode::new(
                &name,
                known.unwrap_or(BlockdevDriver::Raw),
                &node.filename,
                Content::Filter(filter),
            )
        };
        self.insert(node);
        Ok(name)
    }

    /// What a filter of a job does.
    pub fn filter_mut(&mut self, name: &str) -> Option<&mut Filter> {
        match &mut self.node_mut(name)?.content {
            Content::Filter(filter) => Some(filter),
            _ => None,
        }
    }
}

impl BlockNode {
    /// A node without children, whose settings are the defaults.
    pub(super) fn new(
        name: &str,
        driver: BlockdevDriver,
        filename: &str,
        content: Content,
    ) -> Self {
        BlockNode {
            name: name.to_owned(),
            driver,
            job_driver: None,
            filename: filename.to_owned(),
            read_only: false,
            direct: false,
            no_flush: false,
            detect_zeroes: BlockdevDetectZeroesOptions::Off,
            content,
            file: None,
            backing: None,
            auto_backing: None,
            implicit: false,
            bitmaps: Vec::new(),
            write_threshold: 0,
            highest_write: 0,
            blockers: Vec::new(),
        }
    }
}

impl Drop for Blocks {
    /// Images are closed with the machine.
    fn drop(&mut self) {
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        ids.into_iter().for_each(|id| self.settle(id));
    }
}

pub(crate) fn no_node(name: &str) -> Error {
    Error::new(format!("Failed to find node with node-name='{name}'"))
}

pub(super) fn not_found(device: &str, node: &str) -> Error {
    Error::new(format!(
        "Cannot find device='{device}' nor node-name='{node}'"
    ))
}
