//! A checked schema. The front half makes it, the back ends (dump, introspection,
//! manual, Rust) read it. It is plain data with look-ups.

use std::collections::HashMap;
use std::path::PathBuf;

/// Number of an entity in [`Schema::entities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub usize);

/// Number of a module in [`Schema::modules`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub usize);

/// Number of a documentation comment in [`Schema::docs`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DocId(pub usize);

/// A whole schema, checked, with every reference resolved.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    /// `./builtin` first, then the main file, then included files in order of
    /// first mention.
    pub modules: Vec<Module>,
    /// Everything defined, in order of creation; built-in types come first.
    pub entities: Vec<Entity>,
    /// Documentation comments in order of reading.
    pub docs: Vec<Doc>,
    /// Types, commands and events by name.
    pub names: HashMap<String, EntityId>,
    /// The files that were read, in order, by the paths used to open them. A build
    /// script must watch them.
    pub files: Vec<PathBuf>,
}

/// One schema file (or the built-in types).
#[derive(Debug, Clone)]
pub struct Module {
    /// Relative to the directory of the main file, normalised.
    pub name: String,
    /// The contents of the file, in order.
    pub items: Vec<ModuleItem>,
}

/// An item of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModuleItem {
    /// An entity, an implicit one included.
    Entity(EntityId),
    /// An include directive.
    Include(ModuleId),
}

/// A type, a command or an event.
#[derive(Debug, Clone)]
pub struct Entity {
    /// The name; implicit objects have QEMU's (`q_obj_NAME-arg`, `-base`).
    pub name: String,
    /// The module of its definition.
    pub module: ModuleId,
    /// The documentation comment in front of it.
    pub doc: Option<DocId>,
    /// Its condition.
    pub ifcond: IfCond,
    /// Its features.
    pub features: Vec<Feature>,
    /// What it is.
    pub kind: EntityKind,
}

/// The kinds of entities.
#[derive(Debug, Clone)]
pub enum EntityKind {
    /// A built-in type: its name is `str`, `int`, `uint8`, `any`, ...
    Builtin,
    /// An enumeration.
    Enum(EnumType),
    /// An array type; its name is the element's with `List` appended.
    Array(EntityId),
    /// A struct, a union, or an implicit object.
    Object(ObjectType),
    /// An alternate.
    Alternate(Vec<Variant>),
    /// A command.
    Command(CommandDef),
    /// An event.
    Event(EventDef),
}

/// An enumeration.
#[derive(Debug, Clone)]
pub struct EnumType {
    /// The `prefix` key.
    pub prefix: Option<String>,
    /// The values in order.
    pub values: Vec<EnumValue>,
}

/// One value of an enumeration.
#[derive(Debug, Clone)]
pub struct EnumValue {
    /// The name on the wire.
    pub name: String,
    /// Its condition.
    pub ifcond: IfCond,
    /// Its features.
    pub features: Vec<Feature>,
}

/// A struct, a union, or an implicit object.
#[derive(Debug, Clone, Default)]
pub struct ObjectType {
    /// The base type.
    pub base: Option<EntityId>,
    /// Own members, without the base's.
    pub members: Vec<Member>,
    /// Tag and branches, if it is a union.
    pub variants: Option<Variants>,
    /// Made by the compiler: inline base or arguments, or `q_empty`.
    pub implicit: bool,
}

/// The varying part of a union.
#[derive(Debug, Clone)]
pub struct Variants {
    /// Name of the discriminator, a member of the base.
    pub tag: String,
    /// The discriminator's enumeration.
    pub tag_type: EntityId,
    /// Explicit branches in schema order, then the implied empty ones in the
    /// order of the enumeration.
    pub cases: Vec<Variant>,
}

/// A branch of a union or an alternative of an alternate.
#[derive(Debug, Clone)]
pub struct Variant {
    /// The discriminator's value, or the alternative's name.
    pub name: String,
    /// Its type; `q_empty` for an implied branch.
    pub typ: EntityId,
    /// Its condition.
    pub ifcond: IfCond,
}

/// A member of an object.
#[derive(Debug, Clone)]
pub struct Member {
    /// Without the `*` of optional members.
    pub name: String,
    /// Its type.
    pub typ: EntityId,
    /// Whether it may be absent.
    pub optional: bool,
    /// Its condition.
    pub ifcond: IfCond,
    /// Its features.
    pub features: Vec<Feature>,
}

/// A command.
#[derive(Debug, Clone)]
pub struct CommandDef {
    /// Argument type, always an object.
    pub args: Option<EntityId>,
    /// Return type.
    pub ret: Option<EntityId>,
    /// `gen`: whether marshalling code is generated.
    pub generated: bool,
    /// `success-response`
    pub success_response: bool,
    /// `boxed`: the handler takes the argument type whole.
    pub boxed: bool,
    /// `allow-oob`
    pub allow_oob: bool,
    /// `allow-preconfig`
    pub allow_preconfig: bool,
    /// `coroutine`: the handler may answer later.
    pub coroutine: bool,
}

/// An event.
#[derive(Debug, Clone)]
pub struct EventDef {
    /// Type of its data, always an object.
    pub data: Option<EntityId>,
    /// `boxed`: the emitter takes the data type whole.
    pub boxed: bool,
}

/// A feature of a definition, a member or a value.
#[derive(Debug, Clone)]
pub struct Feature {
    /// Its name; `deprecated`, `unstable` and [`EXTENSION`] are special.
    pub name: String,
    /// Its condition.
    pub ifcond: IfCond,
}

/// Marks members, values and branches that a program adds to QEMU's schema. Input
/// accepts them like any other, but introspection hides them, so that it stays
/// equal to QEMU's.
pub const EXTENSION: &str = "qmonitor-extension";

/// Marks what QEMU has since version 11.1. A program that behaves like an older one
/// does not know it.
pub const SINCE: &str = "since-11-1";

/// Marks what QEMU no longer has in version 11.1.
pub const REMOVED: &str = "removed-in-11-1";

/// Marks what is deprecated in QEMU since version 11.1. Any other feature may have the
/// same ending: it is shown, without it, since that version.
pub const DEPRECATED_SINCE: &str = "deprecated-since-11-1";

/// Marks an optional member that QEMU demands since version 11.1.
pub const REQUIRED_SINCE: &str = "required-since-11-1";

/// Marks a member that is a string before QEMU 11.1, and of the declared alternate
/// type since.
pub const STR_BEFORE: &str = "str-before-11-1";

/// Marks a structure that QEMU tells apart from `String` since version 11.1. It has the
/// same members, and introspection of an older one names `String` instead.
pub const STRING_BEFORE: &str = "string-before-11-1";

/// Marks what QEMU has since version 11.1, and a program that behaves like an older
/// one accepts but does not show, like an [`EXTENSION`].
pub const SHOWN_SINCE: &str = "shown-since-11-1";

/// Whether the feature only tells versions of QEMU apart. Introspection does not
/// show it.
pub fn is_version(feature: &Feature) -> bool {
    let name = feature.name.as_str();
    [SINCE, REMOVED, STR_BEFORE, STRING_BEFORE].contains(&name) || name.ends_with("-since-11-1")
}

/// Whether these are the features of an [`EXTENSION`].
pub fn is_extension(features: &[Feature]) -> bool {
    features.iter().any(|feature| feature.name == EXTENSION)
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum IfCond {
    /// No condition: it always holds.
    #[default]
    Always,
    /// A name is defined.
    Name(String),
    /// All of these hold.
    All(Vec<IfCond>),
    /// At least one of these holds.
    Any(Vec<IfCond>),
    /// This one does not hold.
    Not(Box<IfCond>),
}

impl IfCond {
    /// Whether there is no condition.
    pub fn is_always(&self) -> bool {
        matches!(self, IfCond::Always)
    }

    /// Whether the condition holds if exactly the names that `defined` accepts
    /// are defined.
    pub fn holds(&self, defined: &dyn Fn(&str) -> bool) -> bool {
        match self {
            IfCond::Always => true,
            IfCond::Name(name) => defined(name),
            IfCond::All(list) => list.iter().all(|cond| cond.holds(defined)),
            IfCond::Any(list) => list.iter().any(|cond| cond.holds(defined)),
            IfCond::Not(cond) => !cond.holds(defined),
        }
    }
}

/// A documentation comment.
#[derive(Debug, Clone)]
pub struct Doc {
    /// The name of its definition; `None` for a free-form comment.
    pub symbol: Option<String>,
    /// The module that contains it.
    pub module: ModuleId,
    /// How many entities existed when it was read: this places free-form comments
    /// between definitions.
    pub position: usize,
    /// The text before the first section.
    pub body: String,
    /// Members, arguments, values, alternatives, in the order of the schema
    /// (described ones first as written, then those without description).
    pub args: Vec<DocSection>,
    /// Features.
    pub features: Vec<DocSection>,
    /// `Plain`, `Returns`, `Errors`, `Since`, `Todo` in order.
    pub sections: Vec<DocSection>,
}

/// A tagged part of a documentation comment.
#[derive(Debug, Clone)]
pub struct DocSection {
    /// The member's or feature's name, or the section's tag.
    pub name: String,
    /// The text; empty if not documented.
    pub text: String,
}

impl Schema {
    /// The entity with this number.
    pub fn entity(&self, id: EntityId) -> &Entity {
        &self.entities[id.0]
    }

    /// The branches of a union that introspection shows: all except those for an
    /// [`EXTENSION`] value of the discriminator.
    pub fn shown_cases<'a>(&'a self, variants: &'a Variants) -> impl Iterator<Item = &'a Variant> {
        let values = match &self.entity(variants.tag_type).kind {
            EntityKind::Enum(def) => def.values.as_slice(),
            _ => &[],
        };
        let hidden = |case: &&Variant| {
            let value = values.iter().find(|value| value.name == case.name);
            value.is_some_and(|value| is_extension(&value.features))
        };
        variants.cases.iter().filter(move |case| !hidden(case))
    }

    /// A type, command or event by name.
    pub fn lookup(&self, name: &str) -> Option<&Entity> {
        self.names.get(name).map(|id| self.entity(*id))
    }
}
