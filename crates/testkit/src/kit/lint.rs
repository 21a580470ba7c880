//! What a strict server would not have liked of the requests that came.

use std::collections::HashMap;

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QObject};

use super::journal::{Entry, Kind};
use super::Kit;
use crate::problem::join;
use crate::schema::{parts, Schema};

/// Something to be said of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// The number of the request.
    pub n: u64,
    /// The number of its connection.
    pub connection: u64,
    /// What kind of remark it is.
    pub kind: &'static str,
    /// The remark.
    pub text: String,
}

/// The last request of each id on each connection.
type LastOfId<'a> = HashMap<(u64, String), &'a Entry>;

impl Kit {
    /// Looks over the journal.
    pub fn lint(&self) -> Vec<Remark> {
        let state = self.state.borrow();
        let mut remarks = Vec::new();
        let mut ids = LastOfId::new();
        for entry in state.journal.iter() {
            let mut remark = |kind, text| {
                remarks.push(Remark {
                    n: entry.n,
                    connection: entry.connection,
                    kind,
                    text,
                });
            };
            match &entry.what {
                Kind::Line(_) => continue,
                Kind::Garbage(why) => remark("no-request", why.clone()),
                Kind::Command {
                    execute, arguments, ..
                } => {
                    if entry.early && execute != "qmp_capabilities" {
                        let text = format!("{execute} came before the negotiation");
                        remark("before-negotiation", text);
                    }
                    for text in deprecated(&state.schema, execute, arguments) {
                        remark("deprecated", text);
                    }
                }
            }
            if let Some((id, other)) = in_flight_twice(&mut ids, entry) {
                let text = format!("id {id} was still that of request {}", other.n);
                remark("id-in-flight", text);
            }
            if entry.left {
                let text = format!("the client left before the reply to {}", entry.show());
                remark("reply-not-read", text);
            }
        }
        remarks
    }
}

/// The request of the same id that had no reply when this one came.
fn in_flight_twice<'a>(ids: &mut LastOfId<'a>, entry: &'a Entry) -> Option<(String, &'a Entry)> {
    let id = qobject_to_json(entry.id.as_ref()?, false);
    let before = ids.insert((entry.connection, id.clone()), entry)?;
    let in_flight = before.done_after.is_none_or(|n| n >= entry.n);
    in_flight.then_some((id, before))
}

/// What a command and its arguments have that is deprecated.
fn deprecated(schema: &Schema, command: &str, arguments: &QDict) -> Vec<String> {
    let Some(known) = schema.command(command) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if schema.entry(command).is_some_and(is_deprecated) {
        found.push(format!("command {command} is deprecated"));
    }
    let mut walk = Walk {
        schema,
        command,
        found,
    };
    walk.members(known.arg, arguments, "");
    walk.found
}

fn is_deprecated(part: &QDict) -> bool {
    let features = part.get("features").and_then(QObject::as_list);
    let mut features = features.unwrap_or_default().iter();
    features.any(|feature| feature.as_str() == Some("deprecated"))
}

/// A walk through arguments along their types.
struct Walk<'a> {
    schema: &'a Schema,
    command: &'a str,
    found: Vec<String>,
}

impl Walk<'_> {
    fn value(&mut self, typ: &str, value: &QObject, path: &str) {
        let Some(entry) = self.schema.entry(typ) else {
            return;
        };
        match value {
            QObject::Dict(dict) => {
                self.members(typ, dict, path);
                for branch in self.schema.alternatives(entry) {
                    self.members(branch, dict, path);
                }
            }
            QObject::List(list) => {
                let element = entry.get_str("element-type").unwrap_or_default();
                for (i, value) in list.iter().enumerate() {
                    self.value(element, value, &format!("{path}[{i}]"));
                }
            }
            QObject::String(text) => {
                let is_enum = entry.get_str("meta-type") == Some("enum");
                let named = parts(entry, "members").find(|m| m.get_str("name") == Some(text));
                if is_enum && named.is_some_and(is_deprecated) {
                    self.say(path, &format!("value '{text}'"));
                }
            }
            _ => {}
        }
    }

    fn members(&mut self, typ: &str, dict: &QDict, path: &str) {
        let Some(entry) = self.schema.entry(typ) else {
            return;
        };
        if entry.get_str("meta-type") != Some("object") {
            return;
        }
        for known in parts(entry, "members") {
            let name = known.get_str("name").unwrap_or_default();
            let Some(value) = dict.get(name) else {
                continue;
            };
            let path = join(path, name);
            if is_deprecated(known) {
                self.say(&path, "member");
            }
            self.value(known.get_str("type").unwrap_or_default(), value, &path);
        }
        let case = entry.get_str("tag").and_then(|tag| dict.get_str(tag));
        let branch = case.and_then(|case| self.schema.branch(entry, case));
        if let Some(name) = branch.and_then(|branch| branch.get_str("name")) {
            self.members(name, dict, path);
        }
    }

    fn say(&mut self, path: &str, what: &str) {
        let command = self.command;
        self.found
            .push(format!("{what} of {command} is deprecated: {path}"));
    }
}
