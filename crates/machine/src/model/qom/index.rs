//! Children and links by name, so that no path needs a walk of the tree.
//!
//! A name is looked up in two ways: below one parent, for a step of a path, and
//! below all of them, for the first step of a partial path. One table serves
//! both. Links are entered whether or not the object they lead to still exists;
//! whoever asks follows the link and sees.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use qmonitor::fold_hash::FoldHash;

pub(super) struct NameIndex<Id> {
    /// By name: the parent and its child.
    children: HashMap<String, HashMap<Id, Id, FoldHash>, FoldHash>,
    /// By name of the property: the objects that have set it.
    links: HashMap<&'static str, HashSet<Id, FoldHash>, FoldHash>,
}

// Derived, it would ask for a default of the ids.
impl<Id> Default for NameIndex<Id> {
    fn default() -> Self {
        NameIndex {
            children: HashMap::default(),
            links: HashMap::default(),
        }
    }
}

impl<Id: Copy + Eq + Hash> NameIndex<Id> {
    pub(super) fn child(&self, parent: Id, name: &str) -> Option<Id> {
        self.children.get(name)?.get(&parent).copied()
    }

    /// Parent and child, wherever a child has this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = (Id, Id)> {
        let found = self.children.get(name).into_iter().flatten();
        found.map(|(parent, child)| (*parent, *child))
    }

    /// The objects that have set a link of this name.
    pub(super) fn linking(&self, name: &str) -> impl Iterator<Item = Id> {
        self.links.get(name).into_iter().flatten().copied()
    }

    pub(super) fn add_child(&mut self, parent: Id, name: &str, child: Id) {
        let same_name = self.children.entry(name.to_owned()).or_default();
        same_name.insert(parent, child);
    }

    pub(super) fn remove_child(&mut self, parent: Id, name: &str) {
        if let Some(same_name) = self.children.get_mut(name) {
            same_name.remove(&parent);
            if same_name.is_empty() {
                self.children.remove(name);
            }
        }
    }

    pub(super) fn add_link(&mut self, name: &'static str, from: Id) {
        self.links.entry(name).or_default().insert(from);
    }

    pub(super) fn remove_link(&mut self, name: &str, from: Id) {
        if let Some(objects) = self.links.get_mut(name) {
            objects.remove(&from);
        }
    }
}
