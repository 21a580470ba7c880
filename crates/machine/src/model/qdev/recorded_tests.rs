//! Devices of types that only the tables know are plugged by QEMU's rules, in its words.

use super::tests::{add, get, machine, refused};

#[test]
fn ports_and_bridges_of_pci_carry_devices() {
    let mut m = machine("q35");
    for text in [
        "pcie-root-port,id=rp1,chassis=1",
        "pcie-root-port,id=rp2,chassis=2",
        "pcie-pci-bridge,id=br,bus=rp1",
        "e1000,id=e,bus=br,addr=1",
        "virtio-net-pci-non-transitional,id=n",
    ] {
        add(&mut m, text, false).unwrap();
    }
    assert_eq!(get(&m, "e", "parent_bus"), "\"/machine/peripheral/br/br\"");
    assert_eq!(get(&m, "n", "parent_bus"), "\"/machine/q35/pcie.0\"");
    // Only the type that serves all drivers can be told which.
    let e = add(
        &mut m,
        "virtio-net-pci-transitional,id=x,disable-legacy=on",
        false,
    );
    let text = "Property 'virtio-net-pci-transitional.disable-legacy' not found";
    assert_eq!(e.unwrap_err().desc(), text);
    add(&mut m, "nvme,id=nv,serial=1,bus=rp2", true).unwrap();
    for (text, desc) in [
        ("e1000,id=x", "Bus 'pcie.0' does not support hotplugging"),
        (
            "e1000,id=x,bus=rp2",
            "PCI: slot 0 function 0 already occupied by nvme, new func e1000 cannot be exposed to \
             guest.",
        ),
        (
            "e1000,id=x,bus=br,addr=1",
            "PCI: slot 1 function 0 not available for e1000, in use by e1000,id=e",
        ),
        ("nvme,id=x,bus=br", "serial property not set"),
        (
            "e1000,id=x,bus=br,mac=1",
            "Property 'e1000.mac' doesn't take value '1'",
        ),
    ] {
        refused(&mut m, text, desc);
    }
    let e = add(&mut m, "pcie-root-port,id=x,chassis=2", false);
    assert_eq!(e.unwrap_err().desc(), "Can't add chassis slot, error -16");
    let e = add(&mut m, "pci-bridge,id=x", false).unwrap_err();
    assert!(
        e.desc().starts_with("Bridge chassis not specified."),
        "{e:?}"
    );
}

#[test]
fn a_hub_takes_the_last_port_of_usb() {
    let mut m = machine("pc");
    add(&mut m, "qemu-xhci,id=x", false).unwrap();
    for at in 0..5 {
        add(&mut m, &format!("usb-mouse,id=m{at}"), true).unwrap();
    }
    assert_eq!(get(&m, "m2", "port"), "\"3\"");
    assert_eq!(get(&m, "m3", "port"), "\"4.1\"");
    assert_eq!(get(&m, "m4", "port"), "\"4.2\"");
    refused(
        &mut m,
        "usb-kbd,id=k,port=9",
        "usb port 9 (bus x.0) not found (in use?)",
    );
    add(&mut m, "usb-ehci,id=e", false).unwrap();
    for at in 0..6 {
        add(&mut m, &format!("usb-kbd,id=k{at},bus=e.0"), true).unwrap();
    }
    let full = "tried to attach usb device QEMU USB Mouse to a bus with no free ports";
    refused(&mut m, "usb-mouse,id=y,bus=e.0", full);
}

#[test]
fn disks_take_targets_and_units() {
    let mut m = machine("pc");
    add(&mut m, "virtio-scsi-pci,id=v", false).unwrap();
    add(&mut m, "scsi-cd,id=a,bus=v.0", true).unwrap();
    add(&mut m, "scsi-cd,id=b,bus=v.0", true).unwrap();
    assert_eq!(
        (get(&m, "b", "scsi-id"), get(&m, "b", "lun")),
        ("1".into(), "0".into())
    );
    for (text, desc) in [
        ("scsi-cd,bus=v.0,scsi-id=300", "bad scsi device id: 300"),
        ("scsi-cd,bus=v.0,lun=20000", "bad scsi device lun: 20000"),
        ("scsi-cd,bus=v.0,channel=1", "bad scsi channel id: 1"),
        ("scsi-cd,bus=v.0,scsi-id=1,lun=0", "lun already used by 'b'"),
    ] {
        refused(&mut m, text, desc);
    }
    add(&mut m, "ide-cd,id=c", false).unwrap();
    add(&mut m, "ide-cd,id=d", false).unwrap();
    let e = add(&mut m, "ide-cd,id=e", false).unwrap_err();
    assert_eq!(e.desc(), "IDE unit 1 is in use");
}
