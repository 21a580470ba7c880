//! Entities: the named results of definitions, and the types they imply.
//!
//! Definitions are entered in order of reading. Some imply other entities: an array
//! type is entered at its first use, an object type for inline members
//! (`q_obj_NAME-arg`, `q_obj_NAME-base`) just before its definition. Entities are
//! checked in this order, so it determines which error comes first.

use std::collections::{HashMap, HashSet};

use super::ast::{Body, Branch, Data, Definition, Item, Member, TypeRef};
use super::model::{
    CommandDef, DocId, EntityId, EnumType, EnumValue, EventDef, Feature, IfCond, ModuleId,
};
use super::parser::BUILTIN_MODULE;
use super::source::{Loc, Places, SchemaError};

/// Names of the built-in scalar types.
pub(super) const BUILTINS: [&str; 15] = [
    "str", "number", "int", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "size", "bool", "any", "null",
];

/// The object type without members.
pub(super) const EMPTY: &str = "q_empty";

/// An entity whose references are still names.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    /// The place of its definition, or of the definition that implies it; none for
    /// built-in types.
    pub(super) loc: Option<Loc>,
    pub(super) module: ModuleId,
    pub(super) doc: Option<DocId>,
    pub(super) ifcond: IfCond,
    pub(super) features: Vec<Feature>,
    pub(super) kind: DraftKind,
}

#[derive(Debug)]
pub(super) enum DraftKind {
    Builtin,
    Enum(EnumType),
    /// The type of the elements.
    Array(String),
    Object(DraftObject),
    Alternate(Vec<DraftCase>),
    /// `args` and `ret` hold the references; the model's are filled in later.
    Command {
        args: Option<String>,
        ret: Option<String>,
        def: CommandDef,
    },
    Event {
        data: Option<String>,
        def: EventDef,
    },
}

#[derive(Debug, Default)]
pub(super) struct DraftObject {
    pub(super) base: Option<String>,
    pub(super) members: Vec<DraftMember>,
    /// Discriminator and explicit branches of a union.
    pub(super) union: Option<(String, Vec<DraftCase>)>,
    pub(super) implicit: Option<Implied>,
}

/// The purpose of an implicit object type. Messages name this and not the type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Implied {
    Empty,
    Arguments,
    Base,
}

#[derive(Debug)]
pub(super) struct DraftMember {
    pub(super) name: String,
    pub(super) optional: bool,
    pub(super) typ: String,
    pub(super) ifcond: IfCond,
    pub(super) features: Vec<Feature>,
}

/// A branch or an alternative.
#[derive(Debug)]
pub(super) struct DraftCase {
    pub(super) name: String,
    pub(super) typ: String,
    pub(super) ifcond: IfCond,
}

/// An entity or an include, in the order of its module.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    Entity(EntityId),
    Include { module: ModuleId, target: ModuleId },
}

/// All entities.
#[derive(Debug, Default)]
pub(super) struct Entered {
    pub(super) drafts: Vec<Draft>,
    pub(super) names: HashMap<String, EntityId>,
    pub(super) entries: Vec<Entry>,
    /// For each documentation comment, how many entities come before it.
    pub(super) doc_positions: Vec<usize>,
    /// Distinct names of features with the place of first use.
    pub(super) feature_names: Vec<Loc>,
}

/// Enters everything; fails at the first redefinition.
pub(super) fn enter(
    items: Vec<Item>,
    docs: usize,
    places: &Places,
) -> Result<Entered, SchemaError> {
    let mut enterer = Enterer {
        entered: Entered::default(),
        features: HashSet::new(),
        places,
    };
    enterer.builtins();
    for item in items {
        match item {
            Item::Include { module, target } => enterer
                .entered
                .entries
                .push(Entry::Include { module, target }),
            Item::Definition(definition) => enterer.definition(definition)?,
        }
    }
    let mut entered = enterer.entered;
    entered.doc_positions.resize(docs, entered.drafts.len());
    Ok(entered)
}

struct Enterer<'a> {
    entered: Entered,
    /// Names of features seen.
    features: HashSet<String>,
    places: &'a Places,
}

/// The properties that a definition's implicit types share with it.
#[derive(Clone, Copy)]
struct Owner<'a> {
    name: &'a str,
    loc: Loc,
    module: ModuleId,
    ifcond: &'a IfCond,
}

impl Enterer<'_> {
    fn builtins(&mut self) {
        let mut predefine = |name: &str, kind| {
            self.push(Draft {
                name: name.to_owned(),
                loc: None,
                module: BUILTIN_MODULE,
                doc: None,
                ifcond: IfCond::Always,
                features: Vec::new(),
                kind,
            });
        };
        for name in BUILTINS {
            predefine(name, DraftKind::Builtin);
            predefine(&format!("{name}List"), DraftKind::Array(name.to_owned()));
        }
        let empty = DraftObject {
            implicit: Some(Implied::Empty),
            ..DraftObject::default()
        };
        predefine(EMPTY, DraftKind::Object(empty));
        let values = [
            "none", "qnull", "qnum", "qstring", "qdict", "qlist", "qbool",
        ];
        let qtype = EnumType {
            prefix: Some("QTYPE".to_owned()),
            values: values.map(plain_value).into(),
        };
        predefine("QType", DraftKind::Enum(qtype));
    }

    fn push(&mut self, draft: Draft) {
        let entered = &mut self.entered;
        let id = EntityId(entered.drafts.len());
        entered.names.insert(draft.name.clone(), id);
        entered.entries.push(Entry::Entity(id));
        entered.drafts.push(draft);
    }

    /// Enters the entity of a definition, unless the name is taken.
    fn define(&mut self, draft: Draft, loc: Loc) -> Result<(), SchemaError> {
        if let Some(id) = self.entered.names.get(&draft.name) {
            let previous = &self.entered.drafts[id.0];
            let Some(previous_loc) = previous.loc else {
                let message = format!("{} is already defined", previous.describe());
                return Err(self.places.error(loc, &message));
            };
            let message = format!("'{}' is already defined", draft.name);
            let error = self.places.error(loc, &message);
            let previous = self.places.error(previous_loc, "previous definition");
            return Err(error.followed_by(&previous));
        }
        self.push(draft);
        Ok(())
    }

    fn definition(&mut self, definition: Definition) -> Result<(), SchemaError> {
        let Definition {
            name, loc, module, ..
        } = definition;
        let position = self.entered.drafts.len();
        self.entered
            .doc_positions
            .resize(definition.docs_before, position);
        self.note_features(&definition.features, loc);
        let owner = Owner {
            name: &name,
            loc,
            module,
            ifcond: &definition.ifcond,
        };
        let kind = match definition.body {
            Body::Enum { prefix, values } => {
                for value in &values {
                    self.note_features(&value.features, loc);
                }
                DraftKind::Enum(EnumType { prefix, values })
            }
            Body::Struct { base, members } => DraftKind::Object(DraftObject {
                base,
                members: self.members(members, loc),
                ..DraftObject::default()
            }),
            Body::Union {
                base,
                discriminator,
                branches,
            } => DraftKind::Object(DraftObject {
                base: self.data(Some(base), Implied::Base, owner),
                union: Some((discriminator, self.cases(branches, loc))),
                ..DraftObject::default()
            }),
            Body::Alternate { alternatives } => DraftKind::Alternate(self.cases(alternatives, loc)),
            Body::Command(command) => DraftKind::Command {
                args: self.data(command.data, Implied::Arguments, owner),
                ret: command.returns.map(|typ| self.type_name(typ, loc)),
                def: CommandDef {
                    args: None,
                    ret: None,
                    generated: command.generated,
                    success_response: command.success_response,
                    boxed: command.boxed,
                    allow_oob: command.allow_oob,
                    allow_preconfig: command.allow_preconfig,
                    coroutine: command.coroutine,
                },
            },
            Body::Event { data, boxed } => DraftKind::Event {
                data: self.data(data, Implied::Arguments, owner),
                def: EventDef { data: None, boxed },
            },
        };
        let draft = Draft {
            name,
            loc: Some(loc),
            module,
            doc: definition.doc,
            ifcond: definition.ifcond,
            features: definition.features,
            kind,
        };
        self.define(draft, loc)
    }

    fn note_features(&mut self, features: &[Feature], loc: Loc) {
        for feature in features {
            // These two always count.
            let special = matches!(feature.name.as_str(), "deprecated" | "unstable");
            if !special && self.features.insert(feature.name.clone()) {
                self.entered.feature_names.push(loc);
            }
        }
    }

    /// The name of the type of arguments, event data or a base.
    fn data(&mut self, data: Option<Data>, role: Implied, owner: Owner<'_>) -> Option<String> {
        let members = match data? {
            Data::Named(name) => return Some(name),
            Data::Inline(members) => members,
        };
        if members.is_empty() {
            return None;
        }
        let name = match role {
            Implied::Base => format!("q_obj_{}-base", owner.name),
            _ => format!("q_obj_{}-arg", owner.name),
        };
        let members = self.members(members, owner.loc);
        // If it exists, the definition is a redefinition; that error comes later.
        if !self.entered.names.contains_key(&name) {
            self.push(Draft {
                name: name.clone(),
                loc: Some(owner.loc),
                module: owner.module,
                doc: None,
                ifcond: owner.ifcond.clone(),
                features: Vec::new(),
                kind: DraftKind::Object(DraftObject {
                    members,
                    implicit: Some(role),
                    ..DraftObject::default()
                }),
            });
        }
        Some(name)
    }

    fn members(&mut self, members: Vec<Member>, loc: Loc) -> Vec<DraftMember> {
        let member = |member: Member| {
            self.note_features(&member.features, loc);
            DraftMember {
                typ: self.type_name(member.typ, loc),
                name: member.name,
                optional: member.optional,
                ifcond: member.ifcond,
                features: member.features,
            }
        };
        members.into_iter().map(member).collect()
    }

    fn cases(&mut self, branches: Vec<Branch>, loc: Loc) -> Vec<DraftCase> {
        let case = |branch: Branch| DraftCase {
            typ: self.type_name(branch.typ, loc),
            name: branch.name,
            ifcond: branch.ifcond,
        };
        branches.into_iter().map(case).collect()
    }

    /// The name of a type; enters an array type at its first use.
    fn type_name(&mut self, typ: TypeRef, loc: Loc) -> String {
        let element = match typ {
            TypeRef::Named(name) => return name,
            TypeRef::ArrayOf(element) => element,
        };
        let name = format!("{element}List");
        if !self.entered.names.contains_key(&name) {
            self.push(Draft {
                name: name.clone(),
                loc: Some(loc),
                // The element's module replaces this once it is known.
                module: BUILTIN_MODULE,
                doc: None,
                ifcond: IfCond::Always,
                features: Vec::new(),
                kind: DraftKind::Array(element),
            });
        }
        name
    }
}

impl Draft {
    /// The entity's name in messages.
    pub(super) fn describe(&self) -> String {
        let name = &self.name;
        match &self.kind {
            DraftKind::Builtin => format!("built-in type '{name}'"),
            DraftKind::Enum(_) => format!("enum type '{name}'"),
            DraftKind::Array(element) => format!("array type ['{element}']"),
            DraftKind::Object(object) if object.union.is_some() => {
                format!("union type '{name}'")
            }
            DraftKind::Object(_) => format!("struct type '{name}'"),
            DraftKind::Alternate(_) => format!("alternate type '{name}'"),
            DraftKind::Command { .. } => format!("command '{name}'"),
            DraftKind::Event { .. } => format!("event '{name}'"),
        }
    }

    /// Whether the entity is a type.
    pub(super) fn is_type(&self) -> bool {
        !matches!(
            self.kind,
            DraftKind::Command { .. } | DraftKind::Event { .. }
        )
    }
}

fn plain_value(name: &str) -> EnumValue {
    EnumValue {
        name: name.to_owned(),
        ifcond: IfCond::Always,
        features: Vec::new(),
    }
}
