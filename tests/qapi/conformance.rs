//! Compares the schema compiler with QEMU 10.0.2's generator.
//!
//! The cases live outside the repository: in `$QMONITOR_CONFORMANCE/qapi` or
//! `../shared/conformance/qapi`; without them there is nothing to compare with
//! and the tests say so.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use qmonitor_qapi::schema::{self, dump, introspect, Schema, SchemaDirs, SchemaError};
use serde_json::Value;

use crate::canonical::{is_root, Types};
use crate::recorded_schema::to_schema;

fn conformance() -> Option<PathBuf> {
    let base = crate::recordings::conformance();
    let directory = base.join("qapi");
    if directory.is_dir() {
        return Some(directory);
    }
    eprintln!("skipped: no conformance data in {}", directory.display());
    None
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("an array")
}

fn string(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Loads a schema as if its directory were the current one.
fn load_in(directory: &Path, file: &str) -> Result<Schema, SchemaError> {
    schema::load_with(Path::new(file), &SchemaDirs::default(), &mut |path| {
        std::fs::read(directory.join(path))
    })
}

fn show(schema: &Schema, defined: &[&str], unmask: bool) -> String {
    let options = introspect::Options {
        defined: &|name| defined.contains(&name),
        unmask,
    };
    introspect::introspect(schema, &options)
}

#[test]
fn verdicts_texts_and_dumps_of_all_cases() {
    let Some(directory) = conformance() else {
        return;
    };
    let cases = directory.join("cases");
    let index = json(&directory.join("cases.json"));
    let mut wrong = Vec::new();
    for case in array(&index) {
        let name = string(&case["case"]);
        let expected = std::fs::read_to_string(cases.join(format!("{name}.err"))).unwrap();
        let (error, dump) = match load_in(&cases, &format!("{name}.json")) {
            Ok(schema) => (String::new(), dump::dump(&schema)),
            Err(error) => (format!("{error}\n"), String::new()),
        };
        if error != expected {
            wrong.push(format!("{name}: got {error:?}, not {expected:?}"));
        }
        if case["verdict"] == "accept" {
            let expected = std::fs::read_to_string(cases.join(format!("{name}.out"))).unwrap();
            if dump != expected {
                wrong.push(format!("{name}: dumped\n{dump}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn introspection_of_all_cases() {
    let Some(directory) = conformance() else {
        return;
    };
    let directory = directory.join("introspect");
    let mut compared = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = file.strip_suffix(".expect.json") else {
            continue;
        };
        let schema = load_in(&directory, &format!("{name}.json")).unwrap();
        for case in array(&json(&path)) {
            let defined: Vec<&str> = array(&case["defines"]).iter().map(string).collect();
            let text = show(&schema, &defined, case["unmask"] == true);
            let got: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(got, case["schema"], "{name} with {defined:?}");
            compared += 1;
        }
    }
    assert!(compared > 0);
}

#[test]
fn what_qemu_answers_can_be_turned_into_a_schema_and_back() {
    let Some(directory) = conformance() else {
        return;
    };
    for file in ["qemu-10.0.2-none-schema.json", "qsd-10.0.2-schema.json"] {
        let reply = json(&directory.join(file));
        let recorded = array(reply.get("return").unwrap_or(&reply));
        let text = to_schema(recorded);
        let start = Instant::now();
        let schema = schema::load_text(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let shown = show(&schema, &[], false);
        let elapsed = start.elapsed();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let roots = recorded.iter().filter(|entry| is_root(entry));
        let canonical = Types::of(recorded).canonical(roots);
        assert_eq!(array(&shown), canonical, "{file}");
        // Far more than an unoptimised build needs on a slow machine.
        assert!(elapsed < Duration::from_secs(5), "{file}: {elapsed:?}");
    }
}
