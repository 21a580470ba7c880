//! The `qom-*` commands, which treat objects and chardevs alike.

use super::path::{device_not_found, Chardevs, NoChardevs, Node, Resolution};
use super::{Machine, ObjectId, Property, PropertyInput, Set, Setter};
use qmonitor::qapi::{Error, QObject};

/// A property in a list (`ObjectPropertyInfo`).
#[derive(Debug, Clone, PartialEq)]
pub struct PropertyListing {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// Its purpose.
    pub description: Option<&'static str>,
    /// Its default, if it is told.
    pub default_value: Option<QObject>,
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
            default_value: None,
        }
    }
}

impl Machine {
    fn node_class(&self, node: Node, chardevs: &dyn Chardevs) -> &'static str {
        match node {
            Node::Object(id) => self.object(id).map_or("object", |o| o.class.name),
            Node::Chardev(label) => chardevs.class(label),
            Node::Part(_, part) => part.class,
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
        chardevs: &dyn Chardevs,
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
                let properties = class.map_or(Vec::new(), |c| c.listed_properties(self.profile));
                list.extend(
                    properties
                        .iter()
                        .map(|p| PropertyListing::new(p.name, p.type_name)),
                );
            }
            Node::Chardev(label) => {
                list.push(PropertyListing::new("type", "string"));
                let properties = chardevs.properties(label);
                list.extend(
                    properties
                        .iter()
                        .map(|(name, type_name, _)| PropertyListing::new(name, *type_name)),
                );
            }
            Node::Part(_, part) => {
                let properties = part.properties();
                list.extend(properties.map(|(name, t)| PropertyListing::new(name, t)));
            }
        }
        for (name, child) in self.listed_nodes(node, chardevs) {
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
        chardevs: &dyn Chardevs,
    ) -> Result<QObject, Error> {
        let node = self.resolve_one(path, chardevs)?;
        if let Some(value) = self.node_property(node, property, chardevs) {
            return Ok(value);
        }
        match self.node_child(node, property, chardevs) {
            Some(Node::Object(child)) => Ok(self.canonical_path(child).into()),
            Some(Node::Chardev(_)) => Ok(format!("/chardevs/{property}").into()),
            Some(Node::Part(owner, part)) => {
                Ok(format!("{}/{}", self.canonical_path(owner), part.name).into())
            }
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

    /// Whether the property holds a password or a key.
    pub fn is_secret(&self, path: &str, property: &str, chardevs: &dyn Chardevs) -> bool {
        let Ok(Node::Object(id)) = self.resolve_one(path, chardevs) else {
            return false;
        };
        let property = self
            .object(id)
            .and_then(|object| object.class.property(property));
        property.is_some_and(|property| property.is_secret)
    }

    /// Finds the object whose property is to be set (`qom-set`).
    ///
    /// # Errors
    ///
    /// There is no such object, or several match; there is no such property, or it is
    /// not writable.
    pub fn settable(
        &self,
        path: &str,
        property: &str,
        chardevs: &dyn Chardevs,
    ) -> Result<ObjectId, Error> {
        let node = self.resolve_one(path, chardevs)?;
        match node {
            Node::Object(id) if self.setter(id, property).is_some() => Ok(id),
            _ => Err(self.not_settable(node, property, chardevs)),
        }
    }

    /// Sets a property of an object, which may still be outside of the tree
    /// (`object_property_set`).
    ///
    /// # Errors
    ///
    /// There is no such property, it is not writable, or it does not take the value.
    pub fn property_set(
        &mut self,
        id: ObjectId,
        property: &str,
        input: &PropertyInput,
    ) -> Result<(), Error> {
        let Some((property, setter)) = self.setter(id, property) else {
            return Err(self.not_settable(Node::Object(id), property, &NoChardevs));
        };
        let set = Set {
            machine: self,
            id,
            property,
            input,
        };
        set.run(setter)
    }

    /// A property and its setter; `None` if there is no such property or it is not
    /// writable.
    fn setter(&self, id: ObjectId, name: &str) -> Option<(&'static Property, Setter)> {
        let property = self.object(id)?.class.property(name)?;
        let exists = property.is_in(self.profile);
        exists.then_some((property, property.set?))
    }

    fn not_settable(&self, node: Node, property: &str, chardevs: &dyn Chardevs) -> Error {
        let is_child = self.node_child(node, property, chardevs).is_some();
        let problem = if is_child || self.node_has(node, property, chardevs) {
            "is not writable"
        } else {
            "not found"
        };
        self.property_error(node, property, chardevs, problem)
    }

    fn node_property(&self, node: Node, name: &str, chardevs: &dyn Chardevs) -> Option<QObject> {
        match node {
            Node::Object(id) => self.property(id, name),
            Node::Chardev(_) if name == "type" => Some(self.node_class(node, chardevs).into()),
            Node::Chardev(label) => {
                let mut properties = chardevs.properties(label).into_iter();
                properties
                    .find(|(n, ..)| *n == name)
                    .map(|(.., value)| value)
            }
            Node::Part(_, part) => part.property(name),
        }
    }

    /// Whether the node has the property, be it readable or not.
    fn node_has(&self, node: Node, name: &str, chardevs: &dyn Chardevs) -> bool {
        match node {
            Node::Object(id) => {
                let object = self.object(id);
                let property = object.and_then(|o| o.class.property(name));
                property.is_some_and(|p| p.is_in(self.profile))
            }
            Node::Chardev(_) | Node::Part(..) => self.node_property(node, name, chardevs).is_some(),
        }
    }

    fn property_error(
        &self,
        node: Node,
        property: &str,
        chardevs: &dyn Chardevs,
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
        chardevs: &dyn Chardevs,
    ) -> Option<Vec<(usize, String, String)>> {
        let Resolution::Found(top) = self.resolve_path(path, chardevs) else {
            return None;
        };
        let name = match top {
            Node::Object(id) if id == self.root => String::new(),
            Node::Object(id) => self.object(id)?.name.clone(),
            Node::Chardev(label) => label.to_owned(),
            Node::Part(_, part) => part.name.to_owned(),
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
