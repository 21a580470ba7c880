//! Makes a schema from a reply to `query-qmp-schema`; the schema gives the same
//! reply.
//!
//! It invents what introspection does not show: masked types get names, unions
//! get inline bases, all arguments are boxed. So the tests have a schema of
//! QEMU's size without its sources.

use std::fmt::Write;

use serde_json::{json, Map, Value};

mod documented;
pub use documented::documented;

/// Text of a schema with these entries.
pub fn to_schema(entries: &[Value]) -> String {
    let names = |meta: &str| {
        let of_meta = entries.iter().filter(|e| e["meta-type"] == meta);
        let names: Vec<String> = of_meta.map(|e| text_of(&e["name"])).collect();
        names
    };
    let commands = list(&names("command"));
    let types = [names("object"), names("enum")].concat();
    let mut text = format!(
        "{{ 'pragma': {{ 'command-name-exceptions': {commands}, \
         'command-returns-exceptions': {commands}, 'member-name-exceptions': {} }} }}\n",
        list(&types)
    );
    for entry in entries {
        let name = text_of(&entry["name"]);
        let features = match entry.get("features") {
            Some(features) => format!(", 'features': {}", strings(features)),
            None => String::new(),
        };
        let body = match entry["meta-type"].as_str().unwrap() {
            "command" => {
                let oob = match entry.get("allow-oob") {
                    Some(_) => ", 'allow-oob': true",
                    None => "",
                };
                let (data, returns) = (typ(&entry["arg-type"]), typ(&entry["ret-type"]));
                format!("'data': {data}, 'boxed': true, 'returns': {returns}{oob}")
            }
            "event" => format!("'data': {}, 'boxed': true", typ(&entry["arg-type"])),
            "enum" => format!("'data': {}", values(&entry["members"])),
            "alternate" => {
                let alternatives = items(&entry["members"]).enumerate();
                let alternatives: Vec<String> = alternatives
                    .map(|(n, member)| format!("'a{n}': {}", typ(&member["type"])))
                    .collect();
                format!("'data': {{ {} }}", alternatives.join(", "))
            }
            "object" => match entry.get("tag") {
                None => format!("'data': {}", members(&entry["members"])),
                Some(tag) => {
                    let cases: Vec<String> = items(&entry["variants"])
                        .map(|v| format!("{}: {}", quoted(&v["case"]), typ(&v["type"])))
                        .collect();
                    let (base, cases) = (members(&entry["members"]), cases.join(", "));
                    let tag = quoted(tag);
                    format!("'base': {base}, 'discriminator': {tag}, 'data': {{ {cases} }}")
                }
            },
            _ => continue,
        };
        let meta = match entry["meta-type"].as_str().unwrap() {
            "object" if entry.get("tag").is_some() => "union",
            "object" => "struct",
            meta => meta,
        };
        writeln!(text, "{{ '{meta}': '{name}', {body}{features} }}").unwrap();
    }
    text
}

/// Names of types become names that a definition may have.
fn text_of(name: &Value) -> String {
    let name = name.as_str().unwrap();
    if name.bytes().all(|b| b.is_ascii_digit()) {
        format!("Type{name}")
    } else {
        name.to_owned()
    }
}

fn typ(name: &Value) -> String {
    match name.as_str().unwrap().strip_prefix('[') {
        None => format!("'{}'", text_of(name)),
        Some(element) => {
            let element = json!(element.trim_end_matches(']'));
            format!("[ '{}' ]", text_of(&element))
        }
    }
}

fn items(list: &Value) -> impl Iterator<Item = &Map<String, Value>> {
    list.as_array()
        .unwrap()
        .iter()
        .map(|i| i.as_object().unwrap())
}

fn quoted(name: &Value) -> String {
    format!("'{}'", name.as_str().unwrap())
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    format!("[ {} ]", names.join(", "))
}

fn strings(list: &Value) -> String {
    let names: Vec<String> = list.as_array().unwrap().iter().map(quoted).collect();
    format!("[ {} ]", names.join(", "))
}

fn values(list: &Value) -> String {
    let value = |value: &Map<String, Value>| {
        let name = quoted(&value["name"]);
        match value.get("features") {
            Some(features) => format!("{{ 'name': {name}, 'features': {} }}", strings(features)),
            None => name,
        }
    };
    let values: Vec<String> = items(list).map(value).collect();
    format!("[ {} ]", values.join(", "))
}

fn members(list: &Value) -> String {
    let member = |member: &Map<String, Value>| {
        let star = if member.contains_key("default") {
            "*"
        } else {
            ""
        };
        let (name, typ) = (member["name"].as_str().unwrap(), typ(&member["type"]));
        match member.get("features") {
            Some(features) => {
                let features = strings(features);
                format!("'{star}{name}': {{ 'type': {typ}, 'features': {features} }}")
            }
            None => format!("'{star}{name}': {typ}"),
        }
    };
    let members: Vec<String> = items(list).map(member).collect();
    format!("{{ {} }}", members.join(", "))
}
