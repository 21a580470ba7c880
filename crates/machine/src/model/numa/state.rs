//! What is known of the nodes.

use std::collections::BTreeMap;

use super::hmat::Hmat;
use crate::model::qom::ObjectId;

/// The most nodes that there can be.
pub(super) const MAX_NODES: u16 = 128;

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaNode {
    /// Its number.
    pub id: u16,
    /// Its memory in bytes.
    pub size: u64,
    /// The object that is its memory.
    pub memory: Option<ObjectId>,
    /// The node whose processors reach it best.
    pub initiator: Option<u16>,
}

/// All nodes, and what they say about processors.
#[derive(Debug, Default)]
pub struct NumaState {
    /// The nodes, by number.
    pub nodes: Vec<NumaNode>,
    /// The distance of each ordered pair for which one was given.
    pub(super) distances: BTreeMap<(u16, u16), u8>,
    /// The node of each place for a processor that has one.
    pub(super) cpus: BTreeMap<usize, u16>,
    pub(super) hmat: Hmat,
}

impl NumaState {
    /// The node of that number.
    pub(super) fn node(&self, id: u16) -> Option<&NumaNode> {
        self.nodes.iter().find(|node| node.id == id)
    }

    /// Whether options have put a processor into a node.
    pub(super) fn has_cpu(&self, id: u16) -> bool {
        self.cpus.values().any(|node| *node == id)
    }

    /// The node of a place for a processor.
    pub fn node_of_cpu(&self, index: usize) -> Option<u16> {
        self.cpus.get(&index).copied()
    }

    /// The pieces of the machine's memory, if the nodes bring it.
    pub fn memory(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.nodes.iter().filter_map(|node| node.memory)
    }
}
