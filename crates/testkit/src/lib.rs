#![doc = include_str!("../README.md")]

pub mod address;
pub mod amount;
pub mod check;
pub mod control;
mod emulator;
pub mod kit;
pub mod node;
mod options;
pub mod pattern;
pub mod problem;
pub mod program;
mod random;
pub mod read;
mod report;
pub mod scenario;
pub mod schema;
pub mod server;
