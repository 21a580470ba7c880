//! QEMU's monitor subsystem: QMP and HMP over character devices on a
//! single-threaded main loop.

// Generated code names this crate by its absolute path, inside it as well.
extern crate self as qmonitor;

#[cfg(feature = "runtime")]
pub mod chardev;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "machine")]
pub mod machine;
#[cfg(feature = "runtime")]
pub mod main_loop;
#[cfg(feature = "runtime")]
pub mod monitor;
pub mod qapi;
#[cfg(feature = "runtime")]
#[doc(hidden)]
pub mod slots;
#[cfg(feature = "runtime")]
mod sys;
#[cfg(feature = "runtime")]
pub mod trace;

#[cfg(feature = "runtime")]
pub use monitor::Runtime;
#[cfg(feature = "runtime")]
pub use sys::InheritedFds;

#[cfg(all(test, feature = "runtime"))]
#[path = "../tests/common/fd_guard.rs"]
mod fd_guard;

// The page's examples are tests.
#[cfg(all(doctest, feature = "client"))]
#[doc = include_str!("../docs/schema-compiler.md")]
mod schema_compiler_page {}
