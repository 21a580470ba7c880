//! What devices look like in QEMU once they are made: tables that `tests/record/shapes.py`
//! records.
//!
//! A shape has the lines of a device in `info qtree`, and its parts in the tree of objects: the
//! regions of memory and interrupts below it, which do nothing here and are not made as objects.

use std::sync::OnceLock;

static SHAPES: &str = include_str!("../facts/shapes.txt");
static LINES: &str = include_str!("../facts/lines.txt");

/// What devices of a type look like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    lines: &'static str,
    parts: &'static str,
}

/// An object that does nothing: a region of memory, or an interrupt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its name below its owner.
    pub name: &'static str,
    /// Its type.
    pub class: &'static str,
}

impl Shape {
    /// The shape of a type, if it is known.
    pub(crate) fn of(name: &str) -> Option<Shape> {
        static ALL: OnceLock<Vec<&str>> = OnceLock::new();
        let all = ALL.get_or_init(|| SHAPES.lines().collect());
        let first = |line: &&'static str| line.split('\t').next().unwrap_or(line);
        let at = all.binary_search_by(|line| first(line).cmp(name)).ok()?;
        let mut fields = all[at].split('\t').skip(1);
        let mut next = || fields.next().unwrap_or_default();
        Some(Shape {
            lines: next(),
            parts: next(),
        })
    }

    /// The lines of its page, as they are when nothing was set.
    pub(crate) fn lines(self) -> impl Iterator<Item = &'static str> {
        numbered(self.lines)
    }

    /// Its parts.
    pub(crate) fn parts(self) -> impl Iterator<Item = Part> {
        numbered(self.parts).filter_map(|line| {
            let (name, class) = line.split_once('\t')?;
            Some(Part { name, class })
        })
    }
}

/// The lines that `3 5-7` stands for.
fn numbered(words: &'static str) -> impl Iterator<Item = &'static str> {
    static ALL: OnceLock<Vec<&str>> = OnceLock::new();
    let all = ALL.get_or_init(|| LINES.lines().collect());
    let words = words.split_ascii_whitespace();
    let numbers = words.flat_map(|word| {
        let (first, last) = word.split_once('-').unwrap_or((word, word));
        let number = |digits: &str| digits.parse::<usize>().unwrap_or(usize::MAX);
        number(first)..=number(last)
    });
    numbers.filter_map(|number| all.get(number).copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_have_lines_and_parts() {
        let clock = Shape::of("hpet").unwrap();
        assert!(clock.lines().any(|line| line == "timers = 3 (0x3)"));
        let region = Part {
            name: "hpet[0]",
            class: "memory-region",
        };
        assert!(clock.parts().any(|part| part == region));
        assert!(Shape::of("nosuch").is_none());
    }
}
