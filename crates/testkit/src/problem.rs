//! What is wrong with a scenario, and where.

use std::cell::RefCell;
use std::fmt;

use crate::node::{Node, Place, Value};

/// Something wrong in a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named; empty for what came over the control channel.
    pub file: String,
    /// Where in the file.
    pub place: Place,
    /// The path from the top, such as `stubs[2].when.arguments.id`.
    pub path: String,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            let Place { line, column } = self.place;
            write!(f, "{}:{line}:{column}: ", self.file)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Problem {}

/// Collects the problems of one file.
#[derive(Debug, Default)]
pub struct Problems {
    file: String,
    found: RefCell<Vec<Problem>>,
}

impl Problems {
    /// None yet, of this file.
    pub fn new(file: &str) -> Self {
        Problems {
            file: file.to_owned(),
            found: RefCell::default(),
        }
    }

    /// Notes one.
    pub fn add(&self, place: Place, path: &str, text: impl Into<String>) {
        self.found.borrow_mut().push(Problem {
            file: self.file.clone(),
            place,
            path: path.to_owned(),
            text: text.into(),
        });
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.found.borrow().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets those after the first `len`.
    pub fn truncate(&self, len: usize) {
        self.found.borrow_mut().truncate(len);
    }

    /// Those that were found, in the order of the file.
    pub fn into_list(self) -> Vec<Problem> {
        let mut list = self.found.into_inner();
        list.sort_by_key(|problem| (problem.place.line, problem.place.column));
        list
    }

    /// Notes that a value is of the wrong kind.
    pub fn wrong_kind(&self, node: &Node, path: &str, wanted: &str) {
        self.add(
            node.place,
            path,
            format!("expected {wanted}, found {}", node.kind()),
        );
    }

    /// Notes an unknown name, with the nearest right one.
    pub fn unknown<'a>(
        &self,
        place: Place,
        path: &str,
        what: &str,
        name: &str,
        right: impl IntoIterator<Item = &'a str>,
    ) {
        let hint = match nearest(name, right) {
            Some(right) => format!("; did you mean '{right}'?"),
            None => String::new(),
        };
        self.add(place, path, format!("unknown {what} '{name}'{hint}"));
    }

    /// Checks that a value is an object and has only these members.
    pub fn expect_members(&self, node: &Node, path: &str, right: &[&str]) -> bool {
        let Value::Map(members) = &node.value else {
            self.wrong_kind(node, path, "an object");
            return false;
        };
        for member in members {
            if !right.contains(&member.name.as_str()) {
                let path = join(path, &member.name);
                let right = right.iter().copied();
                self.unknown(member.place, &path, "member", &member.name, right);
            }
        }
        true
    }
}

/// A path and the name of a member.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The name that is most like a wrong one, if any is like it.
pub fn nearest<'a>(name: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = 1 + name.chars().count() / 2;
    let near = right.into_iter().map(|right| {
        // The beginning of a name is nearer than a name of other letters.
        let begins = name.len() > 2 && right.starts_with(name);
        (if begins { 0 } else { distance(name, right) }, right)
    });
    let (distance, right) = near.min_by_key(|(distance, _)| *distance)?;
    (distance <= limit).then_some(right)
}

/// How many letters have to be changed; `-` and `_` are the same, and so are cases.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        let text = text.chars().map(|c| if c == '_' { '-' } else { c });
        text.flat_map(char::to_lowercase).collect()
    };
    let (a, b) = (letters(a), letters(b));
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_near() {
        let right = ["query-status", "query-stats", "quit"];
        assert_eq!(nearest("query-statsu", right), Some("query-stats"));
        assert_eq!(nearest("QUERY_STATUS", right), Some("query-status"));
        assert_eq!(nearest("migrate", right), None);
        assert_eq!(nearest("quti", right), Some("quit"));
        assert_eq!(nearest("exec", ["exact", "execute"]), Some("execute"));
        assert_eq!(
            nearest("secs", ["seconds", "microseconds"]),
            Some("seconds")
        );
    }
}
