//! Devices and buses (QEMU's qdev).
//!
//! A device is an object whose properties are set first; then it is *realized*,
//! and from then on most of them are fixed. It sits on a bus, which is an object
//! below another device or the board, and may provide buses itself:
//!
//! ```text
//! /machine
//! ├─ i440fx                      the board's host bridge
//! │  └─ pci.0                    its bus
//! └─ peripheral
//!    ├─ scsi0                    virtio-scsi-pci, parent_bus = pci.0
//!    │  └─ virtio-backend        the device behind PCI
//!    │     └─ scsi0.0            the bus it provides
//!    └─ disk                     scsi-hd, parent_bus = scsi0.0
//! ```
//!
//! A type of devices has a [`DeviceClass`], which says on which bus a device sits and
//! which buses it provides. The devices do nothing: nothing in the machine runs that
//! would use them.

mod add;
mod aliases;
pub(super) mod board;
pub(super) mod bus;
mod globals;
mod help;
pub(super) mod pci;
mod pci_facts;
pub(super) mod ports;
pub(super) mod types;

#[cfg(test)]
mod tests;

use crate::model::qom::{Getter, ObjectId, ObjectType, Property, Set, OBJECT};
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};

pub(crate) use add::{DeviceOptions, Unplugged};
pub(crate) use help::{device_help_wanted, device_list};
pub(crate) use pci::{address_text, PCI_DEVICE};
pub(crate) use pci_facts::{class_name, pci_facts, PciFacts, RegionKind, SUBSYSTEM_VENDOR};
pub(crate) use ports::default_port;

/// The facts about a type of devices (QEMU's `DeviceClass` and those derived from it).
pub struct DeviceClass {
    /// The type of the bus it goes on.
    pub bus: &'static str,
    /// The name and the type of a child behind the interface, which carries the buses.
    pub backend: Option<(&'static str, &'static ObjectType)>,
    /// The types of the buses it provides.
    pub provides: &'static [&'static ObjectType],
    /// Required properties, and the error if one is missing.
    pub required: &'static [(&'static str, &'static str)],
    /// Whether it goes as soon as it is unplugged. Others wait for the guest's consent,
    /// and there is no guest.
    pub goes_at_once: bool,
    /// Whether it can be added while the machine exists.
    pub hotpluggable: bool,
    /// Checks the properties together, and chooses those that were left open.
    pub realize: Option<Realize>,
}

/// A type of devices that users can add.
const fn device(
    name: &'static str,
    parent: &'static ObjectType,
    class: &'static DeviceClass,
    properties: &'static [Property],
) -> ObjectType {
    ObjectType {
        class: Some(class),
        properties,
        ..ObjectType::new(name, parent)
    }
}

/// Completes a device that is to sit on a bus.
pub type Realize = fn(&mut Machine, ObjectId, ObjectId) -> Result<(), Error>;

impl DeviceClass {
    /// Devices that sit on such a bus and provide nothing.
    pub const fn on(bus: &'static str) -> Self {
        DeviceClass {
            bus,
            backend: None,
            provides: &[],
            required: &[],
            goes_at_once: false,
            hotpluggable: true,
            realize: None,
        }
    }
}

pub(crate) static TYPES: &[&ObjectType] = &[&DEVICE];

/// The type that all types of devices are derived from.
pub(crate) static DEVICE: ObjectType = ObjectType::new_abstract(
    "device",
    &OBJECT,
    &[
        Property::new("parent_bus", "link<bus>", Getter::Link, None),
        Property::new("realized", "bool", Getter::Bool(false), None),
        Property::new("hotplugged", "bool", Getter::Bool(false), None),
        Property::new("hotpluggable", "bool", Getter::Bool(true), None),
    ],
);

impl Machine {
    /// The id that the user gave the device.
    pub(crate) fn device_id(&self, id: ObjectId) -> Option<&str> {
        let peripheral = self.child(self.machine_object, "peripheral")?;
        (self.parent(id)? == peripheral).then(|| self.object(id).map(|o| o.name()))?
    }

    /// The device with this id.
    pub(crate) fn find_device(&self, id: &str) -> Option<ObjectId> {
        self.child(self.child(self.machine_object, "peripheral")?, id)
    }

    /// Whether the user has plugged a device of one of these types.
    pub(crate) fn has_device(&self, types: &[&str]) -> bool {
        let containers = ["peripheral", "peripheral-anon"].into_iter();
        let mut devices = containers
            .filter_map(|name| self.child(self.machine_object, name))
            .flat_map(|container| self.children(container));
        devices.any(|(_, id)| types.contains(&self.class_name(id)))
    }

    /// Puts a device of the board into the tree.
    pub(crate) fn add_unattached(&mut self, id: ObjectId) {
        if let Some(unattached) = self.child(self.machine_object, "unattached") {
            let number = self.devices_unattached;
            self.devices_unattached += 1;
            self.add_child(unattached, &format!("device[{number}]"), id);
        }
    }

    /// Puts a device on a bus.
    fn set_parent_bus(&mut self, id: ObjectId, bus: ObjectId) {
        self.store_link(id, &DEVICE.properties[0], Some(bus));
    }

    /// Whether the device was realized.
    pub(crate) fn is_realized(&self, id: ObjectId) -> bool {
        self.bool_property(id, "realized")
    }

    /// Marks a device as complete.
    pub(crate) fn set_realized(&mut self, id: ObjectId) {
        self.store_by_name(id, "realized", true);
        self.set_complete(id, true);
    }
}

/// A property that users set before the device is realized, and its default.
pub(crate) const fn property(
    name: &'static str,
    type_name: &'static str,
    default: Getter,
) -> Property {
    Property::new(name, type_name, default, Some(set_typed)).frozen(after_realize)
}

/// The types whose values are words.
const WORDS: &[(&str, &[&str])] = &[
    ("OnOffAuto", &["auto", "on", "off"]),
    (
        "BlockdevOnError",
        &["report", "ignore", "enospc", "stop", "auto"],
    ),
];

/// Puts a value of the property's own type into the cell (`qdev_prop_set`).
fn set_typed(set: Set<'_>) -> Result<(), Error> {
    let input = set.input;
    let words = WORDS.iter().find(|(t, _)| *t == set.property.type_name);
    if let Some((_, words)) = words {
        let word = input.string()?;
        if !words.contains(&word.as_str()) {
            let name = set.property.name;
            let desc = format!("Parameter '{name}' does not accept value '{word}'");
            return Err(Error::new(desc));
        }
        return set.store(word);
    }
    let value: QObject = match set.property.type_name {
        "bool" => input.boolean()?.into(),
        "int" | "int32" => input.int()?.into(),
        "uint8" | "uint16" | "uint32" => input.uint32()?.into(),
        "uint64" => input.uint64()?.into(),
        "size" => input.size()?.into(),
        _ => input.string()?.into(),
    };
    set.store(value)
}

fn after_realize(m: &Machine, id: ObjectId, property: &Property) -> Error {
    let (name, class) = (property.name, m.class_name(id));
    let device = match m.device_id(id) {
        Some(id) => format!("device '{id}'"),
        None => "anonymous device".to_owned(),
    };
    Error::new(format!(
        "Attempt to set property '{name}' on {device} (type '{class}') after it was realized"
    ))
}
