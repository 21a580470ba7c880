//! Type definitions: enums, alternates, and the calls for objects.

use super::context::Context;
use super::docs;
use super::names;
use super::objects;
use super::out::Out;
use crate::schema::model::{EntityId, EntityKind, EnumType, Variant};

/// Emits the types among these entities.
pub(super) fn emit(cx: &Context, out: &mut Out, entities: &[EntityId]) {
    for id in entities {
        let entity = cx.schema.entity(*id);
        match &entity.kind {
            EntityKind::Enum(e) if entity.name != "QType" => emit_enum(cx, out, *id, e),
            EntityKind::Object(_) if cx.has_type(*id) && !cx.is_empty(*id) => {
                objects::emit(cx, out, *id);
            }
            EntityKind::Alternate(variants) => emit_alternate(cx, out, *id, variants),
            _ => {}
        }
    }
}

/// Emits an attribute if there is one.
pub(super) fn attribute(out: &mut Out, attribute: Option<String>) {
    if let Some(attribute) = attribute {
        out.line(&attribute);
    }
}

fn emit_enum(cx: &Context, out: &mut Out, id: EntityId, e: &EnumType) {
    let entity = cx.schema.entity(id);
    let rust = cx.rust_type(id);
    let values: Vec<_> = e
        .values
        .iter()
        .zip(names::distinct(
            e.values.iter().map(|value| names::camel(&value.name)),
        ))
        .filter(|(value, _)| cx.holds(&value.ifcond))
        .collect();
    out.blank();
    docs::emit_entity(cx, out, entity, &format!("`{}`", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    out.line("#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]");
    if values.is_empty() {
        out.line(&format!("pub enum {rust} {{}}"));
    } else {
        out.begin(&format!("pub enum {rust} {{"));
        for (value, ident) in &values {
            docs::emit_member(cx, out, entity, &value.name, &format!("`{}`", value.name));
            attribute(out, cx.cfg(&value.ifcond));
            if cx.deprecated(&value.features) {
                out.line("#[deprecated]");
            }
            out.line(&format!("{ident},"));
        }
        out.end("}");
    }
    out.blank();
    attribute(out, cx.cfg(&entity.ifcond));
    out.begin(&format!("qapi::qapi_enum! {{ {rust} {{"));
    for (value, ident) in &values {
        attribute(out, cx.cfg(&value.ifcond));
        let special = cx.special(&value.features);
        let special = special.map_or_else(String::new, |features| format!(" ({features})"));
        out.line(&format!("{ident} = \"{}\"{special},", value.name));
    }
    out.end("} }");
}

/// The `QType` of a type's values. An alternate has at most one alternative of
/// each.
fn qtype(cx: &Context, id: EntityId) -> &'static str {
    let entity = cx.schema.entity(id);
    match &entity.kind {
        EntityKind::Array(_) => "Qlist",
        EntityKind::Enum(_) => "Qstring",
        EntityKind::Builtin => match entity.name.as_str() {
            "str" => "Qstring",
            "bool" => "Qbool",
            "null" => "Qnull",
            _ => "Qnum",
        },
        _ => "Qdict",
    }
}

fn emit_alternate(cx: &Context, out: &mut Out, id: EntityId, variants: &[Variant]) {
    let entity = cx.schema.entity(id);
    let rust = cx.rust_type(id);
    let variants: Vec<_> = variants
        .iter()
        .zip(names::distinct(
            variants.iter().map(|v| names::camel(&v.name)),
        ))
        .filter(|(variant, _)| cx.holds(&variant.ifcond))
        .collect();
    out.blank();
    docs::emit_entity(cx, out, entity, &format!("`{}`", entity.name));
    attribute(out, cx.cfg(&entity.ifcond));
    out.line("#[derive(Debug, Clone, PartialEq)]");
    out.begin(&format!("pub enum {rust} {{"));
    for (variant, ident) in &variants {
        let name = &variant.name;
        docs::emit_member(cx, out, entity, name, &format!("`{name}`"));
        attribute(out, cx.cfg(&variant.ifcond));
        let typ = cx.contained_type(id, name, variant.typ);
        out.line(&format!("{ident}({typ}),"));
    }
    out.end("}");

    out.blank();
    attribute(out, cx.cfg(&entity.ifcond));
    out.begin(&format!("impl qapi::visit::QapiType for {rust} {{"));
    let result = cx.result("Self");
    out.signature(
        "fn visit_in(",
        &["v: &mut qapi::visit::InputVisitor", "name: &str"],
        &format!(") -> {result} {{"),
    );
    out.indent();
    out.begin("match v.start_alternate(name)? {");
    for (variant, ident) in &variants {
        attribute(out, cx.cfg(&variant.ifcond));
        let method = if cx.is_size(variant.typ) {
            "size"
        } else {
            "member"
        };
        let pattern = format!("qapi::visit::QType::{}", qtype(cx, variant.typ));
        out.arm(&pattern, &format!("Ok(Self::{ident}(v.{method}(name)?))"));
    }
    out.arm(
        "_",
        &format!("Err(v.wrong_alternate(name, \"{}\"))", entity.name),
    );
    out.end("}");
    out.end("}");
    out.blank();
    out.signature(
        "fn visit_out<V: qapi::visit::OutputVisitor>(",
        &["&self", "v: &mut V", "name: qapi::json::MemberName"],
        ") {",
    );
    out.indent();
    out.begin("match self {");
    for (variant, ident) in &variants {
        attribute(out, cx.cfg(&variant.ifcond));
        out.arm(&format!("Self::{ident}(value)"), "v.member(name, value)");
    }
    out.end("}");
    out.end("}");
    out.end("}");
}
