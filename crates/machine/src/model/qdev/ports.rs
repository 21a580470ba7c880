//! Serial and parallel ports on ISA.

use super::{device, property, DeviceClass, DEVICE};
use crate::model::board::Family;
use crate::model::qdev::bus::ISA;
use crate::model::qom::{Getter, ObjectId, ObjectType};
use crate::model::Machine;

use Getter::{Bool, Int, Str};

pub(crate) static TYPES: &[&ObjectType] = &[&ISA_DEVICE, &ISA_SERIAL, &ISA_PARALLEL];

static ISA_DEVICE: ObjectType = ObjectType::new_abstract("isa-device", &DEVICE, &[]);

static ISA_SERIAL: ObjectType = device(
    "isa-serial",
    &ISA_DEVICE,
    &DeviceClass::on("ISA"),
    &[
        property("chardev", "str", Str("")),
        property("index", "uint32", Int(0xffff_ffff)),
        property("iobase", "uint32", Int(0xffff_ffff)),
        property("irq", "uint32", Int(0xffff_ffff)),
        property("baudbase", "uint32", Int(115_200)),
        property("wakeup", "bool", Bool(false)),
    ],
);

static ISA_PARALLEL: ObjectType = device(
    "isa-parallel",
    &ISA_DEVICE,
    &DeviceClass {
        required: &[("chardev", "Can't create parallel device, empty char device")],
        ..DeviceClass::on("ISA")
    },
    &[
        property("chardev", "str", Str("")),
        property("index", "uint32", Int(0xffff_ffff)),
        property("iobase", "uint32", Int(0xffff_ffff)),
        property("irq", "uint32", Int(7)),
    ],
);

/// A kind of ports: the type of its devices, and where a PC has the ports of this kind.
struct Ports {
    kind: &'static str,
    class: &'static ObjectType,
    /// Address and interrupt of each port.
    places: &'static [(i64, i64)],
}

const PORTS: &[Ports] = &[
    Ports {
        kind: "serial",
        class: &ISA_SERIAL,
        places: &[(0x3f8, 4), (0x2f8, 3), (0x3e8, 4), (0x2e8, 3)],
    },
    Ports {
        kind: "parallel",
        class: &ISA_PARALLEL,
        places: &[(0x378, 7), (0x278, 7), (0x3bc, 7)],
    },
];

/// The kind of ports that the board leaves out by default if the user adds such a device.
pub(crate) fn default_port(driver: &str) -> Option<&'static str> {
    let ports = PORTS.iter().find(|p| p.class.name == driver)?;
    Some(ports.kind)
}

impl Machine {
    /// Makes a port of the board; `None` if it has no place for one.
    pub(crate) fn add_port(&mut self, kind: &str, index: usize, chardev: &str) -> Option<ObjectId> {
        let bus = self.buses(ISA.name).first().copied()?;
        let ports = PORTS.iter().find(|p| p.kind == kind)?;
        let is_small = self.class.family == Family::Microvm;
        if is_small && (kind != "serial" || index > 0) {
            return None;
        }
        let (iobase, irq) = *ports.places.get(index)?;
        let id = self.object_new(ports.class);
        self.add_unattached(id);
        self.store_by_name(id, "chardev", chardev);
        self.store_by_name(id, "index", index as i64);
        self.store_by_name(id, "iobase", iobase);
        self.store_by_name(id, "irq", irq);
        self.set_parent_bus(id, bus);
        self.set_realized(id);
        Some(id)
    }
}
