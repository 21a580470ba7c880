//! The schema that stubs, replies and events are checked against: what `query-qmp-schema` of
//! some QEMU answers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use qmonitor::qapi::json::JsonMessageParser;
use qmonitor::qapi::{QDict, QObject};

const QEMU_10_0: &[u8] = include_bytes!("../profiles/qemu-10.0.json");
const QEMU_11_1: &[u8] = include_bytes!("../profiles/qemu-11.1.json");

/// The profiles that the kit brings along.
pub const PROFILES: [&str; 2] = ["10.0", "11.1"];

/// A schema, by name.
#[derive(Debug)]
pub struct Schema {
    entries: HashMap<String, QDict>,
    /// Commands in the order of the reply.
    commands: Vec<String>,
    events: Vec<String>,
    reply: QObject,
}

/// A command's types.
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// Type of the arguments.
    pub arg: &'a str,
    /// Type of what it returns.
    pub ret: &'a str,
    /// Whether it can be executed out of band.
    pub allow_oob: bool,
}

impl Schema {
    /// The schema of a profile that the kit brings along.
    pub fn of_profile(name: &str) -> Option<Arc<Schema>> {
        // Never changed, so tests that share them do not see each other.
        static READ: [OnceLock<Arc<Schema>>; 2] = [OnceLock::new(), OnceLock::new()];
        let at = PROFILES.iter().position(|profile| *profile == name)?;
        let text = [QEMU_10_0, QEMU_11_1][at];
        let schema = READ[at].get_or_init(|| {
            let schema = Schema::from_text(text);
            Arc::new(schema.expect("the kit's own profiles are right"))
        });
        Some(schema.clone())
    }

    /// Reads a file: a reply of `query-qmp-schema`, bare or as the client got it, or a file of
    /// replies as libvirt's tests have them.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no such reply.
    pub fn from_file(path: &Path) -> Result<Schema, String> {
        let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        Schema::from_text(&text)
            .ok_or_else(|| format!("{}: there is no reply of query-qmp-schema", path.display()))
    }

    fn from_text(text: &[u8]) -> Option<Schema> {
        let mut parser = JsonMessageParser::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (used, message) = parser.parse(rest);
            rest = &rest[used..];
            if let Some(Ok(message)) = message {
                if let Some(schema) = Schema::from_reply(message) {
                    return Some(schema);
                }
            }
        }
        None
    }

    fn from_reply(message: QObject) -> Option<Schema> {
        let reply = match message {
            QObject::Dict(mut dict) => dict.remove("return")?,
            list => list,
        };
        let mut schema = Schema {
            entries: HashMap::new(),
            commands: Vec::new(),
            events: Vec::new(),
            reply: QObject::Null,
        };
        for entry in reply.as_list()? {
            let entry = entry.as_dict()?;
            let name = entry.get_str("name")?.to_owned();
            match entry.get_str("meta-type")? {
                "command" => schema.commands.push(name.clone()),
                "event" => schema.events.push(name.clone()),
                _ => {}
            }
            schema.entries.insert(name, entry.clone());
        }
        schema.reply = reply;
        (!schema.commands.is_empty()).then_some(schema)
    }

    /// The reply of `query-qmp-schema`.
    pub fn reply(&self) -> &QObject {
        &self.reply
    }

    /// The names of all commands.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.commands.iter().map(String::as_str)
    }

    /// The names of all events.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.events.iter().map(String::as_str)
    }

    /// The command of this name.
    pub fn command(&self, name: &str) -> Option<Command<'_>> {
        let entry = self.of_kind(name, "command")?;
        Some(Command {
            arg: entry.get_str("arg-type")?,
            ret: entry.get_str("ret-type")?,
            allow_oob: entry.get("allow-oob") == Some(&QObject::Bool(true)),
        })
    }

    /// The type of an event's data.
    pub fn event(&self, name: &str) -> Option<&str> {
        self.of_kind(name, "event")?.get_str("arg-type")
    }

    fn of_kind(&self, name: &str, kind: &str) -> Option<&QDict> {
        let entry = self.entries.get(name)?;
        (entry.get_str("meta-type") == Some(kind)).then_some(entry)
    }

    /// The type of this name.
    pub fn entry(&self, name: &str) -> Option<&QDict> {
        self.entries.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profiles_have_what_their_qemu_has() {
        let old = Schema::of_profile("10.0").unwrap();
        let new = Schema::of_profile("11.1").unwrap();
        assert!(Schema::of_profile("9.0").is_none());
        assert!(old.command("migrate").is_some() && new.command("migrate").is_some());
        assert!(old.command("qom-list-get").is_none() && new.command("qom-list-get").is_some());
        assert!(old.command("migrate-pause").unwrap().allow_oob);
        assert!(!old.command("stop").unwrap().allow_oob);
        assert!(old.event("DEVICE_DELETED").is_some());
        assert!(old.event("stop").is_none());
    }

    #[test]
    fn libvirt_replies_hold_a_schema_among_others() {
        let text = br#"{"QMP": {"version": {}}}

{"id": "libvirt-1", "return": {}}

{"return": [{"name": "quit", "meta-type": "command", "arg-type": "0", "ret-type": "0"},
            {"name": "0", "meta-type": "object", "members": []}], "id": "libvirt-2"}
"#;
        let schema = Schema::from_text(text).unwrap();
        assert_eq!(schema.commands().collect::<Vec<_>>(), ["quit"]);
        assert!(Schema::from_text(b"{\"return\": {}}").is_none());
    }
}
