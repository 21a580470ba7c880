//! How the output of monitors leaves.
//!
//! Output is appended to the monitor's buffer. The buffer is handed to the chardev
//! once per turn: at the end of the dispatcher's run, or from a bottom half for
//! other output (an event, a deferred reply). Writability is watched for only when
//! the chardev refuses, and that watch ends with its first call.

use super::runtime::Runtime;
use super::session::Serial;
use super::table::{Monitor, MonitorId, MonitorKind};
use crate::chardev::{
    qemu_chr_fe_accept_input, qemu_chr_fe_add_watch, qemu_chr_fe_write, Chardev, Chardevs,
};
use crate::main_loop::{BhId, Condition, Flow};
use crate::trace::events;
use crate::trace_event;

/// The state of output, and its links to the rest.
pub(crate) struct Output<S: 'static> {
    /// Flushes the monitors that are marked.
    pub(super) bh: BhId,
    /// While set, the dispatcher runs and will flush at its end.
    pub(super) dispatcher_runs: bool,
    /// Goes on with a monitor whose output held it back.
    pub(super) go_on: fn(&mut Runtime<S>, MonitorId),
}

/// The name of a monitor in traces: the label of its chardev.
pub(crate) fn label<S>(rt: &Runtime<S>, id: MonitorId) -> &str {
    let mon = rt.monitors.get(id);
    mon.map_or(GONE, |mon| chardev_label(&rt.chardevs, mon))
}

/// The same, given the parts of the runtime.
pub(crate) fn chardev_label<'c, H>(chardevs: &'c Chardevs<H>, mon: &Monitor) -> &'c str {
    let chr = chardevs.get(mon.fe.chardev());
    chr.map_or(GONE, Chardev::label)
}

const GONE: &str = "(gone)";

/// Sends the greeting to the client of a QMP monitor.
pub(crate) fn send_greeting<S>(rt: &mut Runtime<S>, id: MonitorId) {
    rt.query_version();
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    let line = rt.prepared.greeting(mon.config.pretty);
    mon.out.push(line);
    if events::monitor_qmp_respond.is_wanted() {
        trace_response(chardev_label(&rt.chardevs, mon), None, line);
    }
    mark_dirty(rt, id);
}

/// Traces a greeting, which has no serial, or a reply.
#[cold]
pub(super) fn trace_response(label: &str, serial: Option<Serial>, line: &[u8]) {
    let number = serial.map(|serial| serial.to_string());
    let text = String::from_utf8_lossy(line);
    let words = [number.as_deref(), Some(text.trim_end())];
    let words: Vec<&str> = words.into_iter().flatten().collect();
    trace_event!(monitor_qmp_respond, [monitor: label, request: number.as_deref()],
        "{label} {}", words.join(" "));
}

/// Marks a monitor that has output. The end of the dispatcher's run or a bottom
/// half flushes it.
pub(crate) fn mark_dirty<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if mon.dirty {
        return;
    }
    mon.dirty = true;
    rt.monitors.dirty.push(id);
    if !rt.output.dispatcher_runs {
        rt.main_loop.bh_schedule(rt.output.bh);
    }
}

/// Hands the output of marked monitors to their chardevs.
pub(crate) fn flush_dirty<S>(rt: &mut Runtime<S>) {
    // Monitors that flushing marks have their turn in the next run: monitors wired
    // to each other could go on for ever here.
    let mut list = std::mem::take(&mut rt.monitors.dirty);
    for id in list.drain(..) {
        monitor_flush(rt, id);
    }
    if rt.monitors.dirty.is_empty() {
        rt.monitors.dirty = list;
    }
}

/// Writes as much of the monitor's output as its chardev takes
/// (`monitor_flush`).
pub(crate) fn monitor_flush<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    mon.dirty = false;
    let waits = mon.flushing || mon.out_watch.is_some() || mon.holds_output();
    if waits || mon.out.unsent().is_empty() {
        return;
    }
    let held_back = mon.over_budget();
    let fe = mon.fe;
    // Taken out, because writing may come back to this monitor: chardevs can be
    // wired to one another. New output goes behind this.
    let mut out = std::mem::take(&mut mon.out);
    mon.flushing = true;
    let len = out.unsent().len();
    trace_event!(monitor_flush, [monitor: label(rt, id), owed: len],
        "{} has {len} bytes", label(rt, id));
    let n = match qemu_chr_fe_write(rt, fe, out.unsent()) {
        Ok(n) => n,
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => 0,
        // The chardev is broken: it will report the hang-up itself.
        Err(_) => out.unsent().len(),
    };
    out.advance(n);
    let refused = !out.unsent().is_empty();
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    if !std::mem::replace(&mut mon.flushing, false) {
        // The client it was for has gone meanwhile.
        return;
    }
    mon.out.put_back(out);
    if events::monitor_flush_done.is_wanted() {
        trace_flushed(rt, id);
    }
    if refused {
        let watch = qemu_chr_fe_add_watch(rt, fe, Condition::OUT | Condition::HUP, move |rt, _| {
            monitor_unblocked(rt, id);
            Flow::Remove
        });
        if let Some(mon) = rt.monitors.get_mut(id) {
            mon.out_watch = watch;
            if watch.is_none() {
                // No call will ever tell when it can be written.
                mon.out.clear();
            }
        }
    }
    if let Some(mon) = rt.monitors.get_mut(id) {
        if let MonitorKind::Qmp(qmp) = &mut mon.kind {
            qmp.unsent_events = qmp.unsent_events.min(mon.out.unsent().len());
        }
    }
    if held_back {
        output_drained(rt, id);
    }
}

#[cold]
fn trace_flushed<S>(rt: &Runtime<S>, id: MonitorId) {
    let owed = rt.monitors.get(id).map_or(0, |mon| mon.out.unsent().len());
    let label = label(rt, id);
    trace_event!(monitor_flush_done, [monitor: label, owed: owed], "{label} owes {owed} bytes");
}

/// Goes on with a monitor that its output held back, if that has left.
fn output_drained<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if rt.monitors.get(id).is_some_and(|mon| !mon.over_budget()) {
        (rt.output.go_on)(rt, id);
        accept_input(rt, id);
    }
}

/// Tells the chardev that the monitor takes input again. A polled chardev finds out
/// itself; a mux has to be told.
pub(crate) fn accept_input<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if let Some(fe) = rt.monitors.get(id).map(|mon| mon.fe) {
        qemu_chr_fe_accept_input(rt, fe);
    }
}

fn monitor_unblocked<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if let Some(mon) = rt.monitors.get_mut(id) {
        mon.out_watch = None;
    }
    monitor_flush(rt, id);
}

/// Drops output that has no reader any more, as when the client has gone.
pub(crate) fn discard_output<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    mon.out.clear();
    mon.flushing = false;
    if let Some(watch) = mon.out_watch.take() {
        rt.main_loop.remove_watch(watch);
    }
}
