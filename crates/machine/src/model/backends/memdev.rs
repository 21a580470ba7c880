//! The list of memory backends (`query-memdev`).

use crate::model::Machine;
use qmonitor::qapi::{QNum, QObject};

/// A memory backend in the list (`Memdev`).
#[derive(Debug, Clone, PartialEq)]
pub struct MemdevParams {
    /// Its id.
    pub id: String,
    /// Its size in bytes.
    pub size: u64,
    /// Whether the host may merge equal pages.
    pub merge: bool,
    /// Whether core dumps include it.
    pub dump: bool,
    /// Whether it was allocated in advance.
    pub prealloc: bool,
    /// Whether other processes see writes.
    pub share: bool,
    /// Whether swap space is reserved.
    pub reserve: bool,
    /// Nodes of the host that the policy is about.
    pub host_nodes: Vec<u16>,
    /// Where on the host it is allocated, as in the schema.
    pub policy: String,
}

impl Machine {
    /// The pieces of memory (`query-memdev`).
    pub fn memdevs(&self) -> Vec<MemdevParams> {
        let objects = self.listed_children(self.objects_container);
        objects
            .into_iter()
            .filter_map(|(name, id)| {
                let nodes = self.property(id, "host-nodes");
                let nodes = nodes.as_ref().and_then(|n| n.as_list()).unwrap_or(&[]);
                let number = |n: &QObject| match n {
                    QObject::Num(QNum::I64(n)) => u16::try_from(*n).ok(),
                    _ => None,
                };
                Some(MemdevParams {
                    id: name.to_owned(),
                    size: self.backend_size(id)?,
                    merge: self.bool_property(id, "merge"),
                    dump: self.bool_property(id, "dump"),
                    prealloc: self.bool_property(id, "prealloc"),
                    share: self.bool_property(id, "share"),
                    reserve: self.bool_property(id, "reserve"),
                    host_nodes: nodes.iter().filter_map(number).collect(),
                    policy: self.str_property(id, "policy"),
                })
            })
            .collect()
    }
}
