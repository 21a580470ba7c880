//! The data of `query-qmp-schema`, for `qapi::introspect` at run time: text, whose form
//! `SchemaTable` describes.
//!
//! The table keeps everything conditional, with its condition, because masked names are
//! numbered before conditions are applied.

use super::context::Context;
use super::docs;
use super::out::Out;
use crate::schema::model::{is_extension, Entity, EntityId, EntityKind, Feature, ModuleItem};
use crate::schema::model::{IfCond, Variant};

/// Emits `QAPI_SCHEMA`.
pub(super) fn emit(cx: &Context, out: &mut Out) {
    let mut table = Table {
        cx,
        text: String::new(),
        conditions: Vec::new(),
    };
    for module in &cx.schema.modules {
        for item in &module.items {
            if let ModuleItem::Entity(id) = item {
                // The empty object is built in, so it is in no table.
                if !cx.is_empty(*id) {
                    table.entity(cx.schema.entity(*id), *id);
                }
            }
        }
    }
    out.blank();
    docs::emit_plain(
        out,
        "The data of `query-qmp-schema` for these commands and events.",
    );
    out.line("#[rustfmt::skip]");
    out.line("pub static QAPI_SCHEMA: qapi::introspect::SchemaTable =");
    out.begin("qapi::introspect::SchemaTable::new(\"\\");
    out.verbatim(&table.text);
    out.verbatim("\",\n");
    out.line(&format!("&[{}],", table.conditions.join(", ")));
    out.end(");");
}

/// The table under way.
struct Table<'a> {
    cx: &'a Context<'a>,
    text: String,
    /// The expressions that lines refer to by number.
    conditions: Vec<String>,
}

impl Table<'_> {
    /// Adds a line: these words, then the marks.
    fn line(&mut self, words: &[&str], features: &[Feature], condition: Option<&IfCond>) {
        let mut line = words.join(" ");
        for feature in features {
            line.push_str(" +");
            line.push_str(&feature.name);
            line.push_str(&self.mark(&feature.ifcond));
        }
        if let Some(mark) = condition
            .map(|c| self.mark(c))
            .filter(|mark| !mark.is_empty())
        {
            line.push(' ');
            line.push_str(&mark);
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// Refers to a condition, unless it always holds.
    fn mark(&mut self, condition: &IfCond) -> String {
        let expression = self.cx.outcome(condition).expression();
        if expression == "true" {
            return String::new();
        }
        let known = self.conditions.iter().position(|c| *c == expression);
        let number = known.unwrap_or_else(|| {
            self.conditions.push(expression);
            self.conditions.len() - 1
        });
        format!("?{number}")
    }

    /// Adds the line of an entity.
    fn head(&mut self, words: &[&str], entity: &Entity) {
        self.line(words, &entity.features, Some(&entity.ifcond));
    }

    fn entity(&mut self, entity: &Entity, id: EntityId) {
        let (cx, name) = (self.cx, entity.name.as_str());
        match &entity.kind {
            EntityKind::Builtin | EntityKind::Array(_) => {}
            EntityKind::Command(def) => {
                let (arg, ret) = (reference(cx, def.args), reference(cx, def.ret));
                let words = ["command", name, &arg, &ret, "oob"];
                let words = if def.allow_oob {
                    &words[..]
                } else {
                    &words[..4]
                };
                self.head(words, entity);
            }
            EntityKind::Event(def) => {
                self.head(&["event", name, &reference(cx, def.data)], entity);
            }
            EntityKind::Enum(e) => {
                self.head(&["enum", name], entity);
                for value in e.values.iter().filter(|v| !is_extension(&v.features)) {
                    let words = ["value", value.name.as_str()];
                    self.line(&words, &value.features, Some(&value.ifcond));
                }
            }
            EntityKind::Alternate(variants) => {
                self.head(&["alternate", name], entity);
                variants.iter().for_each(|v| self.variant(v));
            }
            EntityKind::Object(object) => {
                self.head(&["object", name], entity);
                self.members(id);
                if let Some(variants) = &object.variants {
                    self.line(&["tag", variants.tag.as_str()], &[], None);
                    let cases = cx.schema.shown_cases(variants);
                    cases.for_each(|v| self.variant(v));
                }
            }
        }
    }

    /// Members, those of base types first, even if their conditions fail.
    fn members(&mut self, id: EntityId) {
        let cx = self.cx;
        let EntityKind::Object(object) = &cx.schema.entity(id).kind else {
            return;
        };
        if let Some(base) = object.base {
            self.members(base);
        }
        for member in object.members.iter().filter(|m| !is_extension(&m.features)) {
            let typ = reference(cx, Some(member.typ));
            let words = ["member", member.name.as_str(), &typ, "*"];
            let words = if member.optional {
                &words[..]
            } else {
                &words[..3]
            };
            self.line(words, &member.features, Some(&member.ifcond));
        }
    }

    fn variant(&mut self, variant: &Variant) {
        let typ = reference(self.cx, Some(variant.typ));
        let words = ["case", variant.name.as_str(), &typ];
        self.line(&words, &[], Some(&variant.ifcond));
    }
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
