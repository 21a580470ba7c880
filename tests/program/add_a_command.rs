//! Compares docs/add-a-command.md with the tree, and follows its steps.

use std::path::Path;

use crate::common::places::root;
use crate::common::{Client, Server};
use crate::package::{files_below, Package};

const PAGE: &str = include_str!("../../docs/add-a-command.md");

/// A place in a file that a step of the page changes. The page's diffs have
/// only additions.
struct Hunk {
    file: String,
    /// The text afterwards: context and additions.
    after: String,
    /// The text before: the context.
    before: String,
    /// The additions.
    added: String,
}

/// The code blocks of a section of the page, whose heading starts with
/// `number`, in the language.
fn blocks(number: &str, language: &str) -> Vec<&'static str> {
    let heading = format!("\n## {number}. ");
    let section = PAGE.split_once(&heading).expect("the section").1;
    let section = section.split("\n## ").next().unwrap_or(section);
    let fence = format!("```{language}\n");
    let blocks: Vec<_> = section
        .split(&fence)
        .skip(1)
        .map(|rest| rest.split_once("```").expect("the end of the block").0)
        .collect();
    assert!(!blocks.is_empty(), "step {number} has {language}");
    blocks
}

/// The changes that a step makes.
fn hunks(step: &str) -> Vec<Hunk> {
    let mut hunks = Vec::new();
    for block in blocks(step, "diff") {
        let mut parts = block.split("@@\n");
        let file = parts.next().and_then(|head| head.strip_prefix("+++ "));
        let file = file.expect("a diff names its file").trim_end();
        for part in parts {
            let mut hunk = Hunk {
                file: file.to_owned(),
                after: String::new(),
                before: String::new(),
                added: String::new(),
            };
            for line in part.lines() {
                let (sign, text) = line.split_at(1);
                hunk.after += &format!("{text}\n");
                match sign {
                    "+" => hunk.added += &format!("{text}\n"),
                    " " => hunk.before += &format!("{text}\n"),
                    _ => panic!("neither context nor addition: {line}"),
                }
            }
            hunks.push(hunk);
        }
    }
    hunks
}

/// What a step adds to a file, hunk by hunk.
fn added(step: &str, file: &str) -> Vec<String> {
    let hunks = hunks(step).into_iter().filter(|h| h.file == file);
    hunks.map(|h| h.added).collect()
}

#[test]
fn the_steps_are_all_there_is_of_the_command_in_the_tree() {
    let root = root();
    let mut steps: Vec<Hunk> = ["1", "2", "4"].into_iter().flat_map(hunks).collect();
    let rooms = ["src", "crates/machine/src", "crates/schema"];
    for path in rooms.iter().flat_map(|room| files_below(&root.join(room))) {
        let mut text = std::fs::read_to_string(&path).expect("text");
        let name = path.strip_prefix(root).expect("below the root");
        for hunk in &steps {
            if Path::new(&hunk.file) == name {
                let found = text.matches(&hunk.after).count();
                assert_eq!(found, 1, "{}:\n{}", hunk.file, hunk.after);
                text = text.replace(&hunk.after, &hunk.before);
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
    let schema = added("1", "crates/schema/machine/machine.json").concat();
    let schema = format!("##\n# = The machine\n##\n{schema}");
    let package = |name, program: &str| {
        let mut package = Package::new(name, "machine.json");
        package.write("machine.json", &schema);
        package.write("src/main.rs", program);
        package
    };
    let step_1 = package("add-a-command-1", &program("", "", "", "", ""));
    let said = step_1.build().expect_err("a command without a handler");
    let documented = blocks("1", "text").concat();
    assert!(said.contains(documented.trim_end()), "{said}");
    let errors = said.lines().filter(|line| line.starts_with("error["));
    assert_eq!(errors.count(), 1, "{said}");

    // Step 2, and step 3 works.
    let state = &added("2", "crates/machine/src/model/machine.rs").concat();
    let init = &added("2", "crates/machine/src/model/options.rs").concat();
    let command = added("2", "crates/machine/src/commands/machine.rs").concat();
    let step_2 = package("add-a-command-2", &program(state, init, &command, "", ""));
    step_2.build().unwrap_or_else(|e| panic!("{e}"));
    let server = Server::start_program(&step_2.program(), &["{dir}"]);
    let mut client = server.connect();
    play_qmp(&mut client);
    drop(client);
    let mut hmp = human(&server);
    let said = answer(&mut hmp, "qmp-test 80");
    assert_eq!(said, "unknown command: 'qmp-test'\n", "step 4 is missing");

    // Step 4.
    let twin = added("4", "crates/machine/src/commands/machine.rs");
    let [pair, twin] = &twin[..] else {
        panic!("a row with its function's name, and the function: {twin:?}");
    };
    let whole = program(state, init, &command, pair, twin);
    let step_4 = package("add-a-command-4", &whole);
    step_4.build().unwrap_or_else(|e| panic!("{e}"));
    let server = Server::start_program(&step_4.program(), &["{dir}"]);
    play_qmp(&mut server.connect());
    play_hmp(&mut human(&server));
}

#[test]
fn the_program_does_what_the_page_shows() {
    let server = Server::start(&["-monitor", "unix:{dir}/h,server=on,wait=off"]);
    play_qmp(&mut server.connect());
    play_hmp(&mut human(&server));
}

/// Plays step 3: a person types the lines that start with `{"exec`.
#[track_caller]
fn play_qmp(client: &mut Client) {
    let block = blocks("3", "console").concat();
    let mut lines = block.lines();
    let shell = lines.next().expect("a command line");
    assert!(shell.starts_with("$ nc -U "), "{shell}");
    for line in lines {
        match line.starts_with("{\"exec") {
            true => client.send(format!("{line}\n")),
            false => assert_eq!(client.line(), line),
        }
    }
}

/// Plays step 4's session.
#[track_caller]
fn play_hmp(client: &mut Client) {
    let block = blocks("4", "console").concat();
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
