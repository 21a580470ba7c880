//! Where the recordings of QEMU are.

use std::path::PathBuf;

use super::places::root;

/// What was recorded from QEMU: `$QMONITOR_CONFORMANCE`, or where it lies beside
/// this repository. It need not exist.
pub fn conformance() -> PathBuf {
    match std::env::var_os("QMONITOR_CONFORMANCE") {
        Some(base) => PathBuf::from(base),
        None => root().join("../shared/conformance"),
    }
}
