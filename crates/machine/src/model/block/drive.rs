//! Drives: the devices that have a block node.

use super::IoLimits;
use crate::model::qdev::DeviceClass;
use crate::model::qom::{ObjectId, Set};
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A device with a drive, or a place for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// Its name for clients: its id, or the path of its backend.
    pub qdev: String,
    /// The node in it.
    pub node: Option<String>,
    /// Whether the node can be taken out.
    pub removable: bool,
    /// How fast it may be.
    pub limits: IoLimits,
}

/// Sets a device's drive: the name of a node that has no other user.
pub(crate) fn set_drive(set: Set<'_>) -> Result<(), Error> {
    let name = set.input.string()?;
    let (m, id) = (&*set.machine, set.id);
    // A disk behind PCI is one of virtio, which messages name.
    let class = m.object(id).and_then(|o| o.class().class::<DeviceClass>());
    let backend = class.and_then(|class| class.backend);
    let class = backend.map_or(set.class_name(), |(_, backend)| backend);
    if m.is_realized(id) {
        return Err(Error::new(format!(
            "Property '{class}.drive' cannot be changed any more"
        )));
    }
    if m.blocks.node(&name).is_none() {
        return Err(Error::new(format!(
            "Property '{class}.drive' can't find value '{name}'"
        )));
    }
    m.blocks.check_free(&name)?;
    if let Some(other) = m.drive_user(&name) {
        let other = m.device_id(other).unwrap_or_default();
        let own = m.object(id).map_or("", |o| o.name());
        return Err(Error::new(format!(
            "Permission conflict on node '{name}': permissions 'write' are both required by \
             block device '{other}' (uses node '{name}' as 'root' child) and unshared by block \
             device '{own}' (uses node '{name}' as 'root' child)."
        )));
    }
    set.store(name)
}

impl Machine {
    /// Closes a node (`blockdev-del`).
    ///
    /// # Errors
    ///
    /// There is no such node, or it is in use.
    pub fn blockdev_del(&mut self, name: &str) -> Result<(), Error> {
        match self.drive_user(name) {
            Some(_) => Err(Error::new(format!("Node {name} is in use"))),
            None => self.blocks.remove(name),
        }
    }

    /// All devices that can have a drive, in the order of making.
    fn drive_devices(&self) -> Vec<ObjectId> {
        let containers = ["peripheral", "peripheral-anon"];
        let containers = containers.iter();
        let mut devices: Vec<ObjectId> = containers
            .filter_map(|name| self.child(self.machine_object, name))
            .flat_map(|container| self.children(container).map(|(_, id)| id))
            .filter(|id| self.has_drive_property(*id))
            .collect();
        devices.sort_unstable_by_key(|id| self.age(*id));
        devices
    }

    fn has_drive_property(&self, id: ObjectId) -> bool {
        let class = self.object(id).map(|o| o.class());
        class.is_some_and(|c| c.property("drive").is_some())
    }

    /// The device whose drive is this node.
    fn drive_user(&self, node: &str) -> Option<ObjectId> {
        let devices = self.drive_devices();
        devices
            .into_iter()
            .find(|id| self.is_set(*id, "drive") && self.str_property(*id, "drive") == node)
    }

    /// The name of a drive for clients: for virtio behind PCI the path of the virtio
    /// part.
    fn drive_name(&self, id: ObjectId) -> String {
        match (self.child(id, "virtio-backend"), self.device_id(id)) {
            (Some(backend), _) => self.canonical_path(backend),
            (None, Some(id)) => id.to_owned(),
            (None, None) => self.canonical_path(id),
        }
    }

    /// All drives.
    pub fn drives(&self) -> Vec<Drive> {
        let drive = |id| Drive {
            qdev: self.drive_name(id),
            node: self
                .is_set(id, "drive")
                .then(|| self.str_property(id, "drive")),
            removable: self.is_removable(id),
            limits: self.io_limits.get(&id).copied().unwrap_or_default(),
        };
        self.drive_devices().into_iter().map(drive).collect()
    }

    fn is_removable(&self, id: ObjectId) -> bool {
        let name = self.object(id).map_or("", |o| o.class().name);
        name.ends_with("-cd") || self.bool_property(id, "removable")
    }

    /// Limits how fast a drive may be.
    ///
    /// # Errors
    ///
    /// There is no such device, it has no node, or a total limit is combined with one
    /// for reading or writing.
    pub fn set_io_limits(&mut self, qdev: &str, limits: IoLimits) -> Result<(), Error> {
        let devices = self.drive_devices();
        let named =
            |id: &ObjectId| self.drive_name(*id) == qdev || self.device_id(*id) == Some(qdev);
        let id = devices
            .into_iter()
            .find(named)
            .ok_or_else(|| crate::model::qom::device_not_found(qdev))?;
        if !self.is_set(id, "drive") {
            return Err(Error::new("Device has no medium"));
        }
        for [total, read, write] in [limits.bps, limits.iops] {
            if total != 0 && (read != 0 || write != 0) {
                return Err(Error::new(
                    "bps/iops/max total values and read/write values cannot be used at the \
                     same time",
                ));
            }
            if total < 0 || read < 0 || write < 0 {
                return Err(Error::new(
                    "bps/iops/max values must be within [0, 1000000000000000]",
                ));
            }
        }
        if limits.is_unlimited() {
            self.io_limits.remove(&id)
        } else {
            self.io_limits.insert(id, limits)
        };
        Ok(())
    }
}
