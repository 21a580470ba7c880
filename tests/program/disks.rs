//! Disks of the program as others see them: served to `qemu-img`, and made of rules that come
//! through a FIFO.

use std::fs::OpenOptions;
use std::process::Command;

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
