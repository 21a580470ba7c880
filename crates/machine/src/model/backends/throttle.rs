//! `throttle-group`: limits that several users of block devices share.
//!
//! There are no block devices here, so nothing is ever throttled, but limits
//! are kept and checked. They can be given together (`limits`) or, until the
//! object is complete, one by one (`x-iops-total` and so on).

use crate::model::qom::{Getter, ObjectId, ObjectType, Property, Set, OBJECT};
use crate::model::Machine;
use crate::schema::ThrottleLimits;
use qmonitor::qapi::visit::to_qobject;
use qmonitor::qapi::{Error, QDict, QNum, QObject};

pub(crate) static TYPES: &[&ObjectType] = &[&THROTTLE_GROUP];

static THROTTLE_GROUP: ObjectType = ObjectType {
    complete: Some(check),
    ..ObjectType::new_user_creatable("throttle-group", &OBJECT, &PROPERTIES)
};

/// Largest limit (`THROTTLE_VALUE_MAX`).
const THROTTLE_VALUE_MAX: i64 = 1_000_000_000_000_000;

static PROPERTIES: [Property; 20] = [
    Property::new(
        "limits",
        "ThrottleLimits",
        Getter::With(limits),
        Some(set_limits),
    ),
    limit("x-iops-total", 0),
    limit("x-iops-total-max", 0),
    limit("x-iops-total-max-length", 1),
    limit("x-iops-read", 0),
    limit("x-iops-read-max", 0),
    limit("x-iops-read-max-length", 1),
    limit("x-iops-write", 0),
    limit("x-iops-write-max", 0),
    limit("x-iops-write-max-length", 1),
    limit("x-bps-total", 0),
    limit("x-bps-total-max", 0),
    limit("x-bps-total-max-length", 1),
    limit("x-bps-read", 0),
    limit("x-bps-read-max", 0),
    limit("x-bps-read-max-length", 1),
    limit("x-bps-write", 0),
    limit("x-bps-write-max", 0),
    limit("x-bps-write-max-length", 1),
    limit("x-iops-size", 0),
];

const fn limit(name: &'static str, default: i64) -> Property {
    Property::new(name, "int", Getter::Int(default), Some(set_limit)).frozen(already_made)
}

/// All limits, without the `x-`.
fn limits(m: &Machine, id: ObjectId) -> QObject {
    let cells = PROPERTIES.iter().filter_map(|p| {
        let name = p.name.strip_prefix("x-")?;
        Some((name, m.int_property(id, p.name)))
    });
    cells.collect::<QDict>().into()
}

fn set_limit(set: Set<'_>) -> Result<(), Error> {
    let value = set.input.int()?;
    if value < 0 {
        return Err(Error::new("Property values cannot be negative"));
    }
    let name = set.property.name;
    if is_length(name) && u32::try_from(value).is_err() {
        // QEMU's words lack a blank here, and only here.
        return Err(Error::new(format!(
            "{name} value must be in therange [0, {}]",
            u32::MAX
        )));
    }
    set.store(value)
}

fn already_made(_: &Machine, _: ObjectId, _: &Property) -> Error {
    Error::new("Property cannot be set after initialization")
}

fn is_length(name: &str) -> bool {
    name.ends_with("-max-length")
}

/// Changes the limits that are given. The whole set is checked before any of
/// it is stored.
fn set_limits(set: Set<'_>) -> Result<(), Error> {
    let (m, id) = (set.machine, set.id);
    let given: ThrottleLimits = set.input.value()?;
    let QObject::Dict(given) = to_qobject(&given) else {
        return Ok(());
    };
    let mut changes = Vec::new();
    for property in &PROPERTIES {
        let name = property.name.strip_prefix("x-").unwrap_or_default();
        if let Some(QObject::Num(QNum::I64(value))) = given.get(name) {
            // As in QEMU, a negative length gets by here; it is then taken
            // for a huge one.
            if is_length(name) && *value > i64::from(u32::MAX) {
                return Err(Error::new(format!(
                    "{name} value must be in the range [0, {}]",
                    u32::MAX
                )));
            }
            changes.push((property, *value));
        }
    }
    check_values(|name| {
        let change = changes.iter().find(|(p, _)| p.name == name);
        change.map_or_else(|| m.int_property(id, name), |(_, value)| *value)
    })?;
    for (property, value) in changes {
        m.store(id, property, value);
    }
    Ok(())
}

fn check(m: &mut Machine, id: ObjectId) -> Result<(), Error> {
    check_values(|name| m.int_property(id, name))
}

/// Whether the limits make sense together (`throttle_is_valid`). `value` gives
/// the value of a property.
fn check_values(value: impl Fn(&str) -> i64) -> Result<(), Error> {
    let fail = |desc: &'static str| Err(Error::new(desc));
    for kind in ["x-iops", "x-bps"] {
        for suffix in ["", "-max"] {
            let of = |who: &str| value(&format!("{kind}-{who}{suffix}"));
            if of("total") != 0 && (of("read") != 0 || of("write") != 0) {
                return fail(
                    "bps/iops/max total values and read/write values cannot be used at the same \
                     time",
                );
            }
        }
    }
    if value("x-iops-size") != 0
        && ["total", "read", "write"]
            .iter()
            .all(|who| value(&format!("x-iops-{who}")) == 0)
    {
        return fail("iops size requires an iops value to be set");
    }
    for kind in ["x-bps", "x-iops"] {
        for who in ["total", "read", "write"] {
            let rate = value(&format!("{kind}-{who}"));
            let burst = value(&format!("{kind}-{who}-max"));
            let length = value(&format!("{kind}-{who}-max-length")) as u64;
            let range = 0..=THROTTLE_VALUE_MAX;
            if !range.contains(&rate) || !range.contains(&burst) {
                return Err(Error::new(format!(
                    "bps/iops/max values must be within [0, {THROTTLE_VALUE_MAX}]"
                )));
            }
            if length == 0 {
                return fail("the burst length cannot be 0");
            }
            if length > 1 && burst == 0 {
                return fail("burst length set without burst rate");
            }
            if burst != 0 && length > (THROTTLE_VALUE_MAX / burst) as u64 {
                return fail("burst length too high for this burst rate");
            }
            if burst != 0 && rate == 0 {
                return fail("bps_max/iops_max require corresponding bps/iops values");
            }
            if burst != 0 && burst < rate {
                return fail("bps_max/iops_max cannot be lower than bps/iops");
            }
        }
    }
    Ok(())
}
