//! Monitors whose clients come and go: how a session is made for each client
//! of a chardev that serves several, and what becomes of a monitor when its
//! client leaves.
//!
//! ```text
//!   chardev q, max-clients=8          monitor on q: made by the user, speaks to nobody
//!       │ new_client                      │ copied
//!       ▼                                 ▼
//!   chardev q.0  ◀── front end ──  session: a monitor like any other
//!       │ "Closed"
//!       ▼
//!   both are removed; the monitor on q stays
//! ```
//!
//! A session is removed with its client in any case; a monitor with
//! `close-action=delete` is too, and takes its chardev along. Removing the monitor
//! on `q` ends all its sessions.

use super::removal::monitor_remove_with;
use super::runtime::Runtime;
use super::schema::MonitorCloseAction;
use super::table::{MonitorId, MonitorKind, NewMonitor};
use crate::chardev::{qemu_chr_fe_init, ChardevId, PeerEnd};

/// A client has come to the chardev of a monitor: the session to be made for it.
pub(crate) fn new_client<S>(
    rt: &mut Runtime<S>,
    opaque: u64,
    client: ChardevId,
) -> Option<NewMonitor> {
    let parent = MonitorId::from_opaque(opaque);
    let config = rt.monitors.get(parent)?.config.clone();
    let fe = qemu_chr_fe_init(rt, client).ok()?;
    Some(NewMonitor {
        fe,
        config,
        parent: Some(parent),
    })
}

/// The client of a monitor has left, and all that it left behind was cleared:
/// removes the monitor if it goes with its client.
pub(crate) fn monitor_client_left<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(monitor) = rt.monitors.get(id) else {
        return;
    };
    let deletes = monitor.config.close_action == MonitorCloseAction::Delete;
    if deletes || monitor.parent.is_some() {
        monitor_remove_with(rt, id, true);
    }
}

/// Whether a monitor has done what it owes a client whose input has ended, so
/// that the connection may be ended.
///
/// A client that can still read gets all its answers. One that is gone does not,
/// and what it has queued is dropped, as in QEMU; with `drain-on-close` all of it
/// is carried out, and always what a person or a script has typed.
pub(crate) fn monitor_drained<S>(rt: &Runtime<S>, opaque: u64, end: PeerEnd) -> bool {
    let id = MonitorId::from_opaque(opaque);
    let Some(monitor) = rt.monitors.get(id) else {
        return true;
    };
    let (idle, drains) = match &monitor.kind {
        MonitorKind::Qmp(qmp) => (
            qmp.session.has_read_all() && !rt.deferred.has_qmp(id, qmp.session.connection()),
            monitor.config.drain_on_close,
        ),
        // Without the focus of its mux it cannot go on, and may never get it again.
        MonitorKind::Hmp(hmp) => (hmp.has_read_all(end) || hmp.holds_output(), true),
    };
    // Once the program is about to end, nothing more is carried out.
    let all_done = idle || rt.exit_requested().is_some();
    match end {
        PeerEnd::HalfClosed => all_done && !monitor.owes_output(),
        PeerEnd::Gone => all_done || !drains,
    }
}

/// Whether a monitor has not worked off its input, so that a mux's keys have to wait.
pub(crate) fn monitor_backlog<S>(rt: &Runtime<S>, opaque: u64) -> bool {
    let monitor = rt.monitors.get(MonitorId::from_opaque(opaque));
    monitor.is_some_and(|monitor| match &monitor.kind {
        MonitorKind::Qmp(qmp) => !qmp.session.has_read_all(),
        MonitorKind::Hmp(hmp) => hmp.input_left() > 0,
    })
}
