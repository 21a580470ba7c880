//! Objects inside devices that show in the tree.

use crate::model::board::Family;
use crate::model::qom::ObjectId;
use crate::model::types::find_type;
use crate::model::Machine;

/// Types of devices, and the name and type of an object inside.
const INSIDE: &[(&str, &str, &str)] = &[
    ("isa-serial", "serial", "serial"),
    ("pci-serial", "serial", "serial"),
    ("i8042", "ps2kbd", "ps2-kbd"),
    ("i8042", "ps2mouse", "ps2-mouse"),
    ("x86_64-cpu", "lapic", "apic"),
];

impl Machine {
    /// Makes the objects inside a device.
    pub(super) fn add_inside(&mut self, id: ObjectId) {
        let Some(class) = self.object(id).map(|o| o.class()) else {
            return;
        };
        for (owner, name, inner) in INSIDE.iter().filter(|(owner, ..)| class.is_a(owner)) {
            let is_absent = *owner == "x86_64-cpu" && !self.bool_property(id, "apic");
            let Some(inner) = find_type(inner).filter(|_| !is_absent) else {
                continue;
            };
            let inside = self.new_child(id, name, inner);
            let bus = self.main_bus().filter(|_| inner.is_a("sys-bus-device"));
            if let Some(bus) = bus {
                self.set_parent_bus(inside, bus);
            }
            self.set_realized(inside);
        }
    }

    /// Whether the board has a part that the table of shapes has for its type.
    pub(crate) fn has_part(&self, class: &str, part: &str) -> bool {
        let family = self.class.family;
        let is_plain = matches!(family, Family::Isa | Family::Microvm);
        // Only boards with PCI map the memory of system management.
        if part == "smram[0]" && class == "qemu64-x86_64-cpu" {
            return !is_plain;
        }
        // Firmware gets tables of ACPI in files.
        let has_acpi = || self.str_property(self.machine_object, "acpi") != "off";
        class != "fw_cfg_io" || !part.contains("@etc") || family != Family::Isa && has_acpi()
    }
}
