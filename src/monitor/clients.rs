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

use std::rc::Rc;

use super::config::MonitorConfig;
use super::hmp::session::monitor_init_hmp;
use super::qmp::monitor_init_qmp;
use super::runtime::Runtime;
use super::schema::{MonitorCloseAction, MonitorMode};
use super::table::{monitor_remove_with, MonitorId, MonitorKind};
use crate::chardev::{qemu_chr_fe_init, CharFrontend, ChardevHost, ChardevId, PeerEnd};

/// A monitor to be made.
pub(crate) struct NewMonitor {
    pub(crate) fe: CharFrontend,
    pub(crate) config: Rc<MonitorConfig>,
    /// The monitor whose client this is.
    pub(crate) parent: Option<MonitorId>,
}

/// Starts a monitor.
pub(crate) fn monitor_new<S: 'static>(rt: &mut Runtime<S>, new: NewMonitor) -> MonitorId {
    match new.config.mode {
        MonitorMode::Control => monitor_init_qmp(rt, new),
        MonitorMode::Readline => monitor_init_hmp(rt, new),
    }
}

/// A client has come to the chardev of a monitor: makes a session for it.
pub(crate) fn monitor_new_client<S: 'static>(rt: &mut Runtime<S>, opaque: u64, client: ChardevId) {
    let parent = MonitorId::from_opaque(opaque);
    let Some(monitor) = rt.monitors.get(parent) else {
        return;
    };
    let config = monitor.config.clone();
    if let Ok(fe) = qemu_chr_fe_init(rt, client) {
        let parent = Some(parent);
        monitor_new(rt, NewMonitor { fe, config, parent });
    }
}

/// The client of a monitor has left, and all that it left behind was cleared:
/// removes the monitor if it goes with its client.
pub(crate) fn monitor_client_left<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(monitor) = rt.monitors.get(id) else {
        return;
    };
    let deletes = monitor.config.close_action == MonitorCloseAction::Delete;
    if deletes || monitor.parent.is_some() {
        monitor_remove_with(rt, id, true);
    }
}

/// Removes the sessions of a monitor that is being removed.
pub(crate) fn remove_clients<S: 'static>(rt: &mut Runtime<S>, parent: MonitorId, fe: CharFrontend) {
    let chardev = rt.chardevs().get(fe.chardev());
    // Only then there can be any: no need to look at all monitors.
    if !chardev.is_some_and(|chr| chr.serves_clients()) {
        return;
    }
    let sessions = rt.monitors.iter().filter(|(_, m)| m.parent == Some(parent));
    let sessions: Vec<_> = sessions.map(|(id, _)| id).collect();
    for id in sessions {
        monitor_remove_with(rt, id, true);
    }
}

/// Whether a monitor has done what it owes a client whose input has ended, so
/// that the connection may be ended.
///
/// A client that can still read gets all its answers. One that is gone does not,
/// and what it has queued is dropped, as in QEMU; with `drain-on-close` all of it
/// is carried out, and always what a person or a script has typed.
pub(crate) fn monitor_drained<S: 'static>(rt: &Runtime<S>, opaque: u64, end: PeerEnd) -> bool {
    let id = MonitorId::from_opaque(opaque);
    let Some(monitor) = rt.monitors.get(id) else {
        return true;
    };
    let (idle, drains) = match &monitor.kind {
        MonitorKind::Qmp(qmp) => (
            qmp.has_read_all() && !rt.dispatcher.has_pending(id, qmp.connection),
            monitor.config.drain_on_close,
        ),
        // Without the focus of its mux it cannot go on, and may never get it again.
        MonitorKind::Hmp(hmp) => (hmp.has_read_all() || hmp.holds_output(), true),
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
        MonitorKind::Qmp(qmp) => !qmp.has_read_all(),
        MonitorKind::Hmp(hmp) => !hmp.has_read_all(),
    })
}
