//! Jobs on disks, played on `qemu-system-x86_64` 10.0.2 and on the program: both give the
//! same replies and events.

use std::path::Path;
use std::process::Command;

use serde_json::{json, Value};

use crate::common::{Client, Server};

/// A chain of three images and a file to copy to.
const IMAGES: &[&[&str]] = &[
    &["create", "-q", "-f", "qcow2", "base.qcow2", "8M"],
    &[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        "base.qcow2",
        "-F",
        "qcow2",
        "mid.qcow2",
    ],
    &[
        "create",
        "-q",
        "-f",
        "qcow2",
        "-b",
        "mid.qcow2",
        "-F",
        "qcow2",
        "top.qcow2",
    ],
    &["create", "-q", "-f", "raw", "t.raw", "8M"],
];

const DATA: &[(&str, &str)] = &[
    ("base.qcow2", "write -P 1 0 3M"),
    ("mid.qcow2", "write -P 2 1M 3M"),
    ("top.qcow2", "write -P 3 2M 1M"),
];

/// What is played: a command of each line, `KEY=VALUE` its arguments. After each, jobs get
/// time until the state or the event of the last word.
const SCENES: &[(&str, &[&str])] = &[
    (
        "a mirror that is completed",
        &[
            "blockdev-mirror job-id=j device=top target=t sync=full auto-dismiss=false : READY",
            "query-block-jobs",
            "job-finalize id=j",
            "job-pause id=j",
            "job-pause id=j",
            "block-job-cancel device=j",
            "job-resume id=j",
            "blockdev-mirror job-id=k device=top target=t sync=full",
            "block-stream job-id=k device=top",
            "blockdev-del node-name=top",
            "blockdev-del node-name=t",
            "blockdev-del node-name=mid",
            "job-complete id=j : concluded",
            "query-block-jobs",
            "job-cancel id=j",
            "job-dismiss id=j",
            "query-jobs",
            "blockdev-del node-name=t",
        ],
    ),
    (
        "a mirror that is left and one that is cancelled",
        &[
            "blockdev-mirror job-id=j device=top target=t sync=top : READY",
            "block-job-cancel device=j : null",
            "blockdev-mirror job-id=j device=top target=t sync=none : READY",
            "job-cancel id=j : null",
            "query-named-block-nodes flat=true",
        ],
    ),
    (
        "a stream",
        &[
            "block-stream job-id=j device=top base-node=base auto-finalize=false : PENDING",
            "query-block-jobs",
            "job-complete id=j",
            "job-finalize id=j : null",
            "query-named-block-nodes flat=true",
            "block-stream job-id=j device=top : null",
            "block-stream job-id=j device=top base-node=t",
            "block-stream job-id=j device=x",
            "query-named-block-nodes flat=true",
        ],
    ),
    (
        "commits",
        &[
            "block-commit job-id=j device=top top-node=mid base-node=base : null",
            "query-named-block-nodes flat=true",
            "block-commit job-id=j device=top top-node=base base-node=base",
            "block-commit job-id=j device=top base-node=base : READY",
            "block-job-cancel device=j : null",
            "block-commit job-id=j device=top base-node=base : READY",
            "job-complete id=j : null",
            "query-named-block-nodes flat=true",
        ],
    ),
    (
        "backups",
        &[
            "block-dirty-bitmap-add node=top name=b",
            "blockdev-backup job-id=j device=top target=t sync=full auto-dismiss=false : concluded",
            "query-jobs",
            "job-dismiss id=j",
            "blockdev-backup job-id=j device=top target=t sync=incremental",
            "blockdev-backup job-id=j device=top target=t sync=incremental bitmap=b : null",
            "blockdev-backup job-id=j device=top target=top sync=full",
            "blockdev-backup job-id=j device=top target=mid sync=full",
            "blockdev-backup job-id=j device=top target=t sync=full speed=-1",
        ],
    ),
    (
        "images",
        &[
            "blockdev-create job-id=j options.driver=qcow2 options.file=t options.size=1048576 : concluded",
            "query-jobs",
            "blockdev-create job-id=j options.driver=file options.filename=x options.size=1",
            "job-dismiss id=j",
            "blockdev-create job-id=j options.driver=qcow2 options.file=x options.size=1 : concluded",
            "query-jobs",
            "job-dismiss id=j",
            "x-blockdev-amend job-id=j node-name=top options.driver=qcow2 : concluded",
        ],
    ),
];

/// A program that plays, and its client.
struct Player {
    server: Server,
    client: Client,
}

impl Player {
    fn start(program: &Path) -> Self {
        let server = Server::start_program(
            program,
            &[
                "-nodefaults",
                "-display",
                "none",
                "-machine",
                "q35",
                "-S",
                "-qmp",
                "unix:{dir}/q,server=on,wait=off",
            ],
        );
        let dir = server.path("");
        let run = |program: &str, args: &[&str]| {
            let status = Command::new(program).args(args).current_dir(&dir).output();
            let status = status.expect("qemu-utils").status;
            assert!(status.success(), "{program} {args:?}");
        };
        for args in IMAGES {
            run("qemu-img", args);
        }
        for (image, command) in DATA {
            run("qemu-io", &["-f", "qcow2", "-c", command, image]);
        }
        let client = server.qmp();
        let mut player = Player { server, client };
        for (name, backing) in [("base", None), ("mid", Some("base")), ("top", Some("mid"))] {
            let filename = player.server.path(&format!("{name}.qcow2"));
            player.client.call(
                "blockdev-add",
                json!({
                    "driver": "qcow2",
                    "node-name": name,
                    "read-only": name != "top",
                    "file": {"driver": "file", "filename": filename, "node-name": format!("{name}f")},
                    "backing": backing,
                }),
            );
        }
        let filename = player.server.path("t.raw");
        player.client.call(
            "blockdev-add",
            json!({"driver": "file", "node-name": "t", "filename": filename}),
        );
        player
    }

    /// Plays a line, and returns the reply and the events until the last that is waited for.
    fn play(&mut self, line: &str) -> Vec<String> {
        let (words, until) = line
            .split_once(" : ")
            .map_or((line, None), |(w, u)| (w, Some(u)));
        let mut words = words.split(' ');
        let command = words.next().unwrap_or_default();
        let mut arguments = json!({});
        for word in words {
            let (key, value) = word.split_once('=').expect("KEY=VALUE");
            let value = serde_json::from_str(value).unwrap_or_else(|_| json!(value));
            match key.split_once('.') {
                Some((outer, inner)) => arguments[outer][inner] = value,
                None => arguments[key] = value,
            }
        }
        let message = json!({"execute": command, "arguments": arguments});
        self.client.send(format!("{message}\n"));
        let mut told = Vec::new();
        let (mut replied, mut reached) = (false, until.is_none());
        let mut events = Vec::new();
        while !replied || !reached {
            let message = self.client.message();
            match message.get("event") {
                Some(event) => {
                    let status = message["data"]["status"].as_str();
                    let name = event.as_str().and_then(|e| e.strip_prefix("BLOCK_JOB_"));
                    reached |= until.is_some() && (status == until || name == until);
                    events.push(format!("{event} {}", message["data"]));
                }
                None => {
                    replied = true;
                    told.push(self.plain(&message));
                }
            }
            // A job that cannot start has no states.
            reached |= message.get("error").is_some();
        }
        told.append(&mut events);
        told
    }

    /// A reply without what differs from run to run.
    fn plain(&self, reply: &Value) -> String {
        let mut reply = reply.clone();
        forget(&mut reply);
        let dir = self.server.path("").display().to_string();
        reply.to_string().replace(dir.trim_end_matches('/'), "DIR")
    }
}

/// Takes out of a reply how much space files take, and the error's text about locks.
fn forget(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for name in ["actual-size", "busy", "write_threshold"] {
                members.remove(name);
            }
            members.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

/// What was told, without pauses: jobs of QEMU stand still whenever nodes change, and how
/// often is not played.
fn without_pauses(told: Vec<String>) -> Vec<String> {
    let is_pause = |told: &String| {
        ["paused", "standby"]
            .iter()
            .any(|state| told.contains(&format!("\"status\":\"{state}\"}}")))
    };
    let mut told: Vec<String> = told.into_iter().filter(|t| !is_pause(t)).collect();
    told.dedup();
    told
}

#[test]
fn jobs_tell_what_qemus_tell() {
    let qemu = Path::new("qemu-system-x86_64");
    let version = Command::new(qemu).arg("--version").output();
    let is_there = version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains(" 10.0."));
    if !is_there {
        eprintln!("skipped: no qemu-system-x86_64 10.0 (package qemu-system-x86)");
        return;
    }
    for (scene, lines) in SCENES {
        let mut theirs = Player::start(qemu);
        let mut ours = Player::start(Path::new(env!("CARGO_BIN_EXE_qmonitor")));
        for line in *lines {
            let expected = without_pauses(theirs.play(line));
            let told = without_pauses(ours.play(line));
            assert_eq!(told, expected, "{scene}: {line}");
        }
    }
}
