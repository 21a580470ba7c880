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
mod board;
pub(super) mod bus;
mod class;
mod declare;
mod defaults;
mod floppy;
mod globals;
mod help;
mod host;
mod host_parts;
mod ide;
mod inside;
mod page;
pub(super) mod pci;
mod pci_facts;
pub(super) mod ports;
mod recorded;
mod required;
mod scsi;
pub(super) mod types;
mod usb;
mod virtio_serial;
pub(crate) mod wiring;

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tests;

use crate::model::qom::ObjectId;
use crate::model::Machine;

pub(crate) use add::{DeviceOptions, Unplugged};
pub(crate) use class::{after_realize, property, DeviceClass, DEVICE, TYPES};
use class::{set_typed, Realize};
pub(crate) use declare::abstract_device;
use declare::device;
pub(crate) use help::{device_help_wanted, device_list};
pub(crate) use host_parts::HostParts;
pub(crate) use pci::{address_text, PCI_DEVICE};
pub(crate) use pci_facts::{pci_facts, PciFacts, RegionKind};
pub(crate) use ports::default_port;
pub(crate) use recorded::{left_out, object_type};
pub(crate) use usb::product;

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

    /// A device of this type that the user has plugged, once it is complete.
    pub(crate) fn plugged(&self, class: &str) -> Option<ObjectId> {
        let containers = ["peripheral", "peripheral-anon"].into_iter();
        let mut devices = containers
            .filter_map(|name| self.child(self.machine_object, name))
            .flat_map(|container| self.children(container));
        let is_one = |id| self.class_name(id) == class && self.is_realized(id);
        devices.find_map(|(_, id)| is_one(id).then_some(id))
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
        self.add_inside(id);
    }
}
