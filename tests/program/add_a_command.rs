//! Compares docs/add-a-command.md with the tree, and follows its steps.

use std::path::Path;

use qmonitor_qapi::schema::{self, manual, SchemaDirs};

use crate::common::places::root;
use crate::common::{Client, Server};
use crate::package::{files_below, Package};
use crate::steps::{Hunk, Page};

const PAGE: Page = Page(include_str!("../../docs/add-a-command.md"));

#[test]
fn the_steps_are_all_there_is_of_the_command_in_the_tree() {
    let root = root();
    let mut steps: Vec<Hunk> = ["1", "2", "4"]
        .into_iter()
        .flat_map(|step| PAGE.hunks(step))
        .collect();
    let rooms = ["src", "crates/machine/src", "crates/schema"];
    for path in rooms.iter().flat_map(|room| files_below(&root.join(room))) {
        let mut text = std::fs::read_to_string(&path).expect("text");
        let name = path.strip_prefix(root).expect("below the root");
        for hunk in &steps {
            if Path::new(&hunk.file) == name {
                text = hunk.take_out(&text);
            }
        }
        steps.retain(|hunk| Path::new(&hunk.file) != name);
        for word in ["qmp-test", "qmp_test", "QMP_TEST", "test_value"] {
            // An example may give a socket this name.
            let left = text.replace("/tmp/qmp-test", "").contains(word);
            assert!(!left, "{}: {word} is in no step", name.display());
        }
    }
    let unknown: Vec<_> = steps.iter().map(|hunk| &hunk.file).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_reference_is_what_step_5_prints() {
    let line = PAGE.blocks("5", "sh").concat();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [.., "--", "doc", file, "-I", dir, ">", page] = words[..] else {
        panic!("{line}");
    };
    let (name, src) = dir.split_once('=').expect("NAME=DIR");
    let mut dirs = SchemaDirs::default();
    dirs.add(name, root().join(src));
    let schema = schema::load_in(&root().join(file), &dirs).unwrap_or_else(|e| panic!("{e}"));
    let page = std::fs::read_to_string(root().join(page)).expect("the page");
    assert!(manual::manual(&schema) == page, "run this: {line}");
}

/// The program in which the test follows the steps: their surroundings in the
/// tree, and as little else as possible.
fn program(state: &str, init: &str, command: &str, pair: &str, twin: &str) -> String {
    format!(
        r#"#![allow(dead_code, unused_imports, unused_variables)]
use qmonitor::monitor::hmp::ArgKind::*;
use qmonitor::monitor::hmp::{{Hmp, HmpArg, HmpArgs, HmpPair, HmpRow}};
use qmonitor::monitor::MonitorMode;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

mod schema {{
    include!(concat!(env!("OUT_DIR"), "/machine.rs"));
}}
use schema::MachineCommands;

type Cx<'a, 'b> = &'a mut Hmp<'b, Machine>;

struct Machine {{
{state}}}

impl MachineCommands for Machine {{
{command}}}

const COMMANDS: &[HmpPair<Machine>] = &[
{pair}];

{twin}
fn main() -> Result<(), Box<dyn std::error::Error>> {{
    let dir = std::env::args().nth(1).ok_or("which directory?")?;
    let mut rt = Runtime::new(Machine {{
{init}    }})?;
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt.hmp_mut().table.extend(COMMANDS.iter().copied());
    rt.monitor_parse(&format!("unix:{{dir}}/q,server=on,wait=off"), MonitorMode::Control, false)?;
    rt.monitor_parse(&format!("unix:{{dir}}/h,server=on,wait=off"), MonitorMode::Readline, false)?;
    std::process::exit(rt.run()?)
}}
"#
    )
}

#[test]
fn the_steps_make_the_command() {
    // Step 1 alone: the build names what is missing.
    let schema = PAGE
        .added("1", "crates/schema/machine/machine.json")
        .concat();
    let schema = format!("##\n# = The machine\n##\n{schema}");
    let package = |name, program: &str| {
        let mut package = Package::new(name, "machine.json");
        package.write("machine.json", &schema);
        package.write("src/main.rs", program);
        package
    };
    let step_1 = package("add-a-command-1", &program("", "", "", "", ""));
    let said = step_1.build().expect_err("a command without a handler");
    let documented = PAGE.blocks("1", "text").concat();
    assert!(said.contains(documented.trim_end()), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error["));
    assert_eq!(errors.count(), 1, "{said}");

    // Step 2, and step 3 works.
    let state = &PAGE
        .added("2", "crates/machine/src/model/machine.rs")
        .concat();
    let init = &PAGE
        .added("2", "crates/machine/src/model/options.rs")
        .concat();
    let command = PAGE
        .added("2", "crates/machine/src/commands/machine.rs")
        .concat();
    let step_2 = package("add-a-command-2", &program(state, init, &command, "", ""));
    step_2.build().unwrap_or_else(|e| panic!("{e}"));
    let server = Server::start_program(&step_2.program(), &["{dir}"]);
    let mut client = server.connect();
    PAGE.play_qmp("3", &mut client);
    drop(client);
    let mut hmp = human(&server);
    let said = answer(&mut hmp, "qmp-test 80");
    assert_eq!(said, "unknown command: 'qmp-test'\n", "step 4 is missing");

    // Step 4.
    let twin = PAGE.added("4", "crates/machine/src/commands/machine.rs");
    let [pair, twin] = &twin[..] else {
        panic!("a row with its function's name, and the function: {twin:?}");
    };
    let whole = program(state, init, &command, pair, twin);
    let step_4 = package("add-a-command-4", &whole);
    step_4.build().unwrap_or_else(|e| panic!("{e}"));
    let server = Server::start_program(&step_4.program(), &["{dir}"]);
    PAGE.play_qmp("3", &mut server.connect());
    play_hmp(&mut human(&server));
}

#[test]
fn the_program_does_what_the_page_shows() {
    let server = Server::start(&["-monitor", "unix:{dir}/h,server=on,wait=off"]);
    PAGE.play_qmp("3", &mut server.connect());
    play_hmp(&mut human(&server));
}

/// Plays step 4's session.
#[track_caller]
fn play_hmp(client: &mut Client) {
    let block = PAGE.blocks("4", "console").concat();
    for part in block.split("(qemu) ").skip(1) {
        let (line, said) = part.split_once('\n').expect("a line");
        assert_eq!(answer(client, line), said, "{line}");
    }
}

/// A client of the human monitor on the socket `h`, at its prompt.
#[track_caller]
fn human(server: &Server) -> Client {
    let mut client = Client::connect(&server.path("h"));
    client.until("(qemu) ");
    client
}

/// The output of the human monitor for a typed line.
#[track_caller]
fn answer(client: &mut Client, line: &str) -> String {
    client.send(format!("{line}\n"));
    let all = client.until("(qemu) ");
    // The line's echo, which is redrawn with each key, ends with the first CR LF.
    let (_, said) = all.split_once("\r\n").expect("the echo");
    let said = said.strip_suffix("(qemu) ").unwrap_or(said);
    said.replace("\r\n", "\n")
}
