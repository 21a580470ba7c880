//! Runs programs under valgrind's callgrind and reads what it has counted.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::process::raise_fd_limit;
use super::row::Row;

/// The function whose calls are counted.
const COUNTED: &str = "counts::row::counted";

/// The functions of `row.rs` that tell callgrind what to count.
const ROWS: [&str; 3] = [
    "--toggle-collect=counts::row::counted",
    "--dump-before=counts::row::row_starts",
    "--dump-before=counts::row::row_ends",
];

pub fn is_installed() -> bool {
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--version").stdout(Stdio::null());
    valgrind.status().is_ok_and(|status| status.success())
}

/// Has the C library copy in loops. Otherwise, as the processor likes it, it copies
/// much memory with one instruction that repeats itself, and valgrind counts one for
/// each byte.
const TUNABLES: &str = "glibc.cpu.x86_rep_movsb_threshold=2147483647:\
                        glibc.cpu.x86_rep_stosb_threshold=2147483647";

/// A command that runs a program and writes down in a file what was counted.
pub fn command(options: &[&str], profile: &Path, program: &Path) -> Command {
    let mut out = OsString::from("--callgrind-out-file=");
    out.push(profile);
    let mut command = Command::new("valgrind");
    command.env("GLIBC_TUNABLES", TUNABLES);
    command.args(["--quiet", "--tool=callgrind", "--collect-systime=yes"]);
    command.args(["--compress-strings=no", "--combine-dumps=yes"]);
    command.args(options).arg(out).arg(program);
    command
}

/// Counts a group of rows, in a process of its own.
pub fn group(name: &str) -> Vec<Row> {
    // A group may have both ends of a thousand sockets.
    raise_fd_limit();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let profile = dir.path().join("profile");
    let this = std::env::current_exe().expect("own path");
    let mut valgrind = command(&ROWS, &profile, &this);
    let output = valgrind
        .args(["--group", name])
        .stderr(Stdio::inherit())
        .output();
    let output = output.expect("valgrind starts");
    assert!(output.status.success(), "the group {name} failed");
    let names = String::from_utf8(output.stdout).expect("names of rows");
    // Every other part is what came between two rows.
    let parts = read(&profile).into_iter().skip(1);
    let counted: Vec<Counted> = parts.step_by(2).collect();
    assert_eq!(
        names.lines().count(),
        counted.len(),
        "rows of the group {name}"
    );
    let rows = names.lines().zip(&counted).map(|(line, counted)| {
        let mut words = line.splitn(3, '\t');
        let mut number = || words.next()?.parse::<f64>().ok();
        let (times, allocations) = (number().expect("a number"), number());
        let name = words.next().expect("a name");
        Row {
            name: name.to_owned(),
            instructions: counted.instructions as f64 / times,
            allocations: allocations.map(|allocations| allocations / times),
            system_calls: counted.system_calls as f64 / times,
        }
    });
    rows.collect()
}

/// What was counted between two dumps.
#[derive(Default)]
pub struct Counted {
    pub instructions: i64,
    pub system_calls: i64,
}

/// The parts of a file of callgrind's. It lists functions, each with its costs by
/// line (instructions, system calls) and with its calls of others:
///
/// ```text
/// fn=counts::row::counted
/// 28 50
/// cfn=counts::in_process::World::turn::{{closure}}
/// calls=50 +57
/// * 291769 120
/// ```
///
/// The line after `calls` has the cost of what was called. Calls that were not to
/// be counted are there, but have no instructions.
pub fn read(profile: &Path) -> Vec<Counted> {
    let text = std::fs::read(profile).expect("callgrind has written a file");
    let text = String::from_utf8_lossy(&text);
    let mut parts: Vec<Counted> = Vec::new();
    let mut part = Counted::default();
    let (mut caller, mut callee, mut has_counted) = ("", "", false);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = name;
            has_counted |= caller == COUNTED;
        } else if let Some(name) = line.strip_prefix("cfn=") {
            // A name may have a version: clock_gettime@@GLIBC_2.17
            callee = name.split('@').next().unwrap_or(name);
        } else if let Some(calls) = line.strip_prefix("calls=") {
            let (calls, cost) = (number(calls, 0), lines.next().unwrap_or_default());
            if number(cost, 1) == 0 {
                continue;
            }
            if caller == COUNTED {
                part.system_calls += number(cost, 2);
            } else if callee == "clock_gettime" {
                // Only valgrind makes a system call of it.
                part.system_calls -= calls;
            }
        } else if let Some(totals) = line.strip_prefix("totals: ") {
            part.instructions = number(totals, 0);
            // A whole program has no such function: all of it counts.
            if !std::mem::take(&mut has_counted) {
                part.system_calls += number(totals, 1);
            }
            parts.push(std::mem::take(&mut part));
        }
    }
    parts
}

/// The word at that place, or zero if there is none.
fn number(words: &str, at: usize) -> i64 {
    let word = words.split_whitespace().nth(at);
    word.map_or(0, |word| word.parse().expect("a number"))
}
