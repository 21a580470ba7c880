//! Rules of the language, one row each: a schema and its error or outcome.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use super::model::{EntityKind, ModuleItem};
use super::{load, load_text, load_with, Schema, SchemaDirs, SchemaError};

/// Loads `main.json` from files in memory.
fn load_files(files: &[(&str, &str)]) -> Result<Schema, SchemaError> {
    let files: HashMap<PathBuf, &str> = files
        .iter()
        .map(|(name, text)| (PathBuf::from(name), *text))
        .collect();
    load_with(
        Path::new("main.json"),
        &SchemaDirs::default(),
        &mut |path| match files.get(path) {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
        },
    )
}

#[track_caller]
fn refused(text: &str) -> String {
    load_text(text).expect_err(text).to_string()
}

/// The message alone.
#[track_caller]
fn message(text: &str) -> String {
    let error = refused(text);
    let line = error.lines().find(|line| !line.contains(": In ")).unwrap();
    line.split_once(": ").unwrap().1.to_owned()
}

#[test]
fn definitions_on_their_own() {
    for (text, expected) in [
        (
            "{ 'struct': 'lamp', 'data': {} }",
            "name of struct must use CamelCase",
        ),
        (
            "{ 'struct': 'LampList', 'data': {} }",
            "struct name should not end in 'List'",
        ),
        (
            "{ 'event': 'On' }",
            "name of event must not use lowercase or '-'",
        ),
        (
            "{ 'command': 'a_b' }",
            "name of command must not use uppercase or '_'",
        ),
        (
            "{ 'command': 'a', 'data': { 'u': 'int' } }",
            "'data' member 'u' uses reserved name",
        ),
        (
            "{ 'command': 'a', 'data': [] }",
            "'data' should be an object or type name",
        ),
        (
            "{ 'command': 'a', 'data': { 'b': [] } }",
            "'data' member 'b': array type must contain single type name",
        ),
        (
            "{ 'command': 'a', 'gen': true }",
            "flag 'gen' may only use false value",
        ),
        (
            "{ 'command': 'a', 'boxed': true }",
            "'boxed': true requires 'data'",
        ),
        (
            "{ 'command': 'a', 'allow-oob': true, 'coroutine': true }",
            "flags 'allow-oob' and 'coroutine' are incompatible",
        ),
        (
            "{ 'enum': 'Kind', 'data': [ 'a b' ] }",
            "'data' member 'a b' has an invalid name",
        ),
        (
            "{ 'enum': 'Kind', 'data': [ '' ] }",
            "'data' member '' has an invalid name",
        ),
        (
            "{ 'alternate': 'Ref', 'data': {} }",
            "'data' must not be empty",
        ),
        (
            "{ 'alternate': 'Ref', 'data': false }",
            "'data' must not be empty",
        ),
        (
            "{ 'struct': 'Lamp', 'data': {}, 'if': 'a' }",
            "'if' condition 'a' of struct is not a valid identifier",
        ),
        (
            "{ 'struct': 'Lamp', 'data': {}, 'if': {} }",
            "'if' condition of struct has conflicting keys",
        ),
        (
            "{ 'struct': 'Lamp', 'data': {}, 'if': { 'all': [] } }",
            "'if' condition [] of struct is useless",
        ),
        (
            "{ 'struct': 'Lamp', 'data': {}, 'features': 'a' }",
            "'features' must be an array",
        ),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

#[test]
fn keys_are_listed_sorted() {
    assert_eq!(
        refused("{ 'union': 'Lamp', 'base': {} }"),
        "schema.json: In union 'Lamp':\nschema.json:1: union misses keys 'data', 'discriminator'"
    );
    assert_eq!(
        refused("{ 'struct': 'Lamp', 'data': {}, 'y': true, 'x': true }"),
        "schema.json: In struct 'Lamp':\n\
         schema.json:1: struct has unknown keys 'x', 'y'\n\
         Valid keys are 'base', 'data', 'features', 'if', 'struct'."
    );
}

#[test]
fn references() {
    const KIND: &str = "{ 'enum': 'Kind', 'data': [ 'led', 'wax' ] }";
    for (text, expected) in [
        ("{ 'command': 'a', 'data': 'Lamp' }", "command's 'data' uses unknown type 'Lamp'"),
        ("{ 'command': 'a', 'data': 'Kind' }", "command's 'data' cannot take enum type 'Kind'"),
        ("{ 'command': 'a', 'returns': 'Kind' }", "command's 'returns' cannot take enum type 'Kind'"),
        ("{ 'command': 'a', 'returns': [ 'int' ] }", "command's 'returns' cannot take array type ['int']"),
        ("{ 'struct': 'Aa', 'data': { 'b': [ 'Bb' ] } }", "struct uses unknown type 'Bb'"),
        ("{ 'struct': 'Aa', 'data': { 'b': [ 'intList' ] } }", "struct uses array of array type ['int']"),
        ("{ 'struct': 'Aa', 'base': 'Kind', 'data': {} }", "'base' requires a struct type, enum type 'Kind' isn't"),
        ("{ 'struct': 'Aa', 'base': 'Aa', 'data': {} }", "object Aa contains itself"),
        ("{ 'union': 'Un', 'base': { 'k': 'Kind' }, 'discriminator': 'l', 'data': {} }", "discriminator 'l' is not a member of 'base'"),
        ("{ 'union': 'Un', 'base': { '*k': 'Kind' }, 'discriminator': 'k', 'data': {} }", "discriminator member 'k' of 'base' must not be optional"),
        ("{ 'union': 'Un', 'base': { 'k': 'Kind' }, 'discriminator': 'k', 'data': { 'x': 'Un' } }", "branch 'x' is not a value of enum type 'Kind'"),
        ("{ 'union': 'Un', 'base': { 'k': 'Kind' }, 'discriminator': 'k', 'data': { 'led': 'Un' } }", "object Un contains itself"),
        ("{ 'alternate': 'Al', 'data': { 'a': 'str', 'b': 'int' } }", "branch 'b' can't be distinguished from 'a'"),
        ("{ 'alternate': 'Al', 'data': { 'a': 'any' } }", "branch 'a' cannot use built-in type 'any'"),
    ] {
        assert_eq!(message(&format!("{KIND}\n{text}")), expected, "{text}");
    }
}

#[test]
fn clashes() {
    assert_eq!(
        refused("{ 'command': 'a' }\n{ 'command': 'a' }"),
        "schema.json: In command 'a':\n\
         schema.json:2: 'a' is already defined\n\
         schema.json: In command 'a':\n\
         schema.json:1: previous definition"
    );
    let nested = "\
        { 'enum': 'Kind', 'data': [ 'led' ] }\n\
        { 'struct': 'Led', 'data': { 'volt': 'int' } }\n\
        { 'union': 'Inner', 'base': { 'k': 'Kind' }, 'discriminator': 'k', 'data': { 'led': 'Led' } }\n\
        { 'union': 'Outer', 'base': { 'l': 'Kind', 'volt': 'int' }, 'discriminator': 'l', 'data': { 'led': 'Inner' } }\n";
    assert_eq!(
        message(nested),
        "member 'volt' of type 'Led' collides with base member 'volt'"
    );
}

#[test]
fn documentation() {
    for (text, expected) in [
        (
            "##\n# @A:\n##\n",
            "documentation for 'A' is not followed by the definition",
        ),
        (
            "##\n# x\n##\n{ 'command': 'a' }",
            "definition documentation required",
        ),
        (
            "##\n# @b:\n##\n{ 'command': 'a' }",
            "documentation comment is for 'b'",
        ),
        (
            "##\n# @a:\n#\n# @x: y\n##\n{ 'command': 'a' }",
            "documented member 'x' does not exist",
        ),
        (
            "##\n# @a:\n##\n{ 'command': 'a', 'data': { 'x': 'int' } }",
            "member 'x' lacks documentation",
        ),
        (
            "##\n# @a:\n#\n# Since:\n##\n{ 'command': 'a' }",
            "text required after 'Since:'",
        ),
        (
            "##\n# @a:\n#\n# Returns: x\n##\n{ 'command': 'a' }",
            "'Returns' section, but command doesn't return anything",
        ),
        ("##\n# @a:\n#x\n##\n", "missing space after #"),
        (
            "##\n# @a:\n#\n# @x: y\n#     z\n#   z\n##\n",
            "unexpected de-indent (expected at least 4 spaces)",
        ),
        ("##\n# x", "documentation comment must end with '##'"),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}

#[test]
fn documentation_is_cut_into_parts() {
    let text = "##\n# @a:\n#\n# One.\n#\n#\n# Two.\n#\n# @x: first\n#     more\n#\n#     para\n# Since: 1\n#\n\
                # Three.\n##\n{ 'command': 'a', 'data': { 'x': 'int' } }";
    let schema = load_text(text).unwrap();
    let doc = &schema.docs[0];
    assert_eq!(doc.symbol.as_deref(), Some("a"));
    assert_eq!(doc.body, "One.\n\nTwo.");
    assert_eq!(doc.args[0].text, "first\n    more\n\n    para");
    let sections: Vec<(&str, &str)> = doc
        .sections
        .iter()
        .map(|s| (s.name.as_str(), s.text.as_str()))
        .collect();
    assert_eq!(sections, [("Since", "1"), ("Plain", "Three.")]);
}

#[test]
fn includes_are_read_once_and_in_place() {
    let schema = load_files(&[
        (
            "main.json",
            "{ 'include': 'sub/a.json' }\n{ 'include': 'sub/b.json' }\n{ 'command': 'm' }",
        ),
        (
            "sub/a.json",
            "{ 'include': './b.json' }\n{ 'command': 'a' }",
        ),
        ("sub/b.json", "{ 'command': 'b' }"),
    ])
    .unwrap();
    let modules: Vec<&str> = schema.modules.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        modules,
        ["./builtin", "main.json", "sub/a.json", "sub/b.json"]
    );
    assert_eq!(schema.modules[1].items.len(), 3);
    let read: Vec<_> = schema.files.iter().map(|f| f.to_str().unwrap()).collect();
    assert_eq!(read, ["main.json", "sub/a.json", "sub/./b.json"]);
    let commands: Vec<&str> = schema
        .entities
        .iter()
        .filter(|e| matches!(e.kind, EntityKind::Command(_)))
        .map(|e| e.name.as_str())
        .collect();
    assert_eq!(commands, ["b", "a", "m"], "in order of reading");
}

#[test]
fn errors_in_included_files_show_the_way() {
    let error = load_files(&[
        ("main.json", "\n{ 'include': 'sub/a.json' }"),
        ("sub/a.json", "{ 'include': 'b.json' }"),
        ("sub/b.json", "{ 'include': '../main.json' }"),
    ]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "In file included from main.json:2:\n\
         In file included from sub/a.json:1:\n\
         sub/b.json:1: inclusion loop for ../main.json"
    );
    let error = load_files(&[("main.json", "{ 'include': 'sub/none.json' }")]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "main.json:1: can't read include file 'sub/none.json': no such file"
    );
}

#[test]
fn a_main_file_that_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("none.json");
    for (path, reason) in [
        (missing.as_path(), "No such file or directory"),
        (directory.path(), "Is a directory"),
    ] {
        assert_eq!(
            load(path).unwrap_err().to_string(),
            format!("can't read schema file '{}': {reason}", path.display())
        );
    }
}

#[test]
fn arrays_belong_to_their_element() {
    let schema = load_files(&[
        (
            "main.json",
            "{ 'include': 'a.json' }\n{ 'command': 'a', 'returns': [ 'Aa' ] }",
        ),
        ("a.json", "{ 'struct': 'Aa', 'data': {}, 'if': 'COND' }"),
    ])
    .unwrap();
    let array = schema.lookup("AaList").unwrap();
    assert_eq!(schema.modules[array.module.0].name, "a.json");
    assert!(!array.ifcond.is_always());
    assert!(schema.modules[2]
        .items
        .contains(&ModuleItem::Entity(schema.names["AaList"])));
}

#[test]
fn conditions_hold_or_not() {
    let text = "{ 'command': 'a', 'if': { 'all': [ 'A', { 'any': [ 'B', { 'not': 'C' } ] } ] } }";
    let schema = load_text(text).unwrap();
    let ifcond = &schema.lookup("a").unwrap().ifcond;
    for (defined, holds) in [
        (&[][..], false),
        (&["A"], true),
        (&["A", "C"], false),
        (&["A", "B", "C"], true),
    ] {
        assert_eq!(
            ifcond.holds(&|name| defined.contains(&name)),
            holds,
            "{defined:?}"
        );
    }
}

#[test]
fn long_chains_are_errors_and_no_overflow() {
    let mut text = String::new();
    for n in 0..20_000 {
        text.push_str(&format!(
            "{{ 'struct': 'Aa{n}', 'base': 'Aa{}', 'data': {{}} }}\n",
            n + 1
        ));
    }
    assert_eq!(message(&text), "types are nested too deeply");
    // Open files are on an explicit stack, so this has no limit.
    let schema = load_with(Path::new("0"), &SchemaDirs::default(), &mut |path| {
        let number: u32 = path.to_str().unwrap().parse().unwrap();
        Ok(match number {
            3000 => Vec::new(),
            _ => format!("{{ 'include': '{}' }}", number + 1).into_bytes(),
        })
    });
    assert_eq!(schema.unwrap().files.len(), 3001);
}

#[test]
fn nested_unions_cost_no_more_than_their_names() {
    // Each has two branches that both lead to the next: 2^60 paths.
    let mut text = "{ 'enum': 'Kind', 'data': [ 'a', 'b' ] }\n\
                    { 'struct': 'Un60', 'data': { 'x': 'int' } }\n"
        .to_owned();
    for n in 0..60 {
        let next = n + 1;
        text.push_str(&format!(
            "{{ 'union': 'Un{n}', 'base': {{ 'k{n}': 'Kind' }}, 'discriminator': 'k{n}', \
             'data': {{ 'a': 'Un{next}', 'b': 'Un{next}' }} }}\n"
        ));
    }
    assert!(load_text(&text).is_ok());
}

#[test]
fn an_include_of_another_package_is_found_by_its_name() {
    let files: HashMap<&Path, &str> = [
        (Path::new("main.json"), "{ 'include': 'other/a.json' }"),
        (Path::new("/x/../dir/a.json"), "{ 'include': 'sub/b.json' }"),
        (Path::new("/x/../dir/sub/b.json"), "{ 'command': 'b' }"),
    ]
    .into();
    let mut dirs = SchemaDirs::default();
    dirs.add("other", "/x/../dir");
    let schema = load_with(Path::new("main.json"), &dirs, &mut |path| {
        let text = files.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(text.as_bytes().to_vec())
    });
    let schema = schema.unwrap();
    let names: Vec<&str> = schema.modules.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(
        names,
        ["./builtin", "main.json", "other/a.json", "other/sub/b.json"]
    );
    assert!(schema.lookup("b").is_some());
}
