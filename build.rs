//! Compiles the crate's own schemas with the crate's own compiler, whose
//! source is included here because a package cannot depend on itself.

#![allow(dead_code)] // what only other back ends of the compiler need

use std::path::{Path, PathBuf};

#[path = "src/qapi/codegen/mod.rs"]
mod codegen;
#[path = "src/qapi/schema/mod.rs"]
mod schema;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/qapi/codegen");
    println!("cargo::rerun-if-changed=src/qapi/schema");
    if std::env::var_os("CARGO_FEATURE_RUNTIME").is_some() {
        compile("src/monitor/schema/monitor.json", "monitor.rs");
    }
    if std::env::var_os("CARGO_FEATURE_MACHINE").is_some() {
        compile("src/machine/schema/machine.json", "machine.rs");
    }
}
