//! Questions about the schema that the parts of the generator share.

use std::collections::{HashMap, HashSet};

use super::cond::{outcome, Outcome};
use super::cycles::{boxed_edges, Edge};
use super::{names, Options};
use crate::schema::model::{
    Entity, EntityId, EntityKind, Feature, IfCond, Member, Schema, Variant, Variants,
    DEPRECATED_SINCE, REMOVED, REQUIRED_SINCE, SINCE, STR_BEFORE,
};

/// The schema, and what the generator has found out about it.
pub(super) struct Context<'s> {
    pub(super) schema: &'s Schema,
    pub(super) options: &'s Options,
    /// By-value containments that would make a type infinitely large.
    boxed: HashSet<Edge>,
    /// Implicit object types that something refers to by name.
    referenced: HashSet<EntityId>,
    /// The Rust names of all types.
    taken: HashSet<String>,
}

impl<'s> Context<'s> {
    pub(super) fn new(schema: &'s Schema, options: &'s Options) -> Self {
        let mut cx = Context {
            schema,
            options,
            boxed: HashSet::new(),
            referenced: HashSet::new(),
            taken: schema.names.keys().map(|n| names::type_name(n)).collect(),
        };
        cx.boxed = boxed_edges(&cx);
        cx.referenced = referenced(schema);
        cx
    }

    /// Decides a condition as far as possible.
    pub(super) fn outcome(&self, cond: &IfCond) -> Outcome {
        outcome(&self.options.conditions, cond)
    }

    /// Whether the condition may hold.
    pub(super) fn holds(&self, cond: &IfCond) -> bool {
        self.outcome(cond) != Outcome::Fails
    }

    /// The `cfg` attribute for the condition.
    pub(super) fn cfg(&self, cond: &IfCond) -> Option<String> {
        self.outcome(cond).attribute()
    }

    /// The constant of `SpecialFeatures` for these features, if any of them is
    /// special.
    pub(super) fn special(&self, features: &[Feature]) -> Option<&'static str> {
        let has = |name: &str| {
            let mut found = features.iter().filter(|f| f.name == name);
            found.any(|f| self.holds(&f.ifcond))
        };
        let (deprecated, unstable) = (has("deprecated"), has("unstable"));
        match (has(SINCE), has(REMOVED), deprecated, unstable) {
            (since, ..) if has(REQUIRED_SINCE) => Some(if since {
                "REQUIRED_AND_SINCE_11_1"
            } else {
                "REQUIRED_SINCE_11_1"
            }),
            _ if has(STR_BEFORE) => Some("STR_BEFORE_11_1"),
            (true, _, _, true) => Some("UNSTABLE_SINCE_11_1"),
            (true, _, _, false) => Some("SINCE_11_1"),
            (_, true, true, _) => Some("DEPRECATED_REMOVED_IN_11_1"),
            (_, true, false, true) => Some("UNSTABLE_REMOVED_IN_11_1"),
            (_, true, false, false) => Some("REMOVED_IN_11_1"),
            (_, _, true, true) => Some("BOTH"),
            (_, _, true, false) => Some("DEPRECATED"),
            (_, _, false, _) if has(DEPRECATED_SINCE) => Some("DEPRECATED_SINCE_11_1"),
            (_, _, false, true) => Some("UNSTABLE"),
            (_, _, false, false) => None,
        }
    }

    /// Whether these include `deprecated`.
    pub(super) fn deprecated(&self, features: &[Feature]) -> bool {
        let of_all = ["DEPRECATED", "BOTH", "DEPRECATED_REMOVED_IN_11_1"];
        self.special(features).is_some_and(|f| of_all.contains(&f))
    }

    /// Members of an object, those of its base types first. Leaves out members
    /// whose condition fails.
    pub(super) fn members(&self, id: EntityId) -> Vec<&'s Member> {
        let EntityKind::Object(object) = &self.schema.entity(id).kind else {
            return Vec::new();
        };
        let mut members = object.base.map_or_else(Vec::new, |base| self.members(base));
        members.extend(object.members.iter().filter(|m| self.holds(&m.ifcond)));
        members
    }

    /// Where a member of an object is documented: the object itself, or the
    /// base type that declares it.
    pub(super) fn declaring(&self, id: EntityId, member: &Member) -> &'s Entity {
        let entity = self.schema.entity(id);
        match &entity.kind {
            EntityKind::Object(object) => match object.base {
                Some(base) if !object.members.iter().any(|m| std::ptr::eq(m, member)) => {
                    let declaring = self.declaring(base, member);
                    // The union documents the members of its inline base.
                    match declaring.doc {
                        Some(_) => declaring,
                        None => entity,
                    }
                }
                _ => entity,
            },
            _ => entity,
        }
    }

    /// The branches of a union that may exist. A branch exists if its tag value
    /// does; the outcome tells whether the branch then has a type.
    pub(super) fn branches<'v>(&self, variants: &'v Variants) -> Vec<Branch<'v>>
    where
        's: 'v,
    {
        let EntityKind::Enum(tag) = &self.schema.entity(variants.tag_type).kind else {
            return Vec::new();
        };
        let values: HashMap<&str, &IfCond> = tag
            .values
            .iter()
            .map(|value| (value.name.as_str(), &value.ifcond))
            .collect();
        let idents = names::distinct(tag.values.iter().map(|value| names::camel(&value.name)));
        let ident_of: HashMap<&str, String> = tag
            .values
            .iter()
            .map(|value| value.name.as_str())
            .zip(idents)
            .collect();
        let mut branches = Vec::new();
        for case in &variants.cases {
            let name = case.name.as_str();
            let Some(value) = values.get(name) else {
                continue;
            };
            let exists = self.outcome(value);
            let typed = if self.is_empty(case.typ) {
                Outcome::Fails
            } else {
                self.outcome(&case.ifcond)
            };
            branches.push(Branch {
                case,
                ident: ident_of.get(name).cloned().unwrap_or_default(),
                with: exists.clone().and(typed.clone()),
                without: exists.and_not(typed),
            });
        }
        branches.retain(|b| b.with != Outcome::Fails || b.without != Outcome::Fails);
        branches
    }

    /// Whether the type is the empty object.
    pub(super) fn is_empty(&self, id: EntityId) -> bool {
        self.schema.entity(id).name == "q_empty"
    }

    /// Whether the type is a size, or a list of them.
    pub(super) fn is_size(&self, id: EntityId) -> bool {
        let entity = self.schema.entity(id);
        match entity.kind {
            EntityKind::Builtin => entity.name == "size",
            EntityKind::Array(element) => self.is_size(element),
            _ => false,
        }
    }

    /// Whether the generator emits a type for this object.
    pub(super) fn has_type(&self, id: EntityId) -> bool {
        match &self.schema.entity(id).kind {
            EntityKind::Object(object) => !object.implicit || self.referenced.contains(&id),
            _ => true,
        }
    }

    /// A name of the standard library, with its path if the schema has a type of
    /// that name.
    pub(super) fn std(&self, name: &'static str) -> &'static str {
        if self.schema.lookup(name).is_none() {
            return name;
        }
        match name {
            "String" => "::std::string::String",
            "Vec" => "::std::vec::Vec",
            "Option" => "::std::option::Option",
            "Box" => "::std::boxed::Box",
            "Sized" => "::std::marker::Sized",
            _ => "::std::result::Result",
        }
    }

    /// The Rust type for a type of the schema.
    pub(super) fn rust_type(&self, id: EntityId) -> String {
        let entity = self.schema.entity(id);
        match &entity.kind {
            EntityKind::Array(element) => {
                format!("{}<{}>", self.std("Vec"), self.rust_type(*element))
            }
            EntityKind::Builtin => match entity.name.as_str() {
                "str" => self.std("String"),
                "number" => "f64",
                "int" | "int64" => "i64",
                "int8" => "i8",
                "int16" => "i16",
                "int32" => "i32",
                "uint8" => "u8",
                "uint16" => "u16",
                "uint32" => "u32",
                "uint64" | "size" => "u64",
                "bool" => "bool",
                "null" => "qapi::visit::QNull",
                _ => "qapi::QObject",
            }
            .to_owned(),
            EntityKind::Enum(_) if entity.name == "QType" => "qapi::visit::QType".into(),
            EntityKind::Object(_) if self.is_empty(id) => "()".into(),
            _ => names::type_name(&entity.name),
        }
    }

    /// The Rust type of the thing that `owner` contains under this name.
    pub(super) fn contained_type(&self, owner: EntityId, name: &str, typ: EntityId) -> String {
        let rust = self.rust_type(typ);
        if self.boxed.contains(&(owner, name.to_owned())) {
            format!("{}<{rust}>", self.std("Box"))
        } else {
            rust
        }
    }

    /// The Rust type of a member of `owner`.
    pub(super) fn member_type(&self, owner: EntityId, member: &Member) -> String {
        let rust = self.contained_type(owner, &member.name, member.typ);
        self.optional(member.optional, rust)
    }

    /// `T` or `Option<T>`.
    pub(super) fn optional(&self, optional: bool, rust: String) -> String {
        if optional {
            format!("{}<{rust}>", self.std("Option"))
        } else {
            rust
        }
    }

    /// `Result<T, Error>`
    pub(super) fn result(&self, rust: &str) -> String {
        format!("{}<{rust}, qapi::Error>", self.std("Result"))
    }

    /// A name that no type of the schema has.
    pub(super) fn free_name(&self, name: String) -> String {
        let mut free = name;
        while self.taken.contains(&free) {
            free.push('2');
        }
        free
    }
}

/// A branch of a union.
pub(super) struct Branch<'v> {
    pub(super) case: &'v Variant,
    /// The variant of the tag's enumeration, and of the union's.
    pub(super) ident: String,
    /// When the branch exists and has members.
    pub(super) with: Outcome,
    /// When the branch exists without members.
    pub(super) without: Outcome,
}

fn referenced(schema: &Schema) -> HashSet<EntityId> {
    let mut found = HashSet::new();
    for entity in &schema.entities {
        match &entity.kind {
            EntityKind::Array(element) => {
                found.insert(*element);
            }
            EntityKind::Object(object) => {
                found.extend(object.members.iter().map(|m| m.typ));
                let cases = object.variants.iter().flat_map(|v| &v.cases);
                found.extend(cases.map(|case| case.typ));
            }
            EntityKind::Alternate(variants) => found.extend(variants.iter().map(|v| v.typ)),
            EntityKind::Command(command) => found.extend(command.ret),
            _ => {}
        }
    }
    found
}
