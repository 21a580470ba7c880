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

/// A schema. It is read when it is first asked: most mocks never do.
#[derive(Debug)]
pub struct Schema {
    text: &'static [u8],
    parsed: OnceLock<Parsed>,
}

/// A schema by name.
#[derive(Debug)]
struct Parsed {
    reply: QObject,
    /// Where entries stand in the reply.
    entries: HashMap<String, usize>,
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
        static SHARED: [OnceLock<Arc<Schema>>; 2] = [OnceLock::new(), OnceLock::new()];
        let at = PROFILES.iter().position(|profile| *profile == name)?;
        let text = [QEMU_10_0, QEMU_11_1][at];
        let new = || {
            Arc::new(Schema {
                text,
                parsed: OnceLock::new(),
            })
        };
        Some(SHARED[at].get_or_init(new).clone())
    }

    /// Reads a file: a reply of `query-qmp-schema`, bare or as the client got it, or a file of
    /// replies as libvirt's tests have them.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has no such reply.
    pub fn from_file(path: &Path) -> Result<Schema, String> {
        let text = std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let parsed = Parsed::from_text(&text)
            .ok_or_else(|| format!("{}: there is no reply of query-qmp-schema", path.display()))?;
        Ok(Schema {
            text: b"",
            parsed: OnceLock::from(parsed),
        })
    }

    fn parsed(&self) -> &Parsed {
        let read = || Parsed::from_text(self.text).expect("the kit's own profiles are right");
        self.parsed.get_or_init(read)
    }

    /// The reply of `query-qmp-schema`.
    pub fn reply(&self) -> &QObject {
        &self.parsed().reply
    }

    /// The names of all commands.
    pub fn commands(&self) -> impl Iterator<Item = &str> {
        self.names("command")
    }

    /// The names of all events.
    pub fn events(&self) -> impl Iterator<Item = &str> {
        self.names("event")
    }

    fn names(&self, kind: &'static str) -> impl Iterator<Item = &str> {
        let entries = self.reply().as_list().unwrap_or_default().iter();
        let entries = entries.filter_map(QObject::as_dict);
        let meant = entries.filter(move |entry| entry.get_str("meta-type") == Some(kind));
        meant.filter_map(|entry| entry.get_str("name"))
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
        let entry = self.entry(name)?;
        (entry.get_str("meta-type") == Some(kind)).then_some(entry)
    }

    /// The type that a union has besides its own members in this case.
    pub fn branch<'a>(&'a self, entry: &'a QDict, case: &str) -> Option<&'a QDict> {
        let mut variants = parts(entry, "variants");
        let branch = variants.find(|variant| variant.get_str("case") == Some(case))?;
        self.entry(branch.get_str("type")?)
    }

    /// The types of an alternate.
    pub fn alternatives<'a>(&self, entry: &'a QDict) -> impl Iterator<Item = &'a str> {
        let is_alternate = entry.get_str("meta-type") == Some("alternate");
        let members = parts(entry, "members").filter(move |_| is_alternate);
        members.filter_map(|member| member.get_str("type"))
    }

    /// The type of this name.
    pub fn entry(&self, name: &str) -> Option<&QDict> {
        let parsed = self.parsed();
        let at = *parsed.entries.get(name)?;
        parsed.reply.as_list()?.get(at)?.as_dict()
    }
}

/// The objects of a list.
pub(crate) fn parts<'a>(entry: &'a QDict, list: &str) -> impl Iterator<Item = &'a QDict> {
    let list = entry.get(list).and_then(QObject::as_list);
    list.unwrap_or_default().iter().filter_map(QObject::as_dict)
}

impl Parsed {
    fn from_text(text: &[u8]) -> Option<Parsed> {
        let mut parser = JsonMessageParser::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (used, message) = parser.parse(rest);
            rest = &rest[used..];
            if let Some(Ok(message)) = message {
                if let Some(parsed) = Parsed::from_reply(message) {
                    return Some(parsed);
                }
            }
        }
        None
    }

    fn from_reply(message: QObject) -> Option<Parsed> {
        let reply = match message {
            QObject::Dict(mut dict) => dict.remove("return")?,
            list => list,
        };
        let mut entries = HashMap::new();
        let mut has_command = false;
        for (at, entry) in reply.as_list()?.iter().enumerate() {
            let entry = entry.as_dict()?;
            has_command |= entry.get_str("meta-type")? == "command";
            entries.insert(entry.get_str("name")?.to_owned(), at);
        }
        has_command.then_some(Parsed { reply, entries })
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
        let schema = Schema {
            text: b"",
            parsed: OnceLock::from(Parsed::from_text(text).unwrap()),
        };
        assert_eq!(schema.commands().collect::<Vec<_>>(), ["quit"]);
        assert!(Parsed::from_text(b"{\"return\": {}}").is_none());
    }
}
