//! The return value of `query-qmp-schema`: SchemaInfo objects, as QEMU's
//! `qapi/introspect.json` defines them.
//!
//! Commands and events come first, module by module. Types follow, in the order of
//! first reference while the list is walked. Names of types are not part of the
//! interface, so numbers mask them, given out at first reference.
//!
//! Conditions are applied last: they remove entries but change neither order nor
//! numbers. So the numbers have gaps, and the list may contain a type without any
//! reference to it. QEMU's replies show both, and they are kept so that replies can
//! be compared.

use std::collections::HashMap;
use std::fmt::Write;

use super::model::{
    is_extension, CommandDef, Entity, EntityId, EntityKind, EnumValue, Feature, IfCond, Member,
    ModuleItem, ObjectType, Schema, Variant,
};

/// How to show a schema.
pub struct Options<'a> {
    /// Which names count as defined in conditions.
    pub defined: &'a dyn Fn(&str) -> bool,
    /// Whether to show the names of types instead of numbers.
    pub unmask: bool,
}

/// Prints the array as JSON, one entry on a line.
pub fn introspect(schema: &Schema, options: &Options<'_>) -> String {
    let mut generator = Generator {
        schema,
        options,
        empty: schema.names.get("q_empty").copied(),
        numbers: HashMap::new(),
        used: Vec::new(),
        is_used: vec![false; schema.entities.len()],
        out: String::from("["),
        separator: "\n",
    };
    for module in &schema.modules {
        for item in &module.items {
            if let ModuleItem::Entity(id) = item {
                generator.command_or_event(schema.entity(*id));
            }
        }
    }
    let mut next = 0;
    while let Some(id) = generator.used.get(next) {
        generator.typ(*id);
        next += 1;
    }
    generator.out.push_str("\n]\n");
    generator.out
}

struct Generator<'a> {
    schema: &'a Schema,
    options: &'a Options<'a>,
    empty: Option<EntityId>,
    /// Masked names.
    numbers: HashMap<EntityId, usize>,
    /// Types in order of first reference.
    used: Vec<EntityId>,
    is_used: Vec<bool>,
    out: String,
    separator: &'static str,
}

impl<'a> Generator<'a> {
    fn holds(&self, ifcond: &IfCond) -> bool {
        ifcond.holds(self.options.defined)
    }

    fn command_or_event(&mut self, entity: &'a Entity) {
        let mut json = match &entity.kind {
            EntityKind::Command(command) => self.command(entity, command),
            EntityKind::Event(event) => {
                let mut json = Json::entry(&entity.name, "event");
                let data = self.object_or_empty(event.data);
                json.string("arg-type", &data);
                json
            }
            _ => return,
        };
        self.features(&mut json, &entity.features);
        self.push(json, &entity.ifcond);
    }

    fn command(&mut self, entity: &Entity, command: &CommandDef) -> Json {
        let mut json = Json::entry(&entity.name, "command");
        let args = self.object_or_empty(command.args);
        json.string("arg-type", &args);
        let ret = self.object_or_empty(command.ret);
        json.string("ret-type", &ret);
        if command.allow_oob {
            json.raw("allow-oob", "true");
        }
        json
    }

    fn typ(&mut self, id: EntityId) {
        let entity = self.schema.entity(id);
        let name = self.name(id);
        let json = match &entity.kind {
            EntityKind::Builtin => {
                let mut json = Json::entry(&name, "builtin");
                json.string("json-type", json_type(&entity.name));
                json
            }
            EntityKind::Enum(def) => {
                let mut json = Json::entry(&name, "enum");
                self.values(&mut json, &def.values);
                self.features(&mut json, &entity.features);
                json
            }
            EntityKind::Array(element) => {
                let mut json = Json::entry(&name, "array");
                let element = self.reference(*element);
                json.string("element-type", &element);
                json
            }
            EntityKind::Object(object) => {
                let mut json = Json::entry(&name, "object");
                let mut members = Vec::new();
                self.members(object, &mut members);
                json.array("members", &members);
                if let Some(variants) = &object.variants {
                    let cases = self.schema.shown_cases(variants);
                    let cases: Vec<String> = cases.filter_map(|case| self.case(case)).collect();
                    json.string("tag", &variants.tag);
                    json.array("variants", &cases);
                }
                self.features(&mut json, &entity.features);
                json
            }
            EntityKind::Alternate(cases) => {
                let mut json = Json::entry(&name, "alternate");
                let mut members = Vec::new();
                for case in cases {
                    let typ = self.reference(case.typ);
                    if self.holds(&case.ifcond) {
                        let mut member = Json::object();
                        member.string("type", &typ);
                        members.push(member.end());
                    }
                }
                json.array("members", &members);
                self.features(&mut json, &entity.features);
                json
            }
            EntityKind::Command(_) | EntityKind::Event(_) => return,
        };
        self.push(json, &entity.ifcond);
    }

    fn push(&mut self, json: Json, ifcond: &IfCond) {
        if self.holds(ifcond) {
            self.out.push_str(self.separator);
            self.out.push_str(&json.end());
            self.separator = ",\n";
        }
    }

    /// Members of the base come first. The chain of bases is finite: `resolve`
    /// checks it.
    fn members(&mut self, object: &'a ObjectType, list: &mut Vec<String>) {
        let mut chain = vec![object];
        let mut base = object.base;
        while let Some(EntityKind::Object(object)) = base.map(|id| &self.schema.entity(id).kind) {
            chain.push(object);
            base = object.base;
        }
        for object in chain.into_iter().rev() {
            for member in object.members.iter().filter(|m| !is_extension(&m.features)) {
                list.extend(self.member(member));
            }
        }
    }

    fn member(&mut self, member: &Member) -> Option<String> {
        let typ = self.reference(member.typ);
        let mut json = Json::object();
        json.string("name", &member.name);
        json.string("type", &typ);
        if member.optional {
            json.raw("default", "null");
        }
        self.features(&mut json, &member.features);
        self.holds(&member.ifcond).then(|| json.end())
    }

    fn case(&mut self, case: &Variant) -> Option<String> {
        let typ = self.reference(case.typ);
        let mut json = Json::object();
        json.string("case", &case.name);
        json.string("type", &typ);
        self.holds(&case.ifcond).then(|| json.end())
    }

    fn values(&self, json: &mut Json, values: &[EnumValue]) {
        let shown =
            |value: &&EnumValue| self.holds(&value.ifcond) && !is_extension(&value.features);
        let there = || values.iter().filter(shown);
        let member = |value: &EnumValue| {
            let mut json = Json::object();
            json.string("name", &value.name);
            self.features(&mut json, &value.features);
            json.end()
        };
        let members: Vec<String> = there().map(member).collect();
        json.array("members", &members);
        // `values` is deprecated but still present.
        let names: Vec<String> = there().map(|value| quoted(&value.name)).collect();
        json.array("values", &names);
    }

    /// The key is present if the schema declares any features, even if none is
    /// left.
    fn features(&self, json: &mut Json, features: &[Feature]) {
        if features.is_empty() {
            return;
        }
        let there = features.iter().filter(|f| self.holds(&f.ifcond));
        let names: Vec<String> = there.map(|feature| quoted(&feature.name)).collect();
        json.array("features", &names);
    }

    fn object_or_empty(&mut self, id: Option<EntityId>) -> String {
        match id.or(self.empty) {
            Some(id) => self.reference(id),
            None => String::new(),
        }
    }

    /// The name in a reference to a type.
    fn reference(&mut self, id: EntityId) -> String {
        let id = self.fold_integers(id);
        if !self.is_used[id.0] {
            self.is_used[id.0] = true;
            self.used.push(id);
        }
        match self.schema.entity(id).kind {
            EntityKind::Array(element) => format!("[{}]", self.reference(element)),
            _ => self.name(id),
        }
    }

    fn name(&mut self, id: EntityId) -> String {
        let entity = self.schema.entity(id);
        match entity.kind {
            EntityKind::Builtin => entity.name.clone(),
            EntityKind::Array(element) => {
                let element = self.fold_integers(element);
                format!("[{}]", self.name(element))
            }
            _ if self.options.unmask => entity.name.clone(),
            _ => {
                let next = self.numbers.len();
                self.numbers.entry(id).or_insert(next).to_string()
            }
        }
    }

    /// Width and sign of integers are not part of the interface.
    fn fold_integers(&self, id: EntityId) -> EntityId {
        let is_integer = |id| {
            let entity = self.schema.entity(id);
            matches!(entity.kind, EntityKind::Builtin) && json_type(&entity.name) == "int"
        };
        let folded = match self.schema.entity(id).kind {
            EntityKind::Array(element) if is_integer(element) => "intList",
            _ if is_integer(id) => "int",
            _ => return id,
        };
        self.schema.names.get(folded).copied().unwrap_or(id)
    }
}

/// The JSON type of a built-in type.
fn json_type(name: &str) -> &'static str {
    match name {
        "str" => "string",
        "number" => "number",
        "bool" => "boolean",
        "null" => "null",
        "any" => "value",
        _ => "int",
    }
}

/// An object under construction.
struct Json(String);

impl Json {
    fn object() -> Self {
        Json(String::from("{"))
    }

    fn entry(name: &str, meta: &str) -> Self {
        let mut json = Json::object();
        json.string("name", name);
        json.string("meta-type", meta);
        json
    }

    fn raw(&mut self, key: &str, value: &str) {
        let comma = if self.0.len() > 1 { ", " } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{comma}\"{key}\": {value}");
    }

    fn string(&mut self, key: &str, value: &str) {
        self.raw(key, &quoted(value));
    }

    fn array(&mut self, key: &str, items: &[String]) {
        self.raw(key, &format!("[{}]", items.join(", ")));
    }

    fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// Names need no escapes: the schema's checks ensure it.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::super::load_text;
    use super::*;

    fn show(schema: &str, defined: &[&str], unmask: bool) -> String {
        let schema = load_text(schema).unwrap();
        let options = Options {
            defined: &|name| defined.contains(&name),
            unmask,
        };
        introspect(&schema, &options)
    }

    const LAMPS: &str = "\
        { 'command': 'get', 'returns': [ 'Lamp' ], 'if': 'GET' }\n\
        { 'struct': 'Lamp', 'data': { '*watt': 'uint8', 'kind': 'Kind' } }\n\
        { 'enum': 'Kind', 'data': [ 'led', { 'name': 'neon', 'if': 'GAS' } ] }\n\
        { 'event': 'OUT' }\n";

    #[test]
    fn order_and_numbers_are_those_of_first_use() {
        let expected = concat!(
            "[\n",
            "{\"name\": \"get\", \"meta-type\": \"command\", \"arg-type\": \"0\", \"ret-type\": \"[1]\"},\n",
            "{\"name\": \"OUT\", \"meta-type\": \"event\", \"arg-type\": \"0\"},\n",
            "{\"name\": \"0\", \"meta-type\": \"object\", \"members\": []},\n",
            "{\"name\": \"[1]\", \"meta-type\": \"array\", \"element-type\": \"1\"},\n",
            "{\"name\": \"1\", \"meta-type\": \"object\", \"members\": [",
            "{\"name\": \"watt\", \"type\": \"int\", \"default\": null}, ",
            "{\"name\": \"kind\", \"type\": \"2\"}]},\n",
            "{\"name\": \"int\", \"meta-type\": \"builtin\", \"json-type\": \"int\"},\n",
            "{\"name\": \"2\", \"meta-type\": \"enum\", \"members\": [{\"name\": \"led\"}, {\"name\": \"neon\"}], ",
            "\"values\": [\"led\", \"neon\"]}\n]\n"
        );
        assert_eq!(show(LAMPS, &["GET", "GAS"], false), expected);
    }

    #[test]
    fn conditions_leave_gaps_but_move_nothing() {
        let text = show(LAMPS, &[], false);
        assert!(!text.contains("\"get\"") && !text.contains("neon"));
        assert!(
            text.contains("{\"name\": \"1\", \"meta-type\": \"object\""),
            "a type nothing refers to any more stays"
        );
    }

    #[test]
    fn extensions_are_not_shown() {
        let schema = "\
            { 'command': 'add', 'data': 'Thing', 'boxed': true }\n\
            { 'union': 'Thing', 'base': { 'kind': 'Kind' }, 'discriminator': 'kind',\n\
              'data': { 'lamp': 'Lamp', 'bell': 'Bell' } }\n\
            { 'enum': 'Kind', 'data': [ 'lamp',\n\
              { 'name': 'bell', 'features': [ 'qmonitor-extension' ] } ] }\n\
            { 'struct': 'Bell', 'data': { 'loud': 'bool' } }\n\
            { 'struct': 'Lamp', 'data': { 'watt': 'int',\n\
              '*tone': { 'type': 'Bell', 'features': [ 'qmonitor-extension' ] } } }\n";
        let text = show(schema, &[], true);
        assert!(text.contains("\"lamp\"") && text.contains("\"watt\""));
        for name in ["bell", "Bell", "loud", "tone", "extension"] {
            assert!(!text.contains(name), "{name} in {text}");
        }
    }

    #[test]
    fn unmasked_names_are_the_schema_s() {
        let text = show(LAMPS, &["GET"], true);
        for name in ["\"q_empty\"", "\"[Lamp]\"", "\"Lamp\"", "\"Kind\""] {
            assert!(text.contains(name), "{name}");
        }
    }
}
