//! What is monitored: objects, devices, disks, networks, processors.
//!
//! Nothing in here knows of the monitor: functions return results, and lists of what
//! happened.

pub mod backends;
pub mod balloon;
pub mod block;
pub mod board;
pub mod cpu;
pub mod memory;
pub mod migration;
pub mod net;
pub(crate) mod qdev;
pub mod qom;
pub mod runstate;
mod thread;
