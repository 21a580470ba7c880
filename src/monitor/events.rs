//! Events go to every QMP session past its negotiation, some of them at most
//! once a second ([`throttle`](super::throttle)). An event that was held back has
//! the timestamp of the moment when it arose.

use std::time::Duration;

use super::qmp;
use super::runtime::Runtime;
use super::table::{MonitorId, MonitorKind};
use super::throttle::{Held, IntervalEnd, Key};
use crate::main_loop::ClockType;
use crate::qapi::events::{event_rate_limit, EventInfo};
use crate::qapi::json::{qobject_to_json, JsonWriter};
use crate::qapi::CompatPolicy;
use crate::qapi::QDict;
use crate::trace_event;

/// The `-compat` policy in force, for generated emitters.
pub fn compat_policy<S>(rt: &Runtime<S>) -> CompatPolicy {
    rt.policy
}

/// Sends an event, or keeps it for later if its kind is rate limited
/// (`qapi_event_emit`, `monitor_qapi_event_queue`). Generated emitters call this.
/// An embedder may call it with data in a dictionary.
pub fn qapi_event_emit<S>(rt: &mut Runtime<S>, event: &'static EventInfo, data: QDict) {
    if rt.policy.hides(event.features) {
        return;
    }
    let time_ns = rt.main_loop.clock_get_ns(ClockType::Host);
    let Some(limit) = event_rate_limit(event.name) else {
        return monitor_qapi_event_emit(rt, event, &data, time_ns);
    };
    let part = limit
        .key_member
        .and_then(|m| data.get(m))
        .map(|value| qobject_to_json(value, false));
    let key = (event.name, part);
    let Some(Held { data, time_ns }) = rt.throttles.hold(&key, Held { data, time_ns }) else {
        trace_event!(monitor_qapi_event_queue, "{} held back", event.name);
        return;
    };
    monitor_qapi_event_emit(rt, event, &data, time_ns);
    let interval = limit.interval;
    let on_timer = {
        let key = key.clone();
        move |rt: &mut Runtime<S>| interval_ends(rt, event, &key, interval)
    };
    let clock = rt.event_clock;
    let timer = rt.main_loop.timer_new(clock, "event_throttle", on_timer);
    rt.throttles.begin(key, timer);
    rt.main_loop.timer_mod_in(timer, interval);
}

fn interval_ends<S>(rt: &mut Runtime<S>, event: &'static EventInfo, key: &Key, interval: Duration) {
    match rt.throttles.interval_ends(key) {
        None => {}
        Some(IntervalEnd::Idle(timer)) => {
            rt.main_loop.timer_free(timer);
        }
        Some(IntervalEnd::Sends(held, timer)) => {
            monitor_qapi_event_emit(rt, event, &held.data, held.time_ns);
            rt.main_loop.timer_mod_in(timer, interval);
        }
    }
}

fn monitor_qapi_event_emit<S>(
    rt: &mut Runtime<S>,
    event: &'static EventInfo,
    data: &QDict,
    time_ns: i64,
) {
    send_event_to(rt, None, event.name, data, time_ns);
}

/// Sends an event to one session, or to all past their negotiation.
pub(super) fn send_event_to<S>(
    rt: &mut Runtime<S>,
    to: Option<MonitorId>,
    name: &str,
    data: &QDict,
    time_ns: i64,
) {
    let order = rt.member_order;
    // Each layout is rendered at most once, for any number of sessions.
    let mut rendered: [Option<JsonWriter>; 2] = [None, None];
    let listeners: Vec<(MonitorId, bool)> = rt
        .monitors
        .iter()
        .filter(|(id, _)| to.is_none_or(|to| to == *id))
        .filter_map(|(id, m)| match &m.kind {
            MonitorKind::Qmp(q) if q.session.is_negotiated() => Some((id, m.config.pretty)),
            _ => None,
        })
        .collect();
    let n = listeners.len();
    trace_event!(monitor_qapi_event_emit, "{name} to {n} sessions");
    for (id, pretty) in listeners {
        let w = rendered[usize::from(pretty)].get_or_insert_with(|| {
            let mut w = JsonWriter::new(pretty);
            w.set_member_order(order);
            write_event(&mut w, name, data, time_ns);
            w.newline();
            w
        });
        qmp::send_event(rt, id, w.as_bytes());
    }
}

pub(super) fn write_event(w: &mut JsonWriter, name: &str, data: &QDict, time_ns: i64) {
    w.begin_object();
    w.key("timestamp");
    w.begin_object();
    w.key("seconds");
    w.i64(time_ns.div_euclid(1_000_000_000));
    w.key("microseconds");
    w.i64(time_ns.rem_euclid(1_000_000_000) / 1000);
    w.end_object();
    w.key("event");
    w.string(name);
    if !data.is_empty() {
        w.key("data");
        w.qdict(data);
    }
    w.end_object();
}
