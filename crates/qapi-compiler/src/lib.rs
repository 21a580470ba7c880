//! Compiler of QEMU's QAPI schema language.
//!
//! An embedder of [qmonitor] needs one line in a build script:
//!
//! ```no_run
//! // build.rs
//! qmonitor_qapi::build::compile("schema.json");
//! ```
//!
//! [`schema`] reads, checks, dumps, introspects and documents a schema;
//! [`codegen`] makes Rust of it; the program `qmonitor-qapi` offers the same from
//! a shell. The crate depends on nothing but the standard library.
//!
//! [qmonitor]: https://docs.rs/qmonitor

pub mod build;
pub mod codegen;
pub mod schema;
