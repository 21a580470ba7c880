//! The running program describes its commands and events as QEMU does, in each
//! profile, except for the names of types, which mean nothing.
//!
//! QEMU's reply to `query-qmp-schema` lives outside the repository, in
//! `$QMONITOR_CONFORMANCE/qapi` or `../shared/conformance/qapi`. A digest of
//! each command and event with all its types is kept here, so a clone without
//! the recording notices a difference too, but not where it is.

use std::collections::BTreeMap;

use qmonitor_qapi::schema;
use serde_json::Value;

use crate::canonical::{is_root, Types};
use crate::common::places::root;
use crate::common::recordings::conformance;
use crate::common::Server;

/// A QEMU to be compared with.
struct Recorded {
    profile: &'static str,
    file: &'static str,
    /// `NAME DIGEST` for all its commands and events.
    digests: &'static str,
}

const RECORDED: [Recorded; 2] = [
    Recorded {
        profile: "10.0",
        file: "qapi/qemu-10.0.2-none-schema.json",
        digests: include_str!("../recorded_schema/qemu-10.0.2.digests"),
    },
    Recorded {
        profile: "11.1",
        file: "qapi/qemu-11.1-none-schema.json",
        digests: include_str!("../recorded_schema/qemu-11.1.3.digests"),
    },
];

impl Recorded {
    /// Its reply to `query-qmp-schema`, alone or in the frame of a reply.
    fn reply(&self) -> Option<Vec<Value>> {
        let path = conformance().join(self.file);
        let Ok(text) = std::fs::read(&path) else {
            eprintln!("skipped: no {}", path.display());
            return None;
        };
        let reply: Value = serde_json::from_slice(&text).expect("a recording is JSON");
        let list = reply.get("return").unwrap_or(&reply);
        Some(list.as_array().expect("an array").clone())
    }

    /// Ours.
    fn our_reply(&self) -> Vec<Value> {
        let server = Server::start(&["-profile", self.profile]);
        let reply = server.qmp().ask("query-qmp-schema");
        reply.as_array().expect("an array").clone()
    }
}

/// Each command and event with the types it refers to, numbered in the order
/// in which it does so.
fn written_out(entries: &[Value]) -> BTreeMap<String, Vec<Value>> {
    let types = Types::of(entries);
    let alone = |root: &Value| {
        let name = root["name"].as_str().expect("a name").to_owned();
        (name, types.canonical([root]))
    };
    let roots = entries.iter().filter(|entry| is_root(entry));
    roots.map(alone).collect()
}

/// FNV-1a of the JSON text, whose members are sorted.
fn digest(entries: &[Value]) -> String {
    let text = serde_json::to_string(entries).expect("JSON can be written");
    let step = |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, step);
    format!("{hash:016x}")
}

#[test]
fn every_command_and_event_is_that_of_qemu() {
    for recorded in &RECORDED {
        if let Some(reply) = recorded.reply() {
            assert_alike(recorded, &reply);
        }
    }
}

#[track_caller]
fn assert_alike(recorded: &Recorded, reply: &[Value]) {
    let ours = written_out(&recorded.our_reply());
    let qemus = written_out(reply);
    let mut different = Vec::new();
    let mut compared = 0;
    for (name, our) in &ours {
        let Some(qemu) = qemus.get(name) else {
            assert_own(name);
            continue;
        };
        compared += 1;
        if let Some(n) = (0..our.len().max(qemu.len())).find(|n| our.get(*n) != qemu.get(*n)) {
            let show = |entry: Option<&Value>| entry.map(Value::to_string).unwrap_or_default();
            let (our, qemu) = (show(our.get(n)), show(qemu.get(n)));
            different.push(format!("{name}:\n  ours   {our}\n  QEMU's {qemu}"));
        }
    }
    let profile = recorded.profile;
    assert!(different.is_empty(), "{profile}:\n{}", different.join("\n"));
    assert_eq!(compared, qemus.len(), "{profile}: some are missing");
}

#[test]
fn every_command_and_event_has_the_digest_of_qemus() {
    RECORDED.iter().for_each(assert_digests);
}

#[track_caller]
fn assert_digests(recorded: &Recorded) {
    let digests: BTreeMap<&str, &str> = recorded
        .digests
        .lines()
        .map(|line| line.split_once(' ').expect("a name and a digest"))
        .collect();
    let ours = written_out(&recorded.our_reply());
    for name in digests.keys() {
        assert!(ours.contains_key(*name), "{name} is missing");
    }
    for (name, entries) in ours {
        match digests.get(name.as_str()) {
            Some(recorded) => assert_eq!(digest(&entries), *recorded, "{name}"),
            None => assert_own(&name),
        }
    }
}

/// The documentation of a command or event, without line ends.
fn documentation(name: &str) -> String {
    let mut dirs = schema::SchemaDirs::default();
    dirs.add("qmonitor", root().join("src"));
    let schema = root().join("crates/schema/machine/machine.json");
    let schema = schema::load_in(&schema, &dirs).unwrap_or_else(|e| panic!("{e}"));
    let entity = schema.lookup(name).expect("it is in the schema");
    let doc = entity.doc.and_then(|id| schema.docs.get(id.0));
    let words = doc.map_or("", |doc| doc.body.as_str()).split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}

/// QEMU has no command or event of this name, and the documentation knows it.
#[track_caller]
fn assert_own(name: &str) {
    let doc = documentation(name);
    let says_so = ["command", "event"].map(|kind| format!("QEMU has no such {kind}"));
    assert!(
        says_so.iter().any(|words| doc.contains(words)),
        "{name} is not in QEMU; if it is this program's own, its documentation must say {says_so:?}"
    );
}

#[test]
fn the_digests_are_those_of_the_recording() {
    let line = |(name, entries): (String, Vec<Value>)| format!("{name} {}\n", digest(&entries));
    for recorded in &RECORDED {
        if let Some(reply) = recorded.reply() {
            let digests: String = written_out(&reply).into_iter().map(line).collect();
            assert_eq!(digests, recorded.digests, "{}", recorded.profile);
        }
    }
}

#[test]
fn a_difference_changes_the_digest() {
    let entries: Vec<Value> = serde_json::from_str(
        r#"[{"name": "c", "meta-type": "command", "arg-type": "7", "ret-type": "7"},
            {"name": "7", "meta-type": "object",
             "members": [{"name": "a", "type": "int", "default": null}]},
            {"name": "int", "meta-type": "builtin", "json-type": "int"}]"#,
    )
    .expect("JSON");
    let of = |entries: &[Value]| digest(&written_out(entries)["c"]);
    let before = of(&entries);
    let mut renamed = entries.clone();
    for (index, key) in [(0, "arg-type"), (0, "ret-type"), (1, "name")] {
        renamed[index][key] = "12".into();
    }
    assert_eq!(of(&renamed), before);
    let mut required = entries;
    let member = required[1]["members"][0].as_object_mut();
    member.expect("a member").remove("default");
    assert_ne!(of(&required), before);
}
