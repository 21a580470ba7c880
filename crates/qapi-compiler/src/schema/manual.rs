//! A reference manual in Markdown, made from the documentation comments.
//!
//! Comments appear in the order of the schema: free-form text as it is, with its
//! headings; for each definition a heading one level below, then its parts. The
//! schema itself supplies the types, which a comment does not state. An index at
//! the end lists all definitions by module.
//!
//! Every definition has an anchor of its own, and every name of a documented type,
//! command or event links to it, so all links resolve. Undocumented names are shown
//! without a link.

use std::collections::HashMap;

use super::markup::{code, convert, convert_tagged, Manual};
use super::model::{
    CommandDef, Doc, DocSection, Entity, EntityId, EntityKind, Feature, IfCond, Member, ObjectType,
    Schema, Variant,
};

/// The deepest level of headings.
const DEEPEST: usize = 6;

/// Prints the manual. The same schema gives the same text, byte by byte.
pub fn manual(schema: &Schema) -> String {
    let documented = schema.docs.iter().filter_map(|doc| doc.symbol.as_deref());
    let anchors = documented
        .filter_map(|name| Some((name, anchor(schema.lookup(name)?))))
        .collect();
    let mut writer = Writer {
        schema,
        anchors,
        out: String::new(),
    };
    let mut level = 1;
    for doc in &schema.docs {
        match doc.symbol.as_deref().and_then(|name| schema.lookup(name)) {
            Some(entity) => writer.definition(entity, doc, (level + 1).min(DEEPEST)),
            None => level = writer.free_form(doc).unwrap_or(level),
        }
    }
    writer.index();
    writer.out
}

fn anchor(entity: &Entity) -> String {
    let kind = match entity.kind {
        EntityKind::Command(_) => "command",
        EntityKind::Event(_) => "event",
        _ => "type",
    };
    format!("{kind}-{}", entity.name)
}

fn kind(entity: &Entity) -> &'static str {
    match &entity.kind {
        EntityKind::Builtin => "built-in type",
        EntityKind::Enum(_) => "enum",
        EntityKind::Array(_) => "array",
        EntityKind::Object(object) if object.variants.is_some() => "union",
        EntityKind::Object(_) => "struct",
        EntityKind::Alternate(_) => "alternate",
        EntityKind::Command(_) => "command",
        EntityKind::Event(_) => "event",
    }
}

struct Writer<'a> {
    schema: &'a Schema,
    /// The anchors of documented definitions.
    anchors: HashMap<&'a str, String>,
    out: String,
}

impl<'a> Writer<'a> {
    /// A paragraph, a heading or a list, followed by a blank line.
    fn block(&mut self, text: &str) {
        let text = text.trim_matches('\n');
        if !text.is_empty() {
            self.out.push_str(text);
            self.out.push_str("\n\n");
        }
    }

    fn markdown(&self, text: &str) -> String {
        let link = |name: &str| self.link(name);
        convert(text, &Manual { link: &link })
    }

    fn tagged_markdown(&self, text: &str) -> String {
        let link = |name: &str| self.link(name);
        convert_tagged(text, &Manual { link: &link })
    }

    /// The name of a definition with its link.
    fn link(&self, name: &str) -> Option<String> {
        let anchor = self.anchors.get(name)?;
        Some(format!("[{}](#{anchor})", code(name)))
    }

    fn typ(&self, id: EntityId) -> String {
        let entity = self.schema.entity(id);
        match entity.kind {
            EntityKind::Array(element) => format!("array of {}", self.typ(element)),
            _ => self
                .link(&entity.name)
                .unwrap_or_else(|| code(&entity.name)),
        }
    }

    /// Returns the level of the heading, if there is one.
    fn free_form(&mut self, doc: &Doc) -> Option<usize> {
        let text = doc.body.trim_start_matches('=');
        let level = (doc.body.len() - text.len()).min(DEEPEST);
        if level == 0 {
            let text = self.markdown(text);
            self.block(&text);
            return None;
        }
        let (title, text) = text.split_once('\n').unwrap_or((text, ""));
        let title = self.markdown(title.trim());
        self.block(&format!("{} {title}", "#".repeat(level)));
        let text = self.markdown(text.trim_start_matches('\n'));
        self.block(&text);
        Some(level)
    }

    fn definition(&mut self, entity: &'a Entity, doc: &Doc, level: usize) {
        let name = &entity.name;
        let anchor = anchor(entity);
        self.block(&format!(
            "<a id=\"{anchor}\"></a>\n\n{} {} ({})",
            "#".repeat(level),
            code(name),
            kind(entity)
        ));
        if !entity.ifcond.is_always() {
            self.block(&format!("Condition: {}", condition(&entity.ifcond)));
        }
        let text = self.markdown(&doc.body);
        self.block(&text);
        match &entity.kind {
            EntityKind::Enum(def) => {
                let value = |value: &super::model::EnumValue| {
                    let head = self.head(&value.name, None, &value.ifcond, &value.features);
                    self.item(&head, text_of(&doc.args, &value.name))
                };
                let values: Vec<String> = def.values.iter().map(value).collect();
                self.list("Values", &values);
            }
            EntityKind::Object(object) => {
                let mut items = self.contents(object, doc);
                if let Some(variants) = &object.variants {
                    let cases = variants.cases.iter();
                    items.extend(cases.filter_map(|case| self.branch(&variants.tag, case)));
                }
                self.list("Members", &items);
            }
            EntityKind::Alternate(cases) => {
                let alternative = |case: &Variant| {
                    let typ = Some((case.typ, false));
                    let head = self.head(&case.name, typ, &case.ifcond, &[]);
                    self.item(&head, text_of(&doc.args, &case.name))
                };
                let items: Vec<String> = cases.iter().map(alternative).collect();
                self.list("Alternatives", &items);
            }
            EntityKind::Command(command) => {
                self.data("Arguments", command.args, doc);
                self.flags(command);
            }
            EntityKind::Event(event) => self.data("Data", event.data, doc),
            EntityKind::Builtin | EntityKind::Array(_) => {}
        }
        self.features(entity, doc);
        self.sections(entity, doc);
    }

    /// Arguments or data: inline members, or the type that has them.
    fn data(&mut self, title: &str, id: Option<EntityId>, doc: &Doc) {
        let Some(id) = id else {
            return;
        };
        let items = match &self.schema.entity(id).kind {
            EntityKind::Object(object) if object.implicit => self.contents(object, doc),
            _ => vec![self.members_of(id)],
        };
        self.list(title, &items);
    }

    fn members_of(&self, id: EntityId) -> String {
        format!("- the members of {}", self.typ(id))
    }

    /// Members of the base, by reference unless they are inline; then own members.
    fn contents(&self, object: &ObjectType, doc: &Doc) -> Vec<String> {
        let mut items = Vec::new();
        if let Some(id) = object.base {
            match &self.schema.entity(id).kind {
                EntityKind::Object(base) if base.implicit => {
                    items.extend(base.members.iter().map(|m| self.member(m, doc)));
                }
                _ => items.push(self.members_of(id)),
            }
        }
        items.extend(object.members.iter().map(|m| self.member(m, doc)));
        items
    }

    fn member(&self, member: &Member, doc: &Doc) -> String {
        let typ = Some((member.typ, member.optional));
        let head = self.head(&member.name, typ, &member.ifcond, &member.features);
        self.item(&head, text_of(&doc.args, &member.name))
    }

    fn branch(&self, tag: &str, case: &Variant) -> Option<String> {
        let typ = self.schema.entity(case.typ);
        // A branch without members has nothing to refer to.
        if typ.name == "q_empty" {
            return None;
        }
        let condition = match &case.ifcond {
            IfCond::Always => String::new(),
            cond => format!(" (condition: {})", condition(cond)),
        };
        Some(format!(
            "- if {} is {}: the members of {}{condition}",
            code(tag),
            code(&case.name),
            self.typ(case.typ)
        ))
    }

    /// The schema's facts about something with a name: name, type and whether it is
    /// optional, condition, features.
    fn head(
        &self,
        name: &str,
        typ: Option<(EntityId, bool)>,
        ifcond: &IfCond,
        features: &[Feature],
    ) -> String {
        let mut head = code(name);
        if let Some((typ, optional)) = typ {
            let optional = if optional { ", optional" } else { "" };
            head.push_str(&format!(": {}{optional}", self.typ(typ)));
        }
        if !ifcond.is_always() {
            head.push_str(&format!(" (condition: {})", condition(ifcond)));
        }
        if !features.is_empty() {
            let names: Vec<String> = features.iter().map(|f| code(&f.name)).collect();
            head.push_str(&format!(" (features: {})", names.join(", ")));
        }
        head
    }

    /// A list item: a head and the text below it.
    fn item(&self, head: &str, text: &str) -> String {
        let text = match text {
            "" => "Not documented".to_owned(),
            text => self.tagged_markdown(text),
        };
        let mut item = format!("- {head}\n");
        for line in text.trim_matches('\n').split('\n') {
            item.push('\n');
            if !line.is_empty() {
                item.push_str("  ");
                item.push_str(line);
            }
        }
        item
    }

    fn list(&mut self, title: &str, items: &[String]) {
        if !items.is_empty() {
            self.block(&format!("**{title}**"));
            self.block(&items.join("\n\n"));
        }
    }

    fn flags(&mut self, command: &CommandDef) {
        if command.allow_oob {
            self.block("May be executed out of band.");
        }
        if command.allow_preconfig {
            self.block("May be executed before the machine is created.");
        }
        if !command.success_response {
            self.block("Sends no response on success.");
        }
    }

    fn features(&mut self, entity: &Entity, doc: &Doc) {
        let feature = |section: &DocSection| {
            let own = entity.features.iter().find(|f| f.name == section.name);
            let always = IfCond::Always;
            let ifcond = own.map_or(&always, |feature| &feature.ifcond);
            let head = self.head(&section.name, None, ifcond, &[]);
            self.item(&head, &section.text)
        };
        let items: Vec<String> = doc.features.iter().map(feature).collect();
        self.list("Features", &items);
    }

    fn sections(&mut self, entity: &Entity, doc: &Doc) {
        let ret = match &entity.kind {
            EntityKind::Command(command) => command.ret,
            _ => None,
        };
        let returns = ret.map(|ret| format!("**Returns** {}", self.typ(ret)));
        let described = |section: &DocSection| section.name == "Returns";
        if !doc.sections.iter().any(described) {
            self.block(&returns.clone().unwrap_or_default());
        }
        for section in &doc.sections {
            let text = match section.name.as_str() {
                "Plain" => self.markdown(&section.text),
                _ => self.tagged_markdown(&section.text),
            };
            match section.name.as_str() {
                "Todo" => {}
                "Plain" => self.block(&text),
                "Returns" => {
                    let returns = returns.clone().unwrap_or_default();
                    self.block(&format!("{returns}\n\n{text}"));
                }
                "Since" => self.block(&format!("**Since** {text}")),
                tag => self.block(&format!("**{tag}**\n\n{text}")),
            }
        }
    }

    /// All definitions, by module.
    fn index(&mut self) {
        if self.anchors.is_empty() {
            return;
        }
        self.block("# Index");
        for (number, module) in self.schema.modules.iter().enumerate() {
            let docs = self.schema.docs.iter();
            let docs = docs.filter(|doc| doc.module.0 == number);
            let entry = |doc: &Doc| {
                let entity = self.schema.lookup(doc.symbol.as_deref()?)?;
                let name = self.link(&entity.name)?;
                Some(format!("- {name} ({})", kind(entity)))
            };
            let entries: Vec<String> = docs.filter_map(entry).collect();
            if !entries.is_empty() {
                self.block(&format!("## Module {}", code(&module.name)));
                self.block(&entries.join("\n"));
            }
        }
        self.out.pop();
    }
}

fn text_of<'d>(list: &'d [DocSection], name: &str) -> &'d str {
    let section = list.iter().find(|section| section.name == name);
    section.map_or("", |section| &section.text)
}

/// A condition in words.
fn condition(ifcond: &IfCond) -> String {
    let nested = |cond: &IfCond| match cond {
        IfCond::All(list) | IfCond::Any(list) if list.len() > 1 => {
            format!("({})", condition(cond))
        }
        cond => condition(cond),
    };
    let join = |list: &[IfCond], word: &str| {
        let parts: Vec<String> = list.iter().map(nested).collect();
        parts.join(word)
    };
    match ifcond {
        IfCond::Always => String::new(),
        IfCond::Name(name) => code(name),
        IfCond::All(list) => join(list, " and "),
        IfCond::Any(list) => join(list, " or "),
        IfCond::Not(cond) => format!("not {}", nested(cond)),
    }
}

#[cfg(test)]
#[path = "manual_tests.rs"]
mod tests;
