//! The pages about the kit, played.

use std::path::{Path, PathBuf};
use std::process::Command;

use qmonitor_testkit::scenario::Scenario;
use qmonitor_testkit::serde_json::{from_str, json, Value};

use crate::process::{Client, Process, PROGRAM};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub fn page() -> String {
    std::fs::read_to_string(root().join("docs/testing.md")).expect("the page")
}

/// The blocks of a page in this language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let parts = page.split(&start).skip(1);
    parts
        .map(|rest| rest.split("```").next().unwrap_or(rest).to_owned())
        .collect()
}

#[test]
fn scenarios_of_the_page_are_right() {
    let page = page();
    let blocks = blocks(&page, "yaml");
    assert!(blocks.len() >= 4);
    for block in blocks {
        if let Err(problems) = Scenario::read("testing.md", &block, None) {
            panic!("{block}\n{}", problems[0]);
        }
    }
}

/// Plays a session: `->` is sent, `<-` comes, whatever the version of the package.
pub fn play(client: &mut Client, session: &str) {
    for line in session.lines() {
        if let Some(sent) = line.strip_prefix("-> ") {
            client.send(&format!("{sent}\n"));
        } else if let Some(expected) = line.strip_prefix("<- ") {
            let expected: Value = from_str(expected).expect("JSON");
            loop {
                let got = client.recv().expect("a message");
                // What the channel tells of the mock stands between the replies.
                if got.get("event").is_none() {
                    assert_eq!(got, expected);
                    break;
                }
            }
        }
    }
}

#[test]
fn the_first_scenario_goes_as_the_page_says() {
    let page = page();
    let mock = Process::start(&blocks(&page, "yaml")[0], &[]);
    let mut client = Client::connect(&mock.path("q"));
    play(&mut client, &blocks(&page, "session")[0]);
    let mut control = Client::connect(&mock.path("c"));
    control.recv();
    play(&mut control, &blocks(&page, "control")[0]);
    assert_eq!(client.event("DEVICE_DELETED")["data"]["device"], "d0");
}

#[test]
fn a_failing_run_looks_as_the_page_shows() {
    let page = page();
    let shown = &blocks(&page, "text")[0];
    let scenario = "expect: [{execute: device_del, arguments: {id: d0}}]";
    let mock = Process::start(scenario, &[]);
    let mut client = mock.client();
    client.send("{\"execute\": \"device_del\", \"arguments\": {\"id\": \"d1\"}}");
    client.recv();
    mock.control().call("quit", json!({}));
    let dir = mock.dir.path().display().to_string();
    let (status, told) = mock.wait();
    assert_eq!(status, Some(1));
    let told = told.replace(&format!("{dir}/s.yaml"), "unplug.yaml");
    let told = told.replace(&format!("{dir}/q"), "/tmp/q");
    assert_eq!(&told, shown);
}

/// Whether a program of the toolchain is there; says so if it is not.
fn is_there(program: &str, version: &str) -> bool {
    let is_there = Command::new(program).arg(version).output().is_ok();
    if !is_there {
        eprintln!("skipped: there is no {program}");
    }
    is_there
}

/// Runs an example to its end.
fn succeeds(command: &mut Command) {
    let output = command.env("QMONITOR_MOCK", PROGRAM).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
}

/// The example in this language.
fn example(language: &str) -> String {
    let example = blocks(&page(), language).remove(0);
    assert!(example.lines().count() <= 60, "{language}");
    example
}

#[test]
fn the_example_in_python_runs() {
    if is_there("python3", "--version") {
        succeeds(Command::new("python3").args(["-c", &example("python")]));
    }
}

#[test]
fn the_example_in_javascript_runs() {
    if is_there("node", "--version") {
        succeeds(Command::new("node").args(["-e", &example("js")]));
    }
}

#[test]
fn the_example_in_go_runs() {
    if !is_there("go", "version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("main.go"), example("go")).unwrap();
    let mut go = Command::new("go");
    let cache = dir.path().join("cache");
    succeeds(
        go.args(["run", "main.go"])
            .current_dir(&dir)
            .env("GOCACHE", cache),
    );
}

#[test]
fn the_example_in_c_runs() {
    if !is_there("cc", "--version") {
        return;
    }
    let mock = Process::start("{}", &[]);
    let dir = mock.dir.path();
    std::fs::write(dir.join("test.c"), example("c")).unwrap();
    let flags = ["-Wall", "-Wextra", "-Werror", "-o", "test", "test.c"];
    succeeds(Command::new("cc").args(flags).current_dir(dir));
    succeeds(Command::new(dir.join("test")).current_dir(dir));
    assert_eq!(mock.wait().0, Some(0));
}
