//! The data of `query-qmp-schema`, for `qapi::introspect` at run time.
//!
//! The table keeps everything conditional, with the condition as a boolean, because
//! masked names are numbered before conditions are applied. Each entity and each
//! member takes one line. rustfmt would spread this over many thousand lines, so
//! the table is marked to be left alone.

use super::context::Context;
use super::docs;
use super::out::Out;
use crate::schema::model::{is_extension, Entity, EntityId, EntityKind, Feature, ModuleItem};

/// Emits `QAPI_SCHEMA`.
pub(super) fn emit(cx: &Context, out: &mut Out) {
    out.blank();
    docs::emit_plain(
        out,
        "The data of `query-qmp-schema` for these commands and events.",
    );
    out.line("#[rustfmt::skip]");
    out.begin("pub static QAPI_SCHEMA: qapi::introspect::SchemaTable = {");
    out.line("use qapi::introspect::*;");
    out.begin("SchemaTable { entities: &[");
    for module in &cx.schema.modules {
        for item in &module.items {
            if let ModuleItem::Entity(id) = item {
                // The empty object is built in, so it is in no table.
                if cx.is_empty(*id) {
                    continue;
                }
                emit_entity(cx, out, cx.schema.entity(*id), *id);
            }
        }
    }
    out.end("] }");
    out.end("};");
}

fn emit_entity(cx: &Context, out: &mut Out, entity: &Entity, id: EntityId) {
    let before = format!(
        "SchemaEntity {{ name: {:?}, present: {}, features: {}, kind: SchemaKind::",
        entity.name,
        cx.outcome(&entity.ifcond).expression(),
        features(cx, &entity.features),
    );
    match &entity.kind {
        EntityKind::Builtin | EntityKind::Array(_) => {}
        EntityKind::Command(def) => out.line(&format!(
            "{before}Command {{ arg: {:?}, ret: {:?}, allow_oob: {} }} }},",
            reference(cx, def.args),
            reference(cx, def.ret),
            def.allow_oob
        )),
        EntityKind::Event(def) => out.line(&format!(
            "{before}Event {{ arg: {:?} }} }},",
            reference(cx, def.data)
        )),
        EntityKind::Enum(e) => {
            out.begin(&format!("{before}Enum(&["));
            for value in e.values.iter().filter(|v| !is_extension(&v.features)) {
                out.line(&format!(
                    "SchemaValue {{ name: {:?}, present: {}, features: {} }},",
                    value.name,
                    cx.outcome(&value.ifcond).expression(),
                    features(cx, &value.features),
                ));
            }
            out.end("]) },");
        }
        EntityKind::Alternate(variants) => {
            out.begin(&format!("{before}Alternate(&["));
            variants.iter().for_each(|v| emit_variant(cx, out, v));
            out.end("]) },");
        }
        EntityKind::Object(object) => {
            out.begin(&format!("{before}Object {{ members: &["));
            emit_members(cx, out, id);
            match &object.variants {
                None => out.end("], tag: None, variants: &[] } },"),
                Some(variants) => {
                    out.end(&format!("], tag: Some({:?}), variants: &[", variants.tag));
                    out.indent();
                    let cases = cx.schema.shown_cases(variants);
                    cases.for_each(|v| emit_variant(cx, out, v));
                    out.end("] } },");
                }
            }
        }
    }
}

/// Members, those of base types first, even if their conditions fail.
fn emit_members(cx: &Context, out: &mut Out, id: EntityId) {
    let EntityKind::Object(object) = &cx.schema.entity(id).kind else {
        return;
    };
    if let Some(base) = object.base {
        emit_members(cx, out, base);
    }
    for member in object.members.iter().filter(|m| !is_extension(&m.features)) {
        out.line(&format!(
            "SchemaMember {{ name: {:?}, typ: {:?}, optional: {}, present: {}, features: {} }},",
            member.name,
            reference(cx, Some(member.typ)),
            member.optional,
            cx.outcome(&member.ifcond).expression(),
            features(cx, &member.features),
        ));
    }
}

fn emit_variant(cx: &Context, out: &mut Out, variant: &crate::schema::model::Variant) {
    out.line(&format!(
        "SchemaVariant {{ case: {:?}, typ: {:?}, present: {} }},",
        variant.name,
        reference(cx, Some(variant.typ)),
        cx.outcome(&variant.ifcond).expression(),
    ));
}

fn features(cx: &Context, features: &[Feature]) -> String {
    let features: Vec<String> = features
        .iter()
        .map(|f| {
            let present = cx.outcome(&f.ifcond).expression();
            format!("SchemaFeature {{ name: {:?}, present: {present} }}", f.name)
        })
        .collect();
    format!("&[{}]", features.join(", "))
}

/// The table's reference to a type: all integers are `int`, an array is its
/// element's reference in brackets.
fn reference(cx: &Context, id: Option<EntityId>) -> String {
    let Some(id) = id else {
        return "q_empty".into();
    };
    let entity = cx.schema.entity(id);
    match &entity.kind {
        EntityKind::Array(element) => format!("[{}]", reference(cx, Some(*element))),
        EntityKind::Builtin => match entity.name.as_str() {
            "str" | "number" | "bool" | "null" | "any" => entity.name.clone(),
            _ => "int".into(),
        },
        _ => entity.name.clone(),
    }
}
