//! The schema compiler as a program: standard output, standard error, and the
//! exit status.

use std::path::Path;
use std::process::{Command, Output};

fn run(directory: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_qmonitor-qapi"))
        .current_dir(directory)
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// A directory with a good and a bad schema.
fn schemas() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text);
    write(
        "good.json",
        "{ 'command': 'a', 'if': 'A' }\n{ 'command': 'b', 'if': 'B', 'data': { 'x': 'Xy' } }\n\
         ##\n# @Xy:\n#\n# Text.\n##\n{ 'struct': 'Xy', 'data': {} }\n",
    )
    .unwrap();
    write("bad.json", "{ 'command': 'a', 'data': 'Lamp' }\n").unwrap();
    directory
}

#[test]
fn a_good_schema_is_taken_silently() {
    let schemas = schemas();
    let out = run(schemas.path(), &["check", "good.json"]);
    assert_eq!(out.status.code(), Some(0));
    assert_eq!((text(out.stdout), text(out.stderr)), Default::default());
}

#[test]
fn every_subcommand_reports_the_error_and_prints_nothing_else() {
    let schemas = schemas();
    for subcommand in ["check", "introspect", "doc", "rust", "dump"] {
        let out = run(schemas.path(), &[subcommand, "bad.json"]);
        assert_eq!(out.status.code(), Some(1), "{subcommand}");
        assert_eq!(text(out.stdout), "", "{subcommand}");
        assert_eq!(
            text(out.stderr),
            "bad.json: In command 'a':\nbad.json:1: command's 'data' uses unknown type 'Lamp'\n",
            "{subcommand}"
        );
    }
}

#[test]
fn a_missing_file_is_named() {
    let schemas = schemas();
    let out = run(schemas.path(), &["check", "none.json"]);
    assert_eq!(out.status.code(), Some(1));
    assert_eq!(
        text(out.stderr),
        "can't read schema file 'none.json': No such file or directory\n"
    );
}

#[test]
fn defined_names_may_stand_anywhere() {
    let schemas = schemas();
    for args in [
        &["introspect", "good.json", "-D", "B"][..],
        &["-DB", "introspect", "good.json"],
        &["introspect", "-D", "B", "good.json"],
    ] {
        let out = run(schemas.path(), args);
        assert_eq!(out.status.code(), Some(0), "{args:?}");
        let shown = text(out.stdout);
        assert!(shown.contains("\"name\": \"b\""), "{args:?}: {shown}");
        assert!(!shown.contains("\"name\": \"a\""), "{args:?}: {shown}");
        assert!(!shown.contains("Xy"), "masked: {shown}");
    }
    let out = run(
        schemas.path(),
        &["introspect", "--unmask", "good.json", "-DB"],
    );
    assert!(text(out.stdout).contains("\"Xy\""));
}

#[test]
fn back_ends_print() {
    let schemas = schemas();
    for (subcommand, expected) in [
        ("doc", "## `Xy` (struct)\n\nText.\n"),
        ("dump", "object Xy\ndoc symbol=Xy\n"),
    ] {
        let out = run(schemas.path(), &[subcommand, "good.json"]);
        assert_eq!(out.status.code(), Some(0), "{subcommand}");
        let shown = text(out.stdout);
        assert!(shown.contains(expected), "{subcommand}: {shown}");
    }
}

#[test]
fn wrong_usage_is_told_apart() {
    let schemas = schemas();
    for (args, message) in [
        (&[][..], "a subcommand and a file are required"),
        (&["check"], "a subcommand and a file are required"),
        (
            &["check", "good.json", "x"],
            "a subcommand and a file are required",
        ),
        (&["chek", "good.json"], "unknown subcommand 'chek'"),
        (&["check", "--foo", "good.json"], "unknown option '--foo'"),
        (
            &["introspect", "good.json", "-D"],
            "option '-D' requires a name",
        ),
        (
            &["check", "good.json", "-DA"],
            "options '-D' and '--unmask' are for 'introspect' only",
        ),
    ] {
        let out = run(schemas.path(), args);
        assert_eq!(out.status.code(), Some(2), "{args:?}");
        assert_eq!(text(out.stdout), "", "{args:?}");
        let shown = text(out.stderr);
        let first = shown.lines().next().unwrap_or_default();
        assert_eq!(first, format!("qmonitor-qapi: {message}"), "{args:?}");
    }
}

#[test]
fn help_is_no_error() {
    let schemas = schemas();
    let out = run(schemas.path(), &["--help"]);
    assert_eq!(out.status.code(), Some(0));
    assert!(text(out.stdout).starts_with("usage: qmonitor-qapi check"));
}
