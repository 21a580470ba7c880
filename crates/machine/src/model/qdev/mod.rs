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
//!    │  └─ virtio-backend        what is behind PCI
//!    │     └─ scsi0.0            the bus it provides
//!    └─ disk                     scsi-hd, parent_bus = scsi0.0
//! ```
//!
//! What makes a type of objects one of devices is a [`DeviceClass`]: which bus it
//! goes on, and which it provides. The devices do nothing; nothing in the machine
//! would ask them to.

mod add;
mod board;
mod bus;
mod pci;
mod types;

#[cfg(test)]
mod tests;

use crate::model::backends::{find_type, OBJECT};
use crate::model::qom::{
    device_not_found, qom_list_properties, Getter, ObjectId, ObjectType, Property, PropertyInput,
    PropertyListing,
};
use crate::Machine;
use qmonitor::qapi::{Error, QObject};

pub(crate) use add::{Deletion, DeviceOptions, Unplugged};
pub(crate) use pci::PCI_DEVICE;

/// What a type of devices is (QEMU's `DeviceClass` and what is derived from it).
pub struct DeviceClass {
    /// The type of the bus it goes on.
    pub bus: &'static str,
    /// What is behind its interface: name and type of a child that carries the
    /// buses.
    pub backend: Option<(&'static str, &'static ObjectType)>,
    /// The types of the buses it provides.
    pub provides: &'static [&'static ObjectType],
    /// Properties without which it is of no use, and what is said then.
    pub required: &'static [(&'static str, &'static str)],
    /// Whether it goes as soon as it is told to. Others ask the system in the
    /// machine first, and there is none that would answer.
    pub goes_at_once: bool,
    /// Whether it can come while the machine exists.
    pub hotpluggable: bool,
    /// Checks what needs all properties, and chooses what was left open.
    pub realize: Option<Realize>,
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

pub(crate) fn types() -> impl Iterator<Item = &'static ObjectType> {
    let groups = [TYPES, bus::TYPES, pci::TYPES, types::TYPES, board::TYPES];
    groups.into_iter().flatten().copied()
}

static TYPES: &[&ObjectType] = &[&DEVICE];

/// What all types of devices are derived from.
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
    }
}

/// A property that users set before the device is realized, and its default.
const fn property(name: &'static str, type_name: &'static str, default: Getter) -> Property {
    Property::new(name, type_name, default, Some(set_unless_realized))
}

/// Sets a property of a device, the value being of the property's own type,
/// unless it is too late (`qdev_prop_set`).
pub(crate) fn set_unless_realized(
    m: &mut Machine,
    id: ObjectId,
    property: &'static Property,
    input: &PropertyInput,
) -> Result<(), Error> {
    if m.is_realized(id) {
        return Err(after_realize(m, id, property.name));
    }
    let value: QObject = match property.type_name {
        "bool" => input.boolean()?.into(),
        "int" | "int32" => input.int()?.into(),
        "uint16" | "uint32" => input.uint32()?.into(),
        "uint64" => input.uint64()?.into(),
        "size" => input.size()?.into(),
        _ => input.string()?.into(),
    };
    m.store(id, property, value);
    Ok(())
}

fn after_realize(m: &Machine, id: ObjectId, property: &str) -> Error {
    let class = m.object(id).map_or("device", |o| o.class().name);
    let device = match m.device_id(id) {
        Some(id) => format!("device '{id}'"),
        None => "anonymous device".to_owned(),
    };
    Error::new(format!(
        "Attempt to set property '{property}' on {device} (type '{class}') after it was realized"
    ))
}

/// Lists the properties that can be set on new devices of a type
/// (`qmp_device_list_properties`): not those that all devices have.
///
/// # Errors
///
/// There is no such type, or it is none of devices.
pub(crate) fn device_list_properties(typename: &str) -> Result<Vec<PropertyListing>, Error> {
    let class = find_type(typename).ok_or_else(|| device_not_found(typename))?;
    if class.is_abstract || !class.is_a(DEVICE.name) {
        return Err(Error::new(
            "Parameter 'typename' expects a non-abstract device type",
        ));
    }
    let mut list = qom_list_properties(typename)?;
    list.retain(|p| DEVICE.property(&p.name).is_none());
    Ok(list)
}
