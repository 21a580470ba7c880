//! What passed between a client and a QEMU, and the scenario of it.

use std::collections::BTreeMap;
use std::time::Duration;

use qmonitor::qapi::json::JsonMessageParser;
use qmonitor::qapi::{QDict, QNum, QObject};

use crate::node::Node;
use crate::problem::Problems;
use crate::scenario::{to_text, Reader, Stub};
use crate::schema::{Schema, PROFILES};

/// Who sent something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// A request and what came of it.
struct Exchange {
    execute: String,
    arguments: QDict,
    id: Option<QObject>,
    /// The reply, without its id, and when it came.
    reply: Option<(QDict, Duration)>,
    before: Vec<QDict>,
    then: Vec<(Duration, QDict)>,
}

/// A recording.
#[derive(Default)]
pub struct Recording {
    client: JsonMessageParser,
    server: JsonMessageParser,
    exchanges: Vec<Exchange>,
    profile: Option<&'static str>,
}

impl Recording {
    /// How many requests there were.
    pub fn len(&self) -> usize {
        self.exchanges.len()
    }

    /// Takes bytes that passed at this time.
    pub fn take(&mut self, side: Side, mut bytes: &[u8], time: Duration) {
        while !bytes.is_empty() {
            let parser = match side {
                Side::Client => &mut self.client,
                Side::Server => &mut self.server,
            };
            let (used, message) = parser.parse(bytes);
            bytes = &bytes[used..];
            // What is no message is answered by QEMU's session, and by the mock's.
            if let Some(Ok(QObject::Dict(message))) = message {
                match side {
                    Side::Client => self.request(message),
                    Side::Server => self.message(message, time),
                }
            }
        }
    }

    fn request(&mut self, mut message: QDict) {
        let name = message
            .get_str("execute")
            .or_else(|| message.get_str("exec-oob"));
        let Some(execute) = name.map(str::to_owned) else {
            return;
        };
        let arguments = match message.remove("arguments") {
            Some(QObject::Dict(arguments)) => arguments,
            _ => QDict::new(),
        };
        self.exchanges.push(Exchange {
            execute,
            arguments,
            id: message.remove("id"),
            reply: None,
            before: Vec::new(),
            then: Vec::new(),
        });
    }

    fn message(&mut self, mut message: QDict, time: Duration) {
        if let Some(greeting) = message.get("QMP").and_then(QObject::as_dict) {
            self.profile = profile_of(greeting);
            return;
        }
        if message.contains_key("event") {
            message.remove("timestamp");
            return self.event(message, time);
        }
        let id = message.remove("id");
        let open = |exchange: &&mut Exchange| exchange.reply.is_none();
        let mut waiting = self.exchanges.iter_mut().filter(open);
        if let Some(exchange) = waiting.find(|exchange| exchange.id == id) {
            exchange.reply = Some((message, time));
        }
    }

    fn event(&mut self, event: QDict, time: Duration) {
        if let Some(waiting) = self.exchanges.iter_mut().find(|e| e.reply.is_none()) {
            return waiting.before.push(event);
        }
        // An event before the first request has nothing that it could follow.
        if let Some(last) = self.exchanges.last_mut() {
            let replied = last.reply.as_ref().map_or(time, |(_, time)| *time);
            last.then.push((time.saturating_sub(replied), event));
        }
    }

    /// The scenario: JSON, one stub a line, which is YAML as well.
    pub fn to_scenario(&self) -> String {
        let schema = Schema::of_profile(self.profile.unwrap_or(PROFILES[0]));
        let answered = self.exchanges.iter().filter(|e| e.reply.is_some());
        let answered = answered.filter(|exchange| exchange.execute != "qmp_capabilities");
        let stubs: Vec<QDict> = answered.map(Exchange::to_stub).collect();
        let mut marked = Vec::new();
        for (i, stub) in stubs.iter().enumerate() {
            let mut stub = stub.clone();
            let when = stub.get("when").cloned();
            // The last answer to a request stays.
            if stubs[i + 1..]
                .iter()
                .any(|later| later.get("when") == when.as_ref())
            {
                stub.insert("times", 1_i64);
            }
            if schema.as_ref().is_some_and(|schema| !fits(schema, &stub)) {
                stub.insert("unchecked", true);
            }
            marked.push(stub.into());
        }
        let mut scenario = QDict::new();
        if let Some(profile) = self.profile {
            scenario.insert("profile", profile);
        }
        scenario.insert("stubs", QObject::List(marked));
        to_text(&scenario)
    }
}

/// The profile of the QEMU that greets, if the kit has it.
fn profile_of(greeting: &QDict) -> Option<&'static str> {
    let version = greeting.get("version")?.as_dict()?.get("qemu")?.as_dict()?;
    let part = |name| match version.get(name) {
        Some(QObject::Num(QNum::I64(n))) => *n,
        _ => -1,
    };
    let own = format!("{}.{}", part("major"), part("minor"));
    PROFILES.into_iter().find(|profile| *profile == own)
}

fn fits(schema: &Schema, stub: &QDict) -> bool {
    let problems = Problems::new("");
    let node = Node::from(QObject::Dict(stub.clone()));
    let reader = Reader {
        schema,
        problems: &problems,
        unchecked: false,
    };
    Stub::read(&reader, &node, "").is_some() && problems.is_empty()
}

/// Names for paths of the host, which are others in the next run.
#[derive(Default)]
struct Paths {
    names: BTreeMap<String, String>,
}

impl Paths {
    /// Binds the paths in the arguments of a request.
    fn bind(&mut self, value: &QObject) -> QObject {
        self.map(value, true)
    }

    /// Puts names in the place of the paths that were bound.
    fn name(&mut self, value: &QObject) -> QObject {
        self.map(value, false)
    }

    fn map(&mut self, value: &QObject, binds: bool) -> QObject {
        match value {
            QObject::String(text) => self.text(text, binds).into(),
            QObject::List(list) => {
                QObject::List(list.iter().map(|value| self.map(value, binds)).collect())
            }
            QObject::Dict(dict) => {
                let members = dict.iter();
                let members =
                    members.map(|(name, value)| (name.to_owned(), self.map(value, binds)));
                QObject::Dict(members.collect())
            }
            other => other.clone(),
        }
    }

    fn text(&mut self, text: &str, binds: bool) -> String {
        if binds && is_path(text) && !self.names.contains_key(text) {
            let name = format!("path{}", self.names.len() + 1);
            self.names.insert(text.to_owned(), name);
        }
        match self.names.get(text) {
            Some(name) => format!("${name}"),
            None => text.replace('$', "$$"),
        }
    }
}

/// Whether a string is a path of the host; those of QEMU's objects are the same each time.
fn is_path(text: &str) -> bool {
    let qom = ["/machine", "/objects", "/chardevs", "/backend"];
    text.starts_with('/') && text.len() > 1 && !qom.iter().any(|root| text.starts_with(root))
}

impl Exchange {
    fn to_stub(&self) -> QDict {
        let mut paths = Paths::default();
        let mut when = QDict::new();
        when.insert("execute", self.execute.as_str());
        if !self.arguments.is_empty() {
            when.insert("arguments", paths.bind(&self.arguments.clone().into()));
        }
        let mut stub = QDict::new();
        stub.insert("when", when);
        if !self.before.is_empty() {
            let events = self.before.iter();
            let events = events.map(|event| paths.name(&event.clone().into()));
            stub.insert("before", QObject::List(events.collect()));
        }
        if let Some((reply, _)) = &self.reply {
            stub.insert("reply", paths.name(&reply.clone().into()));
        }
        if !self.then.is_empty() {
            let events = self.then.iter().map(|(delay, event)| {
                let mut emit = QDict::new();
                emit.insert("delay", format!("{}ms", delay.as_millis()));
                for (name, value) in event.iter() {
                    emit.insert(name, paths.name(value));
                }
                emit.into()
            });
            stub.insert("then", QObject::List(events.collect()));
        }
        stub
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn ids_timestamps_and_paths_do_not_come_back() {
        let mut recording = Recording::default();
        let mut time = Duration::ZERO;
        let mut pass = |side, text: &str| {
            time += Duration::from_millis(100);
            // In two pieces, as it may come.
            let (head, tail) = text.as_bytes().split_at(text.len() / 2);
            recording.take(side, head, time);
            recording.take(side, tail, time);
        };
        pass(
            Side::Server,
            "{'QMP': {'version': {'qemu': {'major': 10, 'minor': 0, 'micro': 2}}}}",
        );
        pass(Side::Client, "{'execute': 'qmp_capabilities', 'id': 1}");
        pass(Side::Server, "{'return': {}, 'id': 1}");
        pass(
            Side::Client,
            "{'execute': 'query-name', 'id': 2}{'execute': 'query-name', 'id': 3}",
        );
        pass(
            Side::Server,
            "{'return': {'name': '$x'}, 'id': 2}{'return': {}, 'id': 3}",
        );
        pass(Side::Client, "{'execute': 'chardev-add', 'arguments': {'id': 'c', 'backend': {'type': 'file', 'data': {'out': '/tmp/x'}}}}");
        pass(
            Side::Server,
            "{'event': 'STOP', 'timestamp': {'seconds': 1, 'microseconds': 2}}",
        );
        pass(
            Side::Server,
            "{'error': {'class': 'GenericError', 'desc': '/tmp/x'}}",
        );
        pass(
            Side::Server,
            "{'event': 'RESUME', 'timestamp': {'seconds': 1, 'microseconds': 2}}",
        );
        pass(Side::Client, "{'execute': 'x-not-there'}");
        pass(Side::Server, "{'return': 5}");
        let text = recording.to_scenario();
        let expected = r#"{
  "profile": "10.0",
  "stubs": [
    {"when": {"execute": "query-name"}, "reply": {"return": {"name": "$$x"}}, "times": 1},
    {"when": {"execute": "query-name"}, "reply": {"return": {}}},
    {"when": {"execute": "chardev-add", "arguments": {"id": "c", "backend": {"type": "file", "data": {"out": "$path1"}}}}, "before": [{"event": "STOP"}], "reply": {"error": {"class": "GenericError", "desc": "$path1"}}, "then": [{"delay": "100ms", "event": "RESUME"}]},
    {"when": {"execute": "x-not-there"}, "reply": {"return": 5}, "unchecked": true}
  ]
}
"#;
        assert_eq!(text, expected);
        assert!(Scenario::read("r", &text, None).is_ok());
    }
}
