//! From paths to objects.
//!
//! An absolute path starts with a slash and is walked from the root. Any other
//! is *partial*: it is tried from every object, and must lead somewhere from
//! exactly one. So `i0` finds `/objects/i0` unless some other object below has
//! a child of that name, and the empty path, which leads from every object to
//! itself, is always ambiguous. Empty parts of a path mean nothing: `//a/` is
//! `/a`.

use super::{Machine, ObjectId};
use crate::model::shapes::Part;
use qmonitor::qapi::{Error, ErrorClass, QObject};

/// The chardevs as they show below `/chardevs`.
pub trait Chardevs {
    /// The label of the chardev with this label, if there is one.
    fn find(&self, label: &str) -> Option<&str>;
    /// All labels, in the order of QEMU's listings.
    fn labels(&self) -> Vec<&str>;
    /// The name of a chardev's type, such as `chardev-socket`.
    fn class(&self, label: &str) -> &'static str;
    /// A chardev's properties other than `type`, with type and value.
    fn properties(&self, label: &str) -> Vec<(&'static str, &'static str, QObject)>;
}

/// A place in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node<'a> {
    /// An object.
    Object(ObjectId),
    /// The chardev with this label.
    Chardev(&'a str),
    /// A part of an object.
    Part(ObjectId, Part),
}

/// Where a path leads (QEMU's `object_resolve_path`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution<'a> {
    /// One object.
    Found(Node<'a>),
    /// None.
    NotFound,
    /// Several; only a partial path can do that.
    Ambiguous,
}

impl Machine {
    /// The children of a node, by name.
    pub(super) fn node_children<'a>(
        &'a self,
        node: Node<'a>,
        chardevs: &'a dyn Chardevs,
    ) -> impl Iterator<Item = (&'a str, Node<'a>)> + 'a {
        let id = match node {
            Node::Object(id) => Some(id),
            Node::Chardev(_) | Node::Part(..) => None,
        };
        let labels = if id == Some(self.chardevs_container) {
            chardevs.labels()
        } else {
            Vec::new()
        };
        let devices = labels.into_iter().map(|l| (l, Node::Chardev(l)));
        let objects = id.into_iter().flat_map(|id| self.children(id));
        let of_object = |id| move |part: Part| (part.name, Node::Part(id, part));
        let parts = id
            .into_iter()
            .flat_map(move |id| self.parts(id).into_iter().map(of_object(id)));
        objects
            .map(|(name, id)| (name, Node::Object(id)))
            .chain(devices)
            .chain(parts)
    }

    /// The same in the order of QEMU's listings. All children of a node are objects, or all
    /// are chardevs.
    pub(super) fn listed_nodes<'a>(
        &'a self,
        node: Node<'a>,
        chardevs: &'a dyn Chardevs,
    ) -> Vec<(&'a str, Node<'a>)> {
        match node {
            Node::Object(id) if id != self.chardevs_container => {
                let children = self.listed_children(id).into_iter();
                children
                    .map(|(name, id)| (name, Node::Object(id)))
                    .collect()
            }
            _ => self.node_children(node, chardevs).collect(),
        }
    }

    /// The child of that name.
    pub(super) fn node_child<'a>(
        &'a self,
        node: Node<'a>,
        name: &str,
        chardevs: &'a dyn Chardevs,
    ) -> Option<Node<'a>> {
        let Node::Object(id) = node else {
            return None;
        };
        match self.child(id, name) {
            Some(child) => Some(Node::Object(child)),
            None if id == self.chardevs_container => chardevs.find(name).map(Node::Chardev),
            None => self.part(id, name).map(|part| Node::Part(id, part)),
        }
    }

    /// Follows a path, to objects and chardevs.
    pub fn resolve_path<'a>(&'a self, path: &str, chardevs: &'a dyn Chardevs) -> Resolution<'a> {
        if path.starts_with('/') {
            let found = self.follow(Node::Object(self.root), parts(path), chardevs);
            return found.map_or(Resolution::NotFound, Resolution::Found);
        }
        match self.matches(path, chardevs)[..] {
            [] => Resolution::NotFound,
            [node] => Resolution::Found(node),
            _ => Resolution::Ambiguous,
        }
    }

    /// All objects and chardevs that a path leads to.
    fn matches<'a>(&'a self, path: &str, chardevs: &'a dyn Chardevs) -> Vec<Node<'a>> {
        let mut parts = parts(path);
        let root = Node::Object(self.root);
        if path.starts_with('/') {
            return Vec::from_iter(self.follow(root, parts, chardevs));
        }
        let Some(first) = parts.next() else {
            return self.everything(chardevs);
        };
        let starts = self.everything_named(first, chardevs).into_iter();
        starts
            .filter_map(|at| self.follow(at, parts.clone(), chardevs))
            .collect()
    }

    /// All objects and chardevs in the tree.
    fn everything<'a>(&'a self, chardevs: &'a dyn Chardevs) -> Vec<Node<'a>> {
        let mut found = vec![Node::Object(self.root)];
        let mut at = 0;
        while let Some(node) = found.get(at) {
            let children = self.node_children(*node, chardevs).map(|(_, child)| child);
            let children: Vec<_> = children.collect();
            found.extend(children);
            at += 1;
        }
        found
    }

    /// Where one step with this name leads, from everywhere in the tree.
    fn everything_named<'a>(&'a self, name: &str, chardevs: &'a dyn Chardevs) -> Vec<Node<'a>> {
        let names = &self.objects.names;
        let children = names
            .named(name)
            .filter(|(parent, _)| self.is_in_tree(*parent));
        let children = children.map(|(_, child)| child);
        let links = names.linking(name).filter(|from| self.is_in_tree(*from));
        let links = links.filter_map(|from| self.link(from, name));
        let chardev = chardevs.find(name).map(Node::Chardev);
        children
            .chain(links)
            .map(Node::Object)
            .chain(chardev)
            .chain(self.parts_named(name))
            .collect()
    }

    /// All parts of this name. They are in no index: few paths begin with one.
    fn parts_named(&self, name: &str) -> Vec<Node<'_>> {
        if !name.ends_with(']') {
            return Vec::new();
        }
        let everything = self.everything(&NoChardevs).into_iter();
        everything
            .filter(|node| matches!(node, Node::Part(_, part) if part.name == name))
            .collect()
    }

    /// Whether the object is the root or below it; a new one is not yet.
    fn is_in_tree(&self, id: ObjectId) -> bool {
        let mut at = id;
        while let Some(parent) = self.parent(at) {
            at = parent;
        }
        at == self.root
    }

    fn follow<'a, 'p>(
        &'a self,
        from: Node<'a>,
        mut parts: impl Iterator<Item = &'p str>,
        chardevs: &'a dyn Chardevs,
    ) -> Option<Node<'a>> {
        parts.try_fold(from, |at, part| self.step(at, part, chardevs))
    }

    /// One part of a path: a child or the target of a link.
    fn step<'a>(
        &'a self,
        at: Node<'a>,
        part: &str,
        chardevs: &'a dyn Chardevs,
    ) -> Option<Node<'a>> {
        let child = self.node_child(at, part, chardevs);
        child.or_else(|| match at {
            Node::Object(id) => self.link(id, part).map(Node::Object),
            Node::Chardev(_) | Node::Part(..) => None,
        })
    }

    /// As [`resolve_path`](Self::resolve_path), for commands that need one
    /// object.
    ///
    /// # Errors
    ///
    /// `DeviceNotFound` if there is none, or several.
    pub(super) fn resolve_one<'a>(
        &'a self,
        path: &str,
        chardevs: &'a dyn Chardevs,
    ) -> Result<Node<'a>, Error> {
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
        let matches = self.matches(path, &NoChardevs);
        let fitting: Vec<ObjectId> = matches
            .iter()
            .filter_map(|node| match node {
                Node::Object(id) => self
                    .object(*id)
                    .filter(|o| o.class.is_a(wanted))
                    .map(|_| *id),
                Node::Chardev(_) | Node::Part(..) => None,
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

/// The parts of a path that mean something.
fn parts(path: &str) -> impl Iterator<Item = &str> + Clone {
    let mut rest = path;
    std::iter::from_fn(move || {
        // Few bytes: to look at each costs less than a search made for long texts.
        let start = rest.bytes().position(|b| b != b'/')?;
        rest = &rest[start..];
        let end = rest.bytes().position(|b| b == b'/');
        let part;
        (part, rest) = rest.split_at(end.unwrap_or(rest.len()));
        Some(part)
    })
}

/// A tree without chardevs: no link leads to one.
pub(crate) struct NoChardevs;

impl Chardevs for NoChardevs {
    fn find(&self, _: &str) -> Option<&str> {
        None
    }

    fn labels(&self) -> Vec<&str> {
        Vec::new()
    }

    fn class(&self, _: &str) -> &'static str {
        "chardev"
    }

    fn properties(&self, _: &str) -> Vec<(&'static str, &'static str, QObject)> {
        Vec::new()
    }
}

pub(crate) fn device_not_found(path: &str) -> Error {
    Error::with_class(
        ErrorClass::DeviceNotFound,
        format!("Device '{path}' not found"),
    )
}
