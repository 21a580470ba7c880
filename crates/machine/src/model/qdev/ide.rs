//! Places on IDE: one or two units of a bus.

use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A number that the user has not chosen.
const ANY: i64 = u32::MAX as i64;

/// Takes the unit that a device asks for, or the second one if the first is taken.
pub(super) fn choose_unit(m: &mut Machine, id: ObjectId, bus: ObjectId) -> Result<(), Error> {
    let mut used = m.devices_on(bus);
    used.retain(|device| *device != id);
    let used: Vec<_> = used.iter().map(|d| m.int_property(*d, "unit")).collect();
    let unit = match m.int_property(id, "unit") {
        ANY => i64::from(used.contains(&0)),
        unit => unit,
    };
    let owner = m.parent(bus).and_then(|id| m.object(id));
    let is_ahci = owner.is_some_and(|o| o.class().is_a("ich9-ahci"));
    let units = if is_ahci { 1 } else { 2 };
    if unit >= units {
        return Err(Error::new(format!(
            "Can't create IDE unit {unit}, bus supports only {units} units"
        )));
    }
    if used.contains(&unit) {
        return Err(Error::new(format!("IDE unit {unit} is in use")));
    }
    m.store_by_name(id, "unit", unit);
    name_disk(m, id, bus, unit);
    Ok(())
}

/// Gives a disk without a serial number the one that its place has: each bus has two of them.
fn name_disk(m: &mut Machine, id: ObjectId, bus: ObjectId, unit: i64) {
    if m.is_set(id, "serial") {
        return;
    }
    let mut buses = m.buses(super::bus::IDE.name);
    buses.sort_unstable_by_key(|bus| m.age(*bus));
    let number = buses.iter().position(|b| *b == bus).unwrap_or(0) as i64;
    let serial = format!("QM{:05}", number * 2 + unit + 1);
    m.store_by_name(id, "serial", serial);
}
