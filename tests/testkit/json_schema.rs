//! The JSON Schema of scenarios: it is published as it is, accepts what the reader accepts, and
//! refuses what an editor should mark.

use std::process::Command;

use qmonitor::qapi::json::qobject_to_json;
use qmonitor_testkit::read::read;
use qmonitor_testkit::scenario::{json_schema, Scenario};
use qmonitor_testkit::serde_json::{from_str, Value};
use regex_lite::Regex;

use crate::pages::{blocks, page, root};
use crate::process::PROGRAM;

fn schema() -> Value {
    from_str(&json_schema()).expect("JSON")
}

fn value(text: &str) -> Value {
    let node = read("t", text).expect("YAML");
    from_str(&qobject_to_json(&node.to_qobject(), false)).expect("JSON")
}

/// Why a value does not fit a schema. Knows the keywords that the kit's schema uses.
fn misfit(all: &Value, schema: &Value, value: &Value, path: &str) -> Option<String> {
    let keywords = schema.as_object().expect("a schema");
    keywords.iter().find_map(|(keyword, says)| {
        let wrong = |fits: bool| (!fits).then(|| format!("{path}: {keyword} {says}: {value}"));
        let fits = |schema: &Value| misfit(all, schema, value, path).is_none();
        let has = |name: &Value| value.get(name.as_str().expect("a name")).is_some();
        let list = says.as_array().map_or(&[][..], Vec::as_slice);
        let at_least = |n: Option<usize>| n.is_none_or(|n| n as u64 >= says.as_u64().unwrap());
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" | "then" => None,
            "$ref" => {
                let pointer = says.as_str()?.strip_prefix('#')?;
                misfit(all, all.pointer(pointer).expect(pointer), value, path)
            }
            "type" if list.is_empty() => wrong(is_a(says, value)),
            "type" => wrong(list.iter().any(|kind| is_a(kind, value))),
            "const" => wrong(says == value),
            "enum" => wrong(list.contains(value)),
            "anyOf" => wrong(list.iter().any(fits)),
            "oneOf" => wrong(list.iter().filter(|schema| fits(schema)).count() == 1),
            "allOf" => list.iter().find_map(|s| misfit(all, s, value, path)),
            "not" => wrong(!fits(says)),
            "if" => misfit(all, schema.get("then").filter(|_| fits(says))?, value, path),
            "minimum" => wrong(value.as_f64().is_none_or(|n| n >= says.as_f64().unwrap())),
            "maximum" => wrong(value.as_f64().is_none_or(|n| n <= says.as_f64().unwrap())),
            "minItems" => wrong(at_least(value.as_array().map(Vec::len))),
            "minProperties" => wrong(at_least(value.as_object().map(|members| members.len()))),
            "pattern" => {
                let re = Regex::new(says.as_str().expect("a pattern")).expect("a pattern");
                wrong(value.as_str().is_none_or(|text| re.is_match(text)))
            }
            "required" => wrong(!value.is_object() || list.iter().all(has)),
            "dependentRequired" => {
                let mut rules = says.as_object()?.iter();
                let all_there = |names: &Value| names.as_array().unwrap().iter().all(has);
                wrong(rules.all(|(name, names)| value.get(name).is_none() || all_there(names)))
            }
            "items" => {
                let mut items = value.as_array()?.iter().enumerate();
                items.find_map(|(i, item)| misfit(all, says, item, &format!("{path}[{i}]")))
            }
            "properties" => value.as_object()?.iter().find_map(|(name, member)| {
                misfit(all, says.get(name)?, member, &format!("{path}.{name}"))
            }),
            "additionalProperties" => value.as_object()?.iter().find_map(|(name, member)| {
                let known = schema
                    .get("properties")
                    .is_some_and(|p| p.get(name).is_some());
                let path = format!("{path}.{name}");
                match says {
                    _ if known => None,
                    Value::Bool(false) => Some(format!("{path}: unknown")),
                    _ => misfit(all, says, member, &path),
                }
            }),
            other => panic!("{path}: the checker does not know '{other}'"),
        }
    })
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().expect("a type") {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("there is no type '{other}'"),
    }
}

fn accepts(text: &str) -> Result<(), String> {
    let schema = schema();
    misfit(&schema, &schema, &value(text), "").map_or(Ok(()), Err)
}

#[test]
fn the_published_schema_is_the_one_that_the_program_prints() {
    let output = Command::new(PROGRAM).arg("--json-schema").output().unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let published = std::fs::read_to_string(root().join("docs/scenario.schema.json")).unwrap();
    let how = "write it: qmonitor-mock --json-schema > docs/scenario.schema.json";
    assert!(printed == published, "{how}");
}

#[test]
fn the_scenarios_of_the_docs_fit() {
    let files = std::fs::read_dir(root().join("docs/scenarios")).unwrap();
    let mut texts: Vec<_> = files
        .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
        .collect();
    assert!(texts.len() >= 12);
    texts.extend(blocks(&page(), "yaml"));
    for text in texts {
        accepts(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    }
}

#[test]
fn what_the_reader_accepts_fits_and_what_it_refuses_by_form_does_not() {
    for (text, right) in [
        ("", true),
        ("# nothing", true),
        ("profile: '11.1'", true),
        ("profile: 11.1", false),
        ("machine: [-m, 64]", true),
        ("machine: -m", false),
        ("seed: -1", false),
        ("bsae: strict", false),
        ("base: strange", false),
        ("start: {seconds: 5, microseconds: 1}", true),
        ("start: {second: 5}", false),
        (
            "stubs: [{when: {execute: stop}, reply: {return: {}}}]",
            true,
        ),
        ("stubs: [{when: {execute: stop}}]", false),
        ("stubs: [{reply: {return: {}}}]", false),
        ("stubs: [{when: {}, pass: true}]", false),
        (
            "stubs: [{when: {execute: stop, hmp: x}, pass: true}]",
            false,
        ),
        ("stubs: [{when: {execute: stop}, pass: false}]", false),
        ("stubs: [{when: {execute: stop}, replies: []}]", false),
        (
            "stubs: [{when: {execute: stop}, hold: p, reply: {return: {}}}]",
            true,
        ),
        (
            "stubs: [{when: {execute: stop}, hold: p, pass: true}]",
            false,
        ),
        ("stubs: [{when: {execute: stop}, delay: 1.5s}]", true),
        ("stubs: [{when: {execute: stop}, delay: 0}]", true),
        ("stubs: [{when: {execute: stop}, delay: 3}]", false),
        ("stubs: [{when: {execute: stop}, delay: 3 parsec}]", false),
        (
            "stubs: [{when: {execute: stop}, then: [{event: STOP}]}]",
            true,
        ),
        (
            "stubs: [{when: {execute: stop}, then: [{delay: 1s}]}]",
            false,
        ),
        ("stubs: [{when: {execute: stop}, reply: {}}]", false),
        (
            "stubs: [{when: {execute: stop}, reply: {error: {class: X, desc: y}}}]",
            false,
        ),
        (
            "stubs: [{when: {execute: stop}, reply: {error: {class: GenericError}}}]",
            false,
        ),
        ("faults: [chop]", true),
        ("faults: [chopp]", false),
        (
            "faults: {chop: , storm: false, silent: {enabled: false}}",
            true,
        ),
        ("faults: {own: {at: output, do: {slice: random}}}", true),
        ("faults: {own: {at: output, do: {slice: 0}}}", false),
        ("faults: {own: {at: reply, do: {slice: 1}}}", false),
        (
            "faults: {own: {at: reply, do: [{send: half}, reset]}}",
            true,
        ),
        ("faults: {own: {at: reply, do: reset}}", true),
        ("faults: {own: {at: reply, do: delay}}", false),
        (
            "faults: {own: {at: reply, do: {events: 2, event: STOP}}}",
            true,
        ),
        ("faults: {own: {at: reply, do: {events: 2}}}", false),
        ("faults: {own: {at: reply}}", false),
        (
            "faults: {own: {at: reply, do: {pad: 1MiB}, probability: 0.5}}",
            true,
        ),
        (
            "faults: {own: {at: reply, do: {pad: 1MiB}, probability: 2}}",
            false,
        ),
        (
            "expect: [{execute: stop, times: 1, follows: {execute: cont}}]",
            true,
        ),
        ("expect: [{never: {execute: stop}}, {connections: 1}]", true),
        ("expect: [{connections: 1, execute: stop}]", false),
    ] {
        let read = Scenario::read("t", text, None);
        let fits = accepts(text);
        assert_eq!(fits.is_ok(), right, "{text}: {fits:?}");
        assert_eq!(read.is_ok(), right, "{text}: {:?}", read.err());
    }
}
