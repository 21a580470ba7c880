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
    Ok(())
}
