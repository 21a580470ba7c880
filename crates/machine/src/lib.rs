//! The machine behind the program `qmonitor`: QEMU's, reduced to the parts that a
//! monitor sees.
//!
//! It has three rooms, and each imports only from those below it:
//!
//! - [`system`]: the programs, from a command line to a running loop;
//! - [`commands`]: QMP and HMP commands, one file for each subsystem;
//! - [`model`]: the machine itself, which knows nothing of the monitor.
//!
//! An embedder does not need this package and has a state of their own in its
//! place; this one shows how that is done.

pub mod commands;
pub mod model;
pub mod schema;
mod sys;
pub mod system;

pub use model::{Machine, MachineOptions, ParseUuidError, Uuid};
