//! Where this repository is.

use std::path::Path;

/// The root of this repository. A test belongs to a package at the root or below.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = package
        .ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file());
    root.unwrap_or(package)
}
