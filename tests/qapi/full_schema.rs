//! Code generated for a schema of QEMU's size compiles without a warning, as a
//! package that knows this one from outside: server, client and documentation.
//!
//! That takes minutes, so it runs on demand:
//!
//! ```text
//! QMONITOR_FULL_SCHEMA=1 cargo test --test qapi full_schema -- --nocapture
//! ```
//!
//! The schema is made from QEMU's recorded reply to `query-qmp-schema`, found
//! in `$QMONITOR_CONFORMANCE/qapi` or `../shared/conformance/qapi`.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use qmonitor_qapi::codegen::rust::{generate, Options};
use qmonitor_qapi::schema;
use serde_json::Value;

use crate::recorded_schema::{documented, to_schema};

fn recording() -> Option<Vec<Value>> {
    if std::env::var_os("QMONITOR_FULL_SCHEMA").is_none() {
        eprintln!("skipped: takes minutes; set QMONITOR_FULL_SCHEMA to run it");
        return None;
    }
    let base = crate::recordings::conformance();
    let path = base.join("qapi/qemu-10.0.2-none-schema.json");
    let Ok(text) = std::fs::read(&path) else {
        eprintln!("skipped: no {}", path.display());
        return None;
    };
    let reply: Value = serde_json::from_slice(&text).expect("a recording is JSON");
    Some(reply["return"].as_array().expect("an array").clone())
}

/// A library package that depends on this one and consists of `text`.
fn package(directory: &Path, text: &str) {
    let root = crate::places::root();
    let manifest = format!(
        "[package]\nname = \"full\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
         [dependencies]\nqmonitor = {{ path = {root:?} }}\n[workspace]\n"
    );
    std::fs::create_dir(directory.join("src")).expect("a directory can be made");
    std::fs::write(directory.join("Cargo.toml"), manifest).expect("a file can be written");
    std::fs::write(directory.join("src/lib.rs"), text).expect("a file can be written");
    std::fs::copy(root.join("Cargo.lock"), directory.join("Cargo.lock")).expect("the lock file");
}

#[test]
fn code_for_a_schema_of_qemus_size_compiles() {
    let Some(recorded) = recording() else {
        return;
    };
    let text = documented(&to_schema(&recorded));
    let schema = schema::load_text(&text).unwrap_or_else(|e| panic!("{e}"));
    let both = Options {
        client: true,
        ..Options::default()
    };
    let start = Instant::now();
    let code = generate(&schema, &both);
    println!(
        "{} lines of schema, {} lines of Rust, generated in {:?}",
        text.lines().count(),
        code.lines().count(),
        start.elapsed()
    );
    let directory = tempfile::tempdir().expect("a temporary directory");
    package(directory.path(), &code);
    // Dependencies are built first, so the times do not include them.
    for args in [
        &["build", "--package", "qmonitor"][..],
        &["build"],
        &["clippy", "--", "-D", "warnings"],
        &["doc", "--no-deps"],
    ] {
        let start = Instant::now();
        let out = Command::new(env!("CARGO"))
            .args(args)
            .current_dir(directory.path())
            .env("CARGO_TARGET_DIR", directory.path().join("target"))
            .env("CARGO_NET_OFFLINE", "true")
            .env("RUSTDOCFLAGS", "-D warnings")
            .output()
            .expect("cargo runs");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "cargo {args:?}:\n{said}");
        println!("cargo {} took {:?}", args.join(" "), start.elapsed());
    }
}
