//! Documentation for a schema that has none: filler with the right names, as
//! much as in QEMU's own.

use std::fmt::Write;

use qmonitor_qapi::schema::model::{Entity, EntityKind, Feature, ObjectType};
use qmonitor_qapi::schema::{self, Schema};

/// Puts a comment with the right names before each definition.
pub fn documented(text: &str) -> String {
    let schema = schema::load_text(text).unwrap_or_else(|error| panic!("{error}"));
    let mut out = String::new();
    for line in text.lines() {
        // { 'KIND': 'NAME', ...
        let name = line.split('\'').nth(3).unwrap_or_default();
        if let Some(entity) = schema.lookup(name) {
            let _ = write!(out, "##\n# @{name}:\n#\n# Text about @{name}.\n#\n");
            let mut names: Vec<&str> = things(&schema, entity);
            names.sort_unstable();
            names.dedup();
            for name in names {
                let _ = writeln!(out, "# @{name}: its purpose, which takes");
                let _ = write!(out, "#     a second line\n#\n");
            }
            let features = features(&schema, entity);
            if !features.is_empty() {
                out.push_str("# Features:\n#\n");
                for name in features {
                    let _ = write!(out, "# @{name}: what it means\n#\n");
                }
            }
            out.push_str("# Since: 1.0\n##\n");
        }
        // As in QEMU's files, with line breaks.
        out.push_str(&line.replace(", ", ",\n  "));
        out.push('\n');
    }
    out
}

/// Objects whose members stand in the definition.
fn objects<'s>(schema: &'s Schema, entity: &'s Entity) -> Vec<&'s ObjectType> {
    let EntityKind::Object(object) = &entity.kind else {
        return Vec::new();
    };
    let base = object.base.map(|id| &schema.entity(id).kind);
    match base {
        Some(EntityKind::Object(base)) if base.implicit => vec![base, object],
        _ => vec![object],
    }
}

fn things<'s>(schema: &'s Schema, entity: &'s Entity) -> Vec<&'s str> {
    match &entity.kind {
        EntityKind::Enum(def) => def.values.iter().map(|v| v.name.as_str()).collect(),
        EntityKind::Alternate(cases) => cases.iter().map(|c| c.name.as_str()).collect(),
        _ => objects(schema, entity)
            .iter()
            .flat_map(|object| object.members.iter().map(|m| m.name.as_str()))
            .collect(),
    }
}

fn features<'s>(schema: &'s Schema, entity: &'s Entity) -> Vec<&'s str> {
    let mut lists: Vec<&[Feature]> = vec![&entity.features];
    if let EntityKind::Enum(def) = &entity.kind {
        lists.extend(def.values.iter().map(|v| v.features.as_slice()));
    }
    for object in objects(schema, entity) {
        lists.extend(object.members.iter().map(|m| m.features.as_slice()));
    }
    let mut names: Vec<&str> = lists
        .into_iter()
        .flat_map(|list| list.iter().map(|feature| feature.name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}
