//! The steps of a request as trace events. Apart from the dispatcher, whose way a request
//! goes mostly without a trace.

use super::session::{QmpSession, Request, Serial};
use crate::trace::{events, TraceEvent};
use crate::trace_event;

/// What a message is traced by.
pub(super) static MESSAGE_TRACED: [&TraceEvent; 4] = [
    &events::handle_qmp_command,
    &events::monitor_qmp_cmd_in_band,
    &events::monitor_qmp_cmd_out_of_band,
    &events::monitor_suspend,
];

/// Traces a message that the session of this monitor has queued.
#[cold]
pub(super) fn trace_queued<F>(monitor: &str, session: &QmpSession<F>, suspends: bool) {
    if let Some((request, serial)) = session.newest() {
        trace_message(monitor, request, serial);
    }
    let waiting = session.waiting();
    trace_event!(
        monitor_qmp_cmd_in_band,
        [monitor: monitor, waiting: waiting],
        "{monitor} has {waiting} waiting"
    );
    if suspends {
        trace_event!(monitor_suspend, [monitor: monitor], "{monitor}");
    }
}

/// Traces a message that is carried out at once.
#[cold]
pub(super) fn trace_out_of_band(monitor: &str, request: &Request, serial: Serial) {
    trace_message(monitor, request, serial);
    trace_event!(monitor_qmp_cmd_out_of_band, [monitor: monitor], "{monitor}");
}

fn trace_message(monitor: &str, request: &Request, serial: Serial) {
    let number = serial.to_string();
    trace_event!(
        handle_qmp_command,
        [monitor: monitor, request: number.as_str(), command: request.command()],
        "{monitor} {serial} {request}"
    );
}

/// Traces that the dispatcher takes up a request.
#[cold]
pub(super) fn trace_taken_up<F>(monitor: &str, session: &QmpSession<F>) {
    let (number, waiting) = (session.serial(false).to_string(), session.waiting());
    trace_event!(
        monitor_qmp_bh_dispatcher,
        [monitor: monitor, request: number.as_str(), waiting: waiting],
        "serves {monitor} {number}"
    );
}

/// Traces the call of a command's own function.
#[cold]
pub(super) fn trace_enter(function: &'static str) {
    trace_event!(qmp_enter, [function: function], "{function}");
}

/// Traces the return of a command's function, or that its answer has come. `reply` says
/// whether one is sent.
#[cold]
pub(super) fn trace_done(monitor: &str, serial: Serial, text: &str, reply: bool) {
    let number = serial.to_string();
    let reply = if reply { "sent" } else { "none" };
    trace_event!(
        qmp_dispatch_done,
        [monitor: monitor, request: number.as_str(), reply: reply],
        "{text}"
    );
}
