//! The mock as a fake `qemu-system-x86_64`.

use std::process::Command;

use qmonitor_testkit::serde_json::{from_str, json, Value};

use crate::process::{Client, PROGRAM};

#[test]
fn it_records_how_it_is_called_and_serves_as_its_options_say() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("s.yaml");
    std::fs::write(
        &scenario,
        "stubs: [{when: {execute: query-name}, reply: {return: {name: fake}}}]",
    )
    .unwrap();
    let bin = dir.path().join("bin");
    let install = Command::new(PROGRAM)
        .arg("--as-qemu")
        .arg(&bin)
        .arg(&scenario)
        .output()
        .unwrap();
    assert!(install.status.success());
    let program = String::from_utf8(install.stdout).unwrap();
    let program = program.trim();
    assert_eq!(program, bin.join("qemu-system-x86_64").to_str().unwrap());
    let qmp = dir.path().join("qmp");
    let option = format!("unix:{},server,nowait", qmp.display());
    let args = [
        "-m",
        "512",
        "-enable-kvm",
        "-drive",
        "file=x y",
        "-qmp",
        &option,
        "disk.img",
    ];
    let mut child = Command::new(program).args(args).spawn().unwrap();
    let control = bin.join("control.1");
    while !control.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it runs");
        std::thread::yield_now();
    }
    let mut client = Client::negotiated(&qmp);
    assert_eq!(
        client.call("query-name", json!({})),
        json!({"return": {"name": "fake"}})
    );
    let mut control = Client::negotiated(&control);
    assert_eq!(
        control.call("query-mock-argv", json!({}))["return"],
        json!(args)
    );
    client.call("quit", json!({}));
    assert!(child.wait().unwrap().success());
    let launches = std::fs::read_to_string(bin.join("argv.jsonl")).unwrap();
    let launch: Value = from_str(launches.trim()).unwrap();
    assert_eq!((&launch["n"], &launch["argv"]), (&json!(1), &json!(args)));
    let version = Command::new(program).arg("-version").output().unwrap();
    assert!(String::from_utf8_lossy(&version.stdout).contains("version 10.0.2"));
    let launches = std::fs::read_to_string(bin.join("argv.jsonl")).unwrap();
    assert_eq!(launches.lines().count(), 2);
}

#[test]
fn it_plays_as_the_order_says_and_leaves_its_verdict() {
    let dir = tempfile::tempdir().unwrap();
    let scenario = dir.path().join("it's one.yaml");
    std::fs::write(&scenario, "expect: [{never: {execute: stop}}]").unwrap();
    let bin = dir.path().join("bin");
    let install = Command::new(PROGRAM)
        .args(["--as-qemu", bin.to_str().unwrap(), "--fault", "stale-reply"])
        .args(["--profile", "11.1", "--time", "virtual", "--seed", "4"])
        .arg(&scenario)
        .output();
    assert!(install.unwrap().status.success());
    for (n, command) in ["query-name", "stop"].into_iter().enumerate() {
        let qmp = dir.path().join("qmp");
        let option = format!("unix:{},server=on,wait=on", qmp.display());
        let mut child = Command::new(bin.join("qemu-system-x86_64"))
            .args(["-qmp", &option])
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut client = Client::connect_when_there(&qmp);
        let greeting = client.recv().unwrap();
        assert_eq!(greeting["QMP"]["version"]["qemu"]["major"], 11);
        for command in ["qmp_capabilities", command] {
            let reply = client.call(command, json!({}));
            assert_eq!(client.recv(), Some(reply), "twice");
        }
        client.call("quit", json!({}));
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(n as i32));
        let verdict = bin.join(format!("verdict.{}", n + 1));
        let verdict = std::fs::read_to_string(verdict).unwrap();
        assert_eq!(verdict.is_empty(), n == 0, "{verdict}");
        if n == 1 {
            let replay = "--profile 11.1 --seed 4 --time virtual --fault stale-reply -- -qmp";
            assert!(verdict.contains(replay), "{verdict}");
            assert!(verdict.contains("'"), "{verdict}");
        }
    }
}
