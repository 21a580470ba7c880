//! The table of options and their parameters: recorded from QEMU, and what the program
//! answers.
//!
//! `QMONITOR_RECORD=1 cargo test --test program option_table` records it anew from
//! `qemu-system-x86_64` 10.0.2 (Debian's package qemu-system-x86).

use crate::common::places::root;
use crate::common::Server;
use serde_json::{json, Value};
use std::io::Write;
use std::process::{Command, Stdio};

const HEAD: &str = "\
//! The options of QEMU 10.0.2 with their parameters, in the order of its reply to
//! `query-command-line-options`. The test `option_table` records them.

use qmonitor::monitor::OptionGroup;
use qmonitor::util::qemu_opts::QemuOptType::{Bool, Number, Size, String as Str};

pub(super) static OPTION_GROUPS: &[OptionGroup] = &[
";

/// The source of the table that answers this. A reply lists parameters from the last to
/// the first.
fn table_of(reply: &Value) -> String {
    let mut text = HEAD.to_owned();
    for group in reply.as_array().unwrap() {
        let name = group["option"].as_str().unwrap();
        text += &format!("    OptionGroup {{\n        name: {name:?},\n        parameters: &[\n");
        for parameter in group["parameters"].as_array().unwrap().iter().rev() {
            let kind = match parameter["type"].as_str().unwrap() {
                "boolean" => "Bool",
                "number" => "Number",
                "size" => "Size",
                _ => "Str",
            };
            let name = parameter["name"].as_str().unwrap();
            text += &format!("            ({name:?}, {kind}),\n");
        }
        text += "        ],\n    },\n";
    }
    text + "];\n"
}

/// What QEMU replies, if this version of it is installed.
fn reply_of_qemu() -> Option<Value> {
    let program = "qemu-system-x86_64";
    let version = Command::new(program).arg("-version").output().ok()?.stdout;
    if !String::from_utf8_lossy(&version).contains("version 10.0.2 ") {
        return None;
    }
    let options = "-M none -nodefaults -display none -qmp stdio";
    let mut qemu = Command::new(program)
        .args(options.split(' '))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = qemu.stdin.take().unwrap();
    for command in ["qmp_capabilities", "query-command-line-options", "quit"] {
        writeln!(stdin, "{}", json!({ "execute": command })).unwrap();
    }
    let output = qemu.wait_with_output().unwrap().stdout;
    let lines = output.split(|byte| *byte == b'\n').skip(2);
    let mut replies = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    Some(replies.next().unwrap()["return"].take())
}

#[test]
fn the_table_of_options_is_that_of_qemu() {
    let path = root().join("crates/machine/src/system/option_table.rs");
    if let Some(reply) = reply_of_qemu() {
        let fresh = table_of(&reply);
        if std::env::var_os("QMONITOR_RECORD").is_some() {
            return std::fs::write(path, fresh).unwrap();
        }
        assert!(fresh == std::fs::read_to_string(&path).unwrap(), "{fresh}");
    }
    let server = Server::start(&[]);
    let reply = server.qmp().ask("query-command-line-options");
    assert_eq!(reply.as_array().unwrap().len(), 36);
    assert_eq!(table_of(&reply), std::fs::read_to_string(path).unwrap());
    for (option, answers) in [("drive", 1), ("", 1)] {
        let arguments = json!({ "option": option });
        let reply = server
            .qmp()
            .ask_with("query-command-line-options", arguments);
        assert_eq!(reply.as_array().unwrap().len(), answers, "{option}");
    }
}
