//! `-global`: values for properties of all devices of a type, and of types derived from it.
//!
//! They are set when a device is made, before the values that its own options give.

use super::{DeviceClass, DEVICE};
use crate::model::global::Global;
use crate::model::qom::{ObjectId, PropertyInput};
use crate::model::types::find_type;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// Devices that every PC has in QEMU, and that have nothing to do here.
const NOT_MADE: &[&str] = &[
    "cfi.pflash01",
    "fw_cfg_io",
    "hpet",
    "i8042",
    "ide-device",
    "ioapic",
    "isa-pit",
    "kvm-ioapic",
    "kvm-pit",
    "mc146818rtc",
    "ps2-kbd",
    "ps2-mouse",
    "vmmouse",
    "vmport",
];

/// The warning that no device has taken it up, if that is worth one
/// (`qdev_prop_check_globals`). A device of some types may still come.
fn warning(global: &Global) -> Option<String> {
    let (driver, property, value) = (&global.driver, &global.property, &global.value);
    if global.used || NOT_MADE.contains(&driver.as_str()) {
        return None;
    }
    let Some(class) = find_type(driver).filter(|class| class.is_a(DEVICE.name)) else {
        return Some(format!("global {driver}.{property} has invalid class name"));
    };
    let may_come = match class.class::<DeviceClass>() {
        Some(device) => device.hotpluggable,
        None => class.is_abstract || class.is_a("cpu") || class.is_a("virtio-device"),
    };
    (!may_come).then(|| format!("global {driver}.{property}={value} not used"))
}

impl Machine {
    /// Sets the properties of a new device that globals are about. What is wrong with one
    /// of them is an error, but only a warning while the machine runs, which has no place
    /// for warnings.
    ///
    /// # Errors
    ///
    /// There is no such property, or it does not take the value.
    pub(super) fn apply_globals(&mut self, id: ObjectId, hotplugged: bool) -> Result<(), Error> {
        let Some(class) = self.object(id).map(|o| o.class()) else {
            return Ok(());
        };
        let device = class.class::<DeviceClass>();
        // The properties of the part behind PCI are those of the whole.
        let backend = device
            .and_then(|d| d.backend)
            .and_then(|(_, backend)| find_type(backend));
        for i in 0..self.globals.len() {
            let global = &mut self.globals[i];
            let of_backend =
                backend.is_some_and(|b| b.is_a(&global.driver) && !class.is_a(&global.driver));
            if !of_backend && !class.is_a(&global.driver) {
                continue;
            }
            global.used = true;
            let Global {
                driver,
                property,
                value,
                ..
            } = global.clone();
            let input = PropertyInput::text(&property, &value);
            if let Err(e) = self.property_set(id, &property, &input) {
                if !hotplugged {
                    let prefix = format!("can't apply global {driver}.{property}={value}: ");
                    return Err(e.prepend(prefix));
                }
            }
        }
        Ok(())
    }

    /// The same for the devices of the board, which are complete already.
    ///
    /// # Errors
    ///
    /// As [`apply_globals`](Self::apply_globals).
    pub(crate) fn apply_globals_to_board(&mut self) -> Result<(), Error> {
        if self.globals.is_empty() {
            return Ok(());
        }
        let mut todo = vec![self.machine_object];
        while let Some(id) = todo.pop() {
            todo.extend(self.children(id).map(|(_, child)| child));
            let is_device = self.object(id).is_some_and(|o| o.class().is_a(DEVICE.name));
            if is_device {
                self.set_complete(id, false);
                self.apply_globals(id, false)?;
                self.set_complete(id, true);
            }
        }
        Ok(())
    }

    /// Warnings about the globals that no device has taken up.
    pub(crate) fn unused_globals(&self) -> impl Iterator<Item = Error> + '_ {
        self.globals.iter().filter_map(warning).map(Error::new)
    }
}
