//! Snapshots of the machine, in images that `qemu-img` looks at.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::migration::Vm;

/// A machine with two disks, or `None` and a message if there is no `qemu-img`.
fn machine(dir: &Path, more: &str) -> Option<Vm> {
    let mut options = format!("-machine q35 -m 16M {more}");
    for name in ["a", "b"] {
        let path = dir.join(name).display().to_string();
        if !Path::new(&path).exists() {
            let made = Command::new("qemu-img")
                .args(["create", "-q", "-f", "qcow2", &path, "4M"])
                .status();
            if !made.is_ok_and(|status| status.success()) {
                eprintln!("skipped: no qemu-img");
                return None;
            }
        }
        options += &format!(" -drive if=none,id=d{name},file={path},format=qcow2,node-name={name}");
    }
    Some(Vm::new(&options))
}

fn hmp(vm: &mut Vm, line: &str) -> Vec<String> {
    vm.execute("human-monitor-command", &json!({"command-line": line}))
}

fn qemu_img(arguments: &[&str], path: &Path) -> String {
    let output = Command::new("qemu-img").args(arguments).arg(path).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn snapshots_of_all_disks() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut vm) = machine(dir.path(), "") else {
        return;
    };
    assert_eq!(
        hmp(&mut vm, "info snapshots"),
        [r#""There is no snapshot available.\r\n""#]
    );
    assert_eq!(hmp(&mut vm, "savevm one"), ["STOP", "RESUME", r#""""#]);
    let page = hmp(&mut vm, "info snapshots").concat();
    assert!(page.contains("snapshots present on all disks"), "{page}");
    assert!(page.contains("--      one "), "{page}");
    assert_eq!(hmp(&mut vm, "loadvm one"), ["STOP", "RESUME", r#""""#]);
    vm.execute("stop", &json!({}));
    assert_eq!(hmp(&mut vm, "loadvm one"), [r#""""#]);
    assert_eq!(vm.run_state(), "paused");
    vm.execute("cont", &json!({}));
    let missing = r#""Error: Snapshot 'no' does not exist in one or more devices\r\n""#;
    assert_eq!(hmp(&mut vm, "loadvm no"), ["STOP", missing]);
    assert_eq!(vm.run_state(), "restore-vm");
    drop(vm);
    for name in ["a", "b"] {
        let path = dir.path().join(name);
        assert!(qemu_img(&["snapshot", "-l"], &path).contains("one"));
        assert!(qemu_img(&["check"], &path).contains("No errors were found"));
    }
    let mut vm = machine(dir.path(), "-loadvm one").unwrap();
    assert_eq!(vm.run_state(), "running");
    assert_eq!(hmp(&mut vm, "delvm one"), [r#""""#]);
    assert_eq!(hmp(&mut vm, "delvm one"), [r#""""#]);
    drop(vm);
    let path = dir.path().join("a");
    assert_eq!(qemu_img(&["snapshot", "-l"], &path), "");
    assert!(qemu_img(&["check"], &path).contains("No errors were found"));
}

#[test]
fn snapshots_by_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut vm) = machine(dir.path(), "") else {
        return;
    };
    let mut job = |command: &str, tag: &str, vmstate: Option<&str>, devices: &[&str]| {
        let mut arguments = json!({"job-id": "j", "tag": tag, "devices": devices});
        if let Some(vmstate) = vmstate {
            arguments["vmstate"] = json!(vmstate);
        }
        vm.execute(command, &arguments);
        let error = vm.ask("query-jobs")[0]["error"].clone();
        vm.execute("job-dismiss", &json!({"id": "j"}));
        error.as_str().unwrap_or("ok").to_owned()
    };
    let (save, load, delete) = ("snapshot-save", "snapshot-load", "snapshot-delete");
    assert_eq!(job(save, "t", Some("a"), &["a", "b"]), "ok");
    for (command, tag, vmstate, devices, error) in [
        (
            save,
            "t",
            Some("a"),
            &["a", "b"][..],
            "Snapshot 't' already exists in one or more devices",
        ),
        (
            save,
            "u",
            Some("a"),
            &["b"],
            "vmstate block device 'a' does not exist",
        ),
        (save, "u", Some("a"), &["no"], "No block device node 'no'"),
        (
            save,
            "u",
            Some("a"),
            &[],
            "At least one device is required for snapshot",
        ),
        (load, "t", Some("a"), &["a", "b"], "ok"),
        (
            load,
            "t",
            Some("b"),
            &["b"],
            "This is a disk-only snapshot. Revert to it  offline using qemu-img",
        ),
        (delete, "t", None, &["a", "b"], "ok"),
        (
            load,
            "t",
            Some("a"),
            &["a"],
            "Snapshot 't' does not exist in one or more devices",
        ),
    ] {
        assert_eq!(job(command, tag, vmstate, devices), error);
    }
}
