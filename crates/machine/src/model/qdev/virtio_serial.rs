//! Ports of virtio-serial.

use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// The number of a port of virtio-serial, chosen if it was not given. Port 0 is
/// kept for consoles.
pub(super) fn choose_port(m: &mut Machine, id: ObjectId, bus: ObjectId) -> Result<(), Error> {
    let used: Vec<i64> = ports(m, id, bus).map(|d| m.int_property(d, "nr")).collect();
    let wanted = m.is_set(id, "nr").then(|| m.int_property(id, "nr"));
    let nr = match wanted {
        Some(nr) if used.contains(&nr) => {
            let desc = format!("virtio-serial-bus: A port already exists at id {nr}");
            return Err(Error::new(desc));
        }
        Some(nr) => nr,
        None => (1..).find(|nr| !used.contains(nr)).unwrap_or(1),
    };
    let max = m
        .parent(bus)
        .and_then(|backend| m.parent(backend))
        .map_or(31, |controller| m.int_property(controller, "max_ports"));
    if nr >= max {
        return Err(Error::new(format!(
            "virtio-serial-bus: Out-of-range port id specified, max. allowed: {}",
            max - 1
        )));
    }
    m.store_by_name(id, "nr", nr);
    Ok(())
}

/// The other devices on a bus.
fn ports(m: &Machine, id: ObjectId, bus: ObjectId) -> impl Iterator<Item = ObjectId> {
    m.devices_on(bus).into_iter().filter(move |d| *d != id)
}
