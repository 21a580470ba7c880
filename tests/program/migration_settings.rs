//! The settings of migration: what is asked before anything moves.

use crate::migration::{socket, together, Vm};
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

/// What changes the stream must be on at both sides.
#[test]
fn capabilities_of_the_stream_are_compared() {
    let off = |name: &str| format!("Capability {name} is off, but received capability is on");
    let on = |name: &str| format!("Capability {name} is on, but received capability is off");
    let postcopy = "RAM postcopy is disabled but have 16 byte advise".to_owned();
    let colo = "ENABLE_COLO command come in migration stream, but x-colo capability is not set";
    for (here, there, what) in [
        (&["multifd"][..], &[][..], Some(off("multifd"))),
        (&[], &["multifd"], Some(on("multifd"))),
        (&["x-ignore-shared"], &[], Some(off("x-ignore-shared"))),
        (&[], &["x-ignore-shared"], Some(on("x-ignore-shared"))),
        (&["postcopy-ram"], &[], Some(postcopy)),
        (&["x-colo"], &[], Some(colo.to_owned())),
        (&[], &["postcopy-ram"], None),
        (&["multifd"], &["multifd"], None),
        (&["xbzrle"], &["release-ram"], None),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let uri = socket(&dir, "s");
        // QEMU 11.1 says why in the error, 10.0 only on standard error.
        let mut a = Vm::new("-profile 11.1");
        let mut b = Vm::new("-profile 11.1 -incoming defer");
        a.capabilities(&[here, &["return-path"]].concat());
        b.capabilities(there);
        b.incoming(&uri);
        a.migrate(&uri);
        together(&mut a, &mut b);
        let (end, state) = match what {
            Some(_) => ("failed", "running"),
            None => ("completed", "postmigrate"),
        };
        assert_eq!(a.ask("query-migrate")["status"], end, "{here:?} {there:?}");
        assert_eq!(a.run_state(), state, "{here:?} {there:?}");
        let arrived = b.ask("query-migrate");
        let error = what.map(|what| format!("load of migration failed: Invalid argument: {what}"));
        assert_eq!(arrived["error-desc"].as_str(), error.as_deref());
    }
}

/// The channel is chosen with these capabilities in mind.
#[test]
fn channels_depend_on_what_is_set_before() {
    let dir = tempfile::tempdir().unwrap();
    let uri = socket(&dir, "s");
    let mut vm = Vm::new("-incoming defer");
    vm.capabilities(&["mapped-ram"]);
    let seekable = "Migration requires seekable transport (e.g. file)";
    assert_eq!(vm.incoming(&uri), [seekable]);
    let off = json!({"capabilities": [{"capability": "mapped-ram", "state": false}]});
    assert_eq!(vm.execute("migrate-set-capabilities", &off), [RESULT]);
    assert_eq!(vm.incoming(&uri), ["setup", "ok"]);
    let on = json!({"capabilities": [{"capability": "multifd", "state": true}]});
    let late = "Multifd must be set before incoming starts";
    assert_eq!(vm.execute("migrate-set-capabilities", &on), [late]);
}

/// Numbers that look random, and are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % sides
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

/// Carries out a command that `dice` choose.
fn play(dice: &mut Dice, vm: &mut Vm, uri: &str) {
    let id = format!("d{}", dice.roll(4));
    match dice.roll(12) {
        0 => vm.migrate(uri),
        1 => vm.migrate(dice.pick(&["exec:cat >/dev/null", "unix:/nowhere", "fd:no", "exec:true"])),
        2 => vm.execute("migrate_cancel", &json!({})),
        3 => vm.execute(
            dice.pick(&["stop", "cont", "system_reset", "migrate-pause"]),
            &json!({}),
        ),
        4 => vm.execute("migrate-continue", &json!({"state": "pre-switchover"})),
        5 => vm.execute("migrate-start-postcopy", &json!({})),
        6 => vm.execute(
            "device_add",
            &json!({"driver": dice.pick(&["nvme", "virtio-rng-pci"]),
            "id": id, "serial": "x"}),
        ),
        7 => vm.execute("device_del", &json!({"id": id})),
        8 => vm.execute(
            "blockdev-create",
            &json!({"job-id": id, "options":
            {"driver": "file", "filename": "/dev/null/no", "size": 0}}),
        ),
        9 => vm.execute("job-dismiss", &json!({"id": id})),
        10 => {
            let name = dice.pick(&["postcopy-ram", "pause-before-switchover", "return-path"]);
            let state = dice.roll(2) == 0;
            let list = json!([{"capability": name, "state": state}]);
            vm.execute("migrate-set-capabilities", &json!({"capabilities": list}))
        }
        _ => vm.execute(
            "migrate-incoming",
            &json!({"uri": uri, "exit-on-error": false}),
        ),
    };
}

/// The status that a query tells, whatever events come with it.
fn status_of(vm: &mut Vm, command: &str) -> String {
    let seen = vm.execute(command, &json!({}));
    let reply = seen.iter().find(|line| line.starts_with('{'));
    let reply: Value = reply.map_or(Value::Null, |line| serde_json::from_str(line).unwrap());
    reply["status"].as_str().unwrap_or_default().to_owned()
}

/// The states of the move and of the machine, unless the first is just changing.
fn settled(vm: &mut Vm) -> Option<(String, String)> {
    let before = status_of(vm, "query-migrate");
    let state = status_of(vm, "query-status");
    (status_of(vm, "query-migrate") == before).then_some((before, state))
}

/// Whatever is done to two machines that move: each answers and tells states that go together.
#[test]
fn machines_are_sound_after_any_commands() {
    for seed in 0..16 {
        let dir = tempfile::tempdir().unwrap();
        let uri = socket(&dir, "s");
        let mut dice = Dice(seed);
        let options = "-machine pc -m 16M -dirty-rate 1M";
        let (mut a, mut b) = (
            Vm::new(options),
            Vm::new(&format!("{options} -incoming defer")),
        );
        let mut came = false;
        for _ in 0..40 {
            let vm = if dice.roll(3) == 0 { &mut b } else { &mut a };
            play(&mut dice, vm, &uri);
            vm.pass(std::time::Duration::from_millis(dice.roll(300) as u64));
            if let Some((status, state)) = settled(&mut a) {
                let is_still = [
                    "pre-switchover",
                    "device",
                    "postcopy-active",
                    "postcopy-paused",
                ];
                let may_run = !is_still.contains(&status.as_str());
                assert!(may_run || state != "running", "{seed}: {status}, {state}");
                assert_ne!(state, "inmigrate", "{seed}");
            }
            if let Some((status, state)) = settled(&mut b) {
                let has_come = ["completed", "postcopy-active", "postcopy-paused"];
                let waits = state == "inmigrate";
                let may_wait = !has_come.contains(&status.as_str()) && !came;
                assert!(!waits || may_wait, "{seed}: {status}");
                came |= !waits;
            }
        }
    }
}
