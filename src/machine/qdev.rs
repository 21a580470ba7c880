//! What all devices have in common (QEMU's qdev).
//!
//! A device is an object whose properties are set first; then it is *realized*,
//! and from then on most of them are fixed.

use super::objects::{find_type, OBJECT};
use super::qom::{
    device_not_found, qom_list_properties, Getter, ObjectId, ObjectType, Property, PropertyInput,
    PropertyListing,
};
use super::Machine;
use crate::qapi::{Error, QObject};

pub(super) static TYPES: &[&ObjectType] = &[&DEVICE];

/// What all types of devices are derived from.
pub(super) static DEVICE: ObjectType = ObjectType::new_abstract(
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
    pub(super) fn device_id(&self, id: ObjectId) -> Option<&str> {
        let parent = self.parent(id)?;
        let peripheral = self.child(self.machine_object, "peripheral")?;
        (parent == peripheral).then(|| self.object(id).map(|o| o.name()))?
    }

    /// Puts a device that no user has named into the tree.
    pub(super) fn add_unattached(&mut self, id: ObjectId) {
        if let Some(unattached) = self.child(self.machine_object, "unattached") {
            let number = self.devices_unattached;
            self.devices_unattached += 1;
            self.add_child(unattached, &format!("device[{number}]"), id);
        }
    }

    /// Whether the device was realized.
    pub(super) fn is_realized(&self, id: ObjectId) -> bool {
        self.bool_property(id, "realized")
    }

    /// Marks a device as complete.
    pub(super) fn set_realized(&mut self, id: ObjectId) {
        self.store_by_name(id, "realized", true);
    }
}

/// Sets a property of a device, the value being of the property's own type,
/// unless it is too late (`qdev_prop_set`).
pub(super) fn set_unless_realized(
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
        "uint32" => input.uint32()?.into(),
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
pub(super) fn device_list_properties(typename: &str) -> Result<Vec<PropertyListing>, Error> {
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
