//! Modules of memory that are plugged in (`pc-dimm`).

use super::Machine;

impl Machine {
    /// How much memory is plugged into a node, in bytes.
    pub(crate) fn plugged_memory_of_node(&self, _node: u16) -> u64 {
        0
    }
}
