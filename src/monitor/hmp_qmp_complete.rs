//! What TAB offers behind `qmp NAME`: the arguments that the schema declares,
//! and the values of enumerations and booleans.

use crate::qapi::introspect::{SchemaEntity, SchemaKind, SchemaMember, SchemaTable};

/// Candidates for `word`, the last of the words behind `qmp`; `before` are the
/// command's name and the arguments given so far.
pub(super) fn arguments(
    tables: &[&'static SchemaTable],
    before: &[Vec<u8>],
    word: &[u8],
) -> Vec<String> {
    let Some((name, given)) = before.split_first() else {
        return Vec::new();
    };
    let schema = Schema(tables);
    let arg = match schema.find(name).map(|entity| &entity.kind) {
        Some(SchemaKind::Command { arg, .. }) => *arg,
        _ => return Vec::new(),
    };
    let word = String::from_utf8_lossy(word);
    let key = word.split_once('=').map_or(&*word, |(key, _)| key);
    // A key leads through members to the last one, which is still being typed.
    let outer = key.rsplit_once('.').map_or("", |(outer, _)| outer);
    let mut object = arg;
    for fragment in outer.split('.').filter(|fragment| !fragment.is_empty()) {
        match schema.member(object, fragment) {
            Some(member) => object = member.typ,
            None => return Vec::new(),
        }
    }
    let prefix = match outer {
        "" => String::new(),
        outer => format!("{outer}."),
    };
    if word.contains('=') {
        let fragment = key.strip_prefix(&*prefix).unwrap_or(key);
        let values = schema
            .member(object, fragment)
            .map(|m| schema.values(m.typ));
        let values = values.unwrap_or_default().into_iter();
        return values.map(|value| format!("{key}={value}")).collect();
    }
    let is_given = |key: &str| {
        let mut keys = given
            .iter()
            .filter_map(|word| word.split(|b| *b == b'=').next());
        keys.any(|given| given == key.as_bytes())
    };
    let members = schema.members(object).into_iter();
    let keys = members.map(|member| {
        let end = if schema.is_object(member.typ) {
            '.'
        } else {
            '='
        };
        (format!("{prefix}{}", member.name), end)
    });
    keys.filter(|(key, _)| !is_given(key))
        .map(|(key, end)| format!("{key}{end}"))
        .collect()
}

struct Schema<'a>(&'a [&'static SchemaTable]);

impl Schema<'_> {
    fn find(&self, name: &[u8]) -> Option<&'static SchemaEntity> {
        let mut all = self.0.iter().flat_map(|table| table.entities());
        all.find(|entity| entity.present && entity.name.as_bytes() == name)
    }

    fn is_object(&self, typ: &str) -> bool {
        let entity = self.find(typ.as_bytes());
        entity.is_some_and(|e| matches!(e.kind, SchemaKind::Object { .. }))
    }

    /// The members of an object, those of a union's branches included.
    fn members(&self, typ: &str) -> Vec<&'static SchemaMember> {
        let Some(SchemaKind::Object {
            members, variants, ..
        }) = self.find(typ.as_bytes()).map(|entity| &entity.kind)
        else {
            return Vec::new();
        };
        let mut all: Vec<&SchemaMember> = members.iter().filter(|m| m.present).collect();
        for variant in variants.iter().filter(|variant| variant.present) {
            for member in self.members(variant.typ) {
                if !all.iter().any(|known| known.name == member.name) {
                    all.push(member);
                }
            }
        }
        all
    }

    fn member(&self, object: &str, name: &str) -> Option<&'static SchemaMember> {
        let mut members = self.members(object).into_iter();
        members.find(|member| member.name == name)
    }

    /// The possible values of a type, if they can be listed.
    fn values(&self, typ: &str) -> Vec<&'static str> {
        match self.find(typ.as_bytes()).map(|entity| &entity.kind) {
            Some(SchemaKind::Enum(values)) => {
                let present = values.iter().filter(|value| value.present);
                present.map(|value| value.name).collect()
            }
            _ if typ == "bool" => vec!["on", "off"],
            _ => Vec::new(),
        }
    }
}
