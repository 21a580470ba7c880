//! The devices that boards have from the start, in the order in which QEMU makes them: their
//! numbers in `/machine/unattached` and their order on a bus follow from it.

use crate::model::board::Family;

/// A device of a board.
pub(crate) struct Fixed {
    pub(super) class: &'static str,
    /// Its path below the machine; empty for one that only has a number.
    pub(super) path: &'static str,
    /// The bus it sits on; empty for the main one.
    pub(super) bus: &'static str,
    /// The types and names of the buses it provides.
    pub(super) provides: &'static [(&'static str, &'static str)],
    pub(super) values: &'static [(&'static str, &'static str)],
    /// Properties of the machine. If one of them is off, the device is not made.
    pub(super) needs: &'static [&'static str],
}

/// Something that is made for a board.
pub(crate) enum Step {
    /// Devices that are always the same.
    Fixed(&'static [Fixed]),
    /// Disks of short options.
    Drives,
    /// The display.
    Display,
    /// Serial and parallel ports.
    Ports,
    /// The floppy controller, if there is always one, and its drives.
    Floppies(bool),
    /// Network adapters.
    Nics,
    /// The controllers of USB.
    Usb,
}

use Step::{Display, Drives, Floppies, Nics, Ports, Usb};

/// What is made for a board after its processors.
pub(crate) fn steps(family: Family) -> &'static [Step] {
    match family {
        Family::Empty => EMPTY,
        Family::I440fx => I440FX,
        Family::Q35 => Q35,
        Family::Isa => ISAPC,
        Family::Microvm => MICROVM,
    }
}

/// What is made before the processors.
pub(crate) fn first_devices(family: Family) -> &'static [Fixed] {
    match family {
        Family::Isa | Family::Microvm => FW_CFG,
        _ => &[],
    }
}

const fn fixed(class: &'static str, path: &'static str, bus: &'static str) -> Fixed {
    Fixed {
        class,
        path,
        bus,
        provides: &[],
        values: &[],
        needs: &[],
    }
}

impl Fixed {
    const fn provides(mut self, buses: &'static [(&'static str, &'static str)]) -> Self {
        self.provides = buses;
        self
    }

    const fn with(mut self, values: &'static [(&'static str, &'static str)]) -> Self {
        self.values = values;
        self
    }

    const fn needs(mut self, properties: &'static [&'static str]) -> Self {
        self.needs = properties;
        self
    }
}

const FW_CFG: &[Fixed] = &[fixed("fw_cfg_io", "fw_cfg", "")];
const SECOND_DMA: &[(&str, &str)] = &[
    ("base", "192"),
    ("page-base", "136"),
    ("pageh-base", "-1"),
    ("dshift", "1"),
];
const FIRST_DMA: &[(&str, &str)] = &[
    ("base", "0"),
    ("page-base", "128"),
    ("pageh-base", "-1"),
    ("dshift", "0"),
];
const PICS: &[Fixed] = &[
    fixed("isa-i8259", "", "isa.0")
        .with(&[
            ("iobase", "32"),
            ("elcr_addr", "1232"),
            ("elcr_mask", "248"),
            ("master", "on"),
        ])
        .needs(&["pic"]),
    fixed("isa-i8259", "", "isa.0")
        .with(&[
            ("iobase", "160"),
            ("elcr_addr", "1233"),
            ("elcr_mask", "222"),
            ("master", "off"),
        ])
        .needs(&["pic"]),
];
const PIT: Fixed = fixed("isa-pit", "", "isa.0").needs(&["pit"]);
const PC_SPEAKER: Fixed = fixed("isa-pcspk", "", "isa.0").needs(&["pit"]);
const HPET: Fixed = fixed("hpet", "", "").needs(&["hpet"]);
const INPUT: &[Fixed] = &[
    fixed("i8042", "", "isa.0").needs(&["i8042"]),
    fixed("vmport", "", "isa.0").needs(&["i8042", "vmport"]),
    fixed("vmmouse", "", "isa.0").needs(&["i8042", "vmport"]),
    fixed("port92", "", "isa.0").needs(&["i8042"]),
];

const fn eeprom(address: &'static [(&'static str, &'static str)]) -> Fixed {
    fixed("smbus-eeprom", "", "i2c").with(address)
}

const EEPROMS: &[Fixed] = &[
    eeprom(&[("address", "80")]),
    eeprom(&[("address", "81")]),
    eeprom(&[("address", "82")]),
    eeprom(&[("address", "83")]),
    eeprom(&[("address", "84")]),
    eeprom(&[("address", "85")]),
    eeprom(&[("address", "86")]),
    eeprom(&[("address", "87")]),
];

// It has no place for either, which is told.
const EMPTY: &[Step] = &[Display, Nics];

const I440FX: &[Step] = &[
    Step::Fixed(&[
        fixed("i440FX-pcihost", "i440fx", "").provides(&[("PCI", "pci.0")]),
        fixed("fw_cfg_io", "fw_cfg", ""),
        fixed("i440FX", "", "pci.0").with(&[("addr", "00.0")]),
        fixed("PIIX3", "", "pci.0")
            .with(&[("addr", "01.0"), ("multifunction", "on")])
            .provides(&[("ISA", "isa.0")]),
        fixed("i8257", "SOUTH/dma[0]", "isa.0").with(FIRST_DMA),
        fixed("i8257", "SOUTH/dma[1]", "isa.0").with(SECOND_DMA),
        fixed("mc146818rtc", "SOUTH/rtc", "isa.0"),
        fixed("piix3-ide", "SOUTH/ide", "pci.0")
            .with(&[("addr", "01.1")])
            .provides(&[("IDE", "ide.0"), ("IDE", "ide.1")]),
        fixed("piix3-usb-uhci", "SOUTH/uhci", "pci.0")
            .with(&[("addr", "01.2")])
            .provides(&[("usb-bus", "usb-bus.0")])
            .needs(&["usb"]),
        fixed("PIIX4_PM", "SOUTH/pm", "pci.0")
            .with(&[("addr", "01.3")])
            .provides(&[("i2c-bus", "i2c")])
            .needs(&["acpi"]),
    ]),
    Drives,
    Step::Fixed(PICS),
    Step::Fixed(&[fixed("ioapic", "i440fx/ioapic", "")]),
    Display,
    Step::Fixed(&[HPET.with(&[("hpet-intcap", "4")]), PIT, PC_SPEAKER]),
    Ports,
    Floppies(true),
    Step::Fixed(INPUT),
    Nics,
    Step::Fixed(EEPROMS),
];

const Q35: &[Step] = &[
    Step::Fixed(FW_CFG),
    Step::Fixed(&[
        fixed("q35-pcihost", "q35", "").provides(&[("PCIE", "pcie.0")]),
        fixed("mch", "q35/mch", "pcie.0").with(&[("addr", "00.0")]),
        fixed("ICH9-LPC", "", "pcie.0")
            .with(&[("addr", "1f.0"), ("multifunction", "on")])
            .provides(&[("ISA", "isa.0")]),
        fixed("i8257", "SOUTH/dma[0]", "isa.0").with(FIRST_DMA),
        fixed("i8257", "SOUTH/dma[1]", "isa.0").with(SECOND_DMA),
        fixed("mc146818rtc", "SOUTH/rtc", "isa.0"),
    ]),
    Step::Fixed(PICS),
    Step::Fixed(&[fixed("ioapic", "q35/ioapic", "")]),
    Step::Fixed(&[HPET.with(&[("hpet-intcap", "16711940")]), PIT, PC_SPEAKER]),
    Ports,
    Floppies(false),
    Step::Fixed(INPUT),
    Step::Fixed(&[fixed("ich9-ahci", "", "pcie.0")
        .with(&[("addr", "1f.2")])
        .provides(&[
            ("IDE", "ide.0"),
            ("IDE", "ide.1"),
            ("IDE", "ide.2"),
            ("IDE", "ide.3"),
            ("IDE", "ide.4"),
            ("IDE", "ide.5"),
        ])
        .needs(&["sata"])]),
    Drives,
    Usb,
    Step::Fixed(&[fixed("ICH9-SMB", "", "pcie.0")
        .with(&[("addr", "1f.3")])
        .provides(&[("i2c-bus", "i2c")])
        .needs(&["smbus"])]),
    Step::Fixed(EEPROMS),
    Display,
    Nics,
];

const ISAPC: &[Step] = &[
    Step::Fixed(&[
        fixed("isabus-bridge", "", "").provides(&[("ISA", "isa.0")]),
        fixed("mc146818rtc", "", "isa.0"),
        fixed("i8257", "dma[0]", "isa.0").with(FIRST_DMA),
        fixed("i8257", "dma[1]", "isa.0").with(SECOND_DMA),
    ]),
    Step::Fixed(PICS),
    Display,
    Step::Fixed(&[PIT, PC_SPEAKER]),
    Ports,
    Floppies(true),
    Step::Fixed(INPUT),
    Nics,
    Step::Fixed(&[
        fixed("isa-ide", "", "isa.0")
            .with(&[("iobase", "0x1f0"), ("iobase2", "0x3f6"), ("irq", "14")])
            .provides(&[("IDE", "ide.0")]),
        fixed("isa-ide", "", "isa.0")
            .with(&[("iobase", "0x170"), ("iobase2", "0x376"), ("irq", "15")])
            .provides(&[("IDE", "ide.1")]),
    ]),
    Drives,
];

const fn transport(bus: &'static [(&'static str, &'static str)]) -> Fixed {
    fixed("virtio-mmio", "", "").provides(bus)
}

const MICROVM: &[Step] = &[
    Step::Fixed(&[
        fixed("isabus-bridge", "", "").provides(&[("ISA", "isa.0")]),
        fixed("ioapic", "ioapic", ""),
        fixed("ioapic", "", ""),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.0")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.1")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.2")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.3")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.4")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.5")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.6")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.7")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.8")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.9")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.10")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.11")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.12")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.13")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.14")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.15")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.16")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.17")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.18")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.19")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.20")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.21")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.22")]),
        transport(&[("virtio-mmio-bus", "virtio-mmio-bus.23")]),
        fixed("acpi-ged", "", "").needs(&["acpi"]),
    ]),
    Step::Fixed(PICS),
    Step::Fixed(&[PIT, fixed("mc146818rtc", "", "isa.0")]),
    Drives,
    Display,
    Ports,
    Nics,
];
