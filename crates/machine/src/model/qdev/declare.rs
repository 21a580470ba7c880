//! Types of devices that are declared in code.

use super::recorded;
use super::DeviceClass;
use crate::model::qom::{ObjectType, Property};

/// A type of devices that users can add.
pub(super) const fn device(
    name: &'static str,
    parent: &'static ObjectType,
    class: &'static DeviceClass,
    properties: &'static [Property],
) -> ObjectType {
    ObjectType {
        class: Some(class),
        more: Some(recorded::more),
        properties,
        ..ObjectType::new(name, parent)
    }
}

/// A type that only others are derived from.
pub(crate) const fn abstract_device(
    name: &'static str,
    parent: &'static ObjectType,
    properties: &'static [Property],
) -> ObjectType {
    ObjectType {
        more: Some(recorded::more),
        ..ObjectType::new_abstract(name, parent, properties)
    }
}
