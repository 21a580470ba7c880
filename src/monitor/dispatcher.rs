//! The dispatcher of QMP requests. Requests that are in band pass through one
//! queue for all sessions: a bottom half serves those with waiting requests in
//! turn (`monitor_qmp_dispatcher_co`). Requests out of band are carried out as
//! soon as they are pulled out of the input.
//!
//! A command is immediate and answered when its function returns, or deferred
//! and answered when its responder is used. While a deferred command is under
//! way the dispatcher serves no session, as in QEMU; out-of-band commands do not
//! pass through it and go on.
//!
//! The session itself knows its rules ([`QmpSession`](super::session::QmpSession)).
//! After each call that may change its state the dispatcher asks what comes next.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use super::deferred::{Answer, QmpUnderWay};
use super::dispatch::{monitor_qmp_dispatch, Caller};
use super::output::{accept_input, flush_dirty, label};
use super::reply::{send_reply, write_reply, write_return};
use super::request_trace::{
    trace_done, trace_out_of_band, trace_queued, trace_taken_up, MESSAGE_TRACED,
};
use super::runtime::Runtime;
use super::session::{Next, QmpSession};
use super::table::{MonitorId, MonitorKind, MonitorQmp};
use crate::trace::{events, is_any_wanted};
use crate::trace_event;

/// Requests served in one run before fds and timers get their turn.
const BUDGET: usize = 256;

/// Puts a session on the list of those to be served if it is ready and has room
/// for the answer.
#[inline(always)]
fn enlist<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    let room = !mon.over_budget();
    if let MonitorKind::Qmp(qmp) = &mut mon.kind {
        if room && !qmp.listed && qmp.session.is_ready() {
            qmp.listed = true;
            rt.dispatcher.ready.push_back(id);
            if !rt.output.dispatcher_runs {
                rt.main_loop.bh_schedule(rt.dispatcher.bh);
            }
        }
    }
}

/// Whether requests are taken up at present. After a request to exit none is.
fn may_serve<S>(rt: &Runtime<S>) -> bool {
    let d = &rt.dispatcher;
    !d.busy && !d.stopped && rt.exit_requested().is_none()
}

/// Serves waiting requests, one of each session in turn.
pub(super) fn monitor_qmp_bh_dispatcher<S>(rt: &mut Runtime<S>) {
    rt.output.dispatcher_runs = true;
    let mut again = None;
    for left in (0..BUDGET).rev() {
        let Some(id) = again.or_else(|| first_in_line(rt)) else {
            break;
        };
        again = serve(rt, id, left > 0).then_some(id);
    }
    rt.output.dispatcher_runs = false;
    if may_serve(rt) && !rt.dispatcher.ready.is_empty() {
        rt.main_loop.bh_schedule(rt.dispatcher.bh);
    }
    flush_dirty(rt);
}

/// Takes the first session off the list.
fn first_in_line<S>(rt: &mut Runtime<S>) -> Option<MonitorId> {
    if may_serve(rt) {
        rt.dispatcher.ready.pop_front()
    } else {
        None
    }
}

/// Serves a session's next request. Returns whether it is its turn again, which is never so
/// unless the dispatcher `goes_on`.
fn serve<S>(rt: &mut Runtime<S>, id: MonitorId, goes_on: bool) -> bool {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return false;
    };
    let MonitorKind::Qmp(qmp) = &mut mon.kind else {
        return false;
    };
    qmp.listed = false;
    let Some(request) = qmp.session.take() else {
        return false;
    };
    let caller = Caller::new(id, qmp, &mon.config, false);
    if events::monitor_qmp_bh_dispatcher.is_wanted() {
        with_session(rt, id, trace_taken_up);
    }
    let answered = monitor_qmp_dispatch(rt, caller, request);
    request_taken_up(rt, id, answered, goes_on)
}

/// Goes on with a session after a request was taken up. `answered` is false
/// while its command is under way. Returns whether another request is
/// waiting, as [`pull`] does.
#[inline(always)]
fn request_taken_up<S>(rt: &mut Runtime<S>, id: MonitorId, answered: bool, goes_on: bool) -> bool {
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return false;
    };
    let (resumes, ready) = (qmp.session.taken_up(answered), qmp.session.is_ready());
    let takes_input = takes_input(qmp);
    let has_input = qmp.session.has_input();
    if resumes {
        trace_event!(monitor_resume, [monitor: label(rt, id)], "{}", label(rt, id));
    }
    if ready {
        enlist(rt, id);
    }
    // A suspended session takes no more, but what waits behind its input may go on.
    let pulled = if has_input {
        pull(rt, id, goes_on)
    } else {
        Pulled::All { takes_input }
    };
    match pulled {
        Pulled::Next => return true,
        Pulled::All { takes_input: true } => accept_input(rt, id),
        Pulled::All { takes_input: false } => {}
    }
    false
}

/// Goes on with a session that has new input, or that its output held back.
pub(super) fn go_on<S>(rt: &mut Runtime<S>, id: MonitorId) {
    enlist(rt, id);
    pull(rt, id, false);
}

/// How far a session's input was worked off.
enum Pulled {
    /// Up to a request that can be carried out now.
    Next,
    /// As far as possible.
    All {
        /// Whether more input can be taken.
        takes_input: bool,
    },
}

/// Works off a session's input, until it is suspended or its client has too much
/// to read: out-of-band requests are answered right here, and a small piece of
/// input can hold many of them. If the dispatcher `goes_on` and no session is before this
/// one, this need not go on the list.
fn pull<S>(rt: &mut Runtime<S>, id: MonitorId, goes_on: bool) -> Pulled {
    loop {
        let is_first = goes_on && rt.dispatcher.ready.is_empty() && may_serve(rt);
        let exits = rt.exit_requested().is_some();
        let Some(mon) = rt.monitors.get_mut(id) else {
            return Pulled::All { takes_input: false };
        };
        let full = mon.over_budget();
        let MonitorKind::Qmp(qmp) = &mut mon.kind else {
            return Pulled::All { takes_input: false };
        };
        if full || exits {
            let takes_input = takes_input(qmp);
            return Pulled::All { takes_input };
        }
        let commands = if qmp.session.is_negotiated() {
            &rt.commands
        } else {
            &rt.cap_negotiation_commands
        };
        // A trace and a test kit look at the message as it was parsed.
        let parses = events::handle_qmp_command.is_wanted() || rt.interceptor.is_some();
        let find = (!parses).then_some(|name: &[u8]| commands.key(name));
        match qmp.session.next(find, &mut rt.dispatcher.spare_arguments) {
            Next::Nothing => {
                let takes_input = takes_input(qmp);
                return Pulled::All { takes_input };
            }
            message => {
                if let Some(pulled) = handle_qmp_command(rt, id, message, is_first) {
                    return pulled;
                }
            }
        }
    }
}

/// Carries a message out at once if it is out of band, else sees to it that the session is
/// served. Returns how the pulling ends if no more is pulled now.
#[inline(always)]
fn handle_qmp_command<S>(
    rt: &mut Runtime<S>,
    id: MonitorId,
    message: Next,
    is_first: bool,
) -> Option<Pulled> {
    let is_traced = is_any_wanted().load(Ordering::Relaxed)
        && MESSAGE_TRACED.iter().any(|event| event.is_wanted());
    match message {
        Next::Nothing => None,
        Next::OutOfBand(request) => {
            let mon = rt.monitors.get(id)?;
            let MonitorKind::Qmp(qmp) = &mon.kind else {
                return None;
            };
            let caller = Caller::new(id, qmp, &mon.config, true);
            if is_traced {
                trace_out_of_band(label(rt, id), &request, qmp.session.serial(true));
            }
            monitor_qmp_dispatch(rt, caller, *request);
            None
        }
        Next::Queued { suspends } => {
            if is_traced {
                with_session(rt, id, |label, session| {
                    trace_queued(label, session, suspends);
                });
            }
            if suspends && is_first {
                return Some(Pulled::Next);
            }
            enlist(rt, id);
            // With out-of-band execution more may be taken at once. But QEMU, which looks for
            // it byte by byte, has answered most commands before it finds the next message;
            // so only what takes its time is overtaken.
            let stops = suspends || may_serve(rt);
            stops.then_some(Pulled::All { takes_input: false })
        }
    }
}

fn takes_input(qmp: &MonitorQmp) -> bool {
    qmp.session.wants_input() || qmp.session.has_read_all()
}

/// Traces something about a session.
#[cold]
fn with_session<S>(rt: &Runtime<S>, id: MonitorId, trace: impl FnOnce(&str, &QmpSession<OwnedFd>)) {
    if let Some(qmp) = rt.monitors.qmp(id) {
        trace(label(rt, id), &qmp.session);
    }
}

/// Whether the client of this connection is still there.
#[inline]
fn is_connected<S>(rt: &Runtime<S>, mon: MonitorId, connection: u64) -> bool {
    let qmp = rt.monitors.qmp(mon);
    qmp.is_some_and(|qmp| qmp.session.connection() == connection)
}

/// Sends the answer of a deferred command. An answer whose client has left is
/// dropped: it must not reach the next one.
pub(super) fn answer<S>(rt: &mut Runtime<S>, command: QmpUnderWay, answer: Answer) {
    let mon = command.monitor;
    let connected = is_connected(rt, mon, command.connection);
    let silent = command.no_success_response && answer.is_ok();
    if events::qmp_dispatch_done.is_wanted() {
        let text = format!("{}: answered", command.name);
        trace_done(label(rt, mon), command.serial, &text, connected && !silent);
    }
    if connected && !silent {
        let config = rt.monitors.get(mon).map(|mon| mon.config.clone());
        let mut w = rt.json_writer(config.as_ref().is_some_and(|config| config.pretty));
        w.set_limit(config.map_or(0, |config| config.max_reply_size));
        let result = write_return(&mut w, answer);
        write_reply(&mut w, command.id.as_ref(), &result);
        send_reply(rt, mon, command.connection, command.serial, &mut w);
    }
    if command.in_band {
        rt.dispatcher.busy = false;
        if connected {
            request_taken_up(rt, mon, true, false);
        }
        rt.main_loop.bh_schedule(rt.dispatcher.bh);
    }
}
