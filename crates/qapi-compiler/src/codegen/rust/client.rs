//! The client's side: methods that call commands, and an enum of events.

use super::commands::{commands, Command};
use super::context::Context;
use super::docs;
use super::names;
use super::objects::{named_members, read, write};
use super::out::{Field, Out};
use super::types::attribute;
use crate::schema::model::{Entity, EntityId, EntityKind, EventDef, Member};

/// Emits the trait `QmpCommands` and the enum `Event`.
pub(super) fn emit(cx: &Context, out: &mut Out) {
    let ids: Vec<EntityId> = (0..cx.schema.entities.len())
        .map(EntityId)
        .filter(|id| cx.holds(&cx.schema.entity(*id).ifcond))
        .collect();
    let name = cx.free_name("QmpCommands".into());
    out.blank();
    docs::emit_plain(out, "A method for each command.");
    out.begin(&format!("pub trait {name}: qapi::client::Execute {{"));
    for command in &commands(cx, &ids) {
        emit_call(cx, out, command);
    }
    out.end("}");
    out.blank();
    out.line(&format!("impl<C: qapi::client::Execute> {name} for C {{}}"));
    emit_events(cx, out, &ids);
}

fn emit_call(cx: &Context, out: &mut Out, command: &Command) {
    let entity = command.entity;
    let mut params = vec!["&mut self".to_owned()];
    // A server that reads arguments by hand may take more than the schema tells.
    let raw = !command.def.generated && command.def.args.is_some();
    if raw {
        params.push("args: qapi::QDict".into());
    } else {
        let named = command.params.iter();
        params.extend(named.map(|p| format!("{}: {}", p.ident, p.rust)));
    }
    let returns = command.def.ret.map_or("()".into(), |ret| cx.rust_type(ret));
    let result = cx.std("Result");
    let after = format!(") -> {result}<{returns}, qapi::client::ClientError> {{");
    out.blank();
    docs::emit_function(cx, out, entity, &format!("`{}`", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    if cx.deprecated(&entity.features) {
        out.line("#[deprecated]");
    }
    let params: Vec<&str> = params.iter().map(String::as_str).collect();
    out.signature(
        &format!("fn {}(", names::snake(&entity.name)),
        &params,
        &after,
    );
    out.indent();
    if !raw {
        emit_arguments(cx, out, command);
    }
    let name = format!("\"{}\"", entity.name);
    if command.def.success_response {
        out.call("qapi::client::call(", &["self", &name, "args"], ")");
    } else {
        out.call("self.qmp_send(", &[&name, "args"], ")");
    }
    out.end("}");
}

fn emit_arguments(cx: &Context, out: &mut Out, command: &Command) {
    let Some(args) = command.def.args.filter(|_| !command.params.is_empty()) else {
        return out.line("let args = qapi::QDict::new();");
    };
    out.begin("let args = qapi::client::arguments(&|v| {");
    if command.def.boxed {
        out.line("v.branch(&arg);");
    } else {
        let members = named_members(cx, args).into_iter().zip(&command.params);
        for ((member, _), param) in members {
            write(cx, out, member, &format!("&{}", param.ident));
        }
    }
    out.end("});");
}

/// An event, and the members of its data if these become fields.
struct Variant<'s> {
    entity: &'s Entity,
    def: &'s EventDef,
    ident: String,
    fields: Vec<(&'s Member, String)>,
}

fn variants<'s>(cx: &Context<'s>, ids: &[EntityId]) -> Vec<Variant<'s>> {
    let events: Vec<_> = ids
        .iter()
        .map(|id| cx.schema.entity(*id))
        .filter_map(|entity| match &entity.kind {
            EntityKind::Event(def) => Some((entity, def)),
            _ => None,
        })
        .collect();
    let idents = events
        .iter()
        .map(|(entity, _)| names::camel(&entity.name.to_lowercase()));
    let idents = names::distinct(idents);
    let variant = |((entity, def), ident): ((&'s Entity, &'s EventDef), String)| Variant {
        entity,
        def,
        ident,
        fields: match def.data {
            Some(data) if !def.boxed => named_members(cx, data),
            _ => Vec::new(),
        },
    };
    events.into_iter().zip(idents).map(variant).collect()
}

fn emit_events(cx: &Context, out: &mut Out, ids: &[EntityId]) {
    let variants = variants(cx, ids);
    let name = cx.free_name("Event".into());
    out.blank();
    docs::emit_plain(out, "The events that the server sends.");
    out.line("#[derive(Debug, Clone, PartialEq)]");
    if variants.is_empty() {
        out.line(&format!("pub enum {name} {{}}"));
    } else {
        out.begin(&format!("pub enum {name} {{"));
        variants.iter().for_each(|v| emit_variant(cx, out, v));
        out.end("}");
    }
    out.blank();
    out.begin(&format!("impl qapi::client::QapiEvent for {name} {{"));
    let v = if variants.is_empty() { "_v" } else { "v" };
    let input = format!("{v}: &mut qapi::visit::InputVisitor");
    let result = cx.std("Result");
    let option = cx.std("Option");
    let after = format!(") -> {result}<{option}<Self>, qapi::Error> {{");
    out.signature("fn visit_in(", &["name: &str", &input], &after);
    out.indent();
    if variants.is_empty() {
        out.line("let _ = name;");
        out.line("Ok(None)");
    } else {
        out.begin("Ok(Some(match name {");
        variants.iter().for_each(|v| emit_arm(cx, out, v));
        out.arm("_", "return Ok(None)");
        out.end("}))");
    }
    out.end("}");
    out.end("}");
}

fn emit_variant(cx: &Context, out: &mut Out, variant: &Variant) {
    let entity = variant.entity;
    docs::emit_entity(cx, out, entity, &format!("`{}`", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    if cx.deprecated(&entity.features) {
        out.line("#[deprecated]");
    }
    let ident = &variant.ident;
    match variant.def.data.filter(|data| !cx.is_empty(*data)) {
        Some(data) if variant.def.boxed => {
            out.line(&format!("{ident}({}),", cx.rust_type(data)));
        }
        Some(_) if !variant.fields.is_empty() => {
            out.begin(&format!("{ident} {{"));
            for (member, field) in &variant.fields {
                let name = &member.name;
                docs::emit_member(cx, out, entity, name, &format!("`{name}`"));
                let rust = cx.optional(member.optional, cx.rust_type(member.typ));
                out.line(&format!("{field}: {rust},"));
            }
            out.end("},");
        }
        _ => out.line(&format!("{ident},")),
    }
}

fn emit_arm(cx: &Context, out: &mut Out, variant: &Variant) {
    attribute(out, cx.cfg(&variant.entity.ifcond));
    let (name, ident) = (&variant.entity.name, &variant.ident);
    let pattern = format!("\"{name}\"");
    if !variant.fields.is_empty() {
        let fields: Vec<Field> = variant
            .fields
            .iter()
            .map(|(member, field)| Field {
                cfg: None,
                name: field.clone(),
                value: read(cx, member),
            })
            .collect();
        return out.literal(&format!("{pattern} => Self::{ident}"), &fields, ",");
    }
    let boxed = variant.def.boxed && variant.def.data.is_some_and(|data| !cx.is_empty(data));
    if boxed {
        out.arm(&pattern, &format!("Self::{ident}(v.branch()?)"));
    } else {
        out.arm(&pattern, &format!("Self::{ident}"));
    }
}
