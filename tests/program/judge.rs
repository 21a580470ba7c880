//! The judge for servers of students (`exercises/judge`).

use std::process::{Command, Output};

use crate::common::places::root;

/// A server that answers each line and knows no mode.
const HASTY: &str = r#"
import json, sys
version = {"qemu": {"major": 1, "minor": 0, "micro": 0}, "package": ""}
print(json.dumps({"QMP": {"version": version, "capabilities": []}}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    value = {} if request["execute"] == "qmp_capabilities" else version
    print(json.dumps({"return": value}), flush=True)
"#;

/// What the judge says of a server, or nothing where there is no Python.
#[track_caller]
fn judge(stage: &str, server: &[&str]) -> Option<Output> {
    let judge = root().join("exercises/judge");
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return None;
    }
    let output = Command::new(judge)
        .args([stage, "--"])
        .args(server)
        .output();
    Some(output.expect("the judge runs"))
}

#[track_caller]
fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn this_program_passes_every_stage() {
    let program = env!("CARGO_BIN_EXE_qmonitor");
    let on_socket = ["-nodefaults", "-qmp", "unix:{socket},server=on,wait=off"];
    let on_pipes = ["-nodefaults", "-qmp", "stdio"];
    for (args, end) in [
        (on_socket, "66 passed, 0 failed, 0 skipped\n"),
        (on_pipes, "64 passed, 0 failed, 2 skipped\n"),
    ] {
        let server = [&[program][..], &args].concat();
        let Some(output) = judge("all", &server) else {
            return;
        };
        let told = text(&output);
        assert!(told.ends_with(end), "{told}");
        assert!(output.status.success());
    }
}

#[test]
fn a_wrong_server_is_told_what_was_sent_expected_and_came() {
    let Some(output) = judge("all", &["python3", "-c", HASTY]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output);
    for line in [
        "ok   1.2 The version has three numbers and a package",
        "FAIL 2.2 Other commands are not found before it",
        "     sent      {\"execute\": \"query-version\"}",
        "     expected  {\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"$string\"}}",
        "     so        the message has no member 'error'",
        "     spec      \"Capabilities Negotiation\",",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n{told}");
    }
    assert!(!told.contains("Stage 3"), "it ends with the stage: {told}");
}

#[test]
fn a_server_that_does_not_start_is_no_failure_of_its_own() {
    let missing = judge("1", &["sh", "-c", "echo no port >&2; exit 3 # {socket}"]);
    let Some(output) = missing else { return };
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("the server ended with status 3"), "{told}");
    assert!(told.ends_with("\n    no port\n"), "{told}");
}

/// The sections of QEMU's "QMP specification" that cases name.
const SECTIONS: &[&str] = &[
    "Asynchronous events",
    "Capabilities",
    "Capabilities Negotiation",
    "Commands Responses",
    "Compatibility Considerations",
    "Error",
    "Forcing the JSON parser into known-good state",
    "General Definitions",
    "Issuing Commands",
    "Out-of-band execution",
    "Protocol Specification",
    "Server Greeting",
    "Success",
];

#[test]
fn each_case_has_a_reason_and_a_section_of_the_specification() {
    let stages = std::fs::read_dir(root().join("exercises/stages")).expect("the stages");
    let mut cases = 0;
    for stage in stages {
        let path = stage.expect("an entry").path();
        let page = std::fs::read_to_string(&path).expect("text");
        for case in page.split("\n## ").skip(1) {
            let place = format!("{}: {}", path.display(), case.lines().next().unwrap_or(""));
            let spec = case.lines().find_map(|line| line.strip_prefix("Spec: "));
            let spec = spec.unwrap_or_else(|| panic!("{place}: no section"));
            assert!(SECTIONS.contains(&spec), "{place}: {spec}");
            let reason = case.lines().nth(2).unwrap_or("");
            assert!(reason.ends_with(['.', '?']) || reason.len() > 60, "{place}");
            cases += 1;
        }
    }
    assert_eq!(cases, 66);
}
