//! Drives: the devices that have a block node.

use super::backend::Backend;
use super::node::BlockOp;
use super::IoLimits;
use crate::model::qdev::DeviceClass;
use crate::model::qom::{ObjectId, Set};
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A device with a drive, or a place for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drive {
    /// Its own name; empty if it has none.
    pub device: String,
    /// The device's name for clients: its id, or the path of its backend. There may be no
    /// device yet.
    pub qdev: Option<String>,
    /// The id of the device itself.
    pub id: Option<String>,
    /// The node in it.
    pub node: Option<String>,
    /// Whether the node can be taken out.
    pub removable: bool,
    /// Whether its tray is open.
    pub tray_open: bool,
    /// Whether it has a tray.
    pub has_tray: bool,
    /// Whether its device tells of errors.
    pub has_io_status: bool,
    /// How fast it may be.
    pub limits: IoLimits,
    /// The name of the group that shares the limits.
    pub group: Option<String>,
    /// Its device.
    pub object: Option<ObjectId>,
    age: (u64, usize),
}

impl Drive {
    /// Whether its device has that id or that path.
    pub fn is_called(&self, id: &str) -> bool {
        self.qdev.as_deref() == Some(id) || self.id.as_deref() == Some(id)
    }
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
    if let Some(backend) = m.blocks.backends.get(&name) {
        if m.drive_user(&name).is_some() {
            let desc = format!("Drive '{name}' is already in use ");
            return Err(Error::new(if backend.is_claimed {
                desc + "because it has been automatically connected to another device (did you \
                        need 'if=none' in the drive options?)"
            } else {
                desc + "by another block device"
            }));
        }
        return set.store(name);
    }
    if m.blocks.node(&name).is_none() {
        return Err(Error::new(format!(
            "Property '{class}.drive' can't find value '{name}'"
        )));
    }
    if m.jobs.holds(&name) {
        let own = m.object(id).map_or("", |o| o.name());
        return Err(Error::new(format!(
            "Permission conflict on node '{name}': permissions 'write' are both required by an \
             unnamed block device (uses node '{name}' as 'root' child) and unshared by block \
             device '{own}' (uses node '{name}' as 'root' child)."
        )));
    }
    let mut own = m.object(id).map_or("", |o| o.name()).to_owned();
    if backend.is_some() {
        own = format!("/machine/peripheral/{own}/virtio-backend");
    }
    m.check_writers(&name, &own)?;
    set.store(name)
}

impl Machine {
    /// Closes a node (`blockdev-del`).
    ///
    /// # Errors
    ///
    /// There is no such node, or it is in use.
    pub fn blockdev_del(&mut self, name: &str) -> Result<(), Error> {
        if self.is_in_drive(name) || self.jobs.holds(name) || self.blocks.exports.uses(name) {
            Err(Error::new(format!("Node {name} is in use")))
        } else {
            self.blocks.remove(name)
        }
    }

    /// Checks that a disk has something in it; a drive of discs need not.
    ///
    /// # Errors
    ///
    /// It has a drive that is empty.
    pub(crate) fn check_medium(&self, id: ObjectId) -> Result<(), Error> {
        let is_empty = self.backend_of(id).is_some_and(|b| b.node.is_none());
        if is_empty && !self.has_tray(id) && self.class_name(id) != "floppy" {
            return Err(Error::new("Device needs media, but drive is empty"));
        }
        Ok(())
    }

    /// Opens or closes the tray of a device; false if it is so already.
    pub fn set_tray(&mut self, device: ObjectId, open: bool) -> bool {
        let medium = self.media.entry(device).or_default();
        std::mem::replace(&mut medium.tray_open, open) != open
    }

    /// The limits between the intervals in which operations of a device are counted.
    pub fn histograms(&self, device: ObjectId) -> &[Option<Vec<u64>>; 4] {
        let medium = self.media.get(&device);
        medium.map_or(&[const { None }; 4], |medium| &medium.histograms)
    }

    #[allow(missing_docs)]
    pub fn histograms_mut(&mut self, device: ObjectId) -> &mut [Option<Vec<u64>>; 4] {
        &mut self.media.entry(device).or_default().histograms
    }

    /// Whether the tray of a device is open.
    pub fn is_tray_open(&self, device: ObjectId) -> bool {
        self.media
            .get(&device)
            .is_some_and(|medium| medium.tray_open)
    }

    /// Whether a node is in a drive.
    pub fn is_in_drive(&self, node: &str) -> bool {
        self.drive_user(node).is_some() || self.blocks.backends.user(node).is_some()
    }

    /// Puts a node into a drive in place of the one in it, which is closed unless it has a
    /// name of its own.
    pub fn set_medium(&mut self, drive: &Drive, node: Option<String>) {
        let old = match self.blocks.backends.get_mut(&drive.device) {
            Some(backend) => std::mem::replace(&mut backend.node, node),
            None => {
                let old = drive.object.and_then(|id| self.node_in(id));
                if let Some(id) = drive.object {
                    self.media.entry(id).or_default().node = Some(node);
                }
                old
            }
        };
        self.hold_media();
        if let Some(old) = old.filter(|old| self.blocks.is_implicit(old)) {
            self.blocks.close(&old);
        }
    }

    /// Gives every user of a node another node: nodes above it, back ends and devices.
    ///
    /// # Errors
    ///
    /// There is no such node.
    pub fn replace_node(&mut self, from: &str, to: &str) -> Result<(), Error> {
        let users: Vec<_> = self.drive_devices();
        let has = |id: &ObjectId| self.backend_of(*id).is_none();
        let users: Vec<_> = users.into_iter().filter(has).collect();
        self.blocks.replace(from, to)?;
        for id in users {
            if self.node_in(id).as_deref() == Some(from) {
                self.media.entry(id).or_default().node = Some(Some(to.to_owned()));
            }
        }
        self.hold_media();
        Ok(())
    }

    /// Tells the nodes which of them devices have.
    fn hold_media(&mut self) {
        let nodes = self
            .media
            .values()
            .filter_map(|medium| medium.node.as_ref());
        let names = nodes.flatten();
        self.blocks.held = names.filter_map(|name| self.blocks.id(name)).collect();
    }

    /// Makes a back end with a name of its own, which is now the newest drive.
    ///
    /// # Errors
    ///
    /// Its name is taken.
    pub fn backend_add(&mut self, mut backend: Backend) -> Result<(), Error> {
        backend.age = (self.newest_age(), self.blocks.backends.iter().count() + 1);
        self.blocks.backends.add(backend)
    }

    /// Takes a back end away, and its node; a device keeps an empty drive (`drive_del`).
    ///
    /// # Errors
    ///
    /// There is no such back end, and no such node that nothing uses.
    pub fn drive_del(&mut self, name: &str) -> Result<(), Error> {
        if self.blocks.node(name).is_some() {
            return self.blockdev_del(name);
        }
        let backend = self.blocks.backends.get(name);
        if let Some(node) = backend.and_then(|b| b.node.as_ref()) {
            self.check_drive(name, node, BlockOp::Eject)?;
        }
        let backend = self.blocks.backends.remove(name);
        let backend = backend.ok_or_else(|| Error::new(format!("Device '{name}' not found")))?;
        if let Some(id) = self.drive_user(name) {
            let medium = self.media.entry(id).or_default();
            medium.node = Some(None);
            medium.lost = Some(name.to_owned());
        }
        if let Some(node) = backend.node {
            self.blocks.close(&node);
        }
        Ok(())
    }

    /// Whether a back end's name is in use, if only by a device that has lost it.
    pub(crate) fn has_drive_name(&self, name: &str) -> bool {
        let mut media = self.media.iter();
        self.blocks.backends.get(name).is_some()
            || media.any(|(id, m)| m.lost.as_deref() == Some(name) && self.object(*id).is_some())
    }

    /// Drops the back end of a device that goes.
    pub(crate) fn drop_backend(&mut self, id: ObjectId) {
        if let Some(name) = self.backend_of(id).map(|b| b.name.clone()) {
            let node = self.blocks.backends.remove(&name).and_then(|b| b.node);
            if let Some(node) = node.filter(|node| self.blocks.is_implicit(node)) {
                self.blocks.close(&node);
            }
        }
        let medium = self.media.remove(&id).and_then(|medium| medium.node);
        self.hold_media();
        if let Some(node) = medium.flatten() {
            self.blocks.close_unused_node(&node);
        }
    }

    /// All devices that can have a drive, in the order of making.
    fn drive_devices(&self) -> Vec<ObjectId> {
        let containers = ["peripheral", "peripheral-anon", "unattached"];
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
    /// Whether a user took the back end of a device away.
    fn has_lost(&self, id: ObjectId) -> bool {
        self.media.get(&id).is_some_and(|m| m.lost.is_some())
    }

    pub(super) fn drive_user(&self, node: &str) -> Option<ObjectId> {
        let devices = self.drive_devices();
        // The name may also be that of a back end, which has its node.
        let has = |id: &ObjectId| {
            let backend = self.backend_of(*id).is_some_and(|b| b.name == node);
            backend || self.node_in(*id).as_deref() == Some(node)
        };
        devices.into_iter().find(has)
    }

    /// The name of a drive for clients: for virtio behind PCI the path of the virtio
    /// part.
    pub(super) fn drive_name(&self, id: ObjectId) -> String {
        match (self.child(id, "virtio-backend"), self.device_id(id)) {
            (Some(backend), _) => self.canonical_path(backend),
            (None, Some(id)) => id.to_owned(),
            (None, None) => self.canonical_path(id),
        }
    }

    /// The node in the drive of a device.
    fn node_in(&self, id: ObjectId) -> Option<String> {
        if let Some(backend) = self.backend_of(id) {
            return backend.node.clone();
        }
        match self.media.get(&id).and_then(|medium| medium.node.clone()) {
            Some(node) => node,
            None => self
                .is_set(id, "drive")
                .then(|| self.str_property(id, "drive")),
        }
    }

    /// The back end of `-drive` that a device has.
    fn backend_of(&self, id: ObjectId) -> Option<&Backend> {
        if !self.is_set(id, "drive") {
            return None;
        }
        self.blocks.backends.get(&self.str_property(id, "drive"))
    }

    /// All drives, in the order of making.
    pub fn drives(&self) -> Vec<Drive> {
        let of_device = |id| {
            let backend = self.backend_of(id);
            let limits = self.io_limits.get(&id).copied();
            Drive {
                device: backend.map(|b| b.name.clone()).unwrap_or_default(),
                qdev: Some(self.drive_name(id)),
                id: self.device_id(id).map(str::to_owned),
                object: Some(id),
                node: self.node_in(id),
                removable: self.is_removable(id),
                has_tray: self.has_tray(id),
                has_io_status: self.class_name(id) != "floppy" && !self.has_lost(id),
                tray_open: self.media.get(&id).is_some_and(|m| m.tray_open),
                limits: limits.or(backend.map(|b| b.limits)).unwrap_or_default(),
                group: backend.and_then(|b| b.group.clone()),
                age: backend.map_or_else(|| (self.age(id), 0), |b| b.age),
            }
        };
        let mut drives: Vec<Drive> = self.drive_devices().into_iter().map(of_device).collect();
        for backend in self.blocks.backends.iter() {
            if drives.iter().all(|d| d.device != backend.name) {
                drives.push(Drive {
                    device: backend.name.clone(),
                    qdev: None,
                    id: None,
                    object: None,
                    node: backend.node.clone(),
                    removable: true,
                    has_tray: false,
                    has_io_status: false,
                    tray_open: false,
                    limits: backend.limits,
                    group: backend.group.clone(),
                    age: backend.age,
                });
            }
        }
        drives.sort_by_key(|d| d.age);
        drives
    }

    fn has_tray(&self, id: ObjectId) -> bool {
        self.object(id)
            .is_some_and(|o| o.class().name.ends_with("-cd"))
    }

    fn is_removable(&self, id: ObjectId) -> bool {
        let name = self.object(id).map_or("", |o| o.class().name);
        name.ends_with("-cd") || name == "floppy" || self.bool_property(id, "removable")
    }

    /// Limits how fast a drive may be.
    ///
    /// # Errors
    ///
    /// There is no such device, it has no node, or a total limit is combined with one
    /// for reading or writing.
    pub fn set_io_limits(&mut self, qdev: &str, limits: IoLimits) -> Result<(), Error> {
        let is_alone = self.drive_user(qdev).is_none();
        if let Some(backend) = self.blocks.backends.get_mut(qdev).filter(|_| is_alone) {
            if backend.node.is_none() {
                return Err(Error::new("Device has no medium"));
            }
            limits.check()?;
            backend.limits = limits;
            return Ok(());
        }
        let devices = self.drive_devices();
        let named =
            |id: &ObjectId| self.drive_name(*id) == qdev || self.device_id(*id) == Some(qdev);
        let id = devices
            .into_iter()
            .find(named)
            .ok_or_else(|| crate::model::qom::device_not_found(qdev))?;
        if self.node_in(id).is_none() {
            return Err(Error::new("Device has no medium"));
        }
        limits.check()?;
        if limits.is_unlimited() {
            self.io_limits.remove(&id)
        } else {
            self.io_limits.insert(id, limits)
        };
        Ok(())
    }
}
