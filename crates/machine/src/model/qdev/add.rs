//! Making devices, and taking them away.

use super::aliases::find_device_type;
use super::recorded::device_class_of;
use super::{bus, DeviceClass, DEVICE};
use crate::model::board::Family;
use crate::model::cpu::models::model_of_type;
use crate::model::qom::{ObjectId, ObjectType, PropertyInput};
use crate::model::Machine;
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};

/// The options of `device_add` and `-device`.
pub(crate) struct DeviceOptions {
    driver: String,
    id: Option<String>,
    bus: Option<String>,
    /// Names and values of properties, in order.
    properties: Vec<(String, QObject)>,
    /// Values are text that is converted.
    text: bool,
}

/// The outcome of unplugging a device.
pub(crate) enum Unplugged {
    /// It is gone; this was its path.
    Gone(String),
    /// The system in the machine is asked first.
    Asked,
}

impl DeviceOptions {
    /// Takes the options apart; `text` says that values are text to be converted,
    /// and not of JSON's types.
    ///
    /// # Errors
    ///
    /// There is no driver, or `id` or `bus` is no text.
    pub(crate) fn new(options: QDict, text: bool) -> Result<Self, Error> {
        let mut driver = None;
        let mut id = None;
        let mut bus = None;
        let mut properties = Vec::new();
        // QEMU sets the properties in the order of its dictionary, and the first that is wrong
        // is reported.
        for (name, value) in options.into_hashed() {
            let place = match name.as_str() {
                "driver" => &mut driver,
                "id" => &mut id,
                "bus" => &mut bus,
                _ => {
                    properties.push((name, value));
                    continue;
                }
            };
            *place = Some(PropertyInput::json(&name, value, CompatPolicy::default()).string());
        }
        // A driver that is no text counts as missing.
        let driver = driver.and_then(Result::ok);
        Ok(DeviceOptions {
            driver: driver.ok_or_else(|| Error::new("Parameter 'driver' is missing"))?,
            id: id.transpose()?,
            bus: bus.transpose()?,
            properties,
            text,
        })
    }
}

fn not_hotpluggable(driver: &str) -> Error {
    let desc = format!("Device '{driver}' does not support hotplugging");
    Error::new(desc)
}

impl Machine {
    /// Makes a device (`qdev_device_add`). Nothing is left if that fails.
    ///
    /// # Errors
    ///
    /// There is no such model, no bus takes it, or an option is wrong.
    pub(crate) fn device_add(
        &mut self,
        options: &DeviceOptions,
        hotplugged: bool,
        policy: CompatPolicy,
    ) -> Result<ObjectId, Error> {
        let driver = options.driver.as_str();
        let class = find_device_type(self.profile, driver)
            .filter(|class| class.is_a(DEVICE.name))
            .ok_or_else(|| Error::new(format!("'{driver}' is not a valid device model name")))?;
        let expects = |what| Error::new(format!("Parameter 'driver' expects a {what} device type"));
        if class.is_abstract {
            return Err(expects("non-abstract"));
        }
        if let Some(model) = model_of_type(self.profile, driver) {
            if hotplugged {
                self.check_not_migrating("device_add")?;
            }
            return self.cpu_plug(model, options, policy);
        }
        let device = class.class().or_else(|| device_class_of(class.name));
        let device: &DeviceClass = device.ok_or_else(|| expects("pluggable"))?;
        let driver = class.name;
        if hotplugged && device.bus.is_empty() {
            self.check_place(class, device)?;
        }
        let bus = match (device.bus, &options.bus) {
            ("", None) => None,
            _ => Some(self.choose_bus(device, driver, options.bus.as_deref())?),
        };
        if hotplugged {
            self.check_not_migrating("device_add")?;
            bus.map_or(Ok(()), |bus| self.check_hotplug(bus))?;
            if !device.hotpluggable {
                return Err(not_hotpluggable(driver));
            }
        }
        let id = self.object_new(class);
        let result = self.device_setup(id, device, bus, options, hotplugged, policy);
        if result.is_err() {
            self.unparent(id);
        }
        result.map(|()| id)
    }

    /// Refuses a command that changes which devices there are.
    fn check_not_migrating(&self, command: &str) -> Result<(), Error> {
        if self.migration.is_leaving() {
            let desc = format!("{command} not allowed while migrating");
            return Err(Error::new(desc));
        }
        Ok(())
    }

    /// The type of devices of that name.
    pub(super) fn device_type(&self, name: &str) -> Option<&'static ObjectType> {
        find_device_type(self.profile, name).filter(|class| class.is_a(DEVICE.name))
    }

    /// Refuses a device that sits on no bus while the machine runs, unless that is a module of
    /// memory and the board has slots.
    fn check_place(&self, class: &ObjectType, device: &DeviceClass) -> Result<(), Error> {
        let driver = class.name;
        if !device.hotpluggable {
            return Err(not_hotpluggable(driver));
        }
        if class.is_a("pc-dimm") && matches!(self.class.family, Family::I440fx | Family::Q35) {
            return Ok(());
        }
        Err(Error::new(format!(
            "Device '{driver}' can not be hotplugged on this machine"
        )))
    }

    fn check_hotplug(&self, bus: ObjectId) -> Result<(), Error> {
        let object = self.object(bus);
        // Without ACPI nothing tells the system in the machine.
        let is_root = object.is_some_and(|o| o.name() == "pci.0");
        let is_mute = is_root && self.str_property(self.machine_object, "acpi") == "off";
        if is_mute || self.is_fixed_bus(bus) {
            Err(Error::new(format!(
                "Bus '{}' does not support hotplugging",
                object.map_or("", |o| match o.name() {
                    "sysbus" => "main-system-bus",
                    name => name,
                })
            )))
        } else {
            Ok(())
        }
    }

    fn device_setup(
        &mut self,
        id: ObjectId,
        device: &DeviceClass,
        bus: Option<ObjectId>,
        options: &DeviceOptions,
        hotplugged: bool,
        policy: CompatPolicy,
    ) -> Result<(), Error> {
        self.name_device(id, options)?;
        self.apply_globals(id, hotplugged)?;
        self.set_device_properties(id, options, policy)?;
        for (name, message) in device.required {
            if !self.is_set(id, name) && self.link(id, name).is_none() {
                return Err(Error::new(*message));
            }
        }
        self.check_medium(id)?;
        self.check_single(id)?;
        match bus {
            Some(bus) => self.device_realize(id, device, bus, hotplugged),
            None => {
                if self.memory_kind(id).is_some() {
                    self.dimm_realize(id)?;
                }
                self.store_by_name(id, "hotplugged", hotplugged);
                self.set_realized(id);
                Ok(())
            }
        }
    }

    /// Refuses a second device of a type that has one place to tell the system something.
    fn check_single(&self, id: ObjectId) -> Result<(), Error> {
        let class = self.class_name(id);
        let refusal = match class {
            "pvpanic" => "duplicate fw_cfg file name: etc/pvpanic-port",
            "vmcoreinfo" => "at most one vmcoreinfo device is permitted",
            _ => return Ok(()),
        };
        let other = self.plugged(class).filter(|other| *other != id);
        other.map_or(Ok(()), |_| Err(Error::new(refusal)))
    }

    /// Puts a device into the tree, under its id if it has one.
    pub(crate) fn name_device(
        &mut self,
        id: ObjectId,
        options: &DeviceOptions,
    ) -> Result<(), Error> {
        let (container, name) = match &options.id {
            Some(name) => ("peripheral", name.clone()),
            None => {
                self.devices_anonymous += 1;
                let number = self.devices_anonymous - 1;
                ("peripheral-anon", format!("device[{number}]"))
            }
        };
        let container = self.child(self.machine_object, container);
        if container.is_some_and(|container| self.add_child(container, &name, id)) {
            Ok(())
        } else {
            Err(Error::new(format!("Duplicate device ID '{name}'")))
        }
    }

    /// Sets the properties in the options.
    pub(crate) fn set_device_properties(
        &mut self,
        id: ObjectId,
        options: &DeviceOptions,
        policy: CompatPolicy,
    ) -> Result<(), Error> {
        for (name, value) in &options.properties {
            let input = match value {
                QObject::String(text) if options.text => PropertyInput::keyval(name, text, policy),
                value => PropertyInput::json(name, value.clone(), policy),
            };
            self.property_set(id, name, &input)?;
        }
        Ok(())
    }

    /// Puts a device on its bus and completes it.
    pub(super) fn device_realize(
        &mut self,
        id: ObjectId,
        device: &DeviceClass,
        bus: ObjectId,
        hotplugged: bool,
    ) -> Result<(), Error> {
        if self
            .object(bus)
            .is_some_and(|o| o.class().is_a(bus::PCI.name))
        {
            self.pci_register(id, bus, hotplugged)?;
            self.check_chassis(id)?;
        }
        if let Some(realize) = device.realize {
            realize(self, id, bus)?;
        }
        self.set_parent_bus(id, bus);
        self.store_by_name(id, "hotplugged", hotplugged);
        self.provide_buses(id, device);
        self.set_realized(id);
        Ok(())
    }

    /// Takes a device away, or asks for that (`qdev_unplug`).
    ///
    /// # Errors
    ///
    /// It cannot be unplugged.
    pub(crate) fn device_unplug(&mut self, id: ObjectId) -> Result<Unplugged, Error> {
        let class = self.object(id).map_or(&DEVICE, |o| o.class());
        let goes_at_once = match class.class::<DeviceClass>() {
            Some(device) if device.hotpluggable => device.goes_at_once,
            // Only a running guest makes the board learn to unplug processors.
            None if class.is_a("cpu") => {
                let class = class.name;
                let desc =
                    format!("acpi: device unplug request for not supported device type: {class}");
                return Err(Error::new(desc));
            }
            _ => {
                let class = class.name;
                let desc = format!("Device '{class}' does not support hotplugging");
                return Err(Error::new(desc));
            }
        };
        if let Some(bus) = self.link(id, "parent_bus") {
            self.check_hotplug(bus)?;
        }
        self.check_not_migrating("device_del")?;
        if let Some(asked) = self.unplug_memory(id) {
            return asked.map(|()| Unplugged::Asked);
        }
        if goes_at_once {
            return Ok(Unplugged::Gone(self.device_remove(id)));
        }
        // The guest may be asked again and again.
        if !self.unplug_requests.contains(&id) {
            self.unplug_requests.push(id);
        }
        Ok(Unplugged::Asked)
    }

    /// Takes a device away, and returns its path.
    fn device_remove(&mut self, id: ObjectId) -> String {
        let path = self.canonical_path(id);
        self.io_limits.remove(&id);
        self.drop_backend(id);
        self.unparent(id);
        path
    }

    /// Takes the devices away that the system was asked for: at a reset none is in use. Returns
    /// each with its id and paths, that of the part behind PCI first.
    pub(crate) fn finish_unplugs(&mut self) -> Vec<(ObjectId, Option<String>, Vec<String>)> {
        let mut gone = Vec::new();
        for id in std::mem::take(&mut self.unplug_requests) {
            if self.object(id).is_none() {
                continue;
            }
            let part = self.child(id, "virtio-backend");
            let mut paths: Vec<String> = part.map(|p| self.canonical_path(p)).into_iter().collect();
            let name = self.device_id(id).map(str::to_owned);
            paths.push(self.device_remove(id));
            gone.push((id, name, paths));
        }
        gone
    }
}
