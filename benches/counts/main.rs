//! What serving costs in instructions, allocations and system calls, held
//! against `benches/limits.txt`. These numbers are the same on a loaded machine,
//! so CI can fail on them.
//!
//! ```text
//! cargo bench --bench counts            # all
//! cargo bench --bench counts -- json    # one group of rows
//! cargo bench --bench counts -- --set   # what was counted is the limit from now on
//! ```
//!
//! Each group is a process of its own under valgrind's callgrind: this bench,
//! started again. What runs in [`row::counted`] counts, and nothing else.

mod callgrind;
mod json;
mod limits;
mod requests;
mod row;
mod schema;
mod start;

#[path = "../../tests/common/counting.rs"]
mod counting;
#[path = "../support/in_process.rs"]
mod in_process;
#[path = "../support/json_corpus.rs"]
mod json_corpus;
#[path = "../support/large_schema.rs"]
mod large_schema;
#[path = "../../tests/common/places.rs"]
mod places;
#[path = "../support/process.rs"]
mod process;
#[path = "../../tests/recorded_schema/mod.rs"]
mod recorded_schema;
#[path = "../../tests/common/recordings.rs"]
mod recordings;

use std::process::ExitCode;
use std::thread;

use row::{counted as serving, Row};

/// Rows that share a process.
const GROUPS: [(&str, fn()); 8] = [
    ("requests", requests::of_one_session),
    ("string", requests::of_a_long_string),
    ("commands", requests::of_commands),
    ("visit", requests::of_a_visit),
    ("sessions", requests::of_many_sessions),
    ("objects", requests::of_many_objects),
    ("json", json::rows),
    ("schema", schema::rows),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = &args[..] {
        if flag == "--group" {
            let group = GROUPS.iter().find(|(group, _)| group == name);
            let (_, count) = group.expect("a group");
            // A mistake in a bench would wait forever.
            nix::unistd::alarm::set(300);
            count();
            return ExitCode::SUCCESS;
        }
    }
    if !callgrind::is_installed() {
        eprintln!("valgrind is not installed");
        return ExitCode::FAILURE;
    }
    let wanted = args.iter().find(|arg| !arg.starts_with('-'));
    let rows = count(|name| wanted.is_none_or(|wanted| wanted == name));
    for row in &rows {
        println!("{row}");
    }
    if args.iter().any(|arg| arg == "--set") {
        limits::set(&rows);
        return ExitCode::SUCCESS;
    }
    limits::judge(
        &rows,
        wanted.is_none() && large_schema::recorded().is_some(),
    )
}

/// Counts the groups with these names, side by side.
fn count(wanted: impl Fn(&str) -> bool) -> Vec<Row> {
    let groups = GROUPS.iter().map(|(name, _)| *name);
    let mut counters: Vec<_> = groups
        .filter(|name| wanted(name))
        .map(|name| thread::spawn(|| callgrind::group(name)))
        .collect();
    if wanted("start") {
        counters.push(thread::spawn(start::row));
    }
    let rows = counters.into_iter();
    rows.flat_map(|counter| counter.join().expect("it counts"))
        .collect()
}
