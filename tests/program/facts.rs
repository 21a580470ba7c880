//! The tables of facts are what QEMU says now.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::places::root;

/// The version that the tables were recorded from, in the words of `-version`.
const VERSION: &str = "QEMU emulator version 10.0.2";

fn is_there() -> bool {
    let version = Command::new("qemu-system-x86_64").arg("-version").output();
    version.is_ok_and(|out| out.stdout.starts_with(VERSION.as_bytes()))
}

#[test]
fn a_fresh_recording_equals_the_tables() {
    if !is_there() {
        eprintln!("skipped: no {VERSION} (package qemu-system-x86)");
        return;
    }
    let fresh = tempfile::tempdir().expect("a directory");
    let status = Command::new("python3")
        .arg(root().join("tests/record/tables.py"))
        .arg(fresh.path())
        .stderr(Stdio::null())
        .status();
    assert!(status.expect("python3 runs").success());
    let kept = root().join("crates/machine/src/facts");
    for name in [
        "features.txt",
        "machines.txt",
        "order.txt",
        "processors.txt",
        "properties.txt",
        "types.txt",
    ] {
        let read = |dir: &Path| std::fs::read_to_string(dir.join(name)).expect("a table");
        let (fresh, kept) = (read(fresh.path()), read(&kept));
        let differs = fresh
            .lines()
            .zip(kept.lines())
            .find(|(fresh, kept)| fresh != kept);
        assert_eq!(differs, None, "{name}");
        assert_eq!(fresh.len(), kept.len(), "{name}");
    }
}
