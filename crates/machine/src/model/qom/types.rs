//! Types of objects and their properties: static tables.
//!
//! A type names its parent and adds properties to those of the parent. A property
//! is either a *cell*, which holds a default until it is set, or it is computed.
//! Setters are plain functions that get a [`Set`] with the whole machine in it, so a
//! setter may look at other objects or change them.

use std::any::Any;
use std::collections::HashMap;

use super::{Machine, ObjectId, PropertyInput};
use crate::model::facts::type_facts;
use qmonitor::qapi::visit::{to_qobject, QapiType};
use qmonitor::qapi::{Error, QObject};
use qmonitor::Profile;

/// The setting of a property: which one, of which object, to which value.
pub struct Set<'a> {
    /// The machine that has the object.
    pub machine: &'a mut Machine,
    /// The object.
    pub id: ObjectId,
    /// The property.
    pub property: &'static Property,
    /// The value, not read yet.
    pub input: &'a PropertyInput,
}

/// Sets a property: reads the input, checks it, and stores it (`set` of
/// QEMU's `ObjectProperty`).
pub type Setter = fn(Set<'_>) -> Result<(), Error>;

/// Makes the error about a property that is fixed because its object is complete.
pub type Refusal = fn(&Machine, ObjectId, &Property) -> Error;

/// Whether a property is fixed once its object is complete. QEMU reads the value of
/// some properties first, and then complains about a value of the wrong type.
#[derive(Clone, Copy)]
enum Frozen {
    Never,
    Unread(Refusal),
    Read(Refusal),
}

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
    /// A cell; the default is written as JSON.
    Json(&'static str),
    /// The same, with a default for each profile.
    Versions([&'static str; Profile::ALL.len()]),
    /// The result of the function.
    With(fn(&Machine, ObjectId) -> QObject),
    /// That of another property of the object.
    Alias(&'static str),
    /// It cannot be read.
    WriteOnly,
}

/// A property that all objects of a type have (QEMU's `ObjectProperty`).
#[derive(Clone, Copy)]
pub struct Property {
    /// Its name.
    pub name: &'static str,
    /// Its type, as `qom-list` shows it.
    pub type_name: &'static str,
    /// Its purpose; may be empty.
    pub description: &'static str,
    /// How to read it.
    pub get: Getter,
    /// How to set it; `None` if it is not writable.
    pub set: Option<Setter>,
    frozen: Frozen,
    part: Part,
    /// Whether clients that may change nothing do not see its value.
    pub is_secret: bool,
}

/// Whose property it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Of every QEMU's.
    All,
    /// Of QEMU's since this profile.
    Since(Profile),
    /// Of QEMU's before this profile.
    Before(Profile),
    /// None of QEMU's: it works, but listings are as QEMU's.
    Extension,
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
            frozen: Frozen::Never,
            part: Part::All,
            is_secret: false,
        }
    }

    /// The same, there is none before that profile.
    pub const fn since(mut self, profile: Profile) -> Self {
        self.part = Part::Since(profile);
        self
    }

    /// The same, there is none from that profile on.
    pub const fn before(mut self, profile: Profile) -> Self {
        self.part = Part::Before(profile);
        self
    }

    /// The same, hidden from clients that may change nothing.
    pub const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// The same, but QEMU has no such property.
    pub const fn extension(mut self) -> Self {
        self.part = Part::Extension;
        self
    }

    /// Whether it exists in a profile.
    pub fn is_in(&self, profile: Profile) -> bool {
        match self.part {
            Part::All | Part::Extension => true,
            Part::Since(first) => profile >= first,
            Part::Before(first) => profile < first,
        }
    }

    /// Whether listings show it in a profile.
    pub fn is_listed(&self, profile: Profile) -> bool {
        self.part != Part::Extension && self.is_in(profile)
    }

    /// The same, fixed once its object is complete.
    pub const fn frozen(mut self, refusal: Refusal) -> Self {
        self.frozen = Frozen::Unread(refusal);
        self
    }

    /// The same, read in that way and never fixed.
    pub const fn thawed(mut self, get: Getter) -> Self {
        self.get = get;
        self.frozen = Frozen::Never;
        self
    }

    /// The same, but the value is read before it is refused.
    pub const fn frozen_once_read(mut self, refusal: Refusal) -> Self {
        self.frozen = Frozen::Read(refusal);
        self
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
    /// The type it is derived from; only `object` has none.
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
    /// Facts that only a room above understands, such as those about devices (a
    /// class derived from `ObjectClass` in QEMU).
    pub class: Option<&'static (dyn Any + Send + Sync)>,
    /// Further properties, which are made when one is asked for.
    pub more: Option<fn(&'static ObjectType) -> &'static [Property]>,
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
            class: None,
            more: None,
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

    /// A type whose objects `object-add` makes.
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

    /// The facts of a room above, if they are a `T`.
    pub fn class<T: Any>(&self) -> Option<&'static T> {
        self.class?.downcast_ref()
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
        let declared = ancestry.iter().rev().flat_map(|t| t.properties);
        let mut all: Vec<&Property> = Vec::new();
        for property in declared.chain(self.further_properties()) {
            // A type may give a property of its parent another default.
            all.retain(|p| p.name != property.name);
            all.push(property);
        }
        all
    }

    /// The properties that are not declared, of the type or its closest ancestor with such.
    pub fn further_properties(&'static self) -> &'static [Property] {
        let mut ancestry = std::iter::successors(Some(self), |t| t.parent);
        ancestry.find_map(|t| Some(t.more?(t))).unwrap_or_default()
    }

    /// The properties that listings show, in the same order.
    pub fn listed_properties(&'static self, profile: Profile) -> Vec<&'static Property> {
        let mut properties = self.all_properties();
        properties.retain(|p| p.is_listed(profile));
        if let Some(facts) = type_facts(profile, self.name) {
            let recorded = facts.all_properties();
            let places: HashMap<_, _> = recorded.iter().map(|p| p.name).zip(0..).collect();
            properties.sort_by_key(|p| places.get(p.name).copied().unwrap_or(usize::MAX));
        }
        properties
    }

    /// A property of this type or one it is derived from.
    pub fn property(&'static self, name: &str) -> Option<&'static Property> {
        let further = || self.further_properties().iter().find(|p| p.name == name);
        self.declared_property(name).or_else(further)
    }

    /// The same without those that are made when one is asked for.
    pub fn declared_property(&'static self, name: &str) -> Option<&'static Property> {
        self.ancestry()
            .find_map(|t| t.properties.iter().find(|p| p.name == name))
    }
}

/// The type that all others are derived from.
pub(crate) static OBJECT: ObjectType = ObjectType {
    name: "object",
    parent: None,
    is_abstract: true,
    user_creatable: false,
    properties: &[Property::new(
        "type",
        "string",
        Getter::With(class_name),
        None,
    )],
    complete: None,
    can_be_deleted: None,
    class: None,
    more: None,
};

fn class_name(m: &Machine, id: ObjectId) -> QObject {
    m.class_name(id).into()
}

/// For `can_be_deleted`: something always needs the object.
pub(crate) fn never(_: &Machine, _: ObjectId) -> bool {
    false
}

impl Set<'_> {
    /// Calls the property's setter, unless the property is frozen.
    pub(super) fn run(self, setter: Setter) -> Result<(), Error> {
        match self.property.frozen {
            Frozen::Unread(refusal) if self.is_complete() => Err(self.refuse(refusal)),
            _ => setter(self),
        }
    }

    /// Puts a value into the property's cell.
    ///
    /// # Errors
    ///
    /// The property is frozen.
    pub fn store(self, value: impl Into<QObject>) -> Result<(), Error> {
        match self.property.frozen {
            Frozen::Read(refusal) if self.is_complete() => Err(self.refuse(refusal)),
            _ => {
                self.machine.store(self.id, self.property, value);
                Ok(())
            }
        }
    }

    fn refuse(&self, refusal: Refusal) -> Error {
        refusal(self.machine, self.id, self.property)
    }

    /// Whether the object is complete.
    pub fn is_complete(&self) -> bool {
        self.machine.is_complete(self.id)
    }

    /// The name of the object's type.
    pub fn class_name(&self) -> &'static str {
        self.machine.class_name(self.id)
    }
}

/// The usual words about a frozen property.
pub fn no_longer_set(_: &Machine, _: ObjectId, property: &Property) -> Error {
    let name = property.name;
    Error::new(format!("Property '{name}' can no longer be set"))
}

/// Puts a string into the cell.
pub fn set_str(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.string()?;
    set.store(value)
}

/// Puts a boolean into the cell.
pub fn set_bool(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.boolean()?;
    set.store(value)
}

/// Puts an integer into the cell.
pub fn set_int(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.int()?;
    set.store(value)
}

/// Puts an unsigned integer into the cell.
pub fn set_uint64(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.uint64()?;
    set.store(value)
}

/// Puts a size in bytes into the cell.
pub fn set_size(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.size()?;
    set.store(value)
}

/// Puts a value of the schema's type `T` into the cell.
pub fn set_value<T: QapiType>(set: Set<'_>) -> Result<(), Error> {
    let value: T = set.input.value()?;
    set.store(to_qobject(&value))
}

/// Lets the link lead to the object with the given path, or nowhere if that is
/// empty (`object_set_link_property`).
pub fn set_link(set: Set<'_>) -> Result<(), Error> {
    let path = set.input.string()?;
    let property = set.property;
    let wanted = property.type_name;
    let wanted = wanted.strip_prefix("link<").unwrap_or(wanted);
    let wanted = wanted.strip_suffix('>').unwrap_or(wanted);
    let target = match path.as_str() {
        "" => None,
        path => Some(set.machine.resolve_link(property.name, path, wanted)?),
    };
    set.machine.store_link(set.id, property, target);
    Ok(())
}
