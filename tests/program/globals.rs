//! `-global`, `-action` and their like, in QEMU's words.

use serde_json::json;

use crate::common::{run, Server};

#[test]
fn globals_are_for_the_devices_of_a_type_and_of_those_derived_from_it() {
    let server = Server::start(&[
        "-M",
        "pc",
        "-S",
        "-global",
        "pci-device.multifunction=on",
        "-global",
        "virtio-rng-device.period=7",
        "-global",
        "driver=PIIX4_PM,property=disable_s3,value=1",
        "-device",
        "virtio-rng,id=r",
    ]);
    let mut client = server.qmp();
    let more = json!({"driver": "virtio-rng-pci", "id": "s", "period": 8});
    client.ask_with("device_add", more);
    for (path, property, value) in [
        ("r", "multifunction", json!(true)),
        ("r", "period", json!(7)),
        ("s", "period", json!(8)),
        ("pm", "disable_s3", json!(1)),
    ] {
        let arguments = json!({"path": path, "property": property});
        assert_eq!(client.ask_with("qom-get", arguments), value, "{property}");
    }
}

#[test]
fn what_is_wrong_with_a_global_is_told() {
    for (args, message) in [
        (
            "-global PIIX4_PM.foo=1",
            "can't apply global PIIX4_PM.foo=1: Property 'PIIX4_PM.foo' not found",
        ),
        (
            "-global PIIX4_PM.disable_s3=1,x=2",
            "can't apply global PIIX4_PM.disable_s3=1,x=2: Parameter 'disable_s3' expects uint64",
        ),
        (
            "-global virtio-rng-pci.vectors=x -device virtio-rng",
            "-device virtio-rng: can't apply global virtio-rng-pci.vectors=x: Parameter 'vectors' \
             expects uint64",
        ),
        (
            "-watchdog-action x",
            "-watchdog-action x: Parameter 'watchdog' does not accept value 'x'",
        ),
        ("-action foo=1", "-action foo=1: Invalid parameter 'foo'"),
    ] {
        let args: Vec<&str> = ["-M", "pc", "-nodefaults"]
            .into_iter()
            .chain(args.split(' '))
            .collect();
        let out = run(&args);
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(text.ends_with(&format!("qmonitor: {message}\n")), "{text}");
    }
}

#[test]
fn a_global_that_no_device_takes_up_is_warned_of() {
    let server = Server::start(&[
        "-global",
        "nosuch.foo=1",
        "-global",
        "PIIX4_PM.disable_s3=1",
        "-global",
        "virtio-rng-pci.period=1",
        "-global",
        "kvm-pit.lost_tick_policy=delay",
    ]);
    server.qmp().ask("quit");
    let out = server.finish();
    assert_eq!(
        String::from_utf8_lossy(&out.stderr),
        "qmonitor: warning: global nosuch.foo has invalid class name\n\
         qmonitor: warning: global PIIX4_PM.disable_s3=1 not used\n"
    );
}
