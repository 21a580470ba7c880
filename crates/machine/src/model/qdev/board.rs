//! Makes the devices of a board.

use super::bus;
use super::wiring::{Fixed, Step};
use crate::model::backends::SYSTEM_BUS;
use crate::model::qom::{ObjectId, ObjectType, PropertyInput};
use crate::model::types::find_type;
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};

/// Where the registers of a device of the main bus are, if not where others of its type have
/// them.
struct Address(String);

impl Machine {
    /// Makes the processors' interrupt helper, which QEMU makes with the first of
    /// them, so that it takes the second number.
    pub(crate) fn add_kvmvapic(&mut self) {
        self.wire("kvmvapic", None, "");
    }

    /// Makes all devices of the board that no option changes.
    ///
    /// # Errors
    ///
    /// As [`add_fixed`](Self::add_fixed).
    pub(crate) fn add_fixed_devices(&mut self) -> Result<(), Error> {
        for step in super::wiring::steps(self.class.family) {
            if let Step::Fixed(devices) = step {
                self.add_fixed(devices)?;
            }
        }
        Ok(())
    }

    /// Makes some devices of the board. A path that begins with `SOUTH` is below the bridge to
    /// ISA.
    ///
    /// # Errors
    ///
    /// A value for all devices of a type is wrong.
    pub(crate) fn add_fixed(&mut self, devices: &[Fixed]) -> Result<(), Error> {
        for fixed in devices {
            let on_bus = |name: &str| self.board_bus(name).is_some();
            if !self.is_wanted(fixed) || !fixed.bus.is_empty() && !on_bus(fixed.bus) {
                continue;
            }
            let place = match fixed.path.rsplit_once('/') {
                Some(("SOUTH", name)) => self.south_bridge().map(|id| (id, name)),
                Some((host, name)) => self.child(self.machine_object, host).map(|id| (id, name)),
                None => (!fixed.path.is_empty()).then_some((self.machine_object, fixed.path)),
            };
            let Some(id) = self.wire(fixed.class, place, fixed.bus) else {
                continue;
            };
            self.set_complete(id, false);
            self.apply_globals(id, false)?;
            for (name, value) in fixed.values {
                self.property_set(id, name, &PropertyInput::text(name, value))?;
            }
            if fixed.class == "PIIX3" {
                let usb = self.bool_property(self.machine_object, "usb");
                let acpi = self.str_property(self.machine_object, "acpi") != "off";
                self.store_by_name(id, "has-usb", usb);
                self.store_by_name(id, "has-acpi", acpi);
            }
            self.set_complete(id, true);
            for (class, name) in fixed.provides {
                if let Some(class) = bus::TYPES.iter().find(|t| t.name == *class) {
                    self.new_child(id, name, class);
                }
            }
            self.note_address(id, fixed);
        }
        Ok(())
    }

    /// Whether no property of the machine keeps a device away.
    fn is_wanted(&self, fixed: &Fixed) -> bool {
        let is_off = |name: &&str| match self.property(self.machine_object, name) {
            Some(QObject::Bool(on)) => !on,
            Some(QObject::String(text)) => text == "off",
            _ => false,
        };
        !fixed.needs.iter().any(is_off)
    }

    /// A bus of the board.
    fn board_bus(&self, name: &str) -> Option<ObjectId> {
        let buses = self.buses(crate::model::backends::BUS.name).into_iter();
        let mut named = buses.filter(|id| self.object(*id).is_some_and(|o| o.name() == name));
        named.next()
    }

    /// The device that provides ISA.
    fn south_bridge(&self) -> Option<ObjectId> {
        self.parent(self.board_bus("isa.0")?)
    }

    fn wire(
        &mut self,
        class: &str,
        place: Option<(ObjectId, &str)>,
        bus: &str,
    ) -> Option<ObjectId> {
        let class: &'static ObjectType = find_type(class)?;
        let bus = match bus {
            "" => self.main_bus(),
            name => self.board_bus(name),
        };
        let id = self.object_new(class);
        match place {
            Some((parent, name)) => {
                self.add_child(parent, name, id);
            }
            None => self.add_unattached(id),
        }
        if let Some(bus) = bus {
            self.set_parent_bus(id, bus);
        }
        self.set_realized(id);
        Some(id)
    }

    pub(super) fn main_bus(&self) -> Option<ObjectId> {
        let unattached = self.child(self.machine_object, "unattached")?;
        let bus = self.child(unattached, "sysbus")?;
        self.object(bus)
            .filter(|o| o.class().is_a(SYSTEM_BUS.name))
            .map(|_| bus)
    }

    /// Devices of one type have their registers in different places.
    fn note_address(&mut self, id: ObjectId, fixed: &Fixed) {
        let place = match (fixed.class, fixed.path, fixed.provides) {
            ("ioapic", "", _) => Some((0xfec1_0000u64, 0x1000)),
            ("virtio-mmio", _, [(_, bus)]) => {
                let number = bus.rsplit('.').next().and_then(|n| n.parse::<u64>().ok());
                number.map(|n| (0xfeb0_0000 + 0x200 * n, 0x200))
            }
            _ => None,
        };
        if let Some((address, size)) = place {
            self.set_payload(id, Address(format!("mmio {address:016x}/{size:016x}")));
        }
    }

    /// The line about the device's registers, if it is not that of its type.
    pub(crate) fn address_line(&self, id: ObjectId) -> Option<&str> {
        self.payload::<Address>(id).map(|a| a.0.as_str())
    }
}
