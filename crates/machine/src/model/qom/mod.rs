//! QOM: the tree of objects that `qom-list`, `qom-get` and `qom-set` walk.
//!
//! ```text
//! /                      container, made with the machine
//! ├─ backend             container
//! ├─ chardevs            container; its children are the program's chardevs
//! ├─ machine             none-machine
//! │  ├─ peripheral       container
//! │  ├─ peripheral-anon  container
//! │  └─ unattached       container: address spaces, the main bus
//! └─ objects             container: the results of object-add
//! ```
//!
//! An object has a type ([`ObjectType`], a static table), cells for the
//! properties that were set, links to other objects, and children. An object may
//! hold something else (memory, a thread, credentials): its *payload*, whose type
//! this room does not know. An object is named by an [`ObjectId`], which is
//! never used twice: once the object is gone, the id finds nothing.
//!
//! Character devices belong to the monitor library, not to the machine, and
//! come and go without the machine being asked. They are not copied into the
//! tree: each walk is given a way to look them up ([`Chardevs`]) and shows them
//! below `/chardevs`. So the two cannot drift apart, there is no hook to forget, and
//! a path that leads elsewhere costs the same however many there are.
//!
//! Paths are those of QEMU: from the root if they start with a slash, otherwise
//! a *partial path*, which matches the last parts of an object's path and must
//! match only one ([`Machine::resolve_path`]).

mod id;
mod index;
mod input;
mod parts;
mod path;
mod types;
mod walk;

#[cfg(test)]
pub(crate) mod tests;

use std::any::Any;
use std::collections::BTreeMap;

pub use id::ObjectId;
pub use input::PropertyInput;
pub(crate) use path::device_not_found;
pub(crate) use path::NoChardevs;
pub use path::{Chardevs, Node, Resolution};
pub(crate) use types::{never, OBJECT};
pub use types::{
    no_longer_set, set_bool, set_int, set_link, set_size, set_str, set_uint64, set_value, Complete,
    Getter, ObjectType, Property, Set, Setter,
};
pub use walk::{PropertyListing, TypeListing};

use index::NameIndex;

use crate::model::Machine;
use qmonitor::hash_order::{hash_order, HashOrder};
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::QObject;
use qmonitor::slots::Slots;

/// So many children that their order is not computed again for each that goes.
const MANY: usize = 9;

/// An object (QEMU's `Object`).
pub struct Object {
    /// Its type.
    pub(crate) class: &'static ObjectType,
    /// Its name among the children of its parent; empty for the root.
    pub(crate) name: String,
    parent: Option<ObjectId>,
    /// Its number among all that ever became a child, which keeps siblings in order.
    place: u64,
    children: BTreeMap<u64, ObjectId>,
    /// Their order in listings, kept once there are [`MANY`] or one has been taken out; before
    /// that it follows from the order of making.
    order: Option<Box<HashOrder<ObjectId>>>,
    cells: BTreeMap<&'static str, QObject>,
    links: BTreeMap<&'static str, ObjectId>,
    /// Whether it was made completely; some properties are fixed from then on.
    complete: bool,
    /// Something of a room above, dropped with the object.
    payload: Option<Box<dyn Any>>,
}

/// All objects.
#[derive(Default)]
pub struct Objects {
    slots: Slots<Object>,
    names: NameIndex<ObjectId>,
    /// How many ever became a child.
    placed: u64,
    /// How many objects were looked at, which tests count.
    #[cfg(test)]
    looked_at: std::cell::Cell<usize>,
}

impl Objects {
    pub(crate) fn make(&mut self, class: &'static ObjectType) -> ObjectId {
        ObjectId(self.slots.insert(Object {
            class,
            name: String::new(),
            parent: None,
            place: 0,
            children: BTreeMap::new(),
            order: None,
            cells: BTreeMap::new(),
            links: BTreeMap::new(),
            complete: false,
            payload: None,
        }))
    }
}

impl Machine {
    /// The object with this id, if it still exists.
    pub fn object(&self, id: ObjectId) -> Option<&Object> {
        #[cfg(test)]
        self.objects.looked_at.set(self.objects.looked_at.get() + 1);
        self.objects.slots.get(id.0)
    }

    pub(crate) fn object_mut(&mut self, id: ObjectId) -> Option<&mut Object> {
        self.objects.slots.get_mut(id.0)
    }

    /// The later of two objects has the higher number.
    pub(crate) fn age(&self, id: ObjectId) -> u64 {
        self.objects.slots.get_numbered(id.0).map_or(0, |(n, _)| n)
    }

    /// The age of the newest object.
    pub(crate) fn newest_age(&self) -> u64 {
        self.objects.slots.made()
    }

    /// The object's payload, if that is a `T`.
    pub(crate) fn payload<T: Any>(&self, id: ObjectId) -> Option<&T> {
        self.object(id)?.payload.as_ref()?.downcast_ref()
    }

    /// The same, to change it.
    pub(crate) fn payload_mut<T: Any>(&mut self, id: ObjectId) -> Option<&mut T> {
        self.object_mut(id)?.payload.as_mut()?.downcast_mut()
    }

    /// Gives the object its payload, which is dropped with it.
    pub(crate) fn set_payload(&mut self, id: ObjectId, payload: impl Any) {
        if let Some(object) = self.object_mut(id) {
            object.payload = Some(Box::new(payload));
        }
    }

    /// Whether the object was made completely.
    pub(crate) fn is_complete(&self, id: ObjectId) -> bool {
        self.object(id).is_some_and(|o| o.complete)
    }

    /// While it is complete, frozen properties of the object cannot be set.
    pub(crate) fn set_complete(&mut self, id: ObjectId, complete: bool) {
        if let Some(object) = self.object_mut(id) {
            object.complete = complete;
        }
    }

    /// The name of the object's type; empty if it is gone.
    pub(crate) fn class_name(&self, id: ObjectId) -> &'static str {
        self.object(id).map_or("", |o| o.class.name)
    }

    /// Makes an object outside of the tree (`object_new`).
    pub(crate) fn object_new(&mut self, class: &'static ObjectType) -> ObjectId {
        self.objects.make(class)
    }

    /// The object that this one is a child of.
    pub(crate) fn parent(&self, id: ObjectId) -> Option<ObjectId> {
        self.object(id)?.parent
    }

    /// Puts an object into the tree; false if the name is taken, be it by a
    /// property (`object_property_try_add_child`).
    pub(crate) fn add_child(&mut self, parent: ObjectId, name: &str, child: ObjectId) -> bool {
        let taken = self.child(parent, name).is_some()
            || self
                .object(parent)
                .is_none_or(|p| p.class.property(name).is_some());
        if taken {
            return false;
        }
        self.objects.placed += 1;
        let place = self.objects.placed;
        if let Some(object) = self.object_mut(child) {
            object.name = name.to_owned();
            object.parent = Some(parent);
            object.place = place;
        }
        if let Some(object) = self.object_mut(parent) {
            object.children.insert(place, child);
            if let Some(order) = &mut object.order {
                order.insert(name, child);
            } else if object.children.len() == MANY {
                let order = self.order_of_making(parent);
                if let Some(object) = self.object_mut(parent) {
                    object.order = Some(order);
                }
            }
        }
        self.objects.names.add_child(parent, name, child);
        true
    }

    /// Makes an object and puts it into the tree where nothing else is.
    pub(crate) fn new_child(
        &mut self,
        parent: ObjectId,
        name: &str,
        class: &'static ObjectType,
    ) -> ObjectId {
        let id = self.object_new(class);
        self.add_child(parent, name, id);
        id
    }

    /// Takes an object and all below it out of the tree and drops them
    /// (`object_unparent`). Links that led there lead nowhere afterwards.
    pub(crate) fn unparent(&mut self, id: ObjectId) {
        self.keep_order_without(id);
        let Some(object) = self.objects.slots.remove(id.0) else {
            return;
        };
        if let Some(parent) = object.parent {
            self.objects.names.remove_child(parent, &object.name);
            if let Some(parent) = self.object_mut(parent) {
                parent.children.remove(&object.place);
            }
        }
        for name in object.links.into_keys() {
            self.objects.names.remove_link(name, id);
        }
        for child in object.children.into_values() {
            self.unparent(child);
        }
    }

    /// The order of children if none was taken out.
    fn order_of_making(&self, parent: ObjectId) -> Box<HashOrder<ObjectId>> {
        let mut order = Box::<HashOrder<ObjectId>>::default();
        let children = self.children(parent);
        children.for_each(|(name, child)| order.insert(name, child));
        order
    }

    /// Takes an object out of the order of its siblings.
    fn keep_order_without(&mut self, id: ObjectId) {
        let Some(object) = self.object(id) else {
            return;
        };
        let (Some(parent), name) = (object.parent, object.name.clone()) else {
            return;
        };
        let Some(siblings) = self.object_mut(parent) else {
            return;
        };
        let kept = siblings.order.take();
        let mut order = kept.unwrap_or_else(|| self.order_of_making(parent));
        order.remove(&name, id);
        if let Some(parent) = self.object_mut(parent) {
            parent.order = Some(order);
        }
    }

    /// Whether a user has made an object of that name and type.
    pub(crate) fn has_user_object(&self, name: &str, class: &str) -> bool {
        let found = self.child(self.objects_container, name);
        found.is_some_and(|id| self.class_name(id) == class)
    }

    /// The child of that name.
    pub fn child(&self, parent: ObjectId, name: &str) -> Option<ObjectId> {
        self.objects.names.child(parent, name)
    }

    /// The children by name, in order of making.
    pub fn children(&self, parent: ObjectId) -> impl Iterator<Item = (&str, ObjectId)> {
        let children = self.object(parent).map(|o| o.children.values());
        children
            .into_iter()
            .flatten()
            .filter_map(|id| self.object(*id).map(|o| (o.name.as_str(), *id)))
    }

    /// The children by name, in the order of QEMU's listings.
    pub fn listed_children(&self, parent: ObjectId) -> Vec<(&str, ObjectId)> {
        let kept = self.object(parent).and_then(|o| o.order.as_ref());
        let Some(order) = kept else {
            return hash_order(self.children(parent).collect(), |(name, _)| name);
        };
        let named = |id| self.object(id).map(|o| (o.name.as_str(), id));
        order.listed().filter_map(named).collect()
    }

    /// The object's path from the root (`object_get_canonical_path`).
    pub fn canonical_path(&self, id: ObjectId) -> String {
        let mut names = Vec::new();
        let mut at = self.object(id);
        while let Some(object) = at {
            match object.parent {
                Some(parent) => {
                    names.push(object.name.as_str());
                    at = self.object(parent);
                }
                None => break,
            }
        }
        if names.is_empty() {
            "/".to_owned()
        } else {
            names
                .iter()
                .rev()
                .fold(String::new(), |path, name| path + "/" + name)
        }
    }

    /// Puts a value into the cell of a property.
    pub(crate) fn store(
        &mut self,
        id: ObjectId,
        property: &'static Property,
        value: impl Into<QObject>,
    ) {
        if let Some(object) = self.object_mut(id) {
            object.cells.insert(property.name, value.into());
        }
    }

    /// Puts a value into the cell of a property that the object's type has.
    pub(crate) fn store_by_name(&mut self, id: ObjectId, name: &str, value: impl Into<QObject>) {
        let class = self.object(id).map(|o| o.class());
        if let Some(property) = class.and_then(|c| c.property(name)) {
            self.store(id, property, value);
        }
    }

    pub(crate) fn store_link(
        &mut self,
        id: ObjectId,
        property: &'static Property,
        target: Option<ObjectId>,
    ) {
        let name = property.name;
        let Some(object) = self.object_mut(id) else {
            return;
        };
        if let Some(target) = target {
            object.links.insert(name, target);
            self.objects.names.add_link(name, id);
        } else {
            object.links.remove(name);
            self.objects.names.remove_link(name, id);
        }
    }

    /// The object that a link leads to.
    pub(crate) fn link(&self, id: ObjectId, name: &str) -> Option<ObjectId> {
        let target = *self.object(id)?.links.get(name)?;
        self.object(target).map(|_| target)
    }

    /// Reads a property; `None` if there is no such property, or it cannot be
    /// read.
    pub fn property(&self, id: ObjectId, name: &str) -> Option<QObject> {
        let object = self.object(id)?;
        let property = object.class.property(name)?;
        if !property.is_in(self.profile) {
            return None;
        }
        let default: QObject = match property.get {
            Getter::Str(s) => s.into(),
            Getter::Bool(b) => b.into(),
            Getter::Int(i) => i.into(),
            Getter::Json(text) => qobject_from_json(text.as_bytes()).unwrap_or(QObject::Null),
            Getter::Versions(texts) => {
                let text = texts[self.profile as usize];
                qobject_from_json(text.as_bytes()).unwrap_or(QObject::Null)
            }
            Getter::EmptyList => QObject::List(Vec::new()),
            Getter::EmptyDict => QObject::Dict(Default::default()),
            Getter::Link => {
                let target = self.link(id, name);
                return Some(
                    target
                        .map_or(String::new(), |t| self.canonical_path(t))
                        .into(),
                );
            }
            Getter::With(read) => return Some(read(self, id)),
            Getter::Alias(other) => return self.property(id, other),
            Getter::WriteOnly => return None,
        };
        Some(object.cells.get(property.name).cloned().unwrap_or(default))
    }

    /// The value that a property was set to, if it was set.
    pub(crate) fn cell(&self, id: ObjectId, name: &str) -> Option<QObject> {
        self.object(id)?.cells.get(name).cloned()
    }

    /// Whether a property was ever set.
    pub(crate) fn is_set(&self, id: ObjectId, name: &str) -> bool {
        self.object(id).is_some_and(|o| o.cells.contains_key(name))
    }

    /// Reads a string property; empty if there is none.
    pub(crate) fn str_property(&self, id: ObjectId, name: &str) -> String {
        match self.property(id, name) {
            Some(QObject::String(s)) => s,
            _ => String::new(),
        }
    }

    /// Reads a boolean property; false if there is none.
    pub(crate) fn bool_property(&self, id: ObjectId, name: &str) -> bool {
        self.property(id, name) == Some(QObject::Bool(true))
    }

    /// Reads an integer property; zero if there is none.
    pub(crate) fn int_property(&self, id: ObjectId, name: &str) -> i64 {
        match self.property(id, name) {
            Some(QObject::Num(qmonitor::qapi::QNum::I64(i))) => i,
            _ => 0,
        }
    }
}

impl Object {
    /// Its type.
    pub fn class(&self) -> &'static ObjectType {
        self.class
    }

    /// Its name among its siblings.
    pub fn name(&self) -> &str {
        &self.name
    }
}
