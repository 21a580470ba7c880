//! Types of objects and their properties: static tables.
//!
//! A type names its parent and adds properties to what that has. A property
//! is either a *cell*, which holds what was put into it or else a default, or
//! it is computed. Setters are plain functions that are given the whole
//! machine and the number of the object, so a setter may look at other objects
//! or change them.

use super::{Machine, ObjectId, PropertyInput};
use crate::model::qdev::DeviceClass;
use qmonitor::qapi::{Error, QObject};

/// Sets a property: reads the input, checks it, and stores it (`set` of
/// QEMU's `ObjectProperty`).
pub type Setter =
    fn(&mut Machine, ObjectId, &'static Property, &PropertyInput) -> Result<(), Error>;

/// Finishes an object once its properties are set.
pub type Complete = fn(&mut Machine, ObjectId) -> Result<(), Error>;

/// How a property is read.
#[derive(Clone, Copy)]
pub enum Getter {
    /// A cell; the default is a string.
    Str(&'static str),
    /// A cell; the default is a boolean.
    Bool(bool),
    /// A cell; the default is an integer.
    Int(i64),
    /// A cell; the default is an empty list.
    EmptyList,
    /// A cell; the default is an empty object.
    EmptyDict,
    /// Path of the object that the link leads to, or the empty string.
    Link,
    /// Whatever the function says.
    With(fn(&Machine, ObjectId) -> QObject),
    /// It cannot be read.
    WriteOnly,
}

/// A property that all objects of a type have (QEMU's `ObjectProperty`).
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its type, as `qom-list` shows it.
    pub type_name: &'static str,
    /// What it is for; empty if nobody cared to say.
    pub description: &'static str,
    /// How to read it.
    pub get: Getter,
    /// How to set it; without, it is not writable.
    pub set: Option<Setter>,
}

impl Property {
    /// A property of that name and type.
    pub const fn new(
        name: &'static str,
        type_name: &'static str,
        get: Getter,
        set: Option<Setter>,
    ) -> Self {
        Property {
            name,
            type_name,
            description: "",
            get,
            set,
        }
    }

    /// The same with a description.
    pub const fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }
}

/// A type of objects (QEMU's `TypeInfo` and `TypeImpl`).
pub struct ObjectType {
    /// Its name.
    pub name: &'static str,
    /// What it is derived from; only `object` has none.
    pub parent: Option<&'static ObjectType>,
    /// Whether there can be no object of just this type.
    pub is_abstract: bool,
    /// Whether `object-add` makes objects of this type.
    pub user_creatable: bool,
    /// The properties that it adds.
    pub properties: &'static [Property],
    /// Called when the properties of a new object are set and it is in the
    /// tree (`UserCreatableClass::complete`).
    pub complete: Option<Complete>,
    /// Whether `object-del` may delete such an object now
    /// (`UserCreatableClass::can_be_deleted`).
    pub can_be_deleted: Option<fn(&Machine, ObjectId) -> bool>,
    /// What makes it a type of devices that users can add.
    pub device: Option<&'static DeviceClass>,
}

impl ObjectType {
    /// A type without properties; the other fields are set with `..`.
    pub const fn new(name: &'static str, parent: &'static ObjectType) -> Self {
        ObjectType {
            name,
            parent: Some(parent),
            is_abstract: false,
            user_creatable: false,
            properties: &[],
            complete: None,
            can_be_deleted: None,
            device: None,
        }
    }

    /// An abstract type with properties for the types derived from it.
    pub const fn new_abstract(
        name: &'static str,
        parent: &'static ObjectType,
        properties: &'static [Property],
    ) -> Self {
        ObjectType {
            is_abstract: true,
            properties,
            ..Self::new(name, parent)
        }
    }

    /// A type of devices that users can add.
    pub const fn new_device(
        name: &'static str,
        parent: &'static ObjectType,
        device: &'static DeviceClass,
        properties: &'static [Property],
    ) -> Self {
        ObjectType {
            device: Some(device),
            properties,
            ..Self::new(name, parent)
        }
    }

    /// A type of which `object-add` makes objects.
    pub const fn new_user_creatable(
        name: &'static str,
        parent: &'static ObjectType,
        properties: &'static [Property],
    ) -> Self {
        ObjectType {
            user_creatable: true,
            properties,
            ..Self::new(name, parent)
        }
    }

    /// The type itself, its parent, and so on up to `object`.
    pub fn ancestry(&self) -> impl Iterator<Item = &ObjectType> {
        std::iter::successors(Some(self), |t| t.parent)
    }

    /// Whether it is the named type or derived from it
    /// (`object_class_dynamic_cast`).
    pub fn is_a(&self, name: &str) -> bool {
        self.ancestry().any(|t| t.name == name)
    }

    /// All properties, those of `object` first.
    pub fn all_properties(&'static self) -> Vec<&'static Property> {
        let ancestry: Vec<_> = self.ancestry().collect();
        ancestry.iter().rev().flat_map(|t| t.properties).collect()
    }

    /// A property of this type or one it is derived from.
    pub fn property(&'static self, name: &str) -> Option<&'static Property> {
        self.ancestry()
            .flat_map(|t| t.properties)
            .find(|p| p.name == name)
    }
}

/// Refuses to change a property that is fixed once its object is complete.
///
/// # Errors
///
/// The object is complete.
pub fn check_incomplete(m: &Machine, id: ObjectId, property: &Property) -> Result<(), Error> {
    if m.object(id).is_some_and(|object| object.complete) {
        let name = property.name;
        return Err(Error::new(format!(
            "Property '{name}' can no longer be set"
        )));
    }
    Ok(())
}

/// Puts a string into the cell.
pub fn set_str(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let value = input.string()?;
    m.store(id, property, value);
    Ok(())
}

/// Puts a boolean into the cell.
pub fn set_bool(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let value = input.boolean()?;
    m.store(id, property, value);
    Ok(())
}

/// Puts a 32-bit unsigned integer into the cell.
pub fn set_uint32(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let value = input.uint32()?;
    m.store(id, property, value);
    Ok(())
}

/// Puts a value of the schema's type `T` into the cell.
pub fn set_value<T: qmonitor::qapi::visit::QapiType>(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let value: T = input.value()?;
    m.store(id, property, qmonitor::qapi::visit::to_qobject(&value));
    Ok(())
}

/// Lets the link lead to the object with the given path, or nowhere if that is
/// empty (`object_set_link_property`).
pub fn set_link(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    let path = input.string()?;
    let wanted = property.type_name;
    let wanted = wanted.strip_prefix("link<").unwrap_or(wanted);
    let wanted = wanted.strip_suffix('>').unwrap_or(wanted);
    let target = match path.as_str() {
        "" => None,
        path => Some(m.resolve_link(property.name, path, wanted)?),
    };
    m.store_link(id, property, target);
    Ok(())
}
