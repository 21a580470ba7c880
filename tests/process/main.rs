//! Tests that change their process: its limits, the actions of its signals, its
//! allocator. Each runs in a process of its own.

mod alloc;
mod emfile;
mod signals;
mod sigpipe;

use std::process::Command;

/// Runs a test of this program, named by its path, in a process of its own.
#[track_caller]
fn alone(test: &str, body: fn()) {
    const ALONE: &str = "QMONITOR_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let program = std::env::current_exe().expect("this program");
    let output = Command::new(program)
        .args(["--exact", "--nocapture", test])
        .env(ALONE, "1")
        .output()
        .expect("this program starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let ran = said.contains("1 passed");
    assert!(output.status.success() && ran, "{test}: {output:?}");
}
