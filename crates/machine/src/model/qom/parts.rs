//! Parts of devices: objects that the tree shows and that are not made.

use super::{Machine, NoChardevs, Node, ObjectId};
use crate::model::shapes::{Part, Shape};
use qmonitor::hash_order::hash_order;
use qmonitor::qapi::QObject;

/// The properties of a region of memory besides its type, with their types and values. Those of an
/// interrupt are none.
fn properties(class: &str) -> &'static [(&'static str, &'static str)] {
    match class {
        "memory-region" => &[
            ("container", "link<memory-region>"),
            ("addr", "uint64"),
            ("size", "uint64"),
            ("priority", "uint32"),
        ],
        _ => &[],
    }
}

impl Part {
    /// Names and types of its properties.
    pub(super) fn properties(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [("type", "string")]
            .into_iter()
            .chain(properties(self.class).iter().copied())
    }

    /// The value of a property.
    pub(super) fn property(self, name: &str) -> Option<QObject> {
        let (name, _) = self.properties().find(|(n, _)| *n == name)?;
        Some(match name {
            "type" => self.class.into(),
            "container" => "".into(),
            _ => 0i64.into(),
        })
    }
}

impl Machine {
    /// The parts of an object, which are there once it is complete.
    pub(super) fn parts(&self, id: ObjectId) -> Vec<Part> {
        let Some(name) = self.shape_name(id) else {
            return Vec::new();
        };
        let parts = Shape::of(name).into_iter().flat_map(Shape::parts);
        let is_there = |part: &Part| self.child(id, part.name).is_none();
        parts
            .filter(|part| is_there(part) && self.has_part(name, part.name))
            .collect()
    }

    /// The objects below one, in the order of QEMU's hash tables.
    pub(crate) fn walk_below(&self, id: ObjectId) -> Vec<ObjectId> {
        let children = self.node_children(Node::Object(id), &NoChardevs).collect();
        let mut found = Vec::new();
        for (_, node) in hash_order(children, |(name, _)| name) {
            if let Node::Object(child) = node {
                found.push(child);
                found.extend(self.walk_below(child));
            }
        }
        found
    }

    /// The part of that name.
    pub(super) fn part(&self, id: ObjectId, name: &str) -> Option<Part> {
        // All of them have a number.
        if !name.ends_with(']') {
            return None;
        }
        self.parts(id).into_iter().find(|part| part.name == name)
    }

    /// The name that the table has for the object's shape.
    fn shape_name(&self, id: ObjectId) -> Option<&'static str> {
        let object = self.object(id)?;
        if object.name == "unattached" && self.parent(id) == Some(self.machine_object) {
            return self.class.shape_of_unattached();
        }
        let class = object.class;
        if class.is_a("cpu") {
            return Some("qemu64-x86_64-cpu");
        }
        (self.is_complete(id) && class.is_a("device")).then_some(class.name)
    }
}
