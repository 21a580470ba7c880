//! How monitors go: one by one, and all when the program ends.

use std::time::Duration;

use super::output::{discard_output, monitor_flush};
use super::runtime::Runtime;
use super::table::MonitorId;
use crate::chardev::{chardev_remove, qemu_chr_fe_deinit, CharFrontend};
use crate::main_loop::{main_loop_wait, ClockType};

/// Takes a monitor down and leaves its chardev to others (`monitor_data_destroy`).
///
/// Its output is still written as far as the chardev takes it. Any callback may
/// call this, even the handler of a command of this very monitor; that command is
/// then not answered.
///
/// If the chardev serves several clients, removing its monitor ends all their
/// sessions and connections, and removing a session ends that one.
pub fn monitor_remove<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let is_session = rt.monitors.get(id).is_some_and(|mon| mon.parent.is_some());
    monitor_remove_with(rt, id, is_session);
}

/// The same, with its chardev if `chardev` is set.
pub(crate) fn monitor_remove_with<S>(rt: &mut Runtime<S>, id: MonitorId, chardev: bool) {
    monitor_flush(rt, id);
    discard_output(rt, id);
    if let Some(mon) = rt.monitors.remove(id) {
        remove_clients(rt, id, mon.fe);
        let shared = rt.chardevs.get(mon.fe.chardev());
        let shared = shared.filter(|chr| chardev && chr.combines_chardevs());
        let shared = shared.map(|chr| chr.label().to_owned());
        qemu_chr_fe_deinit(rt, mon.fe, chardev && shared.is_none());
        if let Some(label) = shared {
            // It stays if others use it.
            let _ = chardev_remove(rt, &label);
        }
        rt.monitor_removed(id);
    }
}

/// Removes the sessions of a monitor that is being removed.
fn remove_clients<S>(rt: &mut Runtime<S>, parent: MonitorId, fe: CharFrontend) {
    let chardev = rt.chardevs.get(fe.chardev());
    // Only such a chardev has sessions; others need no look at all monitors.
    if !chardev.is_some_and(|chr| chr.serves_clients()) {
        return;
    }
    let sessions = rt.monitors.iter().filter(|(_, m)| m.parent == Some(parent));
    let sessions: Vec<_> = sessions.map(|(id, _)| id).collect();
    for id in sessions {
        monitor_remove_with(rt, id, true);
    }
}

/// How long the end waits for clients that do not read.
const LINGER_NS: i64 = 1_000_000_000;

/// Writes out the remaining output and takes all monitors down (`monitor_cleanup`).
pub(crate) fn monitor_cleanup<S>(rt: &mut Runtime<S>) {
    let now = |rt: &Runtime<S>| rt.main_loop.clock_get_ns(ClockType::Realtime);
    let deadline = now(rt) + LINGER_NS;
    rt.dispatcher.stop();
    for id in rt.monitors.ids() {
        monitor_flush(rt, id);
    }
    while rt.monitors.iter().any(|(_, m)| m.out_watch.is_some()) {
        let left = u64::try_from(deadline - now(rt)).unwrap_or(0);
        if left == 0 || main_loop_wait(rt, Some(Duration::from_nanos(left))).is_err() {
            break;
        }
    }
    for id in rt.monitors.ids() {
        monitor_remove(rt, id);
    }
}
