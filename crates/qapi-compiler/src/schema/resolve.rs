//! What definitions mean together: resolves references and finds clashes.
//!
//! Entities are checked in the order in which they were entered, with one exception:
//! the base and the branches of an object type are checked before it, so that their
//! members are known. (The types of its members can wait.) Hence an error of a later
//! definition may come up early; it is still reported for that definition. The
//! descent keeps almost nothing on the stack and has a depth limit, so no schema can
//! overflow it.
//!
//! When an object's names are compared with a branch's, both are known to be free
//! of clashes within themselves. So one flat list of all names that a branch may
//! contribute is enough ([`Facts::reach`]), and nested unions cost no more than they
//! have names.

mod collision;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::distinguish::{json_kinds, JsonKind};
use super::doc_comment::DocBlock;
use super::doc_link;
use super::enter::{Draft, DraftCase, DraftKind, DraftObject, Entered};
use super::model::{EntityId, Feature};
use super::names::c_name;
use super::pragma::Pragmas;
use super::source::{Loc, Places, SchemaError};

/// Longest chain of bases and branches.
const MAX_CONTAINMENT: usize = 1000;

/// Most feature names, `deprecated` and `unstable` included.
const MAX_FEATURES: usize = 64;

type Result<T> = std::result::Result<T, SchemaError>;

/// The facts that a check finds out about an entity.
#[derive(Debug, Default)]
pub(super) struct Facts {
    state: State,
    /// The base, the element, the arguments or the event's data.
    pub(super) first: Option<EntityId>,
    /// What a command returns.
    pub(super) second: Option<EntityId>,
    /// Types of own members.
    pub(super) members: Vec<EntityId>,
    /// Types of explicit branches or alternatives.
    pub(super) cases: Vec<EntityId>,
    /// The discriminator's type.
    pub(super) tag: Option<EntityId>,
    /// All members, those of the base first.
    flat: Vec<MemberRef>,
    /// For unions: `flat` and all names that a branch may add.
    reach: Vec<MemberRef>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Unchecked,
    InProgress,
    Done,
}

/// An own member of an object type.
#[derive(Debug, Clone, Copy)]
struct MemberRef {
    owner: EntityId,
    index: usize,
}

/// Names in use, in the form for comparison.
type Seen<'a, T> = HashMap<Cow<'a, str>, T>;

/// Checks all entities and connects documentation with them.
pub(super) fn resolve(
    entered: &Entered,
    docs: &mut [DocBlock],
    pragmas: &Pragmas,
    places: &Places,
) -> Result<Vec<Facts>> {
    let mut resolver = Resolver {
        drafts: &entered.drafts,
        names: &entered.names,
        pragmas,
        places,
        facts: Vec::new(),
    };
    let count = entered.drafts.len();
    resolver.facts.resize_with(count, Facts::default);
    for index in 0..count {
        let id = EntityId(index);
        resolver.entity(id)?;
        doc_link::link(&entered.drafts, &resolver.facts, id, docs, pragmas, places)?;
    }
    for doc in docs {
        doc_link::check(doc, places)?;
    }
    // The special features take two.
    if let Some(loc) = entered.feature_names.get(MAX_FEATURES - 2) {
        let message = format!("Maximum of {MAX_FEATURES} schema features is permitted");
        return Err(places.error(*loc, &message));
    }
    Ok(resolver.facts)
}

struct Resolver<'a> {
    drafts: &'a [Draft],
    names: &'a HashMap<String, EntityId>,
    pragmas: &'a Pragmas,
    places: &'a Places,
    facts: Vec<Facts>,
}

impl<'a> Resolver<'a> {
    fn entity(&mut self, id: EntityId) -> Result<()> {
        let draft = &self.drafts[id.0];
        let Some(loc) = draft.loc else {
            // A built-in type: only arrays refer to anything.
            if let DraftKind::Array(element) = &draft.kind {
                self.facts[id.0].first = self.names.get(element).copied();
            }
            return Ok(());
        };
        match &draft.kind {
            DraftKind::Builtin => Ok(()),
            DraftKind::Enum(def) => {
                self.definition_features(draft, loc)?;
                let values = def.values.iter().map(|value| value.name.as_str());
                self.distinct("value", values, loc)
            }
            DraftKind::Array(element) => self.array(id, element, loc),
            DraftKind::Object(_) => self.object(id, 0),
            DraftKind::Alternate(cases) => self.alternate(id, cases, loc),
            DraftKind::Command { args, ret, def } => {
                self.definition_features(draft, loc)?;
                self.facts[id.0].first = self.arguments("command", args, def.boxed, loc)?;
                self.facts[id.0].second = self.returns(&draft.name, ret, loc)?;
                Ok(())
            }
            DraftKind::Event { data, def } => {
                self.definition_features(draft, loc)?;
                self.facts[id.0].first = self.arguments("event", data, def.boxed, loc)?;
                Ok(())
            }
        }
    }

    fn error<T>(&self, loc: Loc, message: &str) -> Result<T> {
        Err(self.places.error(loc, message))
    }

    /// A type by name; `what` describes the reference in messages.
    fn lookup(&self, name: &str, loc: Loc, what: impl FnOnce() -> String) -> Result<EntityId> {
        match self.names.get(name) {
            Some(id) if self.drafts[id.0].is_type() => Ok(*id),
            _ => self.error(loc, &format!("{} uses unknown type '{name}'", what())),
        }
    }

    fn as_object(&self, id: EntityId) -> Option<&'a DraftObject> {
        match &self.drafts[id.0].kind {
            DraftKind::Object(object) => Some(object),
            _ => None,
        }
    }

    fn definition_features(&self, draft: &Draft, loc: Loc) -> Result<()> {
        let features = draft.features.iter().map(|feature| feature.name.as_str());
        self.distinct("feature", features, loc)?;
        if !draft.is_type() {
            return Ok(());
        }
        let special = |feature: &&Feature| matches!(&*feature.name, "deprecated" | "unstable");
        match draft.features.iter().find(special) {
            None => Ok(()),
            Some(feature) => {
                let name = &feature.name;
                self.error(loc, &format!("feature '{name}' is not supported for types"))
            }
        }
    }

    /// Checks that the names of one list differ.
    fn distinct<'n>(
        &self,
        role: &str,
        names: impl Iterator<Item = &'n str>,
        loc: Loc,
    ) -> Result<()> {
        let mut seen = Seen::new();
        for name in names {
            if let Some(other) = seen.insert(c_name(name), name) {
                let message = format!("{role} '{name}' collides with {role} '{other}'");
                return self.error(loc, &message);
            }
        }
        Ok(())
    }

    fn array(&mut self, id: EntityId, element: &str, loc: Loc) -> Result<()> {
        let user = || match self.places.definition(loc) {
            Some((meta, _)) => meta.as_str().to_owned(),
            None => "array".to_owned(),
        };
        let element = self.lookup(element, loc, user)?;
        if let DraftKind::Array(_) = self.drafts[element.0].kind {
            let element = self.drafts[element.0].describe();
            return self.error(loc, &format!("{} uses array of {element}", user()));
        }
        self.facts[id.0].first = Some(element);
        Ok(())
    }

    /// Checks an object type after the types it contains.
    fn object(&mut self, id: EntityId, depth: usize) -> Result<()> {
        let (Some(object), Some(loc)) = (self.as_object(id), self.drafts[id.0].loc) else {
            return Ok(());
        };
        match self.facts[id.0].state {
            State::Done => return Ok(()),
            State::InProgress => return self.contains_itself(id, loc),
            State::Unchecked => self.facts[id.0].state = State::InProgress,
        }
        if depth > MAX_CONTAINMENT {
            return self.error(loc, "types are nested too deeply");
        }
        self.definition_features(&self.drafts[id.0], loc)?;
        if let Some(base) = self.base(id, object, loc)? {
            self.object(base, depth + 1)?;
        }
        self.members(id, object, loc)?;
        if let Some((tag, branches)) = &object.union {
            self.discriminator(id, tag, branches, loc)?;
            for branch in branches {
                let typ = self.branch(id, branch, loc)?;
                self.object(typ, depth + 1)?;
            }
            self.branch_clashes(id, loc)?;
        }
        self.facts[id.0].state = State::Done;
        Ok(())
    }

    fn contains_itself(&self, id: EntityId, loc: Loc) -> Result<()> {
        let name = &self.drafts[id.0].name;
        self.error(loc, &format!("object {name} contains itself"))
    }

    fn base(&mut self, id: EntityId, object: &DraftObject, loc: Loc) -> Result<Option<EntityId>> {
        let Some(name) = &object.base else {
            return Ok(None);
        };
        let base = self.lookup(name, loc, || "'base'".to_owned())?;
        if self.as_object(base).is_none_or(|base| base.union.is_some()) {
            let base = self.drafts[base.0].describe();
            let message = format!("'base' requires a struct type, {base} isn't");
            return self.error(loc, &message);
        }
        self.facts[id.0].first = Some(base);
        Ok(Some(base))
    }

    /// Checks own members: types, features, clashes with each other and with the
    /// base.
    fn members(&mut self, id: EntityId, object: &'a DraftObject, loc: Loc) -> Result<()> {
        let mut flat = match self.facts[id.0].first {
            Some(base) => self.facts[base.0].flat.clone(),
            None => Vec::new(),
        };
        let mut seen = Seen::new();
        for member in &flat {
            seen.insert(c_name(self.member_name(*member)), *member);
        }
        let mut types = Vec::with_capacity(object.members.len());
        for (index, member) in object.members.iter().enumerate() {
            let this = MemberRef { owner: id, index };
            let what = || self.describe_member(this, loc);
            types.push(self.lookup(&member.typ, loc, what)?);
            self.member_features(&member.name, &member.features, loc)?;
            if let Some(other) = seen.insert(c_name(&member.name), this) {
                return self.collision(this, other, loc);
            }
            flat.push(this);
        }
        self.facts[id.0].members = types;
        self.facts[id.0].flat = flat;
        Ok(())
    }

    fn member_features(&self, member: &str, features: &[Feature], loc: Loc) -> Result<()> {
        let mut seen = Seen::new();
        for feature in features {
            let name = feature.name.as_str();
            if let Some(other) = seen.insert(c_name(name), name) {
                // A feature treats its member as if that were a type.
                let place = self.place(member, "type", loc);
                let message =
                    format!("feature '{name}'{place} collides with feature '{other}'{place}");
                return self.error(loc, &message);
            }
        }
        Ok(())
    }

    fn discriminator(
        &mut self,
        id: EntityId,
        tag: &str,
        branches: &[DraftCase],
        loc: Loc,
    ) -> Result<()> {
        let flat = &self.facts[id.0].flat;
        let found = flat.iter().find(|member| self.member_name(**member) == tag);
        let Some(found) = found else {
            let message = format!("discriminator '{tag}' is not a member of 'base'");
            return self.error(loc, &message);
        };
        let owner = &self.drafts[found.owner.0];
        let base = match &owner.kind {
            DraftKind::Object(object) if object.implicit.is_some() => "'base'".to_owned(),
            _ => format!("base type '{}'", owner.name),
        };
        let Some(member) = self.member(*found) else {
            return Ok(());
        };
        let tag_type = self.facts[found.owner.0].members[found.index];
        let DraftKind::Enum(values) = &self.drafts[tag_type.0].kind else {
            let message = format!("discriminator member '{tag}' of {base} must be of enum type");
            return self.error(loc, &message);
        };
        if member.optional {
            let message = format!("discriminator member '{tag}' of {base} must not be optional");
            return self.error(loc, &message);
        }
        if !member.ifcond.is_always() {
            let message = format!("discriminator member '{tag}' of {base} must not be conditional");
            return self.error(loc, &message);
        }
        if branches.is_empty() && values.values.is_empty() {
            return self.error(loc, "union has no branches");
        }
        self.facts[id.0].tag = Some(tag_type);
        Ok(())
    }

    fn branch(&mut self, id: EntityId, branch: &DraftCase, loc: Loc) -> Result<EntityId> {
        let what = || format!("branch '{}'", branch.name);
        let typ = self.lookup(&branch.typ, loc, what)?;
        let tag = self.facts[id.0].tag.map(|tag| &self.drafts[tag.0]);
        if let Some(Draft {
            kind: DraftKind::Enum(def),
            name,
            ..
        }) = tag
        {
            if def.values.iter().all(|value| value.name != branch.name) {
                let message = format!("{} is not a value of enum type '{name}'", what());
                return self.error(loc, &message);
            }
        }
        if self.as_object(typ).is_none() {
            let typ = self.drafts[typ.0].describe();
            return self.error(loc, &format!("{} cannot use {typ}", what()));
        }
        self.facts[id.0].cases.push(typ);
        Ok(typ)
    }

    /// Names of a branch must differ from the union's. Names of different branches
    /// may be equal, because only one branch is present.
    fn branch_clashes(&mut self, id: EntityId, loc: Loc) -> Result<()> {
        let facts = &self.facts[id.0];
        let mut common = Seen::new();
        for member in &facts.flat {
            common.insert(c_name(self.member_name(*member)), *member);
        }
        let mut reach = facts.flat.clone();
        let mut known: HashSet<Cow<'_, str>> = common.keys().cloned().collect();
        for typ in &facts.cases {
            let facts = &self.facts[typ.0];
            let brings = match facts.tag {
                Some(_) => &facts.reach,
                None => &facts.flat,
            };
            for member in brings {
                let name = c_name(self.member_name(*member));
                if let Some(other) = common.get(&name) {
                    return self.collision(*member, *other, loc);
                }
                if known.insert(name) {
                    reach.push(*member);
                }
            }
        }
        self.facts[id.0].reach = reach;
        Ok(())
    }

    fn alternate(&mut self, id: EntityId, cases: &[DraftCase], loc: Loc) -> Result<()> {
        self.definition_features(&self.drafts[id.0], loc)?;
        let mut types = Vec::with_capacity(cases.len());
        for case in cases {
            let what = || format!("branch '{}'", case.name);
            types.push(self.lookup(&case.typ, loc, what)?);
        }
        let mut seen = Seen::new();
        let mut taken: Vec<(JsonKind, &str)> = Vec::new();
        for (case, typ) in cases.iter().zip(&types) {
            let name = case.name.as_str();
            if let Some(other) = seen.insert(c_name(name), name) {
                let message = format!("branch '{name}' collides with branch '{other}'");
                return self.error(loc, &message);
            }
            let draft = &self.drafts[typ.0];
            let kinds = json_kinds(draft);
            if kinds.is_empty() {
                let message = format!("branch '{name}' cannot use {}", draft.describe());
                return self.error(loc, &message);
            }
            for kind in &kinds {
                if let Some((_, other)) = taken.iter().rev().find(|(taken, _)| taken == kind) {
                    let message = format!("branch '{name}' can't be distinguished from '{other}'");
                    return self.error(loc, &message);
                }
            }
            taken.extend(kinds.iter().map(|kind| (*kind, name)));
        }
        self.facts[id.0].cases = types;
        Ok(())
    }

    /// The arguments of a command or the data of an event (`kind`).
    fn arguments(
        &mut self,
        kind: &str,
        name: &Option<String>,
        boxed: bool,
        loc: Loc,
    ) -> Result<Option<EntityId>> {
        let Some(name) = name else {
            return Ok(None);
        };
        let what = format!("{kind}'s 'data'");
        let id = self.lookup(name, loc, || what.clone())?;
        let typ = self.drafts[id.0].describe();
        let Some(object) = self.as_object(id) else {
            return self.error(loc, &format!("{what} cannot take {typ}"));
        };
        if object.union.is_some() && !boxed {
            let message = format!("{what} can take {typ} only with 'boxed': true");
            return self.error(loc, &message);
        }
        self.object(id, 0)?;
        let conditional = |member: &MemberRef| {
            let member = self.member(*member);
            member.is_some_and(|member| !member.ifcond.is_always())
        };
        if !boxed && self.facts[id.0].flat.iter().any(conditional) {
            let message = format!("conditional {kind} arguments require 'boxed': true");
            return self.error(loc, &message);
        }
        Ok(Some(id))
    }

    fn returns(&self, command: &str, name: &Option<String>, loc: Loc) -> Result<Option<EntityId>> {
        let Some(name) = name else {
            return Ok(None);
        };
        let what = || "command's 'returns'".to_owned();
        let id = self.lookup(name, loc, what)?;
        let draft = &self.drafts[id.0];
        let element = match &draft.kind {
            // An array type may be unchecked if nothing but a name refers to it.
            DraftKind::Array(element) => self.names.get(element).copied(),
            _ => Some(id),
        };
        let good = element.is_some_and(|id| self.as_object(id).is_some());
        if !good && !self.pragmas.command_returns_exceptions.contains(command) {
            let message = format!("{} cannot take {}", what(), draft.describe());
            return self.error(loc, &message);
        }
        Ok(Some(id))
    }
}
