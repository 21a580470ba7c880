//! Trees of devices: any sequence of devices that come and go leaves a tree that can be walked.
//!
//! Input: a byte for the board, then lines. A line after `-` is the id of a device that is
//! taken away; any other is the argument of `-device`.

use qmonitor::Runtime;
use qmonitor_machine::commands::device_from_cli;
use qmonitor_machine::schema::{QdevCommands, QomCommands};
use qmonitor_machine::Machine;

use super::harmless;

const BOARDS: &[&str] = &["pc", "q35", "microvm", "isapc", "none"];

/// Lines beyond that add nothing but time.
const MOST_LINES: usize = 24;

pub fn devices(data: &[u8]) {
    let [board, text @ ..] = data else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let mut rt = harmless::board(BOARDS[usize::from(*board) % BOARDS.len()]);
    for line in text.lines().take(MOST_LINES) {
        let before = objects(&mut rt, "/");
        if let Some(id) = line.strip_prefix('-') {
            let _ = Machine::qmp_device_del(&mut rt, id.to_owned());
        } else if let Err(e) = device_from_cli(&mut rt, line, &mut Vec::new()) {
            assert!(!e.desc().is_empty());
            assert_eq!(objects(&mut rt, "/"), before, "{line} left something");
        }
    }
    objects(&mut rt, "/");
}

/// How many objects there are below one. Each can be listed, and each of its properties is read
/// or refused with a reason.
fn objects(rt: &mut Runtime<Machine>, path: &str) -> usize {
    let listed = Machine::qmp_qom_list(rt, path);
    let mut count = 1;
    for property in listed.expect(path) {
        if property.r#type.starts_with("child<") {
            count += objects(
                rt,
                &format!("{}/{}", path.trim_end_matches('/'), property.name),
            );
        } else if let Err(e) = Machine::qmp_qom_get(rt, path, &property.name) {
            assert!(!e.desc().is_empty());
        }
    }
    count
}
