//! One of each kind of everything, there and back.

use std::sync::{Arc, Mutex};

use qmonitor::qapi::dispatch::{qmp_find_command, DispatchEnv};
use qmonitor::qapi::introspect::{query_schema, query_schema_unmasked, SchemaTable};
use qmonitor::qapi::json::{qobject_from_json, JsonWriter};
use qmonitor::qapi::visit::{from_qobject, to_qobject};
use qmonitor::qapi::{Call, CompatPolicy, CompatPolicyInput, CompatPolicyOutput, Error};
use qmonitor::qapi::{QObject, QmpCommandFunc, QmpCommandList, RawResponder, ReplyPort, Responder};
use qmonitor_qapi::schema::{self, introspect};

use crate::generated::Context;

mod kinds {
    include!(concat!(env!("OUT_DIR"), "/test-kinds.rs"));
}

mod kinds_defined {
    include!(concat!(env!("OUT_DIR"), "/test-kinds-defined.rs"));
}

// The schema has types of these names, too.
use std::option::Option;
use std::string::String;

use kinds::*;
use qmonitor::qapi::client::{ClientError, QmpClient};

type Rt = Context<Echo>;
type Answer<T> = Result<T, Error>;

/// Returns its arguments.
struct Echo;

impl KindsCommands for Echo {
    fn qmp_nothing(_: &mut Rt) -> Answer<()> {
        Ok(())
    }

    fn qmp_echo(_: &mut Rt, value: QObject) -> Answer<QObject> {
        Ok(value)
    }

    fn qmp_sizes(_: &mut Rt, rt_: Vec<u64>, call_: Option<u64>) -> Answer<Vec<u64>> {
        Ok(rt_.into_iter().chain(call_).collect())
    }

    fn qmp_everything(_: &mut Rt, arg: Everything) -> Answer<Everything> {
        Ok(arg)
    }

    fn qmp_flat(_: &mut Rt, arg: Flat) -> Answer<Flat> {
        Ok(arg)
    }

    fn qmp_inner(_: &mut Rt, arg: Inner) -> Answer<Inner> {
        Ok(arg)
    }

    fn qmp_refs(_: &mut Rt, refs: Vec<Ref>) -> Answer<Holder> {
        Ok(Holder {
            r#ref: refs.into_iter().next(),
            amount: None,
        })
    }

    fn qmp_old(_: &mut Rt, arg: Old) -> Answer<Old> {
        Ok(arg)
    }

    fn qmp_raw(_: &mut Rt, call: &mut Call<'_>) -> Answer<()> {
        let args = QObject::from(call.take_args());
        call.ret(&args);
        Ok(())
    }

    fn qmp_later(_: &mut Rt, value: i64, responder: Responder<Base>) {
        match value {
            0 => {}
            1 => responder.respond(Err(Error::new("one"))),
            _ => responder.respond(Ok(Base {
                level: Level::K2_5,
                note: Some(value.to_string()),
            })),
        }
    }

    fn qmp_later_nothing(_: &mut Rt, responder: Responder<()>) {
        responder.respond(Ok(()));
    }

    fn qmp_silent(_: &mut Rt, fail: bool) -> Answer<()> {
        if fail {
            Err(Error::new("failed"))
        } else {
            Ok(())
        }
    }
}

struct Port(Mutex<Vec<(u64, Answer<QObject>)>>);

impl ReplyPort for Port {
    fn deliver(&self, token: u64, reply: Answer<QObject>) {
        self.0.lock().unwrap().push((token, reply));
    }
}

fn json(text: &str) -> QObject {
    qobject_from_json(text.as_bytes()).unwrap()
}

/// The command's output, or the description of its error.
fn call_with(policy: CompatPolicy, name: &str, args: &str) -> Result<String, String> {
    let mut commands = QmpCommandList::new();
    qmp_init_marshal::<Echo>(&mut commands);
    let command = qmp_find_command(&commands, name, &DispatchEnv::default()).unwrap();
    let QObject::Dict(args) = json(args) else {
        panic!("arguments must be an object");
    };
    let mut out = JsonWriter::new(false);
    let mut rt = Rt::new(policy);
    let mut call = Call::new(args, policy, &mut out);
    let result = match command.func {
        QmpCommandFunc::Immediate(func) => func(&mut rt, &mut call),
        QmpCommandFunc::Deferred(func) => {
            let port = Arc::new(Port(Mutex::default()));
            func(&mut rt, &mut call, RawResponder::new(port.clone(), 7));
            let (token, reply) = port.0.lock().unwrap().pop().expect("an answer");
            assert_eq!(token, 7);
            reply.map(|value| out.qobject(&value))
        }
    };
    match result {
        Ok(()) => Ok(String::from_utf8(out.as_bytes().to_vec()).unwrap()),
        Err(e) => Err(e.desc().to_owned()),
    }
}

fn call(name: &str, args: &str) -> Result<String, String> {
    call_with(CompatPolicy::default(), name, args)
}

/// The command returns its arguments as they were written, which is in QEMU's order: the
/// compiler and the writer of run-time objects agree about that.
#[track_caller]
fn assert_echoed(name: &str, args: &str) {
    assert_eq!(call(name, args).as_deref(), Ok(args));
    let mut out = JsonWriter::new(false);
    out.qobject(&json(args));
    assert_eq!(String::from_utf8_lossy(out.as_bytes()), args);
}

#[track_caller]
fn assert_refused(name: &str, args: &str, desc: &str) {
    assert_eq!(call(name, args).unwrap_err(), desc);
}

const EVERYTHING: &str = r#"{"list": ["self", "4k"], "sz": 18446744073709551615, "n": 0.5, "u8": 255, "any": [{}, null], "szs": [1, 2], "i32": -2147483648, "i64": -9223372036854775808, "u16": 65535, "level": "x86_64", "nil": null, "empty": {}, "UUID": "u", "b": true, "rt": -128, "type": "t", "qtype": "qdict", "u32": 4294967295, "v": -1, "u64": 18446744073709551615, "i16": -32768}"#;

#[test]
fn every_type_comes_back_as_it_was_sent() {
    assert_echoed("everything", EVERYTHING);
    let typed: Everything = from_qobject(json(EVERYTHING)).unwrap();
    assert_eq!(to_qobject(&typed), json(EVERYTHING));
    assert_eq!(typed.level, Level::X86_64);
}

#[test]
fn every_wrong_value_is_reported() {
    let QObject::Dict(good) = json(EVERYTHING) else {
        unreachable!("an object");
    };
    for (name, bad, desc) in [
        (
            "type",
            "1",
            "Invalid parameter type for 'type', expected: string",
        ),
        (
            "v",
            "1.0",
            "Invalid parameter type for 'v', expected: integer",
        ),
        ("rt", "128", "Parameter 'rt' expects int8_t"),
        ("i16", "32768", "Parameter 'i16' expects int16_t"),
        ("i32", "2147483648", "Parameter 'i32' expects int32_t"),
        ("u8", "-1", "Parameter 'u8' expects uint8_t"),
        ("u16", "65536", "Parameter 'u16' expects uint16_t"),
        ("u32", "4294967296", "Parameter 'u32' expects uint32_t"),
        ("u64", "1e0", "Parameter 'u64' expects uint64"),
        ("sz", "\"1k\"", "Parameter 'sz' expects uint64"),
        (
            "n",
            "\"1\"",
            "Invalid parameter type for 'n', expected: number",
        ),
        (
            "b",
            "\"on\"",
            "Invalid parameter type for 'b', expected: boolean",
        ),
        (
            "nil",
            "0",
            "Invalid parameter type for 'nil', expected: null",
        ),
        (
            "level",
            "1",
            "Invalid parameter type for 'level', expected: string",
        ),
        (
            "level",
            "\"maybe\"",
            "Parameter 'level' does not accept value 'maybe'",
        ),
        (
            "list",
            "[\"4k\", \"5k\"]",
            "Parameter 'null' does not accept value '5k'",
        ),
        (
            "szs",
            "{}",
            "Invalid parameter type for 'szs', expected: array",
        ),
        ("szs", "[1, true]", "Parameter 'szs[1]' expects uint64"),
        ("empty", "{\"x\": 1}", "Parameter 'empty.x' is unexpected"),
        (
            "empty",
            "[]",
            "Invalid parameter type for 'empty', expected: object",
        ),
    ] {
        let mut args = good.clone();
        args.insert(name, json(bad));
        let error = from_qobject::<Everything>(args.into()).unwrap_err();
        assert_eq!(error.desc(), desc);
    }
    for (name, _) in good.iter() {
        let mut args = good.clone();
        args.remove(name);
        let error = from_qobject::<Everything>(args.into()).unwrap_err();
        assert_eq!(error.desc(), format!("Parameter '{name}' is missing"));
    }
}

#[test]
fn unions_are_flat() {
    assert_echoed("flat", r#"{"level": "none", "note": "n"}"#);
    assert_echoed("flat", r#"{"level": "2_5"}"#);
    assert_echoed(
        "flat",
        r#"{"name": "root", "left": {"name": "l"}, "level": "x86_64", "others": [], "type": "qnum"}"#,
    );
    assert_echoed("inner", r#"{"type": "qlist"}"#);
    assert_refused(
        "flat",
        r#"{"level": "2_5", "name": "x"}"#,
        "Parameter 'name' is unexpected",
    );
    assert_refused(
        "flat",
        r#"{"level": "x86_64"}"#,
        "Parameter 'type' is missing",
    );
    let inner = Inner::Qnum(Tree {
        name: "n".into(),
        left: None,
        right: None,
        others: None,
    });
    assert_eq!(inner.r#type().as_str(), "qnum");
    let flat = Flat {
        note: None,
        u: FlatBranch::X86_64(inner),
    };
    assert_eq!(flat.level(), Level::X86_64);
}

#[test]
fn alternates_go_by_the_type_of_the_value() {
    let holder = |value: &str| call("refs", &format!("{{\"refs\": [{value}]}}"));
    for value in [
        r#""name""#,
        "null",
        "{}",
        r#"["few", {"name": "n"}]"#,
        r#"{"amount": true}"#,
        r#"{"amount": 5}"#,
    ] {
        assert_eq!(holder(value).unwrap(), format!("{{\"ref\": {value}}}"));
    }
    for (value, desc) in [
        ("1", "Invalid parameter type for 'null', expected: Ref"),
        (
            r#"{"amount": "x"}"#,
            "Invalid parameter type for 'amount', expected: Amount",
        ),
        (
            r#"{"amount": 1.5}"#,
            "Parameter 'refs[0].amount' expects uint64",
        ),
        (
            r#"["none"]"#,
            "Parameter 'null' does not accept value 'none'",
        ),
        (r#"[{}]"#, "Parameter 'refs[0][0].name' is missing"),
    ] {
        assert_eq!(holder(value).unwrap_err(), desc);
    }
}

#[test]
fn commands_of_all_kinds_are_called() {
    assert_eq!(call("nothing", "{}").unwrap(), "{}");
    assert_refused("nothing", r#"{"x": 1}"#, "Parameter 'x' is unexpected");
    assert_eq!(call("echo", r#"{"value": null}"#).unwrap(), "null");
    assert_refused("echo", "{}", "Parameter 'value' is missing");
    assert_eq!(
        call("sizes", r#"{"rt": [1], "call": 2}"#).unwrap(),
        "[1, 2]"
    );
    assert_echoed("raw", r#"{"anything": [1]}"#);
    assert_eq!(call("silent", r#"{"fail": false}"#).unwrap(), "");
    assert_refused("silent", r#"{"fail": true}"#, "failed");
}

#[test]
fn deferred_commands_answer_through_their_responder() {
    assert_eq!(
        call("later", r#"{"value": 2}"#).unwrap(),
        r#"{"level": "2_5", "note": "2"}"#
    );
    assert_eq!(call("later-nothing", "{}").unwrap(), "{}");
    assert_refused("later", r#"{"value": 1}"#, "one");
    assert_refused(
        "later",
        r#"{"value": "x"}"#,
        "Invalid parameter type for 'value', expected: integer",
    );
    assert_refused(
        "later",
        r#"{"value": 0}"#,
        "The command was abandoned without an answer",
    );
}

fn rejecting(deprecated: bool, unstable: bool) -> CompatPolicy {
    let input = |reject| {
        if reject {
            CompatPolicyInput::Reject
        } else {
            CompatPolicyInput::Accept
        }
    };
    CompatPolicy {
        deprecated_input: input(deprecated),
        unstable_input: input(unstable),
        ..CompatPolicy::default()
    }
}

const HIDING: CompatPolicy = CompatPolicy {
    deprecated_input: CompatPolicyInput::Accept,
    deprecated_output: CompatPolicyOutput::Hide,
    unstable_input: CompatPolicyInput::Accept,
    unstable_output: CompatPolicyOutput::Accept,
    profile: qmonitor::Profile::V10_0,
};

#[test]
fn policy_rejects_arguments_and_values() {
    let flat = |policy, args| call_with(policy, "flat", args).unwrap_err();
    let old = rejecting(true, false);
    let new = rejecting(false, true);
    assert_eq!(
        flat(old, r#"{"level": "old"}"#),
        "Deprecated value old disabled by policy"
    );
    assert_eq!(
        flat(new, r#"{"level": "new"}"#),
        "Unstable value new disabled by policy"
    );
    let gone = r#"{"level": "4k", "gone": "wrong", "must": "m"}"#;
    assert_eq!(
        flat(old, gone),
        "Deprecated parameter gone disabled by policy"
    );
    let must = r#"{"level": "4k", "must": "m"}"#;
    assert_eq!(
        flat(old, must),
        "Deprecated parameter must disabled by policy"
    );
    assert_eq!(call_with(new, "flat", must).as_deref(), Ok(must));
    let soon = r#"{"level": "4k", "must": "m", "soon": 1}"#;
    assert_eq!(
        flat(new, soon),
        "Unstable parameter soon disabled by policy"
    );
}

#[test]
fn policy_hides_members() {
    let args = r#"{"kept": 3, "gone": 1, "must": "m", "soon": 2}"#;
    assert_echoed("old", args);
    let hidden = call_with(HIDING, "old", args).unwrap();
    assert_eq!(hidden, r#"{"kept": 3, "soon": 2}"#);
}

#[test]
#[allow(deprecated)]
fn events_carry_what_policy_leaves_of_them() {
    let old = Old {
        gone: Some(1),
        soon: None,
        must: "m".into(),
        kept: Some(2),
    };
    let mut rt = Rt::new(HIDING);
    qapi_event_send_nothing(&mut rt);
    qapi_event_send_old_things(&mut rt, Some(old), 5, None);
    let flat: Flat = from_qobject(json(r#"{"level": "none"}"#)).unwrap();
    qapi_event_send_flat(&mut rt, &flat);
    let events: Vec<_> = rt
        .events
        .into_iter()
        .map(|(name, data)| (name, data.into()))
        .collect();
    assert_eq!(events[0], ("NOTHING", json("{}")));
    assert_eq!(
        events[1],
        ("OLD_THINGS", json(r#"{"gone": {"kept": 2}, "rt": 5}"#))
    );
    assert_eq!(events[2], ("FLAT", json(r#"{"level": "none"}"#)));
    assert!(EVENT_OLD_THINGS.features.unstable);
}

#[test]
fn options_of_commands_are_registered() {
    let mut commands = QmpCommandList::new();
    qmp_init_marshal::<Echo>(&mut commands);
    let flat = commands.get("flat").unwrap().options;
    assert!(flat.allow_oob && flat.allow_preconfig && !flat.coroutine);
    assert!(commands.get("later").unwrap().options.coroutine);
    assert!(commands.get("silent").unwrap().options.no_success_response);
    assert!(commands.get("old").unwrap().features.deprecated);
    assert!(commands.get("maybe").is_none());
    assert_eq!(commands.iter().next().unwrap().name, "nothing");
}

/// The reply at run time equals the schema compiler's, entry by entry.
#[track_caller]
fn assert_introspected(table: &'static SchemaTable, defined: &[&str]) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let schema = schema::load(&root.join("../qapi/kinds.json")).unwrap();
    for unmask in [false, true] {
        let options = introspect::Options {
            defined: &|name| defined.contains(&name),
            unmask,
        };
        let want = json(&introspect::introspect(&schema, &options));
        let policy = CompatPolicy::default();
        let got = if unmask {
            query_schema_unmasked(&[table], policy)
        } else {
            query_schema(&[table], policy)
        };
        let (got, want) = (got.as_list().unwrap(), want.as_list().unwrap());
        for (got, want) in got.iter().zip(want) {
            assert_eq!(got, want);
        }
        assert_eq!(got.len(), want.len());
    }
}

#[test]
fn introspection_agrees_with_the_schema_compiler() {
    assert_introspected(&kinds::QAPI_SCHEMA, &[]);
    assert_introspected(&kinds_defined::QAPI_SCHEMA, &["HAVE_IT"]);
}

#[test]
fn introspection_of_two_tables_names_shared_types_once() {
    let tables = [&kinds::QAPI_SCHEMA, &kinds_defined::QAPI_SCHEMA];
    let reply = query_schema(&tables, CompatPolicy::default());
    let names: Vec<&str> = reply
        .as_list()
        .unwrap()
        .iter()
        .filter_map(|info| info.as_dict()?.get_str("name"))
        .collect();
    let count = |name: &str| names.iter().filter(|n| **n == name).count();
    assert_eq!((count("str"), count("int"), count("[int]")), (1, 1, 1));
    assert_eq!(count("0"), 1, "the empty object");
    assert_eq!(count("echo"), 2);
}

#[test]
fn introspection_hides_what_is_deprecated() {
    let reply = query_schema_unmasked(&[&kinds::QAPI_SCHEMA], HIDING);
    let find = |name: &str| {
        let infos = reply.as_list().unwrap().iter();
        infos
            .filter_map(QObject::as_dict)
            .find(|info| info.get_str("name") == Some(name))
    };
    assert!(find("old").is_none(), "a deprecated command");
    assert!(find("OLD_THINGS").is_some(), "an unstable event");
    assert!(!find("Level").unwrap().contains_key("values"));
    let old = find("Old")
        .unwrap()
        .get("members")
        .unwrap()
        .as_list()
        .unwrap();
    let names = old
        .iter()
        .map(|member| member.as_dict().unwrap().get_str("name"));
    assert_eq!(names.collect::<Vec<_>>(), [Some("soon"), Some("kept")]);
}

/// A server with scripted output that keeps its input.
struct Script {
    input: std::io::Cursor<&'static str>,
    output: Vec<u8>,
}

impl std::io::Read for Script {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        // Three bytes at a time, so that messages come in pieces.
        let len = buf.len().min(3);
        self.input.read(&mut buf[..len])
    }
}

impl std::io::Write for Script {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn connect(input: &'static str) -> QmpClient<Script> {
    let input = std::io::Cursor::new(input);
    let output = Vec::new();
    QmpClient::connect(Script { input, output }).unwrap()
}

#[test]
fn a_client_calls_commands_and_keeps_events() {
    let mut client = connect(concat!(
        r#"{"QMP": {"version": {}, "capabilities": ["oob"]}} {"return": {}, "id": 1}"#,
        r#"{"event": "OLD_THINGS", "data": {"rt": 5, "newer": 1}, "timestamp": {"seconds": 3, "microseconds": 4}}"#,
        r#"{"return": {"level": "4k", "must": "m", "newer": [1]}, "id": 2}"#,
        r#"{"id": 3, "error": {"class": "DeviceNotFound", "desc": "gone"}}"#,
        r#"{"event": "NOTHING"}{"event": "UNKNOWN"}{"event": "FLAT", "data": {}}"#,
    ));
    assert!(client.greeting().contains_key("version"));
    let flat: Flat = from_qobject(json(r#"{"level": "4k", "must": "m"}"#)).unwrap();
    assert_eq!(client.flat(flat.clone()).unwrap(), flat);
    match client.sizes(vec![1, 2], None) {
        Err(ClientError::Refused(e)) => assert_eq!(e.class().as_str(), "DeviceNotFound"),
        other => panic!("{other:?}"),
    }
    client.silent(true).unwrap();

    let event = client.pending_event().unwrap();
    assert_eq!(event.timestamp, (3, 4));
    let things = Event::OldThings {
        gone: None,
        rt: 5,
        new: None,
    };
    assert_eq!(event.parse().unwrap(), Some(things));
    assert!(client.pending_event().is_none());
    let mut next = || client.next_event().unwrap().parse::<Event>();
    assert_eq!(next().unwrap(), Some(Event::Nothing));
    assert_eq!(next().unwrap(), None);
    let wrong = next().unwrap_err().to_string();
    assert!(wrong.ends_with("Parameter 'level' is missing"), "{wrong}");
    assert!(matches!(client.next_event(), Err(ClientError::Io(_))));

    let sent = String::from_utf8(client.into_inner().output).unwrap();
    let want = [
        r#"{"execute": "qmp_capabilities", "id": 1}"#,
        r#"{"execute": "flat", "arguments": {"level": "4k", "must": "m"}, "id": 2}"#,
        r#"{"execute": "sizes", "arguments": {"rt": [1, 2]}, "id": 3}"#,
        r#"{"execute": "silent", "arguments": {"fail": true}, "id": 4}"#,
    ];
    assert_eq!(sent.lines().collect::<Vec<_>>(), want);
}
