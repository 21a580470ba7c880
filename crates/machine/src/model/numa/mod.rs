//! Nodes of memory and processors (`-numa`).

mod complete;
mod cpus;
mod hmat;
mod set;
mod state;

pub use state::{NumaNode, NumaState};
