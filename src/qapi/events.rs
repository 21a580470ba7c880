//! What the monitor needs to know about events.

use std::time::Duration;

use super::json::MemberName;
use super::visit::{OutputVisitor, QObjectOutputVisitor};
use super::{CompatPolicy, QDict, QObject, SpecialFeatures};

/// An event, as generated code declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventInfo {
    /// Its name, such as `SHUTDOWN`.
    pub name: &'static str,
    /// Whether it is deprecated or unstable.
    pub features: SpecialFeatures,
}

/// How often an event may be sent (QEMU's `MonitorQAPIEventConf`).
///
/// The first event is sent at once. Of the events that follow within the interval,
/// only the last is kept. It is sent when the interval ends, and a new interval
/// begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// The interval.
    pub interval: Duration,
    /// A member of the event's data: each of its values has an interval of its own.
    pub key_member: Option<&'static str>,
}

/// The rate limit of an event, if it has one.
///
/// ```
/// use qmonitor::qapi::events::event_rate_limit;
///
/// assert_eq!(event_rate_limit("SHUTDOWN"), None);
/// let limit = event_rate_limit("VSERPORT_CHANGE").unwrap();
/// assert_eq!((limit.interval.as_secs(), limit.key_member), (1, Some("id")));
/// ```
pub fn event_rate_limit(name: &str) -> Option<RateLimit> {
    let key_member = match name {
        "RTC_CHANGE"
        | "WATCHDOG"
        | "BALLOON_CHANGE"
        | "QUORUM_FAILURE"
        | "HV_BALLOON_STATUS_REPORT" => None,
        "VSERPORT_CHANGE" => Some("id"),
        "QUORUM_REPORT_BAD" => Some("node-name"),
        "MEMORY_DEVICE_SIZE_CHANGE" | "BLOCK_IO_ERROR" => Some("qom-path"),
        _ => return None,
    };
    Some(RateLimit {
        interval: Duration::from_secs(1),
        key_member,
    })
}

/// Builds the data of an event from the members that `visit` writes, without those
/// that the policy hides. Generated `qapi_event_send_X` calls this. The monitor
/// decides whether the event itself is hidden.
pub fn event_data(policy: CompatPolicy, visit: &dyn Fn(&mut QObjectOutputVisitor)) -> QDict {
    let mut v = QObjectOutputVisitor::new(policy);
    v.start_struct(MemberName::NONE);
    visit(&mut v);
    v.end_struct();
    match v.into_value() {
        QObject::Dict(data) => data,
        _ => QDict::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member_name;
    use crate::qapi::CompatPolicyOutput;

    #[test]
    fn data_are_what_was_visited_and_not_hidden() {
        let policy = CompatPolicy {
            deprecated_output: CompatPolicyOutput::Hide,
            ..CompatPolicy::default()
        };
        let data = event_data(policy, &|v| {
            v.member(member_name!("a"), &1i64);
            v.special_member(member_name!("b"), &2i64, SpecialFeatures::DEPRECATED);
            v.special_member(member_name!("c"), &3i64, SpecialFeatures::UNSTABLE);
        });
        assert_eq!(data, [("a", 1), ("c", 3)].into_iter().collect());
    }
}
