//! From paths to objects.
//!
//! An absolute path starts with a slash and is walked from the root. Any other
//! is *partial*: it is tried from every object, and must lead somewhere from
//! exactly one. So `i0` finds `/objects/i0` unless some other object below has
//! a child of that name, and the empty path, which leads from every object to
//! itself, is always ambiguous. Empty parts of a path mean nothing: `//a/` is
//! `/a`.

use super::{Machine, ObjectId};
use qmonitor::qapi::{Error, ErrorClass, QObject};

/// A chardev as it shows below `/chardevs`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChardevNode {
    /// Its id.
    pub label: String,
    /// Name of its type, such as `chardev-socket`.
    pub class: &'static str,
    /// Its properties other than `type`, with type and value.
    pub properties: Vec<(&'static str, &'static str, QObject)>,
}

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    /// An object.
    Object(ObjectId),
    /// Number of an element in the list of chardevs that the walk was given.
    Chardev(usize),
}

/// Where a path leads (QEMU's `object_resolve_path`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// One object.
    Found(Node),
    /// None.
    NotFound,
    /// Several; only a partial path can do that.
    Ambiguous,
}

impl Machine {
    /// The children of a node, by name.
    pub(super) fn node_children<'a>(
        &'a self,
        node: Node,
        chardevs: &'a [ChardevNode],
    ) -> impl Iterator<Item = (&'a str, Node)> + 'a {
        let id = match node {
            Node::Object(id) => Some(id),
            Node::Chardev(_) => None,
        };
        let here = if id == Some(self.chardevs_container) {
            chardevs
        } else {
            &[]
        };
        let devices = here.iter().enumerate();
        let devices = devices.map(|(i, c)| (c.label.as_str(), Node::Chardev(i)));
        let objects = id.into_iter().flat_map(|id| self.children(id));
        objects
            .map(|(name, id)| (name, Node::Object(id)))
            .chain(devices)
    }

    /// Follows a path, to objects and chardevs.
    pub fn resolve_path(&self, path: &str, chardevs: &[ChardevNode]) -> Resolution {
        match self.matches(path, chardevs)[..] {
            [] => Resolution::NotFound,
            [node] => Resolution::Found(node),
            _ => Resolution::Ambiguous,
        }
    }

    /// All objects and chardevs that a path leads to.
    fn matches(&self, path: &str, chardevs: &[ChardevNode]) -> Vec<Node> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut todo = vec![Node::Object(self.root)];
        let mut found = Vec::new();
        while let Some(node) = todo.pop() {
            found.extend(self.follow(node, &parts, chardevs));
            if path.starts_with('/') {
                break;
            }
            todo.extend(self.node_children(node, chardevs).map(|(_, child)| child));
        }
        found
    }

    fn follow(&self, from: Node, parts: &[&str], chardevs: &[ChardevNode]) -> Option<Node> {
        let mut parts = parts.iter();
        parts.try_fold(from, |at, part| self.step(at, part, chardevs))
    }

    /// One part of a path: a child or the target of a link.
    fn step(&self, at: Node, part: &str, chardevs: &[ChardevNode]) -> Option<Node> {
        let mut children = self.node_children(at, chardevs);
        if let Some((_, child)) = children.find(|(name, _)| *name == part) {
            return Some(child);
        }
        match at {
            Node::Object(id) => self.link(id, part).map(Node::Object),
            Node::Chardev(_) => None,
        }
    }

    /// As [`resolve_path`](Self::resolve_path), for commands that need one
    /// object.
    ///
    /// # Errors
    ///
    /// `DeviceNotFound` if there is none, or several.
    pub(super) fn resolve_one(&self, path: &str, chardevs: &[ChardevNode]) -> Result<Node, Error> {
        match self.resolve_path(path, chardevs) {
            Resolution::Found(node) => Ok(node),
            _ => Err(device_not_found(path)),
        }
    }

    /// Finds the target of a link (`object_resolve_link`): an object of the wanted
    /// type. Objects of other types do not count.
    ///
    /// # Errors
    ///
    /// There is none, or several, or only others.
    pub(super) fn resolve_link(
        &self,
        name: &str,
        path: &str,
        wanted: &str,
    ) -> Result<ObjectId, Error> {
        let matches = self.matches(path, &[]);
        let fitting: Vec<ObjectId> = matches
            .iter()
            .filter_map(|node| match node {
                Node::Object(id) => self
                    .object(*id)
                    .filter(|o| o.class.is_a(wanted))
                    .map(|_| *id),
                Node::Chardev(_) => None,
            })
            .collect();
        match (&fitting[..], matches.is_empty()) {
            ([id], _) => Ok(*id),
            ([], true) => Err(device_not_found(path)),
            ([], false) => Err(Error::new(format!(
                "Invalid parameter type for '{name}', expected: {wanted}"
            ))),
            _ => Err(Error::new(format!(
                "Path '{path}' does not uniquely identify an object"
            ))),
        }
    }
}

pub(crate) fn device_not_found(path: &str) -> Error {
    Error::with_class(
        ErrorClass::DeviceNotFound,
        format!("Device '{path}' not found"),
    )
}
