//! Devices are made, refused and taken away as in QEMU, in its words.

use super::{DeviceOptions, Unplugged};
use crate::model::board::find_class;
use crate::model::cpu::CpuOption;
use crate::model::qom::tests::set;
use crate::model::qom::{NoChardevs, PropertyInput};
use crate::model::{Machine, MachineOptions};
use qmonitor::qapi::visit::keyval_parse;
use qmonitor::qapi::{CompatPolicy, Error};

pub(super) fn machine(class: &str) -> Machine {
    let mut m = Machine::new(MachineOptions {
        class: find_class(qmonitor::Profile::V10_0, class).unwrap(),
        ..MachineOptions::default()
    });
    m.init_board(None, &mut Vec::new()).unwrap();
    m
}

/// Adds what `-device` would (`plug` false), or a client.
pub(super) fn add(m: &mut Machine, text: &str, plug: bool) -> Result<(), Error> {
    let options = DeviceOptions::new(keyval_parse(text, Some("driver"))?, true)?;
    m.device_add(&options, plug, CompatPolicy::default())
        .map(|_| ())
}

#[track_caller]
pub(super) fn refused(m: &mut Machine, text: &str, desc: &str) {
    let count = |m: &Machine| m.qom_tree("/", &NoChardevs).unwrap().len();
    let before = count(m);
    assert_eq!(add(m, text, true).unwrap_err().desc(), desc, "{text}");
    assert_eq!(count(m), before, "{text} leaves something behind");
}

pub(super) fn get(m: &Machine, device: &str, property: &str) -> String {
    let path = format!("/machine/peripheral/{device}");
    let value = m.qom_get(&path, property, &NoChardevs).unwrap();
    qmonitor::qapi::json::qobject_to_json(&value, false)
}

#[test]
fn devices_sit_on_buses_that_devices_provide() {
    let mut m = machine("pc");
    for text in [
        "virtio-scsi-pci,id=scsi0,bus=pci.0,addr=0x3",
        "piix3-usb-uhci,id=usb,bus=pci.0,addr=0x1.0x2",
        "virtio-serial-pci,id=vs",
        "virtserialport,id=p1",
        "virtserialport,id=p2,bus=vs.0",
        "usb-tablet,id=t",
    ] {
        add(&mut m, text, false).unwrap();
    }
    let bus = "\"/machine/peripheral/vs/virtio-backend/vs.0\"";
    assert_eq!(get(&m, "p1", "parent_bus"), bus);
    assert_eq!(get(&m, "p1", "nr"), "1");
    assert_eq!(get(&m, "p2", "nr"), "2");
    assert_eq!(get(&m, "t", "port"), "\"1\"");
    assert_eq!(get(&m, "scsi0", "addr"), "24");
    assert_eq!(get(&m, "usb", "addr"), "10");
    // Slots 0, 1 and 3 are taken.
    assert_eq!(get(&m, "vs", "addr"), "16");
    assert_eq!(get(&m, "t", "hotplugged"), "false");
    add(&mut m, "usb-mouse,id=m", true).unwrap();
    assert_eq!(get(&m, "m", "hotplugged"), "true");
    assert_eq!(get(&m, "m", "realized"), "true");
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    let mut m = machine("pc");
    add(&mut m, "virtio-scsi-pci,id=scsi0,addr=2", false).unwrap();
    add(&mut m, "virtio-serial-pci,id=vs", false).unwrap();
    add(&mut m, "virtio-balloon-pci,id=b", false).unwrap();
    add(&mut m, "virtserialport,id=p", false).unwrap();
    for (text, desc) in [
        ("foo", "'foo' is not a valid device model name"),
        ("container", "'container' is not a valid device model name"),
        (
            "pci-device",
            "Parameter 'driver' expects a non-abstract device type",
        ),
        (
            "PIIX3",
            "Parameter 'driver' expects a pluggable device type",
        ),
        ("scsi-hd,bus=foo", "Bus 'foo' not found"),
        ("scsi-hd,bus=ide.0", "Device 'scsi-hd' can't go on IDE bus"),
        ("scsi-hd", "drive property not set"),
        (
            "scsi-hd,drive=x",
            "Property 'scsi-hd.drive' can't find value 'x'",
        ),
        (
            "usb-tablet",
            "No 'usb-bus' bus found for device 'usb-tablet'",
        ),
        (
            "ide-cd,bus=ide.0",
            "Bus 'ide.0' does not support hotplugging",
        ),
        ("VGA", "Device 'VGA' does not support hotplugging"),
        (
            "virtio-rng-pci,foo=1",
            "Property 'virtio-rng-pci.foo' not found",
        ),
        (
            "virtio-rng-pci,addr=zz",
            "Property 'virtio-rng-pci.addr' doesn't take value 'zz'",
        ),
        (
            "virtio-rng-pci,addr=2",
            "PCI: slot 2 function 0 not available for virtio-rng-pci, in use by \
             virtio-scsi-pci,id=scsi0",
        ),
        ("virtio-rng-pci,id=b", "Duplicate device ID 'b'"),
        (
            "virtio-blk-pci,drive=x",
            "Property 'virtio-blk-device.drive' can't find value 'x'",
        ),
        (
            "virtio-blk-pci,write-cache=x",
            "Parameter 'write-cache' does not accept value 'x'",
        ),
        (
            "virtio-rng-pci,vectors=x",
            "Parameter 'vectors' expects integer",
        ),
        (
            "virtio-balloon-pci,deflate-on-oom=x",
            "Parameter 'deflate-on-oom' expects 'on' or 'off'",
        ),
        ("virtio-balloon-pci", "Only one balloon device is supported"),
        (
            "virtserialport,nr=1",
            "virtio-serial-bus: A port already exists at id 1",
        ),
        (
            "virtserialport,nr=31",
            "virtio-serial-bus: Out-of-range port id specified, max. allowed: 30",
        ),
    ] {
        refused(&mut m, text, desc);
    }
    let mut q35 = machine("q35");
    add(&mut q35, "virtio-rng-pci,id=r", false).unwrap();
    let desc = "Bus 'pcie.0' does not support hotplugging";
    refused(&mut q35, "virtio-rng-pci", desc);
    let id = q35.find_device("r").unwrap();
    assert_eq!(q35.device_unplug(id).err().unwrap().desc(), desc);
    let mut none = machine("none");
    let desc = "No 'PCI' bus found for device 'VGA'";
    assert_eq!(add(&mut none, "VGA", false).unwrap_err().desc(), desc);
}

#[test]
fn some_go_at_once_and_others_only_if_the_guest_agrees() {
    let mut m = machine("pc");
    add(&mut m, "piix3-usb-uhci,id=usb", false).unwrap();
    add(&mut m, "usb-tablet,id=t", false).unwrap();
    add(&mut m, "virtio-balloon-pci,id=b", false).unwrap();
    let id = m.find_device("t").unwrap();
    let Ok(Unplugged::Gone(path)) = m.device_unplug(id) else {
        panic!("a USB device goes at once");
    };
    assert_eq!(path, "/machine/peripheral/t");
    assert!(m.find_device("t").is_none());
    // Its port is free again.
    add(&mut m, "usb-tablet,port=1", true).unwrap();
    let id = m.find_device("b").unwrap();
    // Clients repeat the request, since the guest may have missed it.
    for _ in 0..2 {
        assert!(matches!(m.device_unplug(id), Ok(Unplugged::Asked)));
    }
    assert!(m.find_device("b").is_some());
}

#[test]
fn properties_are_fixed_once_a_device_is_realized() {
    let mut m = machine("q35");
    add(&mut m, "virtio-rng-pci,id=r,bus=pcie.0", false).unwrap();
    for (property, device) in [("addr", "r"), ("vectors", "r")] {
        let path = format!("/machine/peripheral/{device}");
        let input = PropertyInput::text(property, "5");
        let e = set(&mut m, &path, property, &input).unwrap_err();
        assert_eq!(
            e.desc(),
            format!(
                "Attempt to set property '{property}' on device 'r' (type 'virtio-rng-pci') \
                 after it was realized"
            )
        );
    }
}

#[test]
fn processors_are_plugged_into_places() {
    let mut m = Machine::new(MachineOptions {
        class: find_class(qmonitor::Profile::V10_0, "pc").unwrap(),
        topology: crate::model::board::Topology {
            max_cpus: 2,
            sockets: 2,
            ..Default::default()
        },
        ..MachineOptions::default()
    });
    let cpu = CpuOption::parse(qmonitor::Profile::V10_0, "qemu64,+avx").unwrap();
    m.init_board(Some(cpu), &mut Vec::new()).unwrap();
    let free = |m: &Machine| {
        m.cpu_slots()
            .unwrap()
            .iter()
            .filter(|s| s.path.is_none())
            .count()
    };
    assert_eq!(free(&m), 1);
    let cpu = "qemu64-x86_64-cpu,id=v1";
    for (place, desc) in [
        ("", "CPU socket-id is not set"),
        (
            ",socket-id=0,core-id=0,thread-id=0",
            "CPU[0] with APIC ID 0 exists",
        ),
        (
            ",socket-id=2,core-id=0,thread-id=0",
            "Invalid CPU socket-id: 2 must be in range 0:1",
        ),
    ] {
        refused(&mut m, &format!("{cpu}{place}"), desc);
    }
    refused(
        &mut m,
        "Haswell-x86_64-cpu,socket-id=1,core-id=0,thread-id=0",
        "Invalid CPU type, expected cpu type: 'qemu64-x86_64-cpu'",
    );
    let place = "socket-id=1,core-id=0,thread-id=0";
    add(&mut m, &format!("{cpu},{place}"), true).unwrap();
    assert_eq!(free(&m), 0);
    let paths: Vec<_> = m.cpus().into_iter().map(|c| c.path).collect();
    assert_eq!(
        paths,
        ["/machine/unattached/device[0]", "/machine/peripheral/v1"]
    );
}

#[test]
fn a_new_processor_is_told_which_number_is_wrong() {
    let mut m = Machine::new(MachineOptions {
        class: find_class(qmonitor::Profile::V10_0, "pc").unwrap(),
        topology: crate::model::board::Topology {
            max_cpus: 16,
            sockets: 2,
            dies: 2,
            cores: 2,
            threads: 2,
            ..Default::default()
        },
        ..MachineOptions::default()
    });
    m.init_board(None, &mut Vec::new()).unwrap();
    for (place, desc) in [
        ("core-id=0,thread-id=0", "CPU socket-id is not set"),
        ("socket-id=1,core-id=0,thread-id=0", "CPU die-id is not set"),
        (
            "socket-id=2,die-id=0,core-id=0,thread-id=0",
            "Invalid CPU socket-id: 2 must be in range 0:1",
        ),
        (
            "socket-id=1,die-id=2,core-id=9",
            "Invalid CPU die-id: 2 must be in range 0:1",
        ),
        (
            "socket-id=1,die-id=1,module-id=1,core-id=0,thread-id=0",
            "Invalid CPU module-id: 1 must be in range 0:0",
        ),
        (
            "socket-id=0,die-id=0,core-id=0,thread-id=0",
            "CPU[0] with APIC ID 0 exists",
        ),
    ] {
        refused(&mut m, &format!("qemu64-x86_64-cpu,{place}"), desc);
    }
    let place = "socket-id=1,die-id=1,core-id=1,thread-id=1";
    add(&mut m, &format!("qemu64-x86_64-cpu,{place},id=c"), true).unwrap();
    let id = m.find_device("c").unwrap();
    let e = m.device_unplug(id).err().unwrap();
    let desc = "acpi: device unplug request for not supported device type: qemu64-x86_64-cpu";
    assert_eq!(e.desc(), desc);
}
