//! Disks of the program as others see them: served to `qemu-img`, and made of rules that come
//! through a FIFO.

use std::fs::OpenOptions;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::Server;
use nix::sys::stat::Mode;
use serde_json::json;

#[test]
fn a_node_waits_for_its_rules_while_others_are_served() {
    let server = Server::start(&[]);
    let fifo = server.path("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let mut client = server.connect();
    client.expect_greeting();
    let oob = json!({"enable": ["oob"]});
    assert_eq!(client.ask_with("qmp_capabilities", oob), json!({}));
    let node = json!({
        "driver": "blkdebug", "node-name": "n", "config": fifo, "image": {"driver": "null-co"},
    });
    for request in [
        json!({"execute": "blockdev-add", "id": 1, "arguments": node}),
        json!({"execute": "query-name", "id": 2}),
        json!({"exec-oob": "migrate-pause", "id": 3}),
    ] {
        client.send(format!("{request}\n"));
    }
    assert_eq!(client.message()["id"], 3, "out of band");
    let mut rules = OpenOptions::new().write(true).open(&fifo).unwrap();
    std::io::Write::write_all(
        &mut rules,
        b"[inject-error]\nevent = \"none\"\niotype = \"read\"\n",
    )
    .unwrap();
    drop(rules);
    assert_eq!(client.message(), json!({"return": {}, "id": 1}));
    assert_eq!(client.message()["id"], 2);
    assert_eq!(
        client.ask_with("blockdev-del", json!({"node-name": "n"})),
        json!({})
    );
}

/// Runs a program of QEMU; `None` if it is missing.
fn qemu(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        eprintln!("{program} is missing: no other program is a client");
        return None;
    };
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn qemus_programs_are_clients_of_the_server() {
    let server = Server::start(&[]);
    let mut client = server.qmp();
    let (image, socket) = (server.path("image"), server.path("nbd"));
    let (image, socket) = (image.to_str().unwrap(), socket.to_str().unwrap());
    if qemu("qemu-img", &["create", "-q", "-f", "qcow2", image, "1M"]).is_none() {
        return;
    }
    let file = json!({"driver": "file", "filename": image});
    let node = json!({"driver": "qcow2", "node-name": "n", "file": file});
    client.ask_with("blockdev-add", node);
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.ask_with("nbd-server-start", json!({"addr": address}));
    let bitmap = json!({"node": "n", "name": "b"});
    client.ask_with("block-dirty-bitmap-add", bitmap.clone());
    let export = json!({
        "type": "nbd", "id": "e", "node-name": "n", "writable": true, "description": "a disk",
    });
    client.ask_with("block-export-add", export);
    let url = format!("nbd+unix:///n?socket={socket}");
    let commands = [
        "write -P 7 64k 100k",
        "read -P 7 64k 100k",
        "write -z 128k 64k",
        "read -P 0 128k 64k",
        "discard 0 64k",
        "flush",
    ];
    let mut arguments = vec!["-f", "raw"];
    commands
        .iter()
        .for_each(|command| arguments.extend(["-c", command]));
    arguments.push(&url);
    let text = qemu("qemu-io", &arguments).unwrap_or_default();
    assert!(!text.contains("failed"), "{text}");
    let digest = client.ask_with("x-debug-block-dirty-bitmap-sha256", bitmap);
    assert_eq!(digest["sha256"].as_str().map(str::len), Some(64));
    let map = qemu("qemu-img", &["map", "--output=json", &url]).unwrap();
    let map: serde_json::Value = serde_json::from_str(&map).unwrap();
    let starts: Vec<_> = map
        .as_array()
        .unwrap()
        .iter()
        .map(|extent| (extent["start"].as_i64().unwrap(), extent["data"] == true))
        .collect();
    assert_eq!(starts, [(0, false), (65536, true), (131_072, false)]);
    let copy = server.path("copy");
    let copy = copy.to_str().unwrap();
    qemu("qemu-img", &["convert", "-O", "raw", &url, copy]);
    let bytes = std::fs::read(copy).unwrap();
    assert!(bytes[65536..131_072].iter().all(|byte| *byte == 7));
    assert!(bytes[131_072..].iter().all(|byte| *byte == 0));
    client.send("{\"execute\": \"block-export-del\", \"arguments\": {\"id\": \"e\"}}\n");
    client.expect_event("BLOCK_EXPORT_DELETED");
    assert_eq!(client.message(), json!({"return": {}}));
    assert_eq!(client.ask("nbd-server-stop"), json!({}));
    client.ask_with("blockdev-del", json!({"node-name": "n"}));
    qemu("qemu-img", &["check", image]);
}

#[test]
fn a_disk_of_another_program_is_read_and_written() {
    let owner = Server::start(&[]);
    let (image, socket) = (owner.path("image"), owner.path("nbd"));
    std::fs::write(&image, vec![7; 1 << 20]).unwrap();
    let mut at_owner = owner.qmp();
    let disk = json!({"driver": "file", "filename": image, "node-name": "disk"});
    at_owner.ask_with("blockdev-add", disk);
    let address = json!({"type": "unix", "data": {"path": socket}});
    at_owner.ask_with("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "node-name": "disk", "writable": true});
    at_owner.ask_with("block-export-add", export);

    let guest = Server::start(&[]);
    let mut client = guest.qmp();
    let remote = |export: &str| {
        let server = json!({"type": "unix", "path": socket});
        json!({"driver": "nbd", "node-name": "n", "server": server, "export": export})
    };
    client.ask_with("blockdev-add", remote("disk"));
    let nodes = client.ask("query-named-block-nodes");
    let image_info = &nodes[0]["image"];
    assert_eq!(image_info["virtual-size"], 1 << 20);
    assert_eq!(
        image_info.get("actual-size"),
        None,
        "a server does not tell"
    );
    for line in [
        "read -P 7 64k 64k",
        "write -P 9 128k 64k",
        "read -P 9 128k 64k",
        "flush",
    ] {
        let line = json!({"command-line": format!("qemu-io n \"{line}\"")});
        assert_eq!(client.ask_with("human-monitor-command", line), json!(""));
    }
    let bytes = std::fs::read(&image).unwrap();
    assert!(bytes[128 << 10..192 << 10].iter().all(|byte| *byte == 9));
    client.ask_with("blockdev-del", json!({"node-name": "n"}));
    let request = json!({"execute": "blockdev-add", "arguments": remote("nosuch")});
    client.send(format!("{request}\n"));
    let reply = client.message();
    assert_eq!(reply["error"]["desc"], "Requested export not available");
}

/// A mirror that has caught up looks again when a client of the server writes.
#[test]
fn a_mirror_copies_what_a_client_of_the_server_writes() {
    let owner = Server::start(&[]);
    let path = |name: &str| owner.path(name);
    let (source, target, socket) = (path("source"), path("target"), path("nbd"));
    let mut client = owner.qmp();
    for (name, file) in [("source", &source), ("target", &target)] {
        std::fs::write(file, vec![0; 1 << 20]).unwrap();
        let node = json!({"driver": "file", "filename": file, "node-name": name});
        client.ask_with("blockdev-add", node);
    }
    let address = json!({"type": "unix", "data": {"path": socket}});
    client.ask_with("nbd-server-start", json!({"addr": address}));
    let export = json!({"type": "nbd", "id": "e", "node-name": "source", "writable": true});
    client.ask_with("block-export-add", export);
    let mirror = json!({
        "job-id": "j", "device": "source", "target": "target", "sync": "full",
    });
    client.ask_with("blockdev-mirror", mirror);
    while client.message()["event"] != "BLOCK_JOB_READY" {}

    let guest = Server::start(&[]);
    let mut writer = guest.qmp();
    let server = json!({"type": "unix", "path": socket});
    let disk = json!({"driver": "nbd", "node-name": "n", "server": server, "export": "source"});
    writer.ask_with("blockdev-add", disk);
    let line = json!({"command-line": "qemu-io n \"write -P 9 128k 64k\""});
    writer.ask_with("human-monitor-command", line);
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read(&target).unwrap()[128 << 10] != 9 {
        assert!(Instant::now() < deadline, "the mirror sleeps");
        std::thread::yield_now();
    }
}
