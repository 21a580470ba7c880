//! Events: their descriptions and emitters.

use super::context::Context;
use super::docs;
use super::names;
use super::objects::{local, named_members, write};
use super::order;
use super::out::Out;
use super::types::attribute;
use crate::schema::model::{Entity, EntityId, EntityKind, EventDef};

/// Emits the events among these entities.
pub(super) fn emit(cx: &Context, out: &mut Out, entities: &[EntityId]) {
    for id in entities {
        let entity = cx.schema.entity(*id);
        if let EntityKind::Event(def) = &entity.kind {
            emit_event(cx, out, entity, def);
        }
    }
}

fn emit_event(cx: &Context, out: &mut Out, entity: &Entity, def: &EventDef) {
    let constant = format!("EVENT_{}", names::upper(&entity.name));
    let features = cx.special(&entity.features).unwrap_or("NONE");
    out.blank();
    docs::emit_plain(out, &format!("The event `{}`.", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    out.begin(&format!(
        "pub static {constant}: qapi::EventInfo = qapi::EventInfo {{"
    ));
    out.line(&format!("name: \"{}\",", entity.name));
    out.line(&format!("features: qapi::SpecialFeatures::{features},"));
    out.end("};");

    let data = def.data.filter(|data| !cx.is_empty(*data));
    let members = match data {
        Some(data) if !def.boxed => named_members(cx, data),
        _ => Vec::new(),
    };
    let mut params = vec![format!("rt: &mut {}<S>", cx.options.context)];
    if let (Some(data), true) = (data, def.boxed) {
        params.push(format!("arg: &{}", cx.rust_type(data)));
    }
    params.extend(members.iter().map(|(member, ident)| {
        let rust = cx.optional(member.optional, cx.rust_type(member.typ));
        format!("{}: {rust}", local(ident))
    }));
    out.blank();
    docs::emit_function(cx, out, entity, &format!("Emits `{}`.", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    if cx.deprecated(&entity.features) {
        out.line("#[deprecated]");
    }
    let params: Vec<&str> = params.iter().map(String::as_str).collect();
    let name = names::upper(&entity.name).to_lowercase();
    let before = format!("pub fn qapi_event_send_{name}<S: 'static>(");
    out.signature(&before, &params, ") {");
    out.indent();
    match data {
        None => out.line("let data = qapi::QDict::new();"),
        Some(data) => {
            let policy = if hides_members(cx, data) {
                format!("{}(rt)", cx.options.compat_policy)
            } else {
                "qapi::CompatPolicy::default()".into()
            };
            out.line(&format!("let policy = {policy};"));
            out.begin("let data = qapi::events::event_data(policy, &|v| {");
            if def.boxed {
                out.line("v.branch(arg);");
            }
            for (member, ident) in order::written(members, |(member, _)| &member.name) {
                write(cx, out, member, &format!("&{}", local(&ident)));
            }
            out.end("});");
        }
    }
    let emit = format!("{}(", cx.options.event_emit);
    out.call(&emit, &["rt", &format!("&{constant}"), "data"], ");");
    out.end("}");
}

/// Whether a policy may hide members of the type.
fn hides_members(cx: &Context, data: EntityId) -> bool {
    let mut seen = vec![data];
    let mut next = 0;
    while next < seen.len() {
        let id = seen[next];
        next += 1;
        let mut found: Vec<EntityId> = Vec::new();
        match &cx.schema.entity(id).kind {
            EntityKind::Object(object) => {
                let members = cx.members(id);
                if members.iter().any(|m| cx.special(&m.features).is_some()) {
                    return true;
                }
                found.extend(members.iter().map(|m| m.typ));
                let cases = object.variants.iter().flat_map(|v| &v.cases);
                found.extend(cases.map(|case| case.typ));
            }
            EntityKind::Alternate(variants) => found.extend(variants.iter().map(|v| v.typ)),
            EntityKind::Array(element) => found.push(*element),
            _ => {}
        }
        found.retain(|id| !seen.contains(id));
        seen.extend(found);
    }
    false
}
