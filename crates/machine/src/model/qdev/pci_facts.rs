//! What the devices on PCI say of themselves: facts recorded from QEMU 10.0.2.

/// A region that a function occupies, once firmware has given it a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Region {
    pub(crate) bar: u8,
    pub(crate) size: u64,
    pub(crate) kind: RegionKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RegionKind {
    /// Ports.
    Io,
    /// Memory below 4 GiB.
    Memory,
    /// The same, which may be read ahead.
    Prefetch,
    /// Memory at an address of 64 bits, which may be read ahead.
    Prefetch64,
}

/// What one type of devices says of itself.
#[derive(Debug)]
pub(crate) struct PciFacts {
    pub(crate) driver: &'static str,
    pub(crate) vendor: u16,
    pub(crate) device: u16,
    pub(crate) subsystem: u16,
    pub(crate) class: u16,
    /// The interrupt pin; 0 is none.
    pub(crate) pin: u8,
    pub(crate) regions: &'static [Region],
}

/// The maker of the boards.
pub(crate) const SUBSYSTEM_VENDOR: u16 = 0x1af4;

/// The names of classes.
const CLASSES: &[(u16, &str)] = &[
    (0x0100, "SCSI controller"),
    (0x0101, "IDE controller"),
    (0x0106, "SATA controller"),
    (0x0300, "VGA controller"),
    (0x0600, "Host bridge"),
    (0x0601, "ISA bridge"),
    (0x0680, "Bridge"),
    (0x0c03, "USB controller"),
    (0x0c05, "SMBus"),
];

/// The name of a class, if it has one.
pub(crate) fn class_name(class: u16) -> Option<&'static str> {
    CLASSES.iter().find(|(c, _)| *c == class).map(|(_, n)| *n)
}

const fn region(bar: u8, kind: RegionKind, size: u64) -> Region {
    Region { bar, size, kind }
}

/// The regions of virtio, with as many ports.
const fn virtio(ports: u64) -> [Region; 3] {
    [
        region(0, RegionKind::Io, ports),
        region(1, RegionKind::Memory, 4096),
        region(4, RegionKind::Prefetch64, 16384),
    ]
}

const PORTS_32: &[Region] = &virtio(32);
const PORTS_64: &[Region] = &virtio(64);
const PORTS_128: &[Region] = &virtio(128);
const IDE: &[Region] = &[region(4, RegionKind::Io, 16)];
const UHCI: &[Region] = &[region(4, RegionKind::Io, 32)];
const AHCI: &[Region] = &[
    region(4, RegionKind::Io, 32),
    region(5, RegionKind::Memory, 4096),
];
const SMBUS: &[Region] = &[region(4, RegionKind::Io, 64)];
const VGA: &[Region] = &[
    region(0, RegionKind::Prefetch, 16 << 20),
    region(2, RegionKind::Memory, 4096),
    region(6, RegionKind::Memory, 65536),
];

const fn row(
    driver: &'static str,
    (vendor, device, subsystem): (u16, u16, u16),
    class: u16,
    pin: u8,
    regions: &'static [Region],
) -> PciFacts {
    PciFacts {
        driver,
        vendor,
        device,
        subsystem,
        class,
        pin,
        regions,
    }
}

static FACTS: &[PciFacts] = &[
    row("i440FX", (0x8086, 0x1237, 0x1100), 0x0600, 0, &[]),
    row("PIIX3", (0x8086, 0x7000, 0x1100), 0x0601, 0, &[]),
    row("piix3-ide", (0x8086, 0x7010, 0x1100), 0x0101, 0, IDE),
    row("PIIX4_PM", (0x8086, 0x7113, 0x1100), 0x0680, 1, &[]),
    row("mch", (0x8086, 0x29c0, 0x1100), 0x0600, 0, &[]),
    row("ICH9-LPC", (0x8086, 0x2918, 0x1100), 0x0601, 0, &[]),
    row("ich9-ahci", (0x8086, 0x2922, 0x1100), 0x0106, 1, AHCI),
    row("ICH9-SMB", (0x8086, 0x2930, 0x1100), 0x0c05, 1, SMBUS),
    row("VGA", (0x1234, 0x1111, 0x1100), 0x0300, 0, VGA),
    row("piix3-usb-uhci", (0x8086, 0x7020, 0x1100), 0x0c03, 4, UHCI),
    row(
        "virtio-balloon-pci",
        (0x1af4, 0x1002, 5),
        0x00ff,
        1,
        PORTS_64,
    ),
    row("virtio-blk-pci", (0x1af4, 0x1001, 2), 0x0100, 1, PORTS_128),
    row("virtio-rng-pci", (0x1af4, 0x1005, 4), 0x00ff, 1, PORTS_32),
    row("virtio-scsi-pci", (0x1af4, 0x1004, 8), 0x0100, 1, PORTS_64),
    row(
        "virtio-serial-pci",
        (0x1af4, 0x1003, 3),
        0x0780,
        1,
        PORTS_64,
    ),
];

/// What a type of devices says of itself; `None` for types that are not on PCI.
pub(crate) fn pci_facts(driver: &str) -> Option<&'static PciFacts> {
    FACTS.iter().find(|facts| facts.driver == driver)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::qdev::{DeviceClass, PCI_DEVICE};
    use crate::model::types::all_types;

    #[test]
    fn every_device_on_pci_has_its_facts() {
        for class in all_types().filter(|class| class.is_a(PCI_DEVICE.name)) {
            let pluggable = class.class::<DeviceClass>().is_some();
            if pluggable && !class.is_abstract {
                assert!(pci_facts(class.name).is_some(), "{}", class.name);
            }
        }
    }
}
