//! The balloon, by which a guest gives memory back.
//!
//! There is no guest, so the balloon never grows: requests are forgotten, and the
//! statistics are never updated.

use super::qdev::property;
use super::qom::{set_link, Getter, ObjectId, Property, Set};
use crate::model::Machine;
use qmonitor::qapi::{Error, ErrorClass, QDict, QObject};

const fn flag(name: &'static str, default: bool) -> Property {
    property(name, "bool", Getter::Bool(default))
}

pub(crate) static PROPERTIES: &[Property] = &[
    flag("deflate-on-oom", false),
    flag("free-page-hint", false),
    flag("free-page-reporting", false),
    flag("page-poison", true),
    Property::new("iothread", "link<iothread>", Getter::Link, Some(set_link)),
    Property::new(
        "guest-stats",
        "guest statistics",
        Getter::With(guest_stats),
        None,
    ),
    Property::new(
        "guest-stats-polling-interval",
        "int",
        Getter::Int(0),
        Some(set_polling_interval),
    ),
];

/// The statistics of a guest.
const STATISTICS: &[&str] = &[
    "stat-swap-in",
    "stat-swap-out",
    "stat-major-faults",
    "stat-minor-faults",
    "stat-free-memory",
    "stat-total-memory",
    "stat-available-memory",
    "stat-disk-caches",
    "stat-htlb-pgalloc",
    "stat-htlb-pgfail",
    "stat-oom-kills",
    "stat-alloc-stalls",
    "stat-async-scans",
    "stat-direct-scans",
    "stat-async-reclaims",
    "stat-direct-reclaims",
];

/// All ones stand for a number that the guest never sent.
fn guest_stats(_: &Machine, _: ObjectId) -> QObject {
    let stats: QDict = STATISTICS.iter().map(|name| (*name, u64::MAX)).collect();
    let mut dict = QDict::new();
    dict.insert("stats", stats);
    dict.insert("last-update", 0);
    dict.into()
}

fn set_polling_interval(set: Set<'_>) -> Result<(), Error> {
    let seconds = set.input.int()?;
    if seconds < 0 {
        return Err(Error::new("timer value must be greater than zero"));
    }
    if seconds > i64::from(u32::MAX) {
        return Err(Error::new("timer value is too big"));
    }
    set.store(seconds)
}

/// Refuses a second balloon.
pub(crate) fn realize(m: &mut Machine, id: ObjectId, _: ObjectId) -> Result<(), Error> {
    if m.balloon.is_some_and(|other| m.object(other).is_some()) {
        return Err(Error::new("Only one balloon device is supported"));
    }
    m.balloon = Some(id);
    Ok(())
}

impl Machine {
    /// The memory that is left to the guest, in bytes.
    ///
    /// # Errors
    ///
    /// `DeviceNotActive` if there is no balloon.
    pub fn balloon_actual(&self) -> Result<i64, Error> {
        let exists = self.balloon.is_some_and(|id| self.object(id).is_some());
        if exists {
            Ok(i64::try_from(self.ram_size() + self.module_memory()).unwrap_or(i64::MAX))
        } else {
            Err(Error::with_class(
                ErrorClass::DeviceNotActive,
                "No balloon device has been activated",
            ))
        }
    }

    /// Asks for memory, so that this much is left.
    ///
    /// # Errors
    ///
    /// There is no balloon, or the target is not positive.
    pub fn balloon_request(&mut self, target: i64) -> Result<(), Error> {
        self.balloon_actual()?;
        if target <= 0 {
            Err(Error::new("Parameter 'value' expects a size"))
        } else {
            Ok(())
        }
    }
}
