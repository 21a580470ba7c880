//! QMP monitors on their chardevs: greeting, input, output, events.
//!
//! ```text
//!            CHR_EVENT_OPENED                qmp_capabilities
//!   closed ──────────────────▶ negotiating ──────────────────▶ command mode
//!     ▲     greeting is sent        │                               │
//!     └─────────────────────────────┴──────── CHR_EVENT_CLOSED ─────┘
//! ```
//!
//! Bytes arrive in large pieces and are fed to the session; the dispatcher pulls
//! requests out of it. While the session does not want input its chardev is not
//! read either.
//!
//! # A client that does not read
//!
//! Replies are bounded and never lost: a session with more than 64 KiB of unsent
//! output takes no further request, and its client can send no more than the
//! kernel's buffers hold.
//!
//! Events come unasked. Single events are never dropped, because a client could not
//! know that it has missed one. Once more than 1 MiB of them waits and the chardev
//! takes no more, the session is [given up](super::give_up) as a whole.
//!
//! [`clients`](super::clients) describes what happens to the requests of a client
//! that leaves.

use super::clients::{monitor_backlog, monitor_client_left, monitor_drained, new_client};
use super::dispatcher::go_on;
use super::give_up::give_up;
use super::output::{discard_output, label, mark_dirty, monitor_flush, send_greeting};
use super::runtime::Runtime;
use super::session::QmpSession;
use super::table::{MonitorId, MonitorKind, MonitorQmp, NewMonitor};
use crate::chardev::{
    qemu_chr_fe_get_msgfd, qemu_chr_fe_set_handlers, CharHandlers, ChardevId, ChrEvent,
};
use crate::trace_event;

/// How much is read from the chardev at a time.
const READ_CHUNK: usize = 64 * 1024;

/// The shortest negotiation and the shortest command, of which a program may have one
/// that takes descriptors.
const SAFE_START: usize = r#"{"execute":"qmp_capabilities"}{"execute":"x"}"#.len();

/// Unsent events beyond which a client is given up.
const EVENT_BUDGET: usize = 1024 * 1024;

/// Starts a QMP monitor on a chardev (`monitor_init_qmp`).
pub(crate) fn monitor_init_qmp<S>(rt: &mut Runtime<S>, new: NewMonitor) -> MonitorId {
    let fe = new.fe;
    let kind = MonitorKind::Qmp(MonitorQmp {
        session: QmpSession::new(new.config.limits),
        unsent_events: 0,
        listed: false,
    });
    let id = rt.monitors.insert(new, kind);
    let handlers = CharHandlers {
        new_client: Some(monitor_qmp_new_client),
        drained: Some(monitor_drained),
        backlog: Some(monitor_backlog),
        safe_start: SAFE_START,
        ..CharHandlers::new(monitor_can_read, monitor_qmp_read, monitor_qmp_event)
    };
    qemu_chr_fe_set_handlers(rt, fe, Some(handlers), id.to_opaque());
    id
}

fn monitor_qmp_new_client<S>(rt: &mut Runtime<S>, opaque: u64, client: ChardevId) {
    if let Some(new) = new_client(rt, opaque, client) {
        monitor_init_qmp(rt, new);
    }
}

fn monitor_can_read<S>(rt: &Runtime<S>, opaque: u64) -> usize {
    let Some(mon) = rt.monitors.get(MonitorId::from_opaque(opaque)) else {
        return 0;
    };
    match &mon.kind {
        MonitorKind::Qmp(qmp) if qmp.session.wants_input() && !mon.over_budget() => READ_CHUNK,
        _ => 0,
    }
}

fn monitor_qmp_read<S>(rt: &mut Runtime<S>, opaque: u64, bytes: &[u8]) {
    let id = MonitorId::from_opaque(opaque);
    let n = bytes.len();
    trace_event!(monitor_qmp_read, [monitor: label(rt, id), bytes: n],
        "{} got {n} bytes", label(rt, id));
    let fe = rt.monitors.get(id).map(|mon| mon.fe);
    let fd = fe.and_then(|fe| qemu_chr_fe_get_msgfd(rt, fe));
    if let Some(qmp) = rt.monitors.qmp_mut(id) {
        qmp.session.feed(bytes, fd);
        go_on(rt, id);
    }
}

fn monitor_qmp_event<S>(rt: &mut Runtime<S>, opaque: u64, event: ChrEvent) {
    let id = MonitorId::from_opaque(opaque);
    trace_event!(monitor_qmp_event, [monitor: label(rt, id), event: event.name()],
        "{} {}", label(rt, id), event.name());
    match event {
        ChrEvent::Opened => {
            reset(rt, id);
            send_greeting(rt, id);
        }
        ChrEvent::Closed => {
            reset(rt, id);
            discard_output(rt, id);
            monitor_client_left(rt, id);
        }
        ChrEvent::Break | ChrEvent::MuxIn | ChrEvent::MuxOut => {}
    }
}

/// Starts the session afresh.
fn reset<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if let Some(qmp) = rt.monitors.qmp_mut(id) {
        qmp.session.reset();
        qmp.unsent_events = 0;
    }
}

/// Puts an event, with its line end, into the session's output buffer.
pub(crate) fn send_event<S>(rt: &mut Runtime<S>, id: MonitorId, line: &[u8]) {
    if !has_room_for_event(rt, id, line.len()) {
        // The client cannot have read a burst within one turn.
        monitor_flush(rt, id);
        if !has_room_for_event(rt, id, line.len()) {
            return give_up(rt, id, "its client has left over 1 MiB of events unread");
        }
    }
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    match &mut mon.kind {
        // Flushing may have ended the session.
        MonitorKind::Qmp(qmp) if qmp.session.is_negotiated() => qmp.unsent_events += line.len(),
        _ => return,
    }
    mon.out.push(line);
    mark_dirty(rt, id);
}

fn has_room_for_event<S>(rt: &Runtime<S>, id: MonitorId, len: usize) -> bool {
    let qmp = rt.monitors.qmp(id);
    qmp.is_none_or(|q| q.unsent_events == 0 || q.unsent_events + len <= EVENT_BUDGET)
}
