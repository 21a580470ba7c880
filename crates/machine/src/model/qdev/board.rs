//! The devices that the boards of PCs have from the start: those that carry buses.

use super::bus::{I2C, IDE, ISA, PCI, PCIE};
use super::{property, DEVICE, PCI_DEVICE};
use crate::model::qom::{Getter, ObjectId, ObjectType, Property};
use crate::model::Machine;

use Getter::{Bool, Int};

pub(crate) static TYPES: &[&ObjectType] = &[
    &ISABUS_BRIDGE,
    &KVMVAPIC,
    &I440FX_PCIHOST,
    &I440FX,
    &PIIX3,
    &PIIX3_IDE,
    &PIIX4_PM,
    &Q35_PCIHOST,
    &MCH,
    &ICH9_LPC,
    &ICH9_AHCI,
    &ICH9_SMB,
];

const fn on_pci(name: &'static str, properties: &'static [Property]) -> ObjectType {
    ObjectType {
        properties,
        ..ObjectType::new(name, &PCI_DEVICE)
    }
}

static ISABUS_BRIDGE: ObjectType = ObjectType::new("isabus-bridge", &DEVICE);
static KVMVAPIC: ObjectType = ObjectType::new("kvmvapic", &DEVICE);
static I440FX_PCIHOST: ObjectType = ObjectType::new("i440FX-pcihost", &DEVICE);
static I440FX: ObjectType = on_pci("i440FX", &[]);
static PIIX3: ObjectType = on_pci("PIIX3", &[]);
static PIIX3_IDE: ObjectType = on_pci("piix3-ide", &[]);
static PIIX4_PM: ObjectType = on_pci(
    "PIIX4_PM",
    &[
        property("disable_s3", "uint8", Int(0)),
        property("disable_s4", "uint8", Int(0)),
        property("s4_val", "uint8", Int(2)),
        property("acpi-pci-hotplug-with-bridge-support", "bool", Bool(true)),
        property("acpi-root-pci-hotplug", "bool", Bool(true)),
        property("memory-hotplug-support", "bool", Bool(true)),
    ],
);
static Q35_PCIHOST: ObjectType = ObjectType::new("q35-pcihost", &DEVICE);
static MCH: ObjectType = on_pci("mch", &[]);
static ICH9_LPC: ObjectType = on_pci(
    "ICH9-LPC",
    &[
        property("disable_s3", "uint8", Int(0)),
        property("disable_s4", "uint8", Int(0)),
        property("s4_val", "uint8", Int(2)),
        property("noreboot", "bool", Bool(true)),
        property("acpi-pci-hotplug-with-bridge-support", "bool", Bool(true)),
    ],
);
static ICH9_AHCI: ObjectType = on_pci("ich9-ahci", &[]);
static ICH9_SMB: ObjectType = on_pci("ICH9-SMB", &[]);

impl Machine {
    /// Makes the processors' interrupt helper, which QEMU makes with the first of
    /// them, so that it takes the second number.
    pub(crate) fn add_kvmvapic(&mut self) {
        let id = self.object_new(&KVMVAPIC);
        self.add_unattached(id);
        self.set_realized(id);
    }

    /// Host bridge, PCI, and a south bridge with ISA, IDE and, if there is ACPI,
    /// power management.
    pub(crate) fn wire_i440fx(&mut self) {
        let acpi = self.str_property(self.machine_object, "acpi") != "off";
        let host = self.new_child(self.machine_object, "i440fx", &I440FX_PCIHOST);
        let pci = self.new_child(host, "pci.0", &PCI);
        self.wire(&I440FX, pci, 0x00);
        let piix3 = self.wire(&PIIX3, pci, 0x08);
        self.store_by_name(piix3, "multifunction", true);
        self.new_child(piix3, "isa.0", &ISA);
        let ide = self.wire_function(&PIIX3_IDE, pci, 0x09, piix3, "ide");
        for name in ["ide.0", "ide.1"] {
            self.new_child(ide, name, &IDE);
        }
        if acpi {
            let pm = self.wire_function(&PIIX4_PM, pci, 0x0b, piix3, "pm");
            self.new_child(pm, "i2c", &I2C);
        }
    }

    /// ISA alone.
    pub(crate) fn wire_isa(&mut self) {
        let bridge = self.object_new(&ISABUS_BRIDGE);
        self.add_unattached(bridge);
        self.new_child(bridge, "isa.0", &ISA);
        self.set_realized(bridge);
    }

    /// Host bridge, PCI Express, and a south bridge with ISA and six ports for
    /// disks.
    pub(crate) fn wire_q35(&mut self) {
        let host = self.new_child(self.machine_object, "q35", &Q35_PCIHOST);
        let pcie = self.new_child(host, "pcie.0", &PCIE);
        self.wire_function(&MCH, pcie, 0x00, host, "mch");
        let lpc = self.wire(&ICH9_LPC, pcie, 0xf8);
        self.store_by_name(lpc, "multifunction", true);
        self.new_child(lpc, "isa.0", &ISA);
        let sata = self.bool_property(self.machine_object, "sata");
        if sata {
            let ahci = self.wire(&ICH9_AHCI, pcie, 0xfa);
            for port in 0..6 {
                self.new_child(ahci, &format!("ide.{port}"), &IDE);
            }
        }
        let smbus = self.wire(&ICH9_SMB, pcie, 0xfb);
        self.new_child(smbus, "i2c", &I2C);
    }

    fn wire(&mut self, class: &'static ObjectType, bus: ObjectId, address: i64) -> ObjectId {
        let id = self.object_new(class);
        self.add_unattached(id);
        self.put_on(id, bus, address);
        id
    }

    /// A device that is part of another one.
    fn wire_function(
        &mut self,
        class: &'static ObjectType,
        bus: ObjectId,
        address: i64,
        parent: ObjectId,
        name: &str,
    ) -> ObjectId {
        let id = self.new_child(parent, name, class);
        self.put_on(id, bus, address);
        id
    }

    fn put_on(&mut self, id: ObjectId, bus: ObjectId, address: i64) {
        self.store_by_name(id, "addr", address);
        self.set_parent_bus(id, bus);
        self.set_realized(id);
    }
}
