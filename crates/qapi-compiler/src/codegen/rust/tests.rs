//! Properties of the whole text. `tests/qapi/generated.rs` compiles such text and
//! tests its behaviour.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{condition_names, generate, Conditions, Options};
use crate::schema::{load_in, load_text, SchemaDirs};

fn schemas() -> Vec<(String, super::Schema)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut dirs = SchemaDirs::default();
    dirs.add("qmonitor", root.join("src"));
    let files = [
        "tests/qapi/kinds.json",
        "tests/qapi/arguments.json",
        "src/monitor/schema/monitor.json",
        "crates/schema/machine/machine.json",
        "examples/embed/embed.json",
    ];
    let mut schemas: Vec<_> = files
        .iter()
        .map(|file| (file.to_string(), load_in(&root.join(file), &dirs).unwrap()))
        .collect();
    schemas.push(("an empty schema".into(), load_text("").unwrap()));
    schemas
}

fn text_of(schema: &str) -> String {
    generate(&load_text(schema).unwrap(), &Options::default())
}

#[track_caller]
fn assert_contains(text: &str, part: &str) {
    assert!(text.contains(part), "no {part:?} in:\n{text}");
}

#[test]
fn the_text_is_as_rustfmt_would_have_it() {
    for (name, schema) in schemas() {
        let both = Options {
            client: true,
            ..Options::default()
        };
        let text = generate(&schema, &both);
        let rustfmt = Command::new("rustfmt")
            .args(["--check", "--edition", "2021", "--config-path", "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut rustfmt) = rustfmt else {
            eprintln!("skipped: no rustfmt");
            return;
        };
        let mut stdin = rustfmt.stdin.take().unwrap();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = rustfmt.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let diff = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name}:\n{diff}");
    }
}

#[test]
fn equal_schemas_give_equal_text() {
    for ((name, a), (_, b)) in schemas().into_iter().zip(schemas()) {
        let options = Options::default();
        assert_eq!(generate(&a, &options), generate(&b, &options), "{name}");
    }
}

const CONDITIONAL: &str = "
    { 'struct': 'Sun', 'if': { 'all': [ 'A', { 'not': 'B' } ] },
      'data': { '*m': { 'type': 'int', 'if': 'C' } } }
    { 'command': 'c', 'if': 'A' }";

#[test]
fn conditions_become_attributes() {
    let text = text_of(CONDITIONAL);
    assert_contains(&text, "    #[cfg(all(A, not(B)))]\n    #[derive(");
    assert_contains(&text, "        #[cfg(C)]\n        pub m: Option<i64>,");
    assert_contains(&text, "        #[cfg(A)]\n        cmds.register(");
    let names = condition_names(&load_text(CONDITIONAL).unwrap());
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["A", "B", "C"]);
}

#[test]
fn handlers_may_borrow_their_texts() {
    let schema = "{ 'command': 'c', 'data': { 'a': 'str', '*b': 'str', 'n': 'size' } }";
    let owned = text_of(schema);
    assert_contains(&owned, "a: String,");
    assert_contains(&owned, "S::qmp_c(rt, a, b, n)?;");
    let options = Options {
        borrowing: ["c".to_owned()].into(),
        ..Options::default()
    };
    let text = generate(&load_text(schema).unwrap(), &options);
    for part in [
        "a: &str,",
        "b: Option<&str>,",
        "let a = v.text(\"a\")?;",
        "let b = v.optional_text(\"b\")?;",
        "S::qmp_c(rt, &a, b.as_deref(), n)?;",
    ] {
        assert_contains(&text, part);
    }
    // Read by both ways, a size by its own visit in one of them.
    assert_contains(&text, "let n = v.member(\"n\")?;");
    assert_contains(&text, "let n = v.size(\"n\")?;");
}

#[test]
fn conditions_can_be_features_or_settled() {
    let schema = load_text(CONDITIONAL).unwrap();
    let with = |conditions| {
        let options = Options {
            conditions,
            ..Options::default()
        };
        generate(&schema, &options)
    };
    let text = with(Conditions::Feature);
    assert_contains(&text, "#[cfg(all(feature = \"A\", not(feature = \"B\")))]");
    let text = with(Conditions::Defined(["A".to_owned()].into()));
    assert!(!text.contains("cfg("), "{text}");
    assert_contains(&text, "pub struct Sun {}");
    assert_contains(&text, "fn qmp_c(");
    let text = with(Conditions::Defined(["A".to_owned(), "B".to_owned()].into()));
    assert!(!text.contains("struct Sun "), "{text}");
}

#[test]
fn only_a_type_that_contains_itself_is_boxed() {
    let text = text_of(
        "{ 'struct': 'Tree', 'data': { '*left': 'Tree', 'all': [ 'Tree' ] } }
         { 'struct': 'Holder', 'data': { 'tree': 'Tree' } }
         { 'enum': 'Kind', 'data': [ 'raw', 'null' ] }
         { 'union': 'Opts', 'base': { 'kind': 'Kind' }, 'discriminator': 'kind',
           'data': { 'raw': 'Raw' } }
         { 'struct': 'Raw', 'data': { 'file': 'Ref' } }
         { 'alternate': 'Ref', 'data': { 'name': 'str', 'def': 'Opts' } }",
    );
    assert_contains(&text, "pub left: Option<Box<Tree>>,");
    assert_contains(&text, "pub all: Vec<Tree>,");
    assert_contains(&text, "pub tree: Tree,");
    assert_contains(&text, "Raw(Raw),");
    assert_contains(&text, "pub file: Ref,");
    assert_contains(&text, "Def(Box<Opts>),");
}

#[test]
fn names_that_are_taken_are_avoided() {
    let text = text_of(
        "{ 'struct': 'String', 'data': { 'x': 'str', 'self': 'int' } }
         { 'struct': 'Commands', 'data': {} }",
    );
    assert_contains(&text, "pub x: ::std::string::String,");
    assert_contains(&text, "pub self_: i64,");
    assert_contains(&text, "pub trait Commands2: 'static {}");
}

#[test]
fn deferred_commands_are_given_a_responder() {
    let text = text_of(
        "{ 'pragma': { 'command-returns-exceptions': [ 'later' ] } }
         { 'command': 'later', 'data': { 'n': 'int' }, 'returns': 'int', 'coroutine': true }",
    );
    assert_contains(&text, "n: i64, responder: qapi::Responder<i64>);");
    assert_contains(
        &text,
        "func: qapi::QmpCommandFunc::Deferred(qmp_marshal_later::<S>),",
    );
    assert_contains(&text, "coroutine: true,");
}
