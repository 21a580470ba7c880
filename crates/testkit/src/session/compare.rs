//! Where two values in JSON differ.

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QNum, QObject};

/// Compares two values; the order of members does not count, and 21 is 21.0.
///
/// # Panics
///
/// If they differ; the message has a line for each place.
#[track_caller]
pub fn assert_json(got: &QObject, expected: &QObject) {
    let differences = differences(got, expected);
    assert!(
        differences.is_empty(),
        "this is not what was expected:\n  {}\ngot {}",
        differences.join("\n  "),
        show(got)
    );
}

/// Where a value differs from the expected one, one line for each place.
///
/// ```
/// use qmonitor_testkit::qmp;
/// use qmonitor_testkit::session::differences;
///
/// let got = qmp!({"disks": [{"id": "d0", "size": 5}]});
/// let expected = qmp!({"disks": [{"bus": 1, "id": "d0", "size": 6}]});
/// let lines = ["disks[0].bus is missing (expected 1)", "disks[0].size is 5, not 6"];
/// assert_eq!(differences(&got, &expected), lines);
/// ```
pub fn differences(got: &QObject, expected: &QObject) -> Vec<String> {
    let mut lines = Vec::new();
    compare(got, expected, "", &mut lines);
    lines
}

fn show(value: &QObject) -> String {
    qobject_to_json(value, false)
}

fn place(path: &str) -> &str {
    if path.is_empty() {
        "the value"
    } else {
        path
    }
}

fn compare(got: &QObject, expected: &QObject, path: &str, lines: &mut Vec<String>) {
    match (got, expected) {
        (QObject::Dict(got), QObject::Dict(expected)) => members(got, expected, path, lines),
        (QObject::List(got), QObject::List(expected)) => elements(got, expected, path, lines),
        (QObject::Num(got), QObject::Num(expected)) if number(*got) == number(*expected) => {}
        _ if got == expected => {}
        _ => {
            let place = place(path);
            let (got, expected) = (show(got), show(expected));
            lines.push(format!("{place} is {got}, not {expected}"));
        }
    }
}

/// A whole number that a double holds is that number.
fn number(number: QNum) -> QNum {
    match number {
        QNum::Double(d) if d.fract() == 0.0 && d.abs() < 9e15 => QNum::I64(d as i64),
        other => other,
    }
}

fn members(got: &QDict, expected: &QDict, path: &str, lines: &mut Vec<String>) {
    let inner = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for (name, expected) in expected.iter() {
        let path = inner(name);
        match got.get(name) {
            Some(got) => compare(got, expected, &path, lines),
            None => lines.push(format!("{path} is missing (expected {})", show(expected))),
        }
    }
    for (name, got) in got.iter().filter(|(name, _)| !expected.contains_key(name)) {
        let path = inner(name);
        lines.push(format!("{path} was not expected ({})", show(got)));
    }
}

fn elements(got: &[QObject], expected: &[QObject], path: &str, lines: &mut Vec<String>) {
    for (i, (got, expected)) in got.iter().zip(expected).enumerate() {
        compare(got, expected, &format!("{path}[{i}]"), lines);
    }
    if got.len() != expected.len() {
        let place = place(path);
        let (got, expected) = (got.len(), expected.len());
        lines.push(format!("{place} has {got} elements, not {expected}"));
    }
}
