//! The `qom-*` commands, which treat objects and chardevs alike.

use super::path::{device_not_found, ChardevNode, Node, Resolution};
use super::{Machine, ObjectId, PropertyInput, Set};
use qmonitor::monitor::hash_order::hash_order;
use qmonitor::qapi::{Error, QObject};

/// A property in a list (`ObjectPropertyInfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyListing {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// Its purpose.
    pub description: Option<&'static str>,
}

/// A type in a list (`ObjectTypeInfo`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TypeListing {
    /// Its name.
    pub name: &'static str,
    /// Whether it is abstract.
    pub is_abstract: bool,
    /// Its parent.
    pub parent: Option<&'static str>,
}

impl PropertyListing {
    fn new(name: &str, type_name: impl Into<String>) -> Self {
        PropertyListing {
            name: name.to_owned(),
            type_name: type_name.into(),
            description: None,
        }
    }
}

impl Machine {
    fn node_class<'a>(&self, node: Node, chardevs: &'a [ChardevNode]) -> &'a str {
        match node {
            Node::Object(id) => self.object(id).map_or("object", |o| o.class.name),
            Node::Chardev(i) => chardevs.get(i).map_or("chardev", |c| c.class),
        }
    }

    /// Lists the properties of an object (`qom-list`).
    ///
    /// # Errors
    ///
    /// There is no such object, or several match.
    pub fn qom_list(
        &self,
        path: &str,
        chardevs: &[ChardevNode],
    ) -> Result<Vec<PropertyListing>, Error> {
        let node = match self.resolve_path(path, chardevs) {
            Resolution::Found(node) => node,
            Resolution::NotFound => return Err(device_not_found(path)),
            Resolution::Ambiguous => {
                return Err(Error::new(format!("Path '{path}' is ambiguous")));
            }
        };
        let mut list = Vec::new();
        match node {
            Node::Object(id) => {
                let class = self.object(id).map(|o| o.class);
                let properties = class.map_or(Vec::new(), |c| c.all_properties());
                list.extend(
                    properties
                        .iter()
                        .map(|p| PropertyListing::new(p.name, p.type_name)),
                );
            }
            Node::Chardev(i) => {
                list.push(PropertyListing::new("type", "string"));
                let properties = chardevs.get(i).map_or(&[][..], |c| &c.properties);
                list.extend(
                    properties
                        .iter()
                        .map(|(name, type_name, _)| PropertyListing::new(name, *type_name)),
                );
            }
        }
        let children = self.node_children(node, chardevs).collect();
        for (name, child) in hash_order(children, |(name, _)| name) {
            let class = self.node_class(child, chardevs);
            list.push(PropertyListing::new(name, format!("child<{class}>")));
        }
        Ok(list)
    }

    /// Reads a property (`qom-get`).
    ///
    /// # Errors
    ///
    /// There is no such object, or several match; it has no such property, or
    /// it cannot be read.
    pub fn qom_get(
        &self,
        path: &str,
        property: &str,
        chardevs: &[ChardevNode],
    ) -> Result<QObject, Error> {
        let node = self.resolve_one(path, chardevs)?;
        if let Some(value) = self.node_property(node, property, chardevs) {
            return Ok(value);
        }
        let mut children = self.node_children(node, chardevs);
        match children.find(|(name, _)| *name == property) {
            Some((_, Node::Object(child))) => Ok(self.canonical_path(child).into()),
            Some((_, Node::Chardev(_))) => Ok(format!("/chardevs/{property}").into()),
            None => {
                let problem = if self.node_has(node, property, chardevs) {
                    "is not readable"
                } else {
                    "not found"
                };
                Err(self.property_error(node, property, chardevs, problem))
            }
        }
    }

    /// Sets a property (`qom-set`); its name is in the input.
    ///
    /// # Errors
    ///
    /// There is no such object, or several match; there is no such property, it is
    /// not writable, or it does not take the value.
    pub fn qom_set(
        &mut self,
        path: &str,
        property: &str,
        input: &PropertyInput,
        chardevs: &[ChardevNode],
    ) -> Result<(), Error> {
        let node = self.resolve_one(path, chardevs)?;
        if let Node::Object(id) = node {
            if let Some(result) = self.try_set(id, property, input) {
                return result;
            }
        }
        let mut children = self.node_children(node, chardevs);
        let is_child = children.any(|(name, _)| name == property);
        let problem = if is_child || self.node_has(node, property, chardevs) {
            "is not writable"
        } else {
            "not found"
        };
        Err(self.property_error(node, property, chardevs, problem))
    }

    /// Sets a property of an object that may still be outside of the tree
    /// (`object_property_set`).
    ///
    /// # Errors
    ///
    /// There is no such property, it is not writable, or it does not take the value.
    pub(crate) fn property_set(
        &mut self,
        id: ObjectId,
        property: &str,
        input: &PropertyInput,
    ) -> Result<(), Error> {
        if let Some(result) = self.try_set(id, property, input) {
            return result;
        }
        let node = Node::Object(id);
        let problem = if self.node_has(node, property, &[]) {
            "is not writable"
        } else {
            "not found"
        };
        Err(self.property_error(node, property, &[], problem))
    }

    /// `None` if there is no such property or it is not writable.
    fn try_set(
        &mut self,
        id: ObjectId,
        name: &str,
        input: &PropertyInput,
    ) -> Option<Result<(), Error>> {
        let property = self.object(id)?.class.property(name)?;
        let set = Set {
            machine: self,
            id,
            property,
            input,
        };
        Some(set.run(property.set?))
    }

    fn node_property(&self, node: Node, name: &str, chardevs: &[ChardevNode]) -> Option<QObject> {
        match node {
            Node::Object(id) => self.property(id, name),
            Node::Chardev(_) if name == "type" => Some(self.node_class(node, chardevs).into()),
            Node::Chardev(i) => {
                let properties = &chardevs.get(i)?.properties;
                let found = properties.iter().find(|(n, ..)| *n == name);
                found.map(|(_, _, value)| value.clone())
            }
        }
    }

    /// Whether the node has the property, be it readable or not.
    fn node_has(&self, node: Node, name: &str, chardevs: &[ChardevNode]) -> bool {
        match node {
            Node::Object(id) => {
                let object = self.object(id);
                object.is_some_and(|o| o.class.property(name).is_some())
            }
            Node::Chardev(_) => self.node_property(node, name, chardevs).is_some(),
        }
    }

    fn property_error(
        &self,
        node: Node,
        property: &str,
        chardevs: &[ChardevNode],
        problem: &str,
    ) -> Error {
        let class = self.node_class(node, chardevs);
        Error::new(format!("Property '{class}.{property}' {problem}"))
    }

    /// The tree of children below an object, as `info qom-tree` shows it:
    /// depth, name and type, children sorted by name. `None` if the path
    /// leads nowhere or is ambiguous.
    pub fn qom_tree(
        &self,
        path: &str,
        chardevs: &[ChardevNode],
    ) -> Option<Vec<(usize, String, String)>> {
        let Resolution::Found(top) = self.resolve_path(path, chardevs) else {
            return None;
        };
        let name = match top {
            Node::Object(id) if id == self.root => String::new(),
            Node::Object(id) => self.object(id)?.name.clone(),
            Node::Chardev(i) => chardevs.get(i)?.label.clone(),
        };
        let mut list = Vec::new();
        let mut todo = vec![(0, name, top)];
        while let Some((depth, name, node)) = todo.pop() {
            let mut children: Vec<_> = self.node_children(node, chardevs).collect();
            // The next one to be listed is taken from the end.
            children.sort_by(|a, b| b.0.cmp(a.0));
            todo.extend(
                children
                    .into_iter()
                    .map(|(name, child)| (depth + 1, name.to_owned(), child)),
            );
            list.push((depth, name, self.node_class(node, chardevs).to_owned()));
        }
        Some(list)
    }
}
