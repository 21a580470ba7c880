//! The limits of the rows, as the repository has them.

use std::process::ExitCode;

use super::places::root;
use super::row::Row;

const FILE: &str = "benches/limits.txt";

/// How far a count may be from its limit: above, it fails; below, the limit should
/// be lowered.
const TOLERANCE: f64 = 0.05;

/// What a row may have at most of something.
struct Limit<'a> {
    most: f64,
    what: &'a str,
    row: &'a str,
}

impl Limit<'_> {
    /// Reads a line. It may be blank or a comment.
    fn parse(line: &str) -> Option<Limit<'_>> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let words = line.split_once(' ').and_then(|(most, rest)| {
            let (what, row) = rest.trim_start().split_once(' ')?;
            Some(Limit {
                most: most.parse().ok()?,
                what,
                row: row.trim_start(),
            })
        });
        Some(words.unwrap_or_else(|| panic!("{FILE}: {line}")))
    }

    /// What was counted, if that row was.
    fn count(&self, rows: &[Row]) -> Option<f64> {
        let find = |name: &str| rows.iter().find(|row| row.name == name);
        let row = find(self.row)?;
        Some(match self.what {
            "instructions" => row.instructions,
            "allocations" => row.allocations?,
            "system-calls" => row.system_calls,
            // As a share of the row of serde_json.
            "of-serde_json" => row.instructions / find(&row.of_serde_json())?.instructions,
            _ => return None,
        })
    }
}

/// Says where rows are beyond their limits or far below. If all rows are there, each
/// limit must have its own.
pub fn judge(rows: &[Row], all: bool) -> ExitCode {
    let text = read();
    let mut exit = ExitCode::SUCCESS;
    for limit in text.lines().filter_map(Limit::parse) {
        let Limit { most, what, row } = limit;
        match limit.count(rows) {
            None if all => {
                eprintln!("{row}: {FILE} limits its {what}, but nothing counts them");
                exit = ExitCode::FAILURE;
            }
            None => {}
            Some(count) if count > most * (1.0 + TOLERANCE) => {
                eprintln!("{row}: {count:.2} {what}, the limit is {most}");
                exit = ExitCode::FAILURE;
            }
            Some(count) if count < most * (1.0 - TOLERANCE) => {
                println!("{row}: {count:.2} {what}, lower the limit of {most} in {FILE}");
            }
            Some(_) => {}
        }
    }
    exit
}

/// Makes what was counted the limit.
pub fn set(rows: &[Row]) {
    let mut text = String::new();
    for line in read().lines() {
        let limit = Limit::parse(line);
        let count = limit.as_ref().and_then(|limit| limit.count(rows));
        match (limit, count) {
            (Some(Limit { what, row, .. }), Some(count)) => {
                let digits = if count < 100.0 { 2 } else { 0 };
                text += &format!("{count:>12.digits$}  {what:<13}  {row}");
            }
            _ => text += line,
        }
        text.push('\n');
    }
    std::fs::write(root().join(FILE), text).expect("a file of the repository");
}

fn read() -> String {
    std::fs::read_to_string(root().join(FILE)).expect("a file of the repository")
}
