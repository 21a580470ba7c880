//! A schema as plain text, one fact per line, in the form of the `.out` files in
//! QEMU's `tests/qapi-schema`. It shows everything the front half knows.

use std::fmt::{self, Display, Write};

use super::model::{
    CommandDef, Doc, DocSection, Entity, EntityId, EntityKind, Feature, IfCond, ModuleItem,
    ObjectType, Schema, Variant,
};

/// Prints all entities by module, then all documentation comments.
pub fn dump(schema: &Schema) -> String {
    let mut dumper = Dumper {
        schema,
        out: String::new(),
    };
    for module in &schema.modules {
        dumper.line(0, format_args!("module {}", module.name));
        for item in &module.items {
            match *item {
                ModuleItem::Include(id) => {
                    let name = &schema.modules[id.0].name;
                    dumper.line(0, format_args!("include {name}"));
                }
                ModuleItem::Entity(id) => dumper.entity(schema.entity(id)),
            }
        }
    }
    for doc in &schema.docs {
        dumper.doc(doc);
    }
    dumper.out
}

struct Dumper<'a> {
    schema: &'a Schema,
    out: String,
}

impl Dumper<'_> {
    fn line(&mut self, indent: usize, text: impl Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.out, "{:indent$}{text}", "");
    }

    fn name(&self, id: EntityId) -> &str {
        &self.schema.entity(id).name
    }

    fn name_or_none(&self, id: Option<EntityId>) -> &str {
        id.map_or("None", |id| self.name(id))
    }

    fn entity(&mut self, entity: &Entity) {
        let name = &entity.name;
        match &entity.kind {
            EntityKind::Builtin => return,
            EntityKind::Enum(def) => {
                self.line(0, format_args!("enum {name}"));
                if let Some(prefix) = def.prefix.as_ref().filter(|_| name != "QType") {
                    self.line(4, format_args!("prefix {prefix}"));
                }
                for value in &def.values {
                    self.line(4, format_args!("member {}", value.name));
                    self.trailer(8, &value.ifcond, &value.features);
                }
            }
            EntityKind::Array(element) => {
                let element = self.schema.entity(*element);
                if matches!(element.kind, EntityKind::Builtin) {
                    return;
                }
                self.line(0, format_args!("array {name} {}", element.name));
            }
            EntityKind::Object(object) => {
                self.line(0, format_args!("object {name}"));
                self.object(object);
            }
            EntityKind::Alternate(cases) => {
                self.line(0, format_args!("alternate {name}"));
                self.cases("type", cases);
            }
            EntityKind::Command(command) => self.command(name, command),
            EntityKind::Event(event) => {
                let data = self.name_or_none(event.data);
                let text = format!("event {name} {data}");
                self.line(0, text);
                self.line(4, format_args!("boxed={}", Python(event.boxed)));
            }
        }
        self.trailer(4, &entity.ifcond, &entity.features);
    }

    fn object(&mut self, object: &ObjectType) {
        if let Some(base) = object.base {
            let text = format!("base {}", self.name(base));
            self.line(4, text);
        }
        for member in &object.members {
            let typ = self.name(member.typ);
            let optional = Python(member.optional);
            let text = format!("member {}: {typ} optional={optional}", member.name);
            self.line(4, text);
            self.trailer(8, &member.ifcond, &member.features);
        }
        if let Some(variants) = &object.variants {
            self.cases(&variants.tag, &variants.cases);
        }
    }

    fn cases(&mut self, tag: &str, cases: &[Variant]) {
        self.line(4, format_args!("tag {tag}"));
        for case in cases {
            let text = format!("case {}: {}", case.name, self.name(case.typ));
            self.line(4, text);
            self.trailer(8, &case.ifcond, &[]);
        }
    }

    fn command(&mut self, name: &str, command: &CommandDef) {
        let args = self.name_or_none(command.args);
        let ret = self.name_or_none(command.ret);
        let text = format!("command {name} {args} -> {ret}");
        self.line(0, text);
        let text = format!(
            "gen={} success_response={} boxed={} oob={} preconfig={}{}",
            Python(command.generated),
            Python(command.success_response),
            Python(command.boxed),
            Python(command.allow_oob),
            Python(command.allow_preconfig),
            if command.coroutine {
                " coroutine=True"
            } else {
                ""
            }
        );
        self.line(4, text);
    }

    fn trailer(&mut self, indent: usize, ifcond: &IfCond, features: &[Feature]) {
        self.condition(indent, ifcond);
        for feature in features {
            self.line(indent, format_args!("feature {}", feature.name));
            self.condition(indent + 4, &feature.ifcond);
        }
    }

    fn condition(&mut self, indent: usize, ifcond: &IfCond) {
        match ifcond {
            IfCond::Always => {}
            IfCond::Name(name) => self.line(indent, format_args!("if {name}")),
            cond => self.line(indent, format_args!("if {}", Nested(cond))),
        }
    }

    fn doc(&mut self, doc: &Doc) {
        match &doc.symbol {
            Some(symbol) => self.line(0, format_args!("doc symbol={symbol}")),
            None => self.line(0, "doc freeform"),
        }
        self.line(4, "body=");
        self.line(0, &doc.body);
        for (key, list) in [
            ("arg", &doc.args),
            ("feature", &doc.features),
            ("section", &doc.sections),
        ] {
            for DocSection { name, text } in list {
                self.line(4, format_args!("{key}={name}"));
                self.line(0, text);
            }
        }
    }
}

/// A boolean as Python writes it.
struct Python(bool);

impl Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "True" } else { "False" })
    }
}

/// A condition as written in the schema.
struct Nested<'a>(&'a IfCond);

impl Display for Nested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (key, list) = match self.0 {
            IfCond::Always => return Ok(()),
            IfCond::Name(name) => return write!(f, "'{name}'"),
            IfCond::Not(cond) => return write!(f, "{{'not': {}}}", Nested(cond)),
            IfCond::All(list) => ("all", list),
            IfCond::Any(list) => ("any", list),
        };
        write!(f, "{{'{key}': [")?;
        for (index, cond) in list.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{}", Nested(cond))?;
        }
        f.write_str("]}")
    }
}
