//! What the server tells of its commands (`query-qmp-schema`).

use std::collections::BTreeMap;

use qmonitor::qapi::{QDict, QObject};

/// The schema by names. Types of a server have numbers for names.
#[derive(Default)]
pub struct Schema {
    entities: BTreeMap<String, QDict>,
}

/// A member of an object: an argument, or a part of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    pub name: String,
    pub type_name: String,
    pub optional: bool,
}

/// What a value can be.
#[derive(Debug, PartialEq)]
pub enum Kind {
    /// A JSON type: `string`, `int`, `boolean`, `number`, `null`, `value`.
    Plain(String),
    Enum(Vec<String>),
    /// A list of values of this type.
    Array(String),
    Object,
    /// One of these types.
    Alternate(Vec<String>),
}

fn list<'a>(entity: &'a QDict, name: &str) -> impl Iterator<Item = &'a QDict> {
    let list = entity.get(name).and_then(QObject::as_list).unwrap_or(&[]);
    list.iter().filter_map(QObject::as_dict)
}

fn text(entity: &QDict, name: &str) -> String {
    entity.get_str(name).unwrap_or_default().to_owned()
}

impl Schema {
    /// From the reply to `query-qmp-schema`.
    pub fn new(reply: &QObject) -> Schema {
        let entities = reply.as_list().unwrap_or(&[]).iter();
        let entities = entities.filter_map(QObject::as_dict);
        Schema {
            entities: entities
                .map(|entity| (text(entity, "name"), entity.clone()))
                .collect(),
        }
    }

    fn named(&self, meta: &'static str) -> impl Iterator<Item = &str> {
        let is_one = move |entity: &QDict| entity.get_str("meta-type") == Some(meta);
        let all = self.entities.iter();
        all.filter(move |(_, entity)| is_one(entity))
            .map(|(name, _)| name.as_str())
    }

    /// The commands, in alphabetic order.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.named("command")
    }

    fn command(&self, name: &str) -> Option<&QDict> {
        let entity = self.entities.get(name)?;
        (entity.get_str("meta-type") == Some("command")).then_some(entity)
    }

    pub fn has_command(&self, name: &str) -> bool {
        self.command(name).is_some()
    }

    /// Whether a command can be sent out of band.
    pub fn allows_oob(&self, command: &str) -> bool {
        let allows = self.command(command).and_then(|c| c.get("allow-oob"));
        allows == Some(&QObject::Bool(true))
    }

    /// The type of a command's arguments.
    pub fn arguments_of(&self, command: &str) -> Option<&str> {
        self.command(command)?.get_str("arg-type")
    }

    /// The type of a transaction's actions.
    fn action_type(&self) -> Option<String> {
        let arguments = self.arguments_of("transaction")?;
        let members = self.members(arguments, &|_| None);
        let actions = members.into_iter().find(|m| m.name == "actions")?;
        match self.kind(&actions.type_name) {
            Kind::Array(element) => Some(element),
            _ => None,
        }
    }

    /// The names of a transaction's actions.
    pub fn actions(&self) -> Vec<String> {
        let actions = self.action_type().and_then(|action| {
            let members = self.members(&action, &|_| None);
            let kind = members.into_iter().find(|m| m.name == "type")?;
            Some(self.kind(&kind.type_name))
        });
        match actions {
            Some(Kind::Enum(names)) => names,
            _ => Vec::new(),
        }
    }

    /// The type of an action's arguments.
    pub fn action_data(&self, action: &str) -> Option<String> {
        let members = self.members(&self.action_type()?, &|_| Some(action.to_owned()));
        let data = members.into_iter().find(|member| member.name == "data")?;
        Some(data.type_name)
    }

    /// The type of a command's return value.
    pub fn result_of(&self, command: &str) -> Option<&str> {
        self.command(command)?.get_str("ret-type")
    }

    /// What a value of this type is.
    pub fn kind(&self, type_name: &str) -> Kind {
        let Some(entity) = self.entities.get(type_name) else {
            return Kind::Plain("value".into());
        };
        match entity.get_str("meta-type") {
            Some("enum") => Kind::Enum(enum_values(entity)),
            Some("array") => Kind::Array(text(entity, "element-type")),
            Some("object") => Kind::Object,
            Some("alternate") => {
                Kind::Alternate(list(entity, "members").map(|m| text(m, "type")).collect())
            }
            _ => Kind::Plain(text(entity, "json-type")),
        }
    }

    /// The members of an object. Those of a variant are among them if `tag` tells
    /// the value of the member that chooses it.
    pub fn members(&self, type_name: &str, tag: &dyn Fn(&str) -> Option<String>) -> Vec<Member> {
        let Some(entity) = self.entities.get(type_name) else {
            return Vec::new();
        };
        let mut members: Vec<Member> = list(entity, "members")
            .map(|member| Member {
                name: text(member, "name"),
                type_name: text(member, "type"),
                optional: member.contains_key("default"),
            })
            .collect();
        if let Some(case) = entity.get_str("tag").and_then(tag) {
            let variant = list(entity, "variants").find(|v| v.get_str("case") == Some(&case));
            if let Some(variant) = variant {
                members.extend(self.members(&text(variant, "type"), &|_| None));
            }
        }
        members
    }

    /// The member that chooses the variant of an object.
    pub fn tag(&self, type_name: &str) -> Option<&str> {
        self.entities.get(type_name)?.get_str("tag")
    }
}

fn enum_values(entity: &QDict) -> Vec<String> {
    let members: Vec<String> = list(entity, "members").map(|m| text(m, "name")).collect();
    if !members.is_empty() {
        return members;
    }
    // Before QEMU 6.2.
    let values = entity.get("values").and_then(QObject::as_list);
    let values = values.unwrap_or(&[]).iter().filter_map(QObject::as_str);
    values.map(str::to_owned).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A schema of two commands with all kinds of types.
    pub fn schema() -> Schema {
        let text = include_str!("schema_for_tests.json");
        let reply = qmonitor::qapi::json::qobject_from_json(text.as_bytes());
        Schema::new(&reply.expect("JSON"))
    }

    #[test]
    fn a_tag_brings_the_members_of_its_variant() {
        let schema = schema();
        let names = |tag: Option<&str>| -> Vec<String> {
            let members = schema.members("backend", &|_| tag.map(str::to_owned));
            members.into_iter().map(|member| member.name).collect()
        };
        assert_eq!(names(None), ["type"]);
        assert_eq!(names(Some("file")), ["type", "data"]);
        assert_eq!(names(Some("null")), ["type"]);
    }
}
