#![doc = include_str!("../docs/library.md")]

// Generated code names this crate by its absolute path, inside it as well.
extern crate self as qmonitor;

pub mod chardev;
#[doc(hidden)]
pub mod fold_hash;
#[doc(hidden)]
pub mod hash_order;
pub mod main_loop;
pub mod monitor;
pub mod qapi;
#[doc(hidden)]
pub mod slots;
mod sys;
pub mod trace;
pub mod util;

pub use monitor::Runtime;
pub use qapi::Profile;
pub use sys::InheritedFds;

#[cfg(test)]
#[path = "../tests/common/fd_guard.rs"]
mod fd_guard;
