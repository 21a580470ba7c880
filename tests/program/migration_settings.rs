//! The settings of migration: what is asked before anything moves.

use crate::migration::Vm;
use serde_json::{json, Value};

/// Settings of another profile must not show, nor get in the way.
#[test]
fn the_parameters_are_those_of_the_profile() {
    for (options, has_newer) in [("", false), ("-profile 11.1", true)] {
        let parameters = Vm::new(options).ask("query-migrate-parameters");
        assert_eq!(parameters["max-bandwidth"], 134_217_728, "{options}");
        assert_eq!(
            parameters["cpr-exec-command"].is_array(),
            has_newer,
            "{options}"
        );
    }
}

const RESULT: &str = "ok";

fn add(vm: &mut Vm, options: &Value) -> Vec<String> {
    vm.execute("device_add", options)
}

/// What keeps the machine here is told, as long as it is there.
#[test]
fn devices_without_a_state_keep_the_machine_here() {
    let mut vm = Vm::new("-machine pc -device qemu-xhci,id=x -device pci-bridge,id=p,chassis_nr=1");
    for options in [
        json!({"driver": "nvme", "serial": "1", "id": "n"}),
        json!({"driver": "usb-hub", "port": "2", "bus": "x.0"}),
        json!({"driver": "usb-uas", "port": "2.1", "bus": "x.0", "id": "u"}),
        json!({"driver": "rocker", "bus": "p", "addr": "3"}),
    ] {
        assert_eq!(add(&mut vm, &options), [RESULT], "{options}");
    }
    let reason = |path: &str| format!("non-migratable device: {path}");
    let reasons = [
        reason("0000:00:03.0:03.0/rocker"),
        reason("0000:00:02.0/2.1/usb-uas"),
        reason("0000:00:04.0/nvme"),
    ];
    assert_eq!(vm.ask("query-migrate")["blocked-reasons"], json!(reasons));
    let oldest = "State blocked by non-migratable device '0000:00:04.0/nvme'";
    assert_eq!(vm.migrate("exec:true"), [oldest]);
    vm.execute("device_del", &json!({"id": "u"}));
    let left = vm.ask("query-migrate");
    assert_eq!(left["blocked-reasons"], json!([&reasons[0], &reasons[2]]));
}

/// The format of a disk, and memory that others write to.
#[test]
fn shared_memory_and_formats_keep_the_machine_here() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.vdi");
    let image = json!({"driver": "vdi", "node-name": "v",
        "file": {"driver": "file", "filename": path, "node-name": "f"}});
    let made = std::process::Command::new("qemu-img")
        .args(["create", "-q", "-f", "vdi"])
        .arg(&path)
        .arg("1M")
        .status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no qemu-img (package qemu-utils)");
        return;
    }
    let format = "The vdi format used by node 'v' does not support live migration";
    let mut vm = Vm::new("-machine pc -object memory-backend-ram,id=m,size=1M,share=on");
    assert_eq!(vm.execute("blockdev-add", &image), [RESULT]);
    assert_eq!(vm.migrate("exec:true"), [format]);
    let memory = json!({"driver": "ivshmem-plain", "memdev": "m", "id": "i"});
    assert_eq!(add(&mut vm, &memory), [RESULT]);
    let peer = "Migration is disabled when using feature 'peer mode' in device 'ivshmem'";
    assert_eq!(
        vm.ask("query-migrate")["blocked-reasons"],
        json!([peer, format])
    );

    let mut vm =
        Vm::new("-machine pc -object memory-backend-ram,id=m,size=1M,share=on -only-migratable");
    let only = "disallowing migration blocker (--only-migratable) for: ";
    let seen = vm.execute("blockdev-add", &image);
    assert_eq!(seen, [format!("{only}{format}")]);
    assert_eq!(vm.ask("query-named-block-nodes"), json!([]));
    assert_eq!(add(&mut vm, &memory), [format!("{only}{peer}")]);
    let nvme = json!({"driver": "nvme", "id": "n"});
    let seen = add(&mut vm, &nvme);
    assert_eq!(
        seen,
        ["Device nvme is not migratable, but --only-migratable was specified"]
    );
    assert_eq!(vm.ask("query-migrate"), json!("ok"));
}
