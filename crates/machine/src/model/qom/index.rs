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
    /// By name.
    children: HashMap<String, Namesakes<Id>, FoldHash>,
    /// By name of the property: the objects that have set it.
    links: HashMap<&'static str, HashSet<Id, FoldHash>, FoldHash>,
}

/// Children of the same name: parent and child. Most names have one, which takes no second
/// hash to find.
struct Namesakes<Id> {
    first: (Id, Id),
    others: HashMap<Id, Id, FoldHash>,
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
        let same_name = self.children.get(name)?;
        let (first, child) = same_name.first;
        if first == parent {
            return Some(child);
        }
        same_name.others.get(&parent).copied()
    }

    /// Parent and child, wherever a child has this name.
    pub(super) fn named(&self, name: &str) -> impl Iterator<Item = (Id, Id)> {
        let found = self.children.get(name).into_iter();
        found.flat_map(|same_name| {
            let others = same_name.others.iter();
            let others = others.map(|(parent, child)| (*parent, *child));
            std::iter::once(same_name.first).chain(others)
        })
    }

    /// The objects that have set a link of this name.
    pub(super) fn linking(&self, name: &str) -> impl Iterator<Item = Id> {
        self.links.get(name).into_iter().flatten().copied()
    }

    pub(super) fn add_child(&mut self, parent: Id, name: &str, child: Id) {
        let entry = self.children.entry(name.to_owned());
        let same_name = entry.or_insert_with(|| Namesakes {
            first: (parent, child),
            others: HashMap::default(),
        });
        if same_name.first.0 == parent {
            same_name.first.1 = child;
        } else {
            same_name.others.insert(parent, child);
        }
    }

    pub(super) fn remove_child(&mut self, parent: Id, name: &str) {
        let Some(same_name) = self.children.get_mut(name) else {
            return;
        };
        if same_name.first.0 != parent {
            same_name.others.remove(&parent);
            return;
        }
        let other = same_name.others.keys().next().copied();
        if let Some(entry) = other.and_then(|other| same_name.others.remove_entry(&other)) {
            same_name.first = entry;
        } else {
            self.children.remove(name);
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
