//! PCI: slots and functions.

use super::bus::PCI;
use super::{abstract_device, after_realize, property, DEVICE};
use crate::model::qom::{Getter, ObjectId, ObjectType, Property, Set};
use crate::model::Machine;
use qmonitor::qapi::{Error, QObject};

pub(crate) static TYPES: &[&ObjectType] = &[&PCI_DEVICE, &VIRTIO_PCI];

/// The type that all devices on PCI are derived from.
pub(crate) static PCI_DEVICE: ObjectType = abstract_device(
    "pci-device",
    &DEVICE,
    &[
        Property::new("addr", "str", Getter::Int(-1), Some(set_address)).frozen(after_realize),
        property("romfile", "str", Getter::Str("")),
        property("romsize", "uint32", Getter::Int(0xffff_ffff)),
        property("rombar", "int32", Getter::Int(-1)),
        property("multifunction", "bool", Getter::Bool(false)),
        property("failover_pair_id", "str", Getter::Str("")),
        property("acpi-index", "uint32", Getter::Int(0)),
    ],
);

/// The type that all virtio devices on PCI are derived from.
pub(super) static VIRTIO_PCI: ObjectType = abstract_device(
    "virtio-pci",
    &PCI_DEVICE,
    &[
        property("ats", "bool", Getter::Bool(false)),
        property("aer", "bool", Getter::Bool(false)),
        property("vectors", "uint32", Getter::Int(0xffff_ffff)),
        property("ioeventfd", "bool", Getter::Bool(true)),
        property("page-per-vq", "bool", Getter::Bool(false)),
        property("modern-pio-notify", "bool", Getter::Bool(false)),
        property("indirect_desc", "bool", Getter::Bool(true)),
        property("event_idx", "bool", Getter::Bool(true)),
        property("notify_on_empty", "bool", Getter::Bool(true)),
        property("any_layout", "bool", Getter::Bool(true)),
        property("iommu_platform", "bool", Getter::Bool(false)),
        property("packed", "bool", Getter::Bool(false)),
        property("queue_reset", "bool", Getter::Bool(true)),
        property("in_order", "bool", Getter::Bool(false)),
    ],
);

/// Slots of a bus, and functions of a slot.
const SLOTS: i64 = 32;
const FUNCTIONS: i64 = 8;

/// Slot and function as people write them; `-1` if none is chosen.
pub(crate) fn address_text(address: i64) -> String {
    if address < 0 {
        return "-1".to_owned();
    }
    format!("{:02x}.{}", address / FUNCTIONS, address % FUNCTIONS)
}

/// `SLOT[.FUNCTION]`, both in hexadecimal; a number is eight times the slot plus
/// the function.
fn set_address(set: Set<'_>) -> Result<(), Error> {
    let valid = -1..SLOTS * FUNCTIONS;
    let address = if set.input.is_number() {
        let address = set.input.int()?;
        if !valid.contains(&address) {
            return Err(Error::new(
                "Parameter 'addr' expects a value between -1 and 255",
            ));
        }
        address
    } else {
        let text = set.input.string()?;
        let class = set.class_name();
        parse_address(&text)
            .filter(|address| valid.contains(address))
            .ok_or_else(|| {
                let desc = format!("Property '{class}.addr' doesn't take value '{text}'");
                Error::new(desc)
            })?
    };
    set.store(address)
}

fn parse_address(text: &str) -> Option<i64> {
    let (slot, function) = text.split_once('.').unwrap_or((text, "0"));
    let number = |text: &str| {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        let number = i64::from_str_radix(digits, 16).ok()?;
        (!digits.starts_with(['+', '-'])).then_some(number)
    };
    let function = number(function).filter(|f| *f < FUNCTIONS)?;
    Some(number(slot)? * FUNCTIONS + function)
}

impl Machine {
    /// The address of a device, if it has one yet.
    fn pci_address(&self, id: ObjectId) -> Option<i64> {
        match self.cell(id, "addr") {
            Some(QObject::Num(qmonitor::qapi::QNum::I64(address))) if address >= 0 => Some(address),
            _ => None,
        }
    }

    /// Gives a device the address it asks for, or a free one
    /// (`do_pci_register_device`).
    ///
    /// # Errors
    ///
    /// The address is in use, or none is free.
    pub(super) fn pci_register(
        &mut self,
        id: ObjectId,
        bus: ObjectId,
        hotplugged: bool,
    ) -> Result<(), Error> {
        let used: Vec<(i64, ObjectId)> = self
            .devices_on(bus)
            .into_iter()
            .filter(|device| *device != id)
            .filter_map(|device| Some((self.pci_address(device)?, device)))
            .collect();
        let class = self.object(id).map_or("pci-device", |o| o.class().name);
        let first = used.iter().find(|(address, _)| *address == 0);
        if let Some((_, first)) = first.filter(|_| hotplugged && self.is_behind_port(bus)) {
            let first = self.class_name(*first);
            return Err(Error::new(format!(
                "PCI: slot 0 function 0 already occupied by {first}, new func {class} cannot be \
                 exposed to guest."
            )));
        }
        let Some(wanted) = self.pci_address(id) else {
            let slot = |address: i64| address / FUNCTIONS;
            let first = if self.keeps_first_slot(bus) { 1 } else { 0 };
            let free = (first..SLOTS).find(|s| used.iter().all(|(a, _)| slot(*a) != *s));
            let free = free.ok_or_else(|| {
                Error::new(format!(
                    "PCI: no slot/function available for {class}, all in use or reserved"
                ))
            })?;
            self.store_by_name(id, "addr", free * FUNCTIONS);
            return Ok(());
        };
        let Some((_, other)) = used.iter().find(|(a, _)| *a == wanted) else {
            return self.check_functions(id, wanted, &used);
        };
        let other_class = self.object(*other).map_or("", |o| o.class().name);
        let other_id = self.device_id(*other).unwrap_or("(null)");
        Err(Error::new(format!(
            "PCI: slot {} function {} not available for {class}, in use by \
             {other_class},id={other_id}",
            wanted / FUNCTIONS,
            wanted % FUNCTIONS
        )))
    }
}

impl Machine {
    /// Checks that a slot whose first device has one function has no others.
    fn check_functions(
        &self,
        id: ObjectId,
        wanted: i64,
        used: &[(i64, ObjectId)],
    ) -> Result<(), Error> {
        let (slot, function) = (wanted / FUNCTIONS, wanted % FUNCTIONS);
        let has_others = |id| self.bool_property(id, "multifunction");
        let mut in_slot = used
            .iter()
            .filter(|(address, _)| address / FUNCTIONS == slot);
        if function != 0 {
            let first = in_slot.find(|(address, _)| address % FUNCTIONS == 0);
            return match first {
                Some((_, first)) if !has_others(*first) => Err(Error::new(format!(
                    "PCI: single function device can't be populated in function \
                     {slot:x}.{function:x}"
                ))),
                _ => Ok(()),
            };
        }
        match in_slot.next() {
            Some((other, _)) if !has_others(id) => Err(Error::new(format!(
                "PCI: {slot:x}.0 indicates single function, but {slot:x}.{:x} is already \
                 populated.",
                other % FUNCTIONS
            ))),
            _ => Ok(()),
        }
    }

    /// Whether the first slot of a bus stays free for the bridge's own hot-plug controller.
    fn keeps_first_slot(&self, bus: ObjectId) -> bool {
        let bridge = self.parent(bus).and_then(|id| self.object(id));
        bridge.is_some_and(|o| matches!(o.class().name, "pci-bridge" | "pcie-pci-bridge"))
    }

    /// Checks that no other port has the same numbers of chassis and slot.
    ///
    /// # Errors
    ///
    /// Another one has.
    pub(super) fn check_chassis(&self, id: ObjectId) -> Result<(), Error> {
        let is_slot = |id: ObjectId| self.object(id).is_some_and(|o| o.class().is_a("pcie-slot"));
        if !is_slot(id) {
            return Ok(());
        }
        let numbers = |id| {
            (
                self.int_property(id, "chassis"),
                self.int_property(id, "slot"),
            )
        };
        let buses = self.buses(PCI.name).into_iter();
        let mut others = buses.flat_map(|bus| self.devices_on(bus));
        if others.any(|other| other != id && is_slot(other) && numbers(other) == numbers(id)) {
            return Err(Error::new("Can't add chassis slot, error -16"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_hexadecimal() {
        for (text, address) in [
            ("0x3", Some(24)),
            ("3", Some(24)),
            ("1f.7", Some(255)),
            ("0x1.0x2", Some(10)),
            ("1.8", None),
            ("", None),
            ("+1", None),
            ("x", None),
        ] {
            assert_eq!(parse_address(text), address, "{text}");
        }
    }
}
