//! The schema that stubs, replies and events are checked against: what `query-qmp-schema` of
//! some QEMU answers.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use qmonitor::qapi::json::{qobject_from_json, JsonMessageParser};
use qmonitor::qapi::{QDict, QObject};

const QEMU_10_0: &str = include_str!("../profiles/qemu-10.0.json");
const QEMU_11_1: &str = include_str!("../profiles/qemu-11.1.json");

/// The profiles that the kit brings along.
pub const PROFILES: [&str; 2] = ["10.0", "11.1"];

/// A schema. A profile's is split when it is first asked, and of its entries only those that a
/// test needs are parsed: parsing all takes longer than starting the mock.
#[derive(Debug)]
pub struct Schema {
    text: &'static str,
    entries: OnceLock<Entries>,
}

/// The entries of a schema in the order of its reply.
#[derive(Debug)]
struct Entries {
    list: Vec<Entry>,
    /// Where they stand in the list.
    places: HashMap<String, usize>,
}

/// An entry, and the text that it is parsed from if it is not yet.
#[derive(Debug)]
struct Entry {
    text: &'static str,
    value: OnceLock<QObject>,
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
                entries: OnceLock::new(),
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
        let entries = Entries::of_replies(&text)
            .ok_or_else(|| format!("{}: there is no reply of query-qmp-schema", path.display()))?;
        Ok(Schema {
            text: "",
            entries: OnceLock::from(entries),
        })
    }

    fn entries(&self) -> &Entries {
        self.entries.get_or_init(|| Entries::of_profile(self.text))
    }

    /// The reply of `query-qmp-schema`.
    pub fn reply(&self) -> QObject {
        let list = self.entries().list.iter();
        QObject::List(list.map(|entry| entry.value().clone()).collect())
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
        let entries = self.entries().list.iter();
        let entries = entries.filter_map(|entry| entry.value().as_dict());
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
        let entries = self.entries();
        let at = *entries.places.get(name)?;
        entries.list[at].value().as_dict()
    }
}

/// The objects of a list.
pub(crate) fn parts<'a>(entry: &'a QDict, list: &str) -> impl Iterator<Item = &'a QDict> {
    let list = entry.get(list).and_then(QObject::as_list);
    list.unwrap_or_default().iter().filter_map(QObject::as_dict)
}

impl Entry {
    fn value(&self) -> &QObject {
        let parse = || qobject_from_json(self.text.as_bytes());
        let parse = || parse().expect("the kit's own profiles are right");
        self.value.get_or_init(parse)
    }
}

impl Entries {
    fn of_profile(text: &'static str) -> Entries {
        let (mut list, mut places) = (Vec::new(), HashMap::new());
        split(text, |name, text| {
            places.insert(name.to_owned(), list.len());
            let value = OnceLock::new();
            list.push(Entry { text, value });
        });
        Entries { list, places }
    }

    fn of_replies(text: &[u8]) -> Option<Entries> {
        let mut parser = JsonMessageParser::default();
        let mut rest = text;
        while !rest.is_empty() {
            let (used, message) = parser.parse(rest);
            rest = &rest[used..];
            if let Some(Ok(message)) = message {
                if let Some(entries) = Entries::of_reply(message) {
                    return Some(entries);
                }
            }
        }
        None
    }

    fn of_reply(message: QObject) -> Option<Entries> {
        let reply = match message {
            QObject::Dict(mut dict) => dict.remove("return")?,
            list => list,
        };
        let QObject::List(reply) = reply else {
            return None;
        };
        let (mut list, mut places) = (Vec::new(), HashMap::new());
        let mut has_command = false;
        for value in reply {
            let entry = value.as_dict()?;
            has_command |= entry.get_str("meta-type")? == "command";
            places.insert(entry.get_str("name")?.to_owned(), list.len());
            let value = OnceLock::from(value);
            list.push(Entry { text: "", value });
        }
        has_command.then_some(Entries { list, places })
    }
}

/// Splits a list of objects into these, each told with its name. No string may have an escaped
/// quote, nor a value besides the name be `name`, and no schema of QEMU has one.
fn split(text: &'static str, mut tell: impl FnMut(&'static str, &'static str)) {
    let (mut at, mut depth, mut start) = (0, 0, 0);
    let (mut name, mut name_follows) = ("", false);
    for (i, part) in text.as_bytes().split(|byte| *byte == b'"').enumerate() {
        let is_string = i % 2 == 1;
        if is_string && depth == 2 {
            if name_follows {
                name = &text[at..at + part.len()];
            }
            name_follows = !name_follows && part == b"name";
        } else if !is_string {
            for (end, byte) in (at..).zip(part) {
                match byte {
                    b'{' | b'[' => {
                        depth += 1;
                        if depth == 2 {
                            start = end;
                        }
                    }
                    b'}' | b']' => {
                        if depth == 2 {
                            tell(name, &text[start..=end]);
                        }
                        depth -= 1;
                    }
                    _ => {}
                }
            }
        }
        at += part.len() + 1;
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
    fn a_split_profile_has_the_same_entries() {
        for (text, name) in [QEMU_10_0, QEMU_11_1].into_iter().zip(PROFILES) {
            let split = Schema::of_profile(name).unwrap();
            assert!(split.reply() == qobject_from_json(text.as_bytes()).unwrap());
            let whole = Entries::of_replies(text.as_bytes()).unwrap();
            assert_eq!(split.entries().places, whole.places);
        }
    }

    #[test]
    fn libvirt_replies_hold_a_schema_among_others() {
        let text = br#"{"QMP": {"version": {}}}

{"id": "libvirt-1", "return": {}}

{"return": [{"name": "quit", "meta-type": "command", "arg-type": "0", "ret-type": "0"},
            {"name": "0", "meta-type": "object", "members": []}], "id": "libvirt-2"}
"#;
        let schema = Schema {
            text: "",
            entries: OnceLock::from(Entries::of_replies(text).unwrap()),
        };
        assert_eq!(schema.commands().collect::<Vec<_>>(), ["quit"]);
        assert!(Entries::of_replies(b"{\"return\": {}}").is_none());
    }
}
