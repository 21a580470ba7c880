//! Compares docs/add-a-backend.md with the tree, and follows its steps.

use crate::common::places::root;
use crate::common::{Client, Server};
use crate::package::{files_below, Package};
use crate::steps::{Hunk, Page};

const PAGE: Page = Page(include_str!("../../docs/add-a-backend.md"));

/// The code of the library, without its tests. The short forms of `-serial`, QEMU's table,
/// name kinds of backends whether they exist or not, and so does the table of what versions
/// of QEMU do differently.
fn is_tests_or_table(name: &str) -> bool {
    let tables = ["options/compat.rs", "qapi/profile.rs"];
    name.contains("/tests/") || tables.iter().any(|table| name.ends_with(table))
}

#[test]
fn the_steps_are_all_there_is_of_the_backend_in_the_library() {
    let root = root();
    let mut steps: Vec<Hunk> = ["1", "2", "3"]
        .into_iter()
        .flat_map(|step| PAGE.hunks(step))
        .collect();
    for path in files_below(&root.join("src")) {
        let mut text = std::fs::read_to_string(&path).expect("text");
        let name = path.strip_prefix(root).expect("below the root");
        let name = name.to_str().expect("UTF-8");
        if is_tests_or_table(name) {
            continue;
        }
        for hunk in steps.iter().filter(|hunk| hunk.file == name) {
            text = hunk.take_out(&text);
        }
        steps.retain(|hunk| hunk.file != name);
        let left = text.to_lowercase().contains("testdev");
        assert!(!left, "{name}: testdev is in no step");
    }
    let unknown: Vec<_> = steps.iter().map(|hunk| &hunk.file).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_program_does_what_the_page_shows() {
    let server = Server::start(&["-chardev", "testdev,id=a"]);
    PAGE.play_qmp("3", &mut server.connect());
}

#[test]
fn a_package_of_its_own_has_the_backend_that_it_registers() {
    let mut package = Package::new("add-a-backend", "tally.json");
    package.write("tally.json", &PAGE.blocks("4", "json").concat());
    let code = PAGE.blocks("4", "rust");
    let [tally, main] = code[..] else {
        panic!("the backend and the program: {code:?}");
    };
    package.write("src/tally.rs", tally);
    package.write("src/main.rs", main);
    package.build().unwrap_or_else(|e| panic!("{e}"));
    let server = Server::start_program(&package.program(), &["tally,id=a,start=5"]);
    let mut client = server.connect();
    PAGE.play_qmp("4", &mut client);
    expect_tallies(&mut client);
}

/// It is in all lists but the schema's.
fn expect_tallies(client: &mut Client) {
    let text = client.ask("query-chardev").to_string();
    for name in ["tally:5", "tally:7"] {
        assert!(text.contains(name), "{text}");
    }
    let kinds = client.ask("query-chardev-backends").to_string();
    assert!(kinds.contains("\"tally\""), "{kinds}");
    let schema = client.ask("query-qmp-schema").to_string();
    assert!(!schema.contains("tally"));
}
