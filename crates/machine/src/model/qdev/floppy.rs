//! Places of floppy drives: a controller has two units.

use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A number that the user has not chosen.
const ANY: i64 = u32::MAX as i64;
const UNITS: i64 = 2;

/// Where the firmware looks for the first controller.
const FIRST_PORT: i64 = 0x3f0;

/// Takes the unit that a drive asks for, or the first free one.
pub(super) fn choose_unit(m: &mut Machine, id: ObjectId, bus: ObjectId) -> Result<(), Error> {
    let mut used = m.devices_on(bus);
    used.retain(|device| *device != id);
    let used: Vec<_> = used.iter().map(|d| m.int_property(*d, "unit")).collect();
    let unit = match m.int_property(id, "unit") {
        ANY | -1 => (0..UNITS)
            .find(|unit| !used.contains(unit))
            .unwrap_or(UNITS),
        unit => unit,
    };
    if unit >= UNITS {
        return Err(Error::new(format!(
            "Can't create floppy unit {unit}, bus supports only {UNITS} units"
        )));
    }
    if used.contains(&unit) {
        return Err(Error::new(format!("Floppy unit {unit} is in use")));
    }
    m.store_by_name(id, "unit", unit);
    Ok(())
}

impl Machine {
    /// A warning if two controllers claim to be the first one.
    pub(crate) fn check_floppy_controllers(&self) -> Option<Error> {
        let buses = self.buses(super::bus::FLOPPY.name);
        let controllers = buses.into_iter().filter_map(|bus| self.parent(bus));
        let first = controllers.filter(|id| {
            self.class_name(*id) == "isa-fdc" && self.int_property(*id, "iobase") == FIRST_PORT
        });
        (first.count() > 1).then(|| {
            Error::new("multiple floppy disk controllers with iobase=0x3f0 have been found")
                .with_hint("the one being picked for CMOS setup might not reflect your intent")
        })
    }
}
