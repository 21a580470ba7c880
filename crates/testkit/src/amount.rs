//! Durations and sizes as people write them: `200ms`, `1MiB`.

use std::time::Duration;

use qmonitor::qapi::QNum;

use crate::node::{Node, Value};
use crate::problem::Problems;

/// The units of durations, in seconds.
pub(crate) const DURATIONS: [(&str, f64); 6] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("min", 60.0),
    ("h", 3600.0),
];

/// The units of sizes, in bytes.
pub(crate) const SIZES: [(&str, f64); 4] = [
    ("B", 1.0),
    ("KiB", 1024.0),
    ("MiB", 1048576.0),
    ("GiB", 1073741824.0),
];

/// Reads a duration: a number and its unit; 0 needs none.
pub fn duration(node: &Node, path: &str, problems: &Problems) -> Duration {
    let seconds = match &node.value {
        Value::Num(QNum::I64(0)) => Some(0.0),
        Value::String(text) => with_unit(text, &DURATIONS),
        _ => None,
    };
    let read = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    read.unwrap_or_else(|| {
        problems.wrong_kind(node, path, "a duration such as 200ms, 1.5s or 2min");
        Duration::ZERO
    })
}

/// A duration as it is written: a whole number of the largest unit that it fits.
pub(crate) fn show_duration(time: Duration) -> String {
    let ns = time.as_nanos();
    let whole = |(unit, seconds): &(&str, f64)| {
        let each = (seconds * 1e9).round() as u128;
        (ns % each == 0).then(|| format!("{}{unit}", ns / each))
    };
    let shown = DURATIONS.iter().rev().find_map(whole);
    shown.unwrap_or_default()
}

/// Reads a size in bytes.
pub fn size(node: &Node, path: &str, problems: &Problems) -> usize {
    let bytes = match &node.value {
        Value::Num(QNum::I64(n)) => usize::try_from(*n).ok(),
        Value::String(text) => with_unit(text, &SIZES).map(|bytes| bytes as usize),
        _ => None,
    };
    bytes.unwrap_or_else(|| {
        problems.wrong_kind(node, path, "a size such as 4096, 64KiB or 1MiB");
        0
    })
}

/// Reads a number that counts something.
pub fn count(node: &Node, path: &str, problems: &Problems) -> u64 {
    let count = match &node.value {
        Value::Num(QNum::I64(n)) => u64::try_from(*n).ok(),
        Value::Num(QNum::U64(n)) => Some(*n),
        _ => None,
    };
    count.unwrap_or_else(|| {
        problems.wrong_kind(node, path, "a number from 0");
        0
    })
}

/// Reads a number that counts from 1.
pub fn positive(node: &Node, path: &str, problems: &Problems) -> u64 {
    if matches!(node.value, Value::Num(QNum::I64(0))) {
        problems.add(node.place, path, "expected a number from 1");
        return 1;
    }
    count(node, path, problems)
}

fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let end = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..end].trim().parse().ok()?;
    let (_, factor) = units.iter().find(|(unit, _)| *unit == &text[end..])?;
    (number >= 0.0).then_some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units() {
        let problems = Problems::new("t");
        let node = |text: &str| Node::from(qmonitor::qapi::QObject::from(text));
        assert_eq!(
            duration(&node("1.5s"), "", &problems),
            Duration::from_millis(1500)
        );
        assert_eq!(
            duration(&node("200ms"), "", &problems),
            Duration::from_millis(200)
        );
        assert_eq!(size(&node("64KiB"), "", &problems), 65536);
        assert!(problems.is_empty());
        duration(&node("3"), "", &problems);
        size(&node("1MB"), "", &problems);
        duration(&node("-1s"), "", &problems);
        assert_eq!(problems.len(), 3);
    }
}
