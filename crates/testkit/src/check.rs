//! Checks values against a schema, as they stand in a scenario.

use qmonitor::qapi::{QDict, QNum, QObject};

use crate::node::{Node, Value};
use crate::problem::{join, Problems};
use crate::schema::{parts, Schema};

/// What kind of value is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Arguments to match: matchers may stand for values, and members may be missing.
    Pattern,
    /// What is sent: mandatory members must be there.
    Sent,
}

/// A check under way.
pub struct Check<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// Where problems go.
    pub problems: &'a Problems,
    /// What is checked.
    pub side: Side,
}

impl Check<'_> {
    /// Checks a value of the type of this name.
    pub fn value(&self, typ: &str, node: &Node, path: &str) {
        if self.stands_for_another(node) {
            return;
        }
        let Some(entry) = self.schema.entry(typ) else {
            return;
        };
        match entry.get_str("meta-type") {
            Some("builtin") => self.builtin(entry, node, path),
            Some("enum") => self.name(entry, node, path),
            Some("array") => self.list(entry, node, path),
            Some("object") => self.object(entry, node, path),
            Some("alternate") => self.alternate(entry, node, path),
            _ => {}
        }
    }

    /// Whether a matcher or a bound value stands here, which is known only when it is played.
    fn stands_for_another(&self, node: &Node) -> bool {
        match &node.value {
            Value::String(text) => text.contains('$'),
            Value::Map(members) => {
                let [member] = members.as_slice() else {
                    return false;
                };
                let matchers = ["re", "any", "absent", "eq"];
                self.side == Side::Pattern && matchers.contains(&member.name.as_str())
            }
            _ => false,
        }
    }

    fn builtin(&self, entry: &QDict, node: &Node, path: &str) {
        let json_type = entry.get_str("json-type").unwrap_or("value");
        let fits = match (json_type, &node.value) {
            ("value", _)
            | ("string", Value::String(_))
            | ("number", Value::Num(_))
            | ("boolean", Value::Bool(_))
            | ("null", Value::Null)
            | ("object", Value::Map(_))
            | ("array", Value::List(_)) => true,
            ("int", Value::Num(n)) => !matches!(n, QNum::Double(_)),
            _ => false,
        };
        if !fits {
            let wanted = match json_type {
                "int" => "an integer",
                "object" | "array" => json_type,
                "null" => "null",
                other => &format!("a {other}"),
            };
            self.problems.wrong_kind(node, path, wanted);
        }
    }

    fn name(&self, entry: &QDict, node: &Node, path: &str) {
        let Some(name) = node.as_str() else {
            return self.problems.wrong_kind(node, path, "a string");
        };
        let values: Vec<&str> = match entry.get("values").and_then(QObject::as_list) {
            Some(values) => values.iter().filter_map(QObject::as_str).collect(),
            None => names_of(entry).collect(),
        };
        if !values.contains(&name) {
            let problems = self.problems;
            problems.unknown(node.place, path, "value", name, values);
        }
    }

    fn list(&self, entry: &QDict, node: &Node, path: &str) {
        let Value::List(list) = &node.value else {
            return self.problems.wrong_kind(node, path, "a list");
        };
        let element = entry.get_str("element-type").unwrap_or("");
        for (i, node) in list.iter().enumerate() {
            self.value(element, node, &format!("{path}[{i}]"));
        }
    }

    fn object(&self, entry: &QDict, node: &Node, path: &str) {
        let Value::Map(members) = &node.value else {
            return self.problems.wrong_kind(node, path, "an object");
        };
        let mut known: Vec<&QDict> = parts(entry, "members").collect();
        let mut open = false;
        if let Some(tag) = entry.get_str("tag") {
            match node.get(tag).and_then(Node::as_str) {
                Some(case) => {
                    let branch = self.schema.branch(entry, case);
                    known.extend(
                        branch
                            .into_iter()
                            .flat_map(|branch| parts(branch, "members")),
                    );
                    // A branch may be a union itself.
                    open = branch.is_some_and(|branch| branch.contains_key("tag"));
                }
                // Without the discriminator, or with a matcher in its place, any branch may be.
                None => open = true,
            }
        }
        for member in members {
            let path = join(path, &member.name);
            match known
                .iter()
                .find(|k| k.get_str("name") == Some(&member.name))
            {
                Some(known) => self.value(known.get_str("type").unwrap_or(""), &member.node, &path),
                None if open => {}
                None => {
                    let right = known.iter().filter_map(|k| k.get_str("name"));
                    let name = &member.name;
                    let problems = self.problems;
                    problems.unknown(member.place, &path, "member", name, right);
                }
            }
        }
        if self.side == Side::Sent {
            let mandatory = known.iter().filter(|known| !known.contains_key("default"));
            for name in mandatory.filter_map(|known| known.get_str("name")) {
                if node.get(name).is_none() {
                    let text = format!("member '{name}' is missing");
                    self.problems.add(node.place, path, text);
                }
            }
        }
    }

    fn alternate(&self, entry: &QDict, node: &Node, path: &str) {
        let before = self.problems.len();
        for branch in parts(entry, "members") {
            self.value(branch.get_str("type").unwrap_or(""), node, path);
            if self.problems.len() == before {
                return;
            }
            self.problems.truncate(before);
        }
        let text = format!("{} does not fit any alternative of the schema", node.kind());
        self.problems.add(node.place, path, text);
    }
}

fn names_of(entry: &QDict) -> impl Iterator<Item = &str> {
    parts(entry, "members").filter_map(|member| member.get_str("name"))
}
