//! The graph of nodes with what each user may do and lets others do
//! (`x-debug-query-block-graph`).

use std::collections::HashMap;

use crate::model::block::{BlockNode, Drive, Export};
use crate::schema::{
    BlockPermission, BlockdevDriver, XDbgBlockGraph, XDbgBlockGraphEdge, XDbgBlockGraphNode,
    XDbgBlockGraphNodeType,
};
use crate::Machine;

/// A set of permissions, in the order of their bits.
type Permissions = [bool; 4];

/// From the highest bit down, as they are listed.
const NAMES: [BlockPermission; 4] = [
    BlockPermission::Resize,
    BlockPermission::WriteUnchanged,
    BlockPermission::Write,
    BlockPermission::ConsistentRead,
];
const NONE: Permissions = [false; 4];
const ALL: Permissions = [true; 4];
const READ: Permissions = [false, false, false, true];
/// What the user of a format's file does, and lets others do.
const FORMAT: Permissions = [true, false, true, true];
const SHARED: Permissions = [false, true, false, true];
/// What a device does, and lets others do.
const DEVICE: Permissions = [false, false, true, true];
const DEVICE_SHARES: Permissions = [true, true, false, true];

const EXPORT_SHARES: Permissions = [false, true, true, true];

#[derive(Debug, Clone, Copy)]
struct Use {
    does: Permissions,
    shares: Permissions,
}

struct Graph<'a> {
    m: &'a Machine,
    numbers: HashMap<String, i64>,
    nodes: Vec<XDbgBlockGraphNode>,
    edges: Vec<XDbgBlockGraphEdge>,
}

/// The graph; the newest is told first.
pub(super) fn graph(m: &Machine) -> XDbgBlockGraph {
    let mut graph = Graph {
        m,
        numbers: HashMap::new(),
        nodes: Vec::new(),
        edges: Vec::new(),
    };
    // Back ends are made before the devices that have none.
    let mut drives = m.drives();
    drives.sort_by_key(|drive| drive.device.is_empty());
    for drive in &drives {
        graph.add_drive(drive);
    }
    for export in m.blocks.exports.iter() {
        let kind = XDbgBlockGraphNodeType::BlockBackend;
        let id = graph.add(&format!("/export/{}", export.id), "", kind);
        graph.add_edge(id, "root", &export.node, use_of_export(export));
    }
    for node in m.blocks.nodes().rev() {
        graph.add_node(node);
    }
    graph.nodes.reverse();
    graph.edges.reverse();
    XDbgBlockGraph {
        nodes: graph.nodes,
        edges: graph.edges,
    }
}

fn use_of_drive(drive: &Drive, read_only: bool) -> Use {
    match (drive.object.is_some(), read_only) {
        (true, false) => Use {
            does: DEVICE,
            shares: DEVICE_SHARES,
        },
        (true, true) => Use {
            does: READ,
            shares: DEVICE_SHARES,
        },
        (false, false) => Use {
            does: DEVICE,
            shares: ALL,
        },
        (false, true) => Use {
            does: READ,
            shares: ALL,
        },
    }
}

fn use_of_export(export: &Export) -> Use {
    Use {
        does: if export.writable { DEVICE } else { READ },
        shares: EXPORT_SHARES,
    }
}

impl Graph<'_> {
    fn number(&mut self, name: &str) -> i64 {
        let next = i64::try_from(self.numbers.len()).unwrap_or(0) + 1;
        *self.numbers.entry(name.to_owned()).or_insert(next)
    }

    fn add(&mut self, key: &str, name: &str, kind: XDbgBlockGraphNodeType) -> i64 {
        let id = self.number(key);
        self.nodes.push(XDbgBlockGraphNode {
            id,
            r#type: kind,
            name: name.to_owned(),
        });
        id
    }

    fn add_edge(&mut self, parent: i64, name: &str, child: &str, used: Use) {
        let names = |set: Permissions| {
            let all = NAMES.into_iter().zip(set);
            all.filter(|(_, has)| *has).map(|(name, _)| name).collect()
        };
        let child = self.number(child);
        self.edges.push(XDbgBlockGraphEdge {
            parent,
            child,
            name: name.to_owned(),
            perm: names(used.does),
            shared_perm: names(used.shares),
        });
    }

    fn add_drive(&mut self, drive: &Drive) {
        let name = match drive.device.as_str() {
            "" => drive.qdev.clone().unwrap_or_default(),
            name => name.to_owned(),
        };
        // No node is called like this.
        let key = format!("/{name}");
        let kind = XDbgBlockGraphNodeType::BlockBackend;
        let id = self.add(&key, &name, kind);
        let node = drive.node.as_deref();
        if let Some(node) = node.and_then(|name| self.m.blocks.node(name)) {
            let used = use_of_drive(drive, node.read_only);
            self.add_edge(id, "root", &node.name, used);
        }
    }

    fn add_node(&mut self, node: &BlockNode) {
        let kind = XDbgBlockGraphNodeType::BlockDriver;
        let id = self.add(&node.name, &node.name, kind);
        let blocks = &self.m.blocks;
        let (below, file) = (blocks.backing_of(node), blocks.file_of(node));
        let own = self.uses_of(node);
        if let Some(below) = below {
            self.add_edge(id, "backing", &below.name, use_below(node, own, "backing"));
        }
        if let Some(file) = file {
            self.add_edge(id, "file", &file.name, use_below(node, own, "file"));
        }
    }

    /// What all users of a node do, and what each of them lets others do.
    fn uses_of(&self, node: &BlockNode) -> Use {
        let mut all = Use {
            does: NONE,
            shares: ALL,
        };
        let mut join = |one: Use| {
            for at in 0..all.does.len() {
                all.does[at] |= one.does[at];
                all.shares[at] &= one.shares[at];
            }
        };
        for drive in self.m.drives() {
            if drive.node.as_deref() == Some(node.name.as_str()) {
                join(use_of_drive(&drive, node.read_only));
            }
        }
        let exports = self.m.blocks.exports.iter();
        exports
            .filter(|export| export.node == node.name)
            .for_each(|export| join(use_of_export(export)));
        for (parent, role) in self.m.blocks.parents(&node.name) {
            join(use_below(parent, self.uses_of(parent), role));
        }
        all
    }
}

/// What a node does with the one below it, given what is done with itself.
fn use_below(node: &BlockNode, own: Use, role: &str) -> Use {
    let is_view = node.driver == BlockdevDriver::Raw || node.is_filter();
    let reads = own.does[3];
    match role {
        _ if is_view => own,
        "backing" => Use {
            does: [false, false, false, reads],
            shares: if own.shares[2] { ALL } else { SHARED },
        },
        _ if node.read_only => Use {
            does: READ,
            shares: SHARED,
        },
        _ => Use {
            does: FORMAT,
            shares: SHARED,
        },
    }
}
