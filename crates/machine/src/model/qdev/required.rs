//! Properties that devices need, and the errors without them.

type Needs = &'static [(&'static str, &'static str)];

/// What a type of devices needs, in the order of QEMU's checks.
pub(super) fn required(name: &str) -> Needs {
    let found = |name: &str| REQUIRED.iter().find(|(device, _)| *device == name);
    // The forms of a virtio device need the same.
    let plain = ["-non-transitional", "-transitional"].iter();
    let plain = plain.copied().find_map(|form| name.strip_suffix(form));
    let needs = found(name).or_else(|| found(plain?));
    needs.map_or(&[], |(_, needs)| needs)
}

/// Types of which a machine takes one device, and the error about another one.
pub(super) const SINGLE: &[(&str, &str)] = &[
    ("vmcoreinfo", "at most one vmcoreinfo device is permitted"),
    ("vmgenid", "at most one vmgenid device is permitted"),
    ("pvpanic", "duplicate fw_cfg file name: etc/pvpanic-port"),
];

const REQUIRED: &[(&str, Needs)] = &[
    ("pci-bridge", CHASSIS_NR),
    ("pci-bridge-seat", CHASSIS_NR),
    ("pxb", &[("bus_nr", NO_CHASSIS)]),
    ("nvme", &[("serial", "serial property not set")]),
    (
        "ivshmem-plain",
        &[("memdev", "You must specify a 'memdev'")],
    ),
    (
        "ivshmem-doorbell",
        &[("chardev", "You must specify a 'chardev'")],
    ),
    ("vhost-vsock-pci", GUEST_CID),
    ("vhost-scsi-pci", &[("wwpn", "vhost-scsi: missing wwpn")]),
    (
        "vhost-user-scsi-pci",
        &[("chardev", "vhost-user-scsi: missing chardev")],
    ),
    ("vhost-user-blk-pci", &[("chardev", "chardev is mandatory")]),
    ("vhost-user-fs-pci", MISSING_CHARDEV),
    ("vhost-user-vsock-pci", MISSING_CHARDEV),
    ("vhost-user-gpio-pci", VHOST_USER),
    ("vhost-user-i2c-pci", VHOST_USER),
    ("vhost-user-input-pci", VHOST_USER),
    ("vhost-user-rng-pci", VHOST_USER),
    ("vhost-user-snd-pci", VHOST_USER),
    (
        "vhost-vdpa-device-pci",
        &[("vhostdev", "vhost-vdpa-device: vhostdev are missing")],
    ),
    ("virtio-9p-pci", FSDEV),
    ("virtio-blk-pci", DRIVE),
    (
        "virtio-crypto-pci",
        &[("cryptodev", "'cryptodev' parameter expects a valid object")],
    ),
    ("tpm-tis", TPMDEV),
    ("tpm-crb", TPMDEV),
    (
        "virtio-input-host-pci",
        &[("evdev", "evdev property is required")],
    ),
    ("usb-storage", DRIVE),
    ("scsi-block", DRIVE),
    ("scsi-generic", DRIVE),
    ("nvme-ns", DRIVE),
    ("usb-serial", &[("chardev", "Property chardev is required")]),
    (
        "usb-braille",
        &[("chardev", "Property chardev is required")],
    ),
    (
        "usb-redir",
        &[("chardev", "Parameter 'chardev' is missing")],
    ),
    (
        "usb-mtp",
        &[(
            "rootdir",
            "usb-mtp: rootdir must be configured and be an absolute path",
        )],
    ),
    ("ctucan_pci", &[("canbus0", "ctucan_connect_to_bus failed")]),
    ("kvaser_pci", &[("canbus", "can_sja_connect_to_bus failed")]),
    (
        "mioe3680_pci",
        &[("canbus0", "can_sja_connect_to_bus failed")],
    ),
    (
        "pcm3680_pci",
        &[("canbus0", "can_sja_connect_to_bus failed")],
    ),
    ("pci-ipmi-bt", BMC),
    ("pci-ipmi-kcs", BMC),
    ("isa-ipmi-bt", BMC),
    ("isa-ipmi-kcs", BMC),
    ("cxl-switch-mailbox-cci", &[("target", "Target not set")]),
    (
        "cxl-type3",
        &[(
            "volatile-memdev",
            "at least one memdev property must be set",
        )],
    ),
    (
        "xen-platform",
        &[("", "xen-platform device requires a Xen guest")],
    ),
    (
        "u2f-passthru",
        &[("hidraw", "u2f-passthru: Failed to find a U2F USB device")],
    ),
];

const NO_CHASSIS: &str =
    "Bridge chassis not specified. Each bridge is required to be assigned a unique chassis id > 0.";
const CHASSIS_NR: Needs = &[("chassis_nr", NO_CHASSIS)];
const GUEST_CID: Needs = &[("guest-cid", "guest-cid property must be greater than 2")];
const FSDEV: Needs = &[(
    "fsdev",
    "9pfs device couldn't find fsdev with the id = NULL",
)];
const TPMDEV: Needs = &[("tpmdev", "'tpmdev' property is required")];
const DRIVE: Needs = &[("drive", "drive property not set")];
const MISSING_CHARDEV: Needs = &[("chardev", "missing chardev")];
const VHOST_USER: Needs = &[("chardev", "vhost-user-base: missing chardev")];
const BMC: Needs = &[("bmc", "IPMI device requires a bmc attribute to be set")];
