//! Replies to QMP requests: their form, and how they are sent.

use super::deferred::Answer;
use super::give_up::give_up_reply;
use super::output::{chardev_label, mark_dirty, trace_response};
use super::runtime::Runtime;
use super::session::Serial;
use super::table::{MonitorId, MonitorKind};
use crate::qapi::json::JsonWriter;
use crate::qapi::{member_name, Error, QObject};
use crate::trace::events;

/// Begins the reply of a success; the return value goes behind it.
#[inline]
pub(super) fn begin_return(w: &mut JsonWriter) {
    w.begin_object();
    w.member_name(member_name!("return"));
}

/// Writes what a deferred command returned, if it succeeded.
pub(super) fn write_return(w: &mut JsonWriter, answer: Answer) -> Result<(), Error> {
    let value = answer?;
    begin_return(w);
    w.qobject(&value);
    Ok(())
}

/// Completes the reply to a request. The return value of a success stands in the
/// writer already.
#[inline]
pub(super) fn write_reply(w: &mut JsonWriter, id: Option<&QObject>, result: &Result<(), Error>) {
    if let Err(error) = result {
        return write_error(w, id, error);
    }
    write_id(w, id);
    w.end_object();
}

/// Writes the whole reply of a failure.
fn write_error(w: &mut JsonWriter, id: Option<&QObject>, error: &Error) {
    w.clear();
    w.begin_object();
    write_id(w, id);
    w.key("error");
    w.begin_object();
    w.key("class");
    w.string(error.class().as_str());
    w.key("desc");
    w.string(error.desc());
    w.end_object();
    w.end_object();
}

#[inline]
fn write_id(w: &mut JsonWriter, id: Option<&QObject>) {
    if let Some(id) = id {
        w.key("id");
        w.echo(id);
    }
}

/// Ends a reply with CR LF and puts it into the output of a QMP monitor
/// (`qmp_send_response`), unless the client of that connection has left. A reply larger than
/// the monitor allows ends the session.
#[inline(always)]
pub(super) fn send_reply<S>(
    rt: &mut Runtime<S>,
    id: MonitorId,
    connection: u64,
    serial: Serial,
    w: &mut JsonWriter,
) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    match &mon.kind {
        MonitorKind::Qmp(qmp) if qmp.session.connection() == connection => {}
        _ => return,
    }
    if w.is_over_limit() {
        return give_up_reply(rt, id);
    }
    if events::monitor_qmp_respond.is_wanted() {
        let label = chardev_label(&rt.chardevs, mon);
        trace_response(label, Some(serial), w.as_bytes());
    }
    w.newline();
    w.append_to(mon.out.vec_mut());
    if !mon.dirty {
        mark_dirty(rt, id);
    }
}

/// The outcome of a command as a trace shows it.
pub(super) fn verdict(result: &Result<(), Error>) -> &str {
    match result {
        Ok(()) => "succeeded",
        Err(e) => e.desc(),
    }
}

/// The error of a command whose function has panicked.
pub(super) fn panicked(name: &str) -> Error {
    // The panic's own message and place went to standard error already.
    Error::new(format!("Command '{name}' failed: its handler panicked"))
}
