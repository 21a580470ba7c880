//! What the readers of a scenario's parts have in common.

use std::collections::BTreeSet;

use qmonitor::qapi::QDict;

use crate::amount;
use crate::check::{Check, Side};
use crate::node::{to_dict, Node, Value};
use crate::pattern::names_in;
use crate::problem::{join, nearest, Problems};
use crate::schema::Schema;

/// Reads the parts of a scenario, and notes what is wrong.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    /// The schema.
    pub schema: &'a Schema,
    /// What is wrong.
    pub problems: &'a Problems,
    /// Whether the schema does not matter.
    pub unchecked: bool,
}

impl Reader<'_> {
    /// A member that is true or false; none is false.
    pub fn flag(&self, node: &Node, path: &str, name: &str) -> bool {
        match node.get(name).map(|node| (&node.value, node)) {
            None => false,
            Some((Value::Bool(value), _)) => *value,
            Some((_, node)) => {
                self.problems
                    .wrong_kind(node, &join(path, name), "true or false");
                false
            }
        }
    }

    /// A member that is a number from 0.
    pub fn count(&self, node: &Node, path: &str, name: &str) -> Option<u64> {
        let node = node.get(name)?;
        Some(amount::count(node, &join(path, name), self.problems))
    }

    /// A member that is a number from 1.
    pub fn positive(&self, node: &Node, path: &str, name: &str) -> Option<u64> {
        let node = node.get(name)?;
        Some(amount::positive(node, &join(path, name), self.problems))
    }

    /// A member that is a string.
    pub fn text(&self, node: &Node, path: &str, name: &str) -> Option<String> {
        self.word(node.get(name)?, &join(path, name))
    }

    /// A string, or a number where a string is wanted: options such as `64` are words too.
    pub fn word(&self, node: &Node, path: &str) -> Option<String> {
        match &node.value {
            Value::String(text) => Some(text.clone()),
            Value::Num(_) => Some(qmonitor::qapi::json::qobject_to_json(
                &node.to_qobject(),
                false,
            )),
            _ => {
                self.problems.wrong_kind(node, path, "a string");
                None
            }
        }
    }

    /// A member that is one of some words.
    pub fn choice<T: Copy>(&self, node: &Node, name: &str, right: &[(&str, T)]) -> Option<T> {
        let word = self.text(node, "", name)?;
        let found = right.iter().find(|(known, _)| *known == word);
        if found.is_none() {
            let place = node.get(name).map_or(node.place, |node| node.place);
            let right = right.iter().map(|(known, _)| *known);
            self.problems.unknown(place, name, "value", &word, right);
        }
        found.map(|(_, value)| *value)
    }

    /// A member that is a list; a part that cannot be read is left out.
    pub fn list<T>(
        &self,
        node: &Node,
        path: &str,
        name: &str,
        read: impl Fn(&Node, &str) -> Option<T>,
    ) -> Vec<T> {
        let path = join(path, name);
        match node.get(name).map(|node| (&node.value, node)) {
            None => Vec::new(),
            Some((Value::List(list), _)) => {
                let list = list.iter().enumerate();
                list.filter_map(|(i, node)| read(node, &format!("{path}[{i}]")))
                    .collect()
            }
            Some((_, node)) => {
                self.problems.wrong_kind(node, &path, "a list");
                Vec::new()
            }
        }
    }

    /// Checks the name of a command.
    pub fn command(&self, name: &str, node: &Node, path: &str) {
        // The guest agent's commands are in no schema of QEMU.
        let is_known = name.starts_with("guest-") || self.unchecked;
        if !is_known && self.schema.command(name).is_none() {
            let right = self.schema.commands();
            self.problems
                .unknown(node.place, path, "command", name, right);
        }
    }

    /// Checks the name of an event.
    pub fn event_name(&self, name: &str, node: &Node, path: &str) {
        if !self.unchecked && self.schema.event(name).is_none() {
            let right = self.schema.events();
            self.problems
                .unknown(node.place, path, "event", name, right);
        }
    }

    /// Checks the arguments to match of a command.
    pub fn arguments(&self, command: Option<&Node>, node: &Node, path: &str) {
        if !matches!(node.value, Value::Map(_)) {
            return self.problems.wrong_kind(node, path, "an object");
        }
        let command = command.and_then(Node::as_str);
        if let Some(command) = command.and_then(|name| self.typ(|schema| schema.command(name))) {
            self.check(Side::Pattern, command.arg, node, path);
        }
    }

    /// Checks what a command returns.
    pub fn returned(&self, command: Option<&str>, node: &Node, path: &str) {
        if let Some(command) = command.and_then(|name| self.typ(|schema| schema.command(name))) {
            self.check(Side::Sent, command.ret, node, path);
        }
    }

    /// Reads an event from the members `event` and `data`.
    pub fn event(&self, node: &Node, path: &str) -> Option<(String, QDict)> {
        let Some(name) = node.get("event") else {
            self.problems
                .add(node.place, path, "member 'event' is missing");
            return None;
        };
        self.event_of(name, node.get("data"), path)
    }

    /// Reads an event of a name and, if it has some, data.
    pub fn event_of(
        &self,
        name: &Node,
        data: Option<&Node>,
        path: &str,
    ) -> Option<(String, QDict)> {
        let name_path = join(path, "event");
        let Some(text) = name.as_str() else {
            self.problems.wrong_kind(name, &name_path, "a string");
            return None;
        };
        self.event_name(text, name, &name_path);
        let nothing = Node {
            value: Value::Map(Vec::new()),
            place: name.place,
        };
        let data = data.unwrap_or(&nothing);
        let path = join(path, "data");
        if !matches!(data.value, Value::Map(_)) {
            self.problems.wrong_kind(data, &path, "an object");
            return None;
        }
        if let Some(typ) = self.typ(|schema| schema.event(text)) {
            self.check(Side::Sent, typ, data, &path);
        }
        Some((text.to_owned(), to_dict(data.members())))
    }

    /// Checks that the names in a value are bound.
    pub fn bound(&self, node: &Node, path: &str, names: &BTreeSet<&str>) {
        match &node.value {
            Value::String(text) if !self.unchecked => {
                let unknown = names_in(text).into_iter().find(|n| !names.contains(n));
                if let Some(name) = unknown {
                    let hint = match nearest(name, names.iter().copied()) {
                        Some(right) => format!("; did you mean '${right}'?"),
                        None => "; a dollar is written '$$'".to_owned(),
                    };
                    let text = format!("nothing binds '${name}'{hint}");
                    self.problems.add(node.place, path, text);
                }
            }
            Value::List(list) => {
                for (i, node) in list.iter().enumerate() {
                    self.bound(node, &format!("{path}[{i}]"), names);
                }
            }
            Value::Map(members) => {
                for member in members {
                    self.bound(&member.node, &join(path, &member.name), names);
                }
            }
            _ => {}
        }
    }

    /// Asks the schema, unless it does not matter.
    fn typ<'s, T>(&'s self, ask: impl FnOnce(&'s Schema) -> Option<T>) -> Option<T> {
        (!self.unchecked).then(|| ask(self.schema)).flatten()
    }

    fn check(&self, side: Side, typ: &str, node: &Node, path: &str) {
        let check = Check {
            schema: self.schema,
            problems: self.problems,
            side,
        };
        check.value(typ, node, path);
    }
}
