//! The end of a QMP session that cannot be served any more.
//!
//! It is reported, and the client cannot miss it: a socket is shut down, and listens
//! again; on a chardev that cannot be shut down (a terminal, a pipe) a new greeting
//! follows what was sent, and the session is back at its negotiation. Other sessions
//! notice nothing.

use super::output::{discard_output, monitor_flush, send_greeting};
use super::runtime::Runtime;
use super::table::MonitorId;
use crate::chardev::{can_yank, char_socket_yank, label, ChardevHost, ChardevReport};

/// Ends a session and reports the reason.
pub(crate) fn give_up<S>(rt: &mut Runtime<S>, id: MonitorId, reason: &str) {
    let Some(chr) = rt.monitors.get(id).map(|mon| mon.fe.chardev()) else {
        return;
    };
    let can_be_cut = can_yank(rt, chr);
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    qmp.unsent_events = 0;
    let what = if can_be_cut {
        qmp.session.give_up();
        discard_output(rt, id);
        char_socket_yank(rt, chr);
        "the connection is closed"
    } else {
        qmp.session.renegotiate();
        send_greeting(rt, id);
        "the session starts anew"
    };
    let name = label(rt, chr);
    let text = format!("monitor on chardev '{name}': {reason}, {what}");
    rt.chardev_report(ChardevReport::Error, &text);
}

/// Ends a session whose reply is larger than the monitor allows: a request of 2 MB
/// can have a reply of 4 GB, when it is laid out.
#[cold]
pub(crate) fn give_up_reply<S>(rt: &mut Runtime<S>, id: MonitorId) {
    // The replies to earlier requests still wait for the end of the turn.
    monitor_flush(rt, id);
    if let Some(limit) = rt.monitors.get(id).map(|mon| mon.config.max_reply_size) {
        let reason = format!("the reply to its client would be larger than {limit} bytes");
        give_up(rt, id, &reason);
    }
}
