//! Places on SCSI: a target and a unit of it.

use crate::model::qom::ObjectId;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// What a host adapter can address: the highest target, and the highest unit.
const LIMITS: &[(&str, i64, i64)] = &[
    ("virtio-scsi-pci-base", 255, 16383),
    ("virtio-scsi-pci", 255, 16383),
    ("lsi53c895a", 7, 0),
    ("megasas-base", 128, 255),
    ("mptsas1068", 8, 1),
    ("pvscsi", 64, 0),
    ("am53c974", 6, 7),
    ("usb-storage-dev", 0, 0),
    ("usb-bot", 0, 15),
    ("usb-uas", 0, 255),
];

/// A number that the user has not chosen.
const ANY: i64 = u32::MAX as i64;

/// Chooses the place of a device, or checks the one it asks for.
pub(super) fn choose_place(m: &mut Machine, id: ObjectId, bus: ObjectId) -> Result<(), Error> {
    let (max_target, max_unit) = limits(m, bus);
    let wanted = |name| Some(m.int_property(id, name)).filter(|n| *n != ANY && *n >= 0);
    let (channel, target, unit) = (
        m.int_property(id, "channel"),
        wanted("scsi-id"),
        wanted("lun"),
    );
    let bad = |what, number| Err(Error::new(format!("bad scsi {what}: {number}")));
    match (target, unit) {
        _ if channel > 0 => return bad("channel id", channel),
        (Some(target), _) if target > max_target => return bad("device id", target),
        (_, Some(unit)) if unit > max_unit => return bad("device lun", unit),
        _ => {}
    }
    let others: Vec<_> = m.devices_on(bus).into_iter().filter(|d| *d != id).collect();
    let at = |target, unit| {
        let place = |d: &&ObjectId| (m.int_property(**d, "scsi-id"), m.int_property(**d, "lun"));
        others.iter().find(|d| place(d) == (target, unit)).copied()
    };
    let (target, unit) = match (target, unit) {
        (None, unit) => {
            let unit = unit.unwrap_or(0);
            let free = (0..=max_target).find(|target| at(*target, unit).is_none());
            (free.ok_or_else(|| Error::new("no free target"))?, unit)
        }
        (Some(target), None) => {
            let free = (0..=max_unit).find(|unit| at(target, *unit).is_none());
            (target, free.ok_or_else(|| Error::new("no free lun"))?)
        }
        (Some(target), Some(unit)) => match at(target, unit) {
            None => (target, unit),
            Some(other) => {
                let other = m.device_id(other).unwrap_or("");
                return Err(Error::new(format!("lun already used by '{other}'")));
            }
        },
    };
    m.store_by_name(id, "scsi-id", target);
    m.store_by_name(id, "lun", unit);
    name_disk(m, id);
    Ok(())
}

/// A disk without an id for the system is called by its serial number, or by its drive.
fn name_disk(m: &mut Machine, id: ObjectId) {
    if m.is_set(id, "device_id") || !matches!(m.class_name(id), "scsi-hd" | "scsi-cd") {
        return;
    }
    let (serial, drive) = (m.str_property(id, "serial"), m.str_property(id, "drive"));
    if !serial.is_empty() {
        m.store_by_name(id, "device_id", serial);
    } else if m.blocks.backends.get(&drive).is_some() {
        m.store_by_name(id, "device_id", drive);
    }
}

fn limits(m: &Machine, bus: ObjectId) -> (i64, i64) {
    let owner = m.parent(bus);
    let owner = owner.filter(|id| {
        !m.object(*id)
            .is_some_and(|o| o.class().is_a("virtio-device"))
    });
    let adapter = owner.or_else(|| m.parent(m.parent(bus)?));
    let class = adapter.and_then(|id| m.object(id)).map(|o| o.class());
    let found = LIMITS
        .iter()
        .find(|(name, ..)| class.is_some_and(|c| c.is_a(name)));
    found.map_or((255, 255), |(_, target, unit)| (*target, *unit))
}
