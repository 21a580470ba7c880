//! What a node of memory and processors is.

/// A node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumaNode {
    /// Its number.
    pub id: u32,
    /// Its memory in bytes.
    pub size: u64,
    /// Its processors, by number.
    pub cpus: Vec<usize>,
}
