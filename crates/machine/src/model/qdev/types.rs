//! The devices that users can add.
//!
//! Properties are those that people use, with QEMU's names, types and defaults.

use super::bus::{SCSI, USB, VIRTIO_SERIAL};
use super::pci::VIRTIO_PCI;
use super::{abstract_device, device, property, DeviceClass, DEVICE, PCI_DEVICE};
use crate::model::block::set_drive;
use crate::model::qom::{set_link, Getter, ObjectType, Property};

use Getter::{Bool, Int, Str};

pub(crate) static TYPES: &[&ObjectType] = &[
    &VIRTIO_DEVICE,
    &VIRTIO_BLK_DEVICE,
    &VIRTIO_SCSI_DEVICE,
    &VIRTIO_SERIAL_DEVICE,
    &VIRTIO_BALLOON_DEVICE,
    &VIRTIO_RNG_DEVICE,
    &VIRTIO_BLK_PCI,
    &VIRTIO_SCSI_PCI,
    &VIRTIO_SERIAL_PCI,
    &VIRTIO_BALLOON_PCI,
    &VIRTIO_RNG_PCI,
    &VIRTSERIALPORT,
    &VIRTCONSOLE,
    &PIIX3_UHCI,
    &USB_DEVICE,
    &USB_TABLET,
    &USB_MOUSE,
    &USB_KBD,
    &VGA,
    &SCSI_DEVICE,
    &SCSI_HD,
    &SCSI_CD,
    &IDE_DEVICE,
    &IDE_HD,
    &IDE_CD,
];

static VIRTIO_DEVICE: ObjectType = abstract_device("virtio-device", &DEVICE, &[]);

const fn behind_pci(name: &'static str) -> ObjectType {
    ObjectType::new(name, &VIRTIO_DEVICE)
}

static VIRTIO_BLK_DEVICE: ObjectType = behind_pci("virtio-blk-device");
static VIRTIO_SCSI_DEVICE: ObjectType = behind_pci("virtio-scsi-device");
static VIRTIO_SERIAL_DEVICE: ObjectType = behind_pci("virtio-serial-device");
static VIRTIO_BALLOON_DEVICE: ObjectType = behind_pci("virtio-balloon-device");
static VIRTIO_RNG_DEVICE: ObjectType = behind_pci("virtio-rng-device");

const fn virtio(backend: &'static str) -> DeviceClass {
    DeviceClass {
        backend: Some(("virtio-backend", backend)),
        ..DeviceClass::on("PCI")
    }
}

const DRIVE_NOT_SET: &[(&str, &str)] = &[("drive", "drive property not set")];

/// The properties that all disks have, and some more.
macro_rules! disk {
    ($($more:expr),* $(,)?) => {
        &[
            Property::new("drive", "str", Str(""), Some(set_drive)),
            property("serial", "str", Str("")),
            property("bootindex", "int32", Int(-1)),
            property("logical_block_size", "size", Int(0)),
            property("physical_block_size", "size", Int(0)),
            property("min_io_size", "size", Int(0)),
            property("opt_io_size", "size", Int(0)),
            property("discard_granularity", "size", Int(0xffff_ffff)),
            property("write-cache", "OnOffAuto", Str("auto")),
            property("share-rw", "bool", Bool(false)),
            property("rerror", "BlockdevOnError", Str("auto")),
            property("werror", "BlockdevOnError", Str("auto")),
            $($more),*
        ]
    };
}

const fn iothread() -> Property {
    Property::new("iothread", "link<iothread>", Getter::Link, Some(set_link))
}

static VIRTIO_BLK_PCI: ObjectType = device(
    "virtio-blk-pci",
    &VIRTIO_PCI,
    &DeviceClass {
        required: DRIVE_NOT_SET,
        ..virtio("virtio-blk-device")
    },
    disk![
        iothread(),
        property("num-queues", "uint16", Int(65535)),
        property("queue-size", "uint16", Int(256)),
        property("config-wce", "bool", Bool(true)),
        property("discard", "bool", Bool(true)),
        property("write-zeroes", "bool", Bool(true)),
        property("request-merging", "bool", Bool(true)),
    ],
);

static VIRTIO_SCSI_PCI: ObjectType = device(
    "virtio-scsi-pci",
    &VIRTIO_PCI,
    &DeviceClass {
        provides: &[&SCSI],
        ..virtio("virtio-scsi-device")
    },
    &[
        iothread(),
        property("num_queues", "uint32", Int(0xffff_ffff)),
        property("virtqueue_size", "uint32", Int(256)),
        property("max_sectors", "uint32", Int(65535)),
        property("cmd_per_lun", "uint32", Int(128)),
        property("hotplug", "bool", Bool(true)),
        property("param_change", "bool", Bool(true)),
    ],
);

static VIRTIO_SERIAL_PCI: ObjectType = device(
    "virtio-serial-pci",
    &VIRTIO_PCI,
    &DeviceClass {
        provides: &[&VIRTIO_SERIAL],
        ..virtio("virtio-serial-device")
    },
    &[
        property("max_ports", "uint32", Int(31)),
        property("emergency-write", "bool", Bool(true)),
    ],
);

static VIRTIO_BALLOON_PCI: ObjectType = device(
    "virtio-balloon-pci",
    &VIRTIO_PCI,
    &DeviceClass {
        realize: Some(crate::model::balloon::realize),
        ..virtio("virtio-balloon-device")
    },
    crate::model::balloon::PROPERTIES,
);

static VIRTIO_RNG_PCI: ObjectType = device(
    "virtio-rng-pci",
    &VIRTIO_PCI,
    &virtio("virtio-rng-device"),
    &[
        Property::new("rng", "link<rng-backend>", Getter::Link, Some(set_link)),
        property("max-bytes", "uint64", Int(i64::MAX)),
        property("period", "uint32", Int(65536)),
    ],
);

static VIRTSERIALPORT: ObjectType = device(
    "virtserialport",
    &DEVICE,
    &DeviceClass {
        goes_at_once: true,
        realize: Some(super::virtio_serial::choose_port),
        ..DeviceClass::on("virtio-serial-bus")
    },
    &[
        property("nr", "uint32", Int(0xffff_ffff)),
        property("chardev", "str", Str("")),
        property("name", "str", Str("")),
    ],
);
static VIRTCONSOLE: ObjectType = ObjectType {
    class: VIRTSERIALPORT.class,
    ..ObjectType::new("virtconsole", &VIRTSERIALPORT)
};

static PIIX3_UHCI: ObjectType = device(
    "piix3-usb-uhci",
    &PCI_DEVICE,
    &DeviceClass {
        provides: &[&USB],
        ..DeviceClass::on("PCI")
    },
    &[
        property("bandwidth", "uint32", Int(1280)),
        property("maxframes", "uint32", Int(128)),
    ],
);

static USB_DEVICE: ObjectType = abstract_device(
    "usb-device",
    &DEVICE,
    &[
        property("port", "str", Str("")),
        property("serial", "str", Str("")),
        property("msos-desc", "bool", Bool(true)),
        property("usb_version", "uint32", Int(2)),
    ],
);

const ON_USB: &DeviceClass = &DeviceClass {
    goes_at_once: true,
    realize: Some(super::usb::choose_port),
    ..DeviceClass::on("usb-bus")
};

const fn usb(name: &'static str, properties: &'static [Property]) -> ObjectType {
    device(name, &USB_DEVICE, ON_USB, properties)
}

static USB_TABLET: ObjectType = usb(
    "usb-tablet",
    &[
        property("display", "str", Str("")),
        property("head", "uint32", Int(0)),
    ],
);
static USB_MOUSE: ObjectType = usb("usb-mouse", &[]);
static USB_KBD: ObjectType = usb("usb-kbd", &[property("display", "str", Str(""))]);

static VGA: ObjectType = device(
    "VGA",
    &PCI_DEVICE,
    &DeviceClass {
        hotpluggable: false,
        ..DeviceClass::on("PCI")
    },
    &[
        property("vgamem_mb", "uint32", Int(16)),
        property("mmio", "bool", Bool(true)),
        property("edid", "bool", Bool(true)),
        property("xres", "uint32", Int(0)),
        property("yres", "uint32", Int(0)),
        property("xmax", "uint32", Int(0)),
        property("ymax", "uint32", Int(0)),
        property("refresh_rate", "uint32", Int(0)),
    ],
);

static SCSI_DEVICE: ObjectType = abstract_device(
    "scsi-device",
    &DEVICE,
    &[
        property("channel", "uint32", Int(0)),
        property("scsi-id", "uint32", Int(0xffff_ffff)),
        property("lun", "uint32", Int(0xffff_ffff)),
    ],
);

static SCSI_HD: ObjectType = device(
    "scsi-hd",
    &SCSI_DEVICE,
    &DeviceClass {
        required: DRIVE_NOT_SET,
        goes_at_once: true,
        realize: Some(super::scsi::choose_place),
        ..DeviceClass::on("SCSI")
    },
    disk![
        property("device_id", "str", Str("")),
        property("vendor", "str", Str("")),
        property("product", "str", Str("")),
        property("ver", "str", Str("")),
        property("wwn", "uint64", Int(0)),
        property("removable", "bool", Bool(false)),
        property("rotation_rate", "uint16", Int(0)),
    ],
);

static SCSI_CD: ObjectType = device(
    "scsi-cd",
    &SCSI_DEVICE,
    &DeviceClass {
        goes_at_once: true,
        realize: Some(super::scsi::choose_place),
        ..DeviceClass::on("SCSI")
    },
    disk![
        property("device_id", "str", Str("")),
        property("vendor", "str", Str("")),
        property("product", "str", Str("")),
        property("ver", "str", Str("")),
        property("wwn", "uint64", Int(0)),
    ],
);

static IDE_DEVICE: ObjectType = abstract_device(
    "ide-device",
    &DEVICE,
    &[property("unit", "uint32", Int(0xffff_ffff))],
);

static IDE_HD: ObjectType = device(
    "ide-hd",
    &IDE_DEVICE,
    &DeviceClass {
        required: &[("drive", "No drive specified")],
        realize: Some(super::ide::choose_unit),
        ..DeviceClass::on("IDE")
    },
    disk![
        property("model", "str", Str("")),
        property("ver", "str", Str("")),
        property("wwn", "uint64", Int(0)),
        property("rotation_rate", "uint16", Int(0)),
    ],
);

static IDE_CD: ObjectType = device(
    "ide-cd",
    &IDE_DEVICE,
    &DeviceClass {
        realize: Some(super::ide::choose_unit),
        ..DeviceClass::on("IDE")
    },
    disk![
        property("model", "str", Str("")),
        property("ver", "str", Str("")),
        property("wwn", "uint64", Int(0)),
    ],
);
