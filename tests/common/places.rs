//! Where this repository and the recordings of QEMU are.

use std::path::{Path, PathBuf};

/// The root of this repository. A test belongs to a package at the root or below.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package
        .ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file());
    root.unwrap_or(package)
}

/// The recordings of QEMU: `$QMONITOR_CONFORMANCE`, or a directory beside this
/// repository. It need not exist.
#[allow(dead_code)] // not all tests that need the root compare with recordings
pub fn conformance() -> PathBuf {
    match std::env::var_os("QMONITOR_CONFORMANCE") {
        Some(base) => PathBuf::from(base),
        None => root().join("../shared/conformance"),
    }
}
