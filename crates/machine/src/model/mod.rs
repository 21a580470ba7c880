//! The monitored machine: objects, devices, disks, networks, processors.
//!
//! Nothing in here knows the monitor: functions return results, and lists of events.

pub mod accel;
pub mod backends;
pub mod balloon;
pub mod block;
pub mod board;
pub mod cpu;
mod dimm;
pub mod display;
pub mod dump;
pub mod facts;
pub(crate) mod global;
pub mod input;
mod input_handlers;
pub mod jobs;
pub(crate) mod key_queue;
pub(crate) mod keys;
pub(crate) mod log;
mod machine;
pub mod memory;
pub(crate) mod memory_devices;
pub mod migration;
pub mod net;
pub mod numa;
mod options;
mod pages;
pub(crate) mod ps2;
pub(crate) mod qdev;
pub mod qom;
pub mod qtest;
pub mod runstate;
mod shapes;
mod thread;
pub mod types;
mod uuid;
mod virtio_mem;

pub(crate) use machine::Deletion;
pub use machine::{AudioBackend, Machine};
pub use options::MachineOptions;
pub use uuid::{ParseUuidError, Uuid};
