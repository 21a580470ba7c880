//! The limits of the rows, as the repository has them.

use std::fmt::Write;
use std::process::ExitCode;

use super::row::Row;

const FILE: &str = "benches/limits.txt";
const TEXT: &str = include_str!("../limits.txt");

/// How far a count may be from its limit: above, it fails; below, the limit can be
/// lowered.
const TOLERANCE: f64 = 0.05;

struct Limit<'a> {
    most: f64,
    what: &'a str,
    row: &'a str,
}

/// Prints all rows, and says where they are beyond a limit or far below it. `all`
/// are there, so that each limit has to have its row.
pub fn judge(rows: &[Row], all: bool) -> ExitCode {
    for row in rows {
        println!("{row}");
    }
    let mut hints = String::new();
    let mut faults = String::new();
    for limit in limits() {
        let Limit { most, what, row } = limit;
        let Some(count) = count(rows, &limit) else {
            if all {
                let _ = writeln!(
                    faults,
                    "{FILE} limits {what} of \"{row}\", which nothing counts"
                );
            }
            continue;
        };
        if count > most * (1.0 + TOLERANCE) {
            let _ = writeln!(faults, "{row}: {count:.2} {what}, the limit is {most}");
        } else if count < most * (1.0 - TOLERANCE) {
            let _ = writeln!(
                hints,
                "{row}: {count:.2} {what}, lower the limit of {most} in {FILE}"
            );
        }
    }
    print!("{hints}");
    eprint!("{faults}");
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn limits() -> impl Iterator<Item = Limit<'static>> {
    let lines = TEXT.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let parse = || {
                let (most, rest) = line.split_once(char::is_whitespace)?;
                let (what, row) = rest.trim_start().split_once(char::is_whitespace)?;
                Some(Limit {
                    most: most.parse().ok()?,
                    what,
                    row: row.trim_start(),
                })
            };
            parse().unwrap_or_else(|| panic!("{FILE}: {line}"))
        })
}

fn count(rows: &[Row], limit: &Limit<'_>) -> Option<f64> {
    let find = |name: &str| rows.iter().find(|row| row.name == name);
    let row = find(limit.row)?;
    Some(match limit.what {
        "instructions" => row.instructions,
        "allocations" => row.allocations,
        "system-calls" => row.system_calls,
        // As a share of another row's.
        "of-serde_json" => {
            row.instructions / find(&format!("{}, serde_json", row.name))?.instructions
        }
        _ => return None,
    })
}
