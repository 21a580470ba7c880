//! The time of the schema compiler for a schema of QEMU's size.
//!
//! ```text
//! cargo bench --bench qapi_schema              # timed
//! cargo bench --bench qapi_schema -- --test    # once, untimed
//! ```
//!
//! The schema is made from a recorded reply to `query-qmp-schema`, found in
//! `$QMONITOR_CONFORMANCE/qapi` or `../shared/conformance/qapi`, and documented
//! with filler so that it has about as many lines as QEMU's own. Without the
//! recording a synthetic one of similar size is used. The best of several
//! rounds counts.

#[path = "support/large_schema.rs"]
mod large_schema;
#[path = "../tests/common/places.rs"]
mod places;
#[path = "../tests/recorded_schema/mod.rs"]
mod recorded_schema;
#[path = "../tests/common/recordings.rs"]
mod recordings;

use qmonitor_qapi::codegen;
use qmonitor_qapi::schema::{self, dump, introspect, manual};
use recorded_schema::documented;
use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

const ROUNDS: usize = 30;

fn main() {
    let test = std::env::args().any(|arg| arg == "--test");
    let text = large_schema::recorded().unwrap_or_else(|| {
        println!("no recording: synthetic");
        documented(&synthetic())
    });
    let lines = text.lines().count();
    println!("{lines} lines, {} bytes", text.len());
    let load = || schema::load_text(&text).unwrap_or_else(|error| panic!("{error}"));
    let loaded = load();
    let options = introspect::Options {
        defined: &|_| false,
        unmask: false,
    };
    let rounds = if test { 1 } else { ROUNDS };
    let report = |name: &str, work: &dyn Fn()| {
        let best = best(rounds, work);
        if !test {
            println!("{name:<12} {:>8.2} ms", best.as_secs_f64() * 1e3);
        }
    };
    report("load", &|| drop(black_box(load())));
    report("introspect", &|| {
        drop(black_box(introspect::introspect(&loaded, &options)));
    });
    report("dump", &|| drop(black_box(dump::dump(&loaded))));
    report("manual", &|| drop(black_box(manual::manual(&loaded))));
    let both = codegen::rust::Options {
        client: true,
        ..codegen::rust::Options::default()
    };
    report("rust", &|| {
        drop(black_box(codegen::rust::generate(&loaded, &both)));
    });
    report("own schemas", &|| own(&options));
}

/// All work on this repository's schemas, from file to text.
fn own(options: &introspect::Options) {
    let root = places::root();
    let mut dirs = schema::SchemaDirs::default();
    dirs.add("qmonitor", root.join("src"));
    for file in [
        "src/monitor/schema/monitor.json",
        "crates/schema/machine/machine.json",
    ] {
        let schema =
            schema::load_in(&root.join(file), &dirs).unwrap_or_else(|error| panic!("{error}"));
        black_box(introspect::introspect(&schema, options));
        let server = codegen::rust::Options::default();
        black_box(codegen::rust::generate(&schema, &server));
    }
}

fn best(rounds: usize, work: &dyn Fn()) -> Duration {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..rounds).map(round).min().unwrap_or_default()
}

fn synthetic() -> String {
    let mut text = String::new();
    for n in 0..800 {
        let members: Vec<String> = (0..8).map(|m| format!("'*m{m}': [ 'int' ]")).collect();
        let members = members.join(", ");
        let _ = writeln!(text, "{{ 'struct': 'Type{n}', 'data': {{ {members} }} }}");
        let _ = writeln!(text, "{{ 'command': 'c{n}', 'data': 'Type{n}' }}");
    }
    text
}
