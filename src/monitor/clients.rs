//! Monitors whose clients come and go. A chardev that serves several clients gets
//! a session for each of them; a monitor may be removed when its client leaves.
//!
//! ```text
//!   chardev q, max-clients=8          monitor on q: made by the user, has no client
//!       │ new_client                      │ copied
//!       ▼                                 ▼
//!   chardev q.0  ◀── front end ──  session: a monitor like any other
//!       │ "Closed"
//!       ▼
//!   both are removed; the monitor on q stays
//! ```
//!
//! A session is always removed with its client. A monitor with
//! `close-action=delete` is removed too, and its chardev with it. Removing the
//! monitor on `q` ends all its sessions.

use super::removal::monitor_remove_with;
use super::runtime::Runtime;
use super::schema::MonitorCloseAction;
use super::table::{MonitorId, MonitorKind, NewMonitor};
use crate::chardev::{qemu_chr_fe_init, ChardevId, PeerEnd};

/// Describes the session for a client that has come to the chardev of a monitor.
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

/// Removes a monitor that goes with its client. Called when the client has left
/// and its input and output are cleared.
pub(crate) fn monitor_client_left<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(monitor) = rt.monitors.get(id) else {
        return;
    };
    let deletes = monitor.config.close_action == MonitorCloseAction::Delete;
    if deletes || monitor.parent.is_some() {
        monitor_remove_with(rt, id, true);
    }
}

/// Whether a connection may be ended whose input has ended.
///
/// A client that can still read gets all its answers first. If it is gone, its
/// queued QMP requests are dropped, as in QEMU, unless the monitor has
/// `drain-on-close`. Lines typed at a prompt are always carried out.
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
    // A program that ends carries out nothing more.
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
