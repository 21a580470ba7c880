//! Second names of devices.

use crate::model::qom::ObjectType;
use crate::model::types::find_type;

/// A name, and the type that it stands for.
const ALIASES: &[(&str, &str)] = &[
    ("virtio-balloon", "virtio-balloon-pci"),
    ("virtio-blk", "virtio-blk-pci"),
    ("virtio-rng", "virtio-rng-pci"),
    ("virtio-scsi", "virtio-scsi-pci"),
    ("virtio-serial", "virtio-serial-pci"),
];

/// The second name of a type, if it has one.
pub(super) fn alias_of(class: &str) -> Option<&'static str> {
    let alias = ALIASES.iter().find(|(_, name)| *name == class);
    alias.map(|(alias, _)| *alias)
}

/// The type that a user means.
pub(crate) fn find_device_type(name: &str) -> Option<&'static ObjectType> {
    let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
    find_type(alias.map_or(name, |(_, class)| class))
}
