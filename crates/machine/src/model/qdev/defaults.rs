//! The devices that a board has unless the user says otherwise: disks of short options,
//! display, USB.

use super::aliases::find_device_type;
use super::bus::IDE;
use super::{DeviceClass, DEVICE};
use crate::model::block::Interface;
use crate::model::qom::{ObjectId, PropertyInput};
use crate::model::Machine;
use qmonitor::qapi::Error;

/// The models of displays.
pub(crate) const DISPLAYS: &[&str] = &[
    "VGA",
    "isa-vga",
    "cirrus-vga",
    "isa-cirrus-vga",
    "vmware-svga",
    "qxl-vga",
    "qxl",
    "virtio-vga",
    "virtio-vga-gl",
    "virtio-gpu-pci",
    "ati-vga",
    "bochs-display",
    "ramfb",
    "secondary-vga",
    "vhost-user-vga",
];

impl Machine {
    /// Makes a device of the board on that bus, or on the first of the right type. `None`
    /// if there is no such type or no bus.
    ///
    /// # Errors
    ///
    /// A property does not take its value, or the bus does not take the device.
    pub(crate) fn add_board_device(
        &mut self,
        driver: &str,
        bus: Option<ObjectId>,
        properties: &[(&str, &str)],
    ) -> Result<Option<ObjectId>, Error> {
        let class = find_device_type(self.profile, driver).filter(|class| class.is_a(DEVICE.name));
        let Some(class) = class else { return Ok(None) };
        let Some(device) = class.class::<DeviceClass>() else {
            return Ok(None);
        };
        let bus = bus.or_else(|| self.buses(device.bus).first().copied());
        let Some(bus) = bus else { return Ok(None) };
        let id = self.object_new(class);
        self.add_unattached(id);
        let result = self.complete_board_device(id, device, bus, properties);
        if result.is_err() {
            self.unparent(id);
        }
        result.map(|()| Some(id))
    }

    fn complete_board_device(
        &mut self,
        id: ObjectId,
        device: &DeviceClass,
        bus: ObjectId,
        properties: &[(&str, &str)],
    ) -> Result<(), Error> {
        self.apply_globals(id, false)?;
        for (name, value) in properties {
            self.property_set(id, name, &PropertyInput::text(name, value))?;
        }
        self.check_medium(id)?;
        self.device_realize(id, device, bus, false)
    }

    /// Gives the board's IDE controllers the drives of `-hda`, `-cdrom` and the like, which name
    /// a place on them.
    ///
    /// # Errors
    ///
    /// A disk has nothing in it.
    pub(crate) fn attach_board_drives(&mut self) -> Result<(), Error> {
        let is_pc = self.class.is_pc();
        let backends: Vec<_> = self.blocks.backends.iter().cloned().collect();
        for backend in backends {
            let claimed = match backend.interface {
                Interface::Ide => {
                    let buses = self.buses(IDE.name);
                    match buses.get(backend.bus as usize).copied() {
                        None => false,
                        Some(bus) => {
                            let driver = if backend.is_cdrom { "ide-cd" } else { "ide-hd" };
                            let unit = backend.unit.to_string();
                            let properties = [("drive", &*backend.name), ("unit", &*unit)];
                            self.add_board_device(driver, Some(bus), &properties)?
                                .is_some()
                        }
                    }
                }
                // Its controller is not made, but the place is there.
                Interface::Pflash => is_pc && backend.unit < 2,
                _ => false,
            };
            if let Some(backend) = self.blocks.backends.get_mut(&backend.name) {
                backend.is_claimed |= claimed;
            }
        }
        Ok(())
    }

    /// Makes the floppy controller with its drives. Some boards have one only if there are
    /// drives.
    ///
    /// # Errors
    ///
    /// A value for all devices of a type is wrong.
    pub(crate) fn add_board_floppies(&mut self, always: bool) -> Result<(), Error> {
        let backends = self.blocks.backends.iter();
        let drives: Vec<_> = backends
            .filter(|b| b.interface == Interface::Floppy && b.bus == 0 && b.unit < 2)
            .map(|b| (b.name.clone(), b.unit.to_string()))
            .collect();
        if !always && drives.is_empty() {
            return Ok(());
        }
        let controller = self.add_board_device("isa-fdc", None, &[])?;
        let Some((_, bus)) = controller.and_then(|id| self.children(id).next()) else {
            return Ok(());
        };
        for (name, unit) in drives {
            self.add_board_device("floppy", Some(bus), &[("unit", &*unit), ("drive", &*name)])?;
            if let Some(backend) = self.blocks.backends.get_mut(&name) {
                backend.is_claimed = true;
            }
        }
        Ok(())
    }

    /// Makes the board's USB controllers on PCI Express, if it is to have them.
    ///
    /// # Errors
    ///
    /// Its place is taken.
    pub(crate) fn add_board_usb(&mut self) -> Result<(), Error> {
        if !self.bool_property(self.machine_object, "usb") {
            return Ok(());
        }
        for (driver, addr, function) in [
            ("ich9-usb-ehci1", "1d.7", None),
            ("ich9-usb-uhci1", "1d.0", Some("0")),
            ("ich9-usb-uhci2", "1d.1", Some("2")),
            ("ich9-usb-uhci3", "1d.2", Some("4")),
        ] {
            let mut properties = vec![("multifunction", "on"), ("addr", addr)];
            if let Some(port) = function {
                properties.extend([("masterbus", "usb-bus.0"), ("firstport", port)]);
            }
            self.add_board_device(driver, None, &properties)?;
        }
        Ok(())
    }

    /// Whether a device is a display.
    pub(crate) fn is_display(&self, id: ObjectId) -> bool {
        DISPLAYS.contains(&self.class_name(id))
    }

    /// Whether the board has made a display of that type.
    pub(crate) fn has_display_of(&self, class: &str) -> bool {
        let unattached = self.child(self.machine_object, "unattached");
        let mut devices = unattached.into_iter().flat_map(|id| self.children(id));
        devices.any(|(_, id)| self.class_name(id) == class)
    }

    /// All displays, those of the board first.
    pub(crate) fn displays(&self) -> Vec<ObjectId> {
        let containers = ["unattached", "peripheral", "peripheral-anon"].iter();
        let devices = containers
            .filter_map(|name| self.child(self.machine_object, name))
            .flat_map(|container| self.children(container));
        let mut displays: Vec<_> = devices.map(|(_, id)| id).collect();
        displays.retain(|id| self.is_display(*id));
        displays.sort_unstable_by_key(|id| self.age(*id));
        displays
    }

    /// Whether the machine has a display.
    pub(crate) fn has_display(&self) -> bool {
        !self.displays().is_empty()
    }
}
