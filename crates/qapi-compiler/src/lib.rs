//! Compiler of QEMU's QAPI schema language.
//!
//! For an embedder of [qmonitor] it is one line of a build script:
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
