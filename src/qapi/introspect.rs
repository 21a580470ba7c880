//! `query-qmp-schema`: describes what a server understands.
//!
//! The generator emits one [`SchemaTable`] for each schema. A program may have
//! several (the library's, the machine's, an embedder's). The reply describes all
//! their commands and events, and every type that these refer to.
//!
//! Clients must not rely on the names of types, so these are *masked*: objects,
//! enumerations and alternates get numbers in the order of their first mention,
//! arrays are `[ELEMENT]`, built-in types keep their names. Conditions are applied
//! last, after numbering: an absent entity leaves a gap in the numbers, and a type
//! that only an absent entity mentions is still listed. QEMU does the same, so the
//! replies for its schema are equal.

mod table;

use std::collections::{HashMap, HashSet};

pub use table::{
    SchemaEntity, SchemaFeature, SchemaKind, SchemaMember, SchemaTable, SchemaValue, SchemaVariant,
};

use super::{CompatPolicy, CompatPolicyOutput, Profile, QDict, QObject};

/// The reply of `query-qmp-schema`: an array of `SchemaInfo`. Under
/// `deprecated-output=hide` it leaves out what is deprecated.
pub fn query_schema(tables: &[&'static SchemaTable], policy: CompatPolicy) -> QObject {
    Walk::new(tables, policy, true).run(|_| true)
}

/// Like [`query_schema`], without the commands for which `has_command` returns
/// false and without the types that only those use.
pub(crate) fn query_schema_of(
    tables: &[&'static SchemaTable],
    policy: CompatPolicy,
    has_command: impl Fn(&str) -> bool,
) -> QObject {
    Walk::new(tables, policy, true).run(has_command)
}

/// Like [`query_schema`], with the type names of the schemas, for people to read.
/// It does not tell apart types of the same name in different tables.
pub fn query_schema_unmasked(tables: &[&'static SchemaTable], policy: CompatPolicy) -> QObject {
    Walk::new(tables, policy, false).run(|_| true)
}

/// The features that tell versions of QEMU apart, as the compiler knows them.
const SINCE: &str = "since-11-1";
const REMOVED: &str = "removed-in-11-1";
const SHOWN_SINCE: &str = "shown-since-11-1";
const REQUIRED_SINCE: &str = "required-since-11-1";
const STR_BEFORE: &str = "str-before-11-1";
/// A member that comes behind all others since QEMU 11.1. Only introspection shows it.
const LAST_SINCE: &str = "last-since-11-1";
/// A structure that is `String` before QEMU 11.1, which has the same members.
const STRING_BEFORE: &str = "string-before-11-1";
const VERSIONS: [&str; 7] = [
    SINCE,
    REMOVED,
    SHOWN_SINCE,
    REQUIRED_SINCE,
    STR_BEFORE,
    LAST_SINCE,
    STRING_BEFORE,
];
/// A feature with this ending is shown without it, since QEMU 11.1.
const FEATURE_SINCE: &str = "-since-11-1";

/// A type: the number of its table and its name there. Built-in types are in no
/// table.
type TypeId = (Option<usize>, &'static str);

struct Walk {
    tables: Vec<&'static SchemaTable>,
    definitions: HashMap<TypeId, &'static SchemaEntity>,
    hide_deprecated: bool,
    profile: Profile,
    mask: bool,
    /// Types in order of first use.
    used: Vec<TypeId>,
    seen: HashSet<TypeId>,
    numbers: HashMap<TypeId, usize>,
    reply: Vec<QObject>,
}

/// Whether the feature only tells versions of QEMU apart.
fn is_version(feature: &SchemaFeature) -> bool {
    VERSIONS.contains(&feature.name)
}

/// The JSON type of a built-in type.
fn json_type(name: &str) -> Option<&'static str> {
    Some(match name {
        "str" => "string",
        "number" => "number",
        "int" => "int",
        "bool" => "boolean",
        "null" => "null",
        "any" => "value",
        _ => return None,
    })
}

/// The element's type, if the type is an array.
fn element(name: &'static str) -> Option<&'static str> {
    name.strip_prefix('[')?.strip_suffix(']')
}

impl Walk {
    fn new(tables: &[&'static SchemaTable], policy: CompatPolicy, mask: bool) -> Self {
        let mut definitions = HashMap::new();
        for (t, table) in tables.iter().enumerate() {
            for entity in table.entities() {
                if !matches!(
                    entity.kind,
                    SchemaKind::Command { .. } | SchemaKind::Event { .. }
                ) {
                    definitions.insert((Some(t), entity.name), entity);
                }
            }
        }
        Walk {
            tables: tables.to_vec(),
            definitions,
            hide_deprecated: policy.deprecated_output == CompatPolicyOutput::Hide,
            profile: policy.profile,
            mask,
            used: Vec::new(),
            seen: HashSet::new(),
            numbers: HashMap::new(),
            reply: Vec::new(),
        }
    }

    fn run(mut self, has_command: impl Fn(&str) -> bool) -> QObject {
        for t in 0..self.tables.len() {
            for entity in self.tables[t].entities() {
                let is_command = matches!(entity.kind, SchemaKind::Command { .. });
                if !is_command || has_command(entity.name) {
                    self.add_entry_point(t, entity);
                }
            }
        }
        let mut next = 0;
        while let Some(id) = self.used.get(next).copied() {
            next += 1;
            self.add_type(id);
        }
        QObject::List(self.reply)
    }

    /// Returns the name of a type in the reply. The first mention also adds the
    /// type to the list of types to describe.
    fn use_type(&mut self, table: usize, name: &'static str) -> String {
        let name = self.shared(table, name);
        let mut inner = name;
        while let Some(element) = element(inner) {
            inner = element;
        }
        let shared = inner == "q_empty" || json_type(inner).is_some();
        let id: TypeId = ((!shared).then_some(table), name);
        if self.seen.insert(id) {
            self.used.push(id);
        }
        if let Some(element) = element(name) {
            return format!("[{}]", self.use_type(table, element));
        }
        if json_type(name).is_some() || !self.mask {
            return name.to_owned();
        }
        let number = self.numbers.len();
        self.numbers.entry(id).or_insert(number).to_string()
    }

    /// The type that stands for this one, which later QEMUs tell apart.
    fn shared(&self, table: usize, name: &'static str) -> &'static str {
        let plain = element(name).unwrap_or(name);
        let entity = self.definitions.get(&(Some(table), plain));
        let is_shared = entity.is_some_and(|e| e.features.iter().any(|f| f.name == STRING_BEFORE));
        match (is_shared && !self.is_new(), plain == name) {
            (false, _) => name,
            (true, true) => "String",
            (true, false) => "[String]",
        }
    }

    fn is_hidden(&self, features: &[SchemaFeature]) -> bool {
        self.hide_deprecated && self.shown(features).any(|name| name == "deprecated")
    }

    /// Whether the profile has what has these features.
    fn exists(&self, features: &[SchemaFeature]) -> bool {
        let is_new = self.is_new();
        !features.iter().any(|f| match f.name {
            SINCE | SHOWN_SINCE => !is_new,
            REMOVED => is_new,
            _ => false,
        })
    }

    /// The names of the features to show.
    fn shown<'f>(&self, features: &'f [SchemaFeature]) -> impl Iterator<Item = &'f str> {
        let is_new = self.is_new();
        let present = features.iter().filter(|f| f.present && !is_version(f));
        present.filter_map(move |f| match f.name.strip_suffix(FEATURE_SINCE) {
            Some(name) => is_new.then_some(name),
            None => Some(f.name),
        })
    }

    /// Whether the profile is QEMU 11.1.
    fn is_new(&self) -> bool {
        self.profile >= Profile::V11_1
    }

    /// The members that all entities share.
    fn head(&self, name: String, meta_type: &str, features: &[SchemaFeature]) -> QDict {
        let mut info = QDict::new();
        info.insert("name", name);
        info.insert("meta-type", meta_type);
        self.add_features(&mut info, features);
        info
    }

    fn named(&self, name: &str, features: &[SchemaFeature]) -> QDict {
        let mut info = QDict::new();
        info.insert("name", name);
        self.add_features(&mut info, features);
        info
    }

    /// The key is present if the schema declares any features, even if none is left,
    /// but for those that tell versions apart.
    fn add_features(&self, info: &mut QDict, features: &[SchemaFeature]) {
        let names: Vec<QObject> = self.shown(features).map(Into::into).collect();
        let is_later = |f: &SchemaFeature| f.name.ends_with(FEATURE_SINCE) && names.is_empty();
        if !features.iter().all(|f| is_version(f) || is_later(f)) {
            info.insert("features", QObject::List(names));
        }
    }

    fn add_entry_point(&mut self, table: usize, entity: &'static SchemaEntity) {
        if !self.exists(&entity.features) {
            return;
        }
        let mut info = QDict::new();
        match entity.kind {
            SchemaKind::Command {
                arg,
                ret,
                allow_oob,
            } => {
                info = self.head(entity.name.to_owned(), "command", &entity.features);
                let arg = self.arguments(table, arg);
                info.insert("arg-type", self.use_type(table, arg));
                info.insert("ret-type", self.use_type(table, ret));
                if allow_oob {
                    info.insert("allow-oob", true);
                }
            }
            SchemaKind::Event { arg } => {
                info = self.head(entity.name.to_owned(), "event", &entity.features);
                info.insert("arg-type", self.use_type(table, arg));
            }
            _ => {}
        }
        if !info.is_empty() && entity.present && !self.is_hidden(&entity.features) {
            self.reply.push(info.into());
        }
    }

    /// The type of arguments, or the empty one if all of them belong to another QEMU.
    fn arguments(&self, table: usize, arg: &'static str) -> &'static str {
        match self.definitions.get(&(Some(table), arg)).map(|e| &e.kind) {
            Some(SchemaKind::Object { members, .. })
                if !members.is_empty() && !members.iter().any(|m| self.exists(&m.features)) =>
            {
                "q_empty"
            }
            _ => arg,
        }
    }

    fn add_type(&mut self, id: TypeId) {
        let (table, name) = id;
        // A type without a table refers only to its like, so any table will do.
        let t = table.unwrap_or(0);
        let masked = self.use_type(t, name);
        if let Some(element) = element(name) {
            let mut info = self.head(masked, "array", &[]);
            info.insert("element-type", self.use_type(t, element));
            self.reply.push(info.into());
        } else if let Some(json_type) = json_type(name) {
            let mut info = self.head(masked, "builtin", &[]);
            info.insert("json-type", json_type);
            self.reply.push(info.into());
        } else if table.is_none() {
            let mut info = self.head(masked, "object", &[]);
            info.insert("members", QObject::List(Vec::new()));
            self.reply.push(info.into());
        } else if let Some(entity) = self.definitions.get(&id).copied() {
            let info = self.definition(t, masked, entity);
            if entity.present {
                self.reply.push(info.into());
            }
        }
    }

    fn definition(&mut self, table: usize, name: String, entity: &'static SchemaEntity) -> QDict {
        match &entity.kind {
            SchemaKind::Enum(values) => {
                let mut info = self.head(name, "enum", &entity.features);
                let present = || {
                    let values = values.iter().filter(|value| value.present);
                    values.filter(|value| self.exists(&value.features))
                };
                let members = present().map(|value| self.named(value.name, &value.features).into());
                info.insert("members", QObject::List(members.collect()));
                // `values` is itself deprecated: `members` replaces it.
                if !self.hide_deprecated {
                    let names = present().map(|value| value.name.into());
                    info.insert("values", QObject::List(names.collect()));
                }
                info
            }
            SchemaKind::Object {
                members,
                tag,
                variants,
            } => {
                let mut info = self.head(name, "object", &entity.features);
                let members = self.members(table, members);
                info.insert("members", QObject::List(members));
                if let Some(tag) = *tag {
                    info.insert("tag", tag);
                    let variants = self.cases(table, entity, tag, variants);
                    let variants = self.variants(table, variants, true);
                    info.insert("variants", QObject::List(variants));
                }
                info
            }
            SchemaKind::Alternate(variants) => {
                let mut info = self.head(name, "alternate", &entity.features);
                let variants = self.variants(table, variants.iter().collect(), false);
                info.insert("members", QObject::List(variants));
                info
            }
            SchemaKind::Command { .. } | SchemaKind::Event { .. } => QDict::new(),
        }
    }

    fn members(&mut self, table: usize, members: &'static [SchemaMember]) -> Vec<QObject> {
        let mut list = Vec::new();
        let has = |m: &SchemaMember, name| m.features.iter().any(|f| f.name == name);
        let mut members: Vec<_> = members.iter().collect();
        if self.is_new() {
            members.sort_by_key(|member| has(member, LAST_SINCE));
        }
        for member in members {
            if !self.exists(&member.features) {
                continue;
            }
            let mut info = self.named(member.name, &member.features);
            let is_str = !self.is_new() && has(member, STR_BEFORE);
            let typ = if is_str { "str" } else { member.typ };
            info.insert("type", self.use_type(table, typ));
            if member.optional && !(self.is_new() && has(member, REQUIRED_SINCE)) {
                info.insert("default", QObject::Null);
            }
            if member.present && !self.is_hidden(&member.features) {
                list.push(info.into());
            }
        }
        list
    }

    /// The branches whose value of the tag exists.
    fn cases(
        &self,
        table: usize,
        entity: &SchemaEntity,
        tag: &str,
        variants: &'static [SchemaVariant],
    ) -> Vec<&'static SchemaVariant> {
        let SchemaKind::Object { members, .. } = &entity.kind else {
            return Vec::new();
        };
        let member = members.iter().find(|member| member.name == tag);
        let tag_type = member.and_then(|m| self.definitions.get(&(Some(table), m.typ)));
        let values = match tag_type.map(|entity| &entity.kind) {
            Some(SchemaKind::Enum(values)) => values.as_slice(),
            _ => &[],
        };
        let is_known = |case: &&SchemaVariant| {
            let value = values.iter().find(|value| value.name == case.case);
            value.is_none_or(|value| self.exists(&value.features))
        };
        variants.iter().filter(is_known).collect()
    }

    fn variants(
        &mut self,
        table: usize,
        variants: Vec<&'static SchemaVariant>,
        cases: bool,
    ) -> Vec<QObject> {
        let mut list = Vec::new();
        for variant in variants {
            let mut info = QDict::new();
            if cases {
                info.insert("case", variant.case);
            }
            info.insert("type", self.use_type(table, variant.typ));
            if variant.present {
                list.push(info.into());
            }
        }
        list
    }
}
