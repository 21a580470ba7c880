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

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};

use super::config::MonitorConfig;
use super::deferred::{Answer, QmpUnderWay, UnderWay};
use super::intercept::{Intercepted, Verdict};
use super::output::{accept_input, flush_dirty, label};
use super::reply::{begin_return, panicked, send_reply, verdict, write_reply, write_return};
use super::request_trace::{
    trace_done, trace_enter, trace_out_of_band, trace_queued, trace_taken_up, MESSAGE_TRACED,
};
use super::runtime::Runtime;
use super::session::{Next, QmpSession, Request, Serial};
use super::table::{MonitorId, MonitorKind, MonitorQmp};
use crate::main_loop::BhId;
use crate::qapi::dispatch::{
    qmp_find_command, qmp_find_known_command, qmp_request_check, Call, DispatchEnv, QmpCommand,
    QmpCommandFunc, QmpRequest,
};
use crate::qapi::json::JsonWriter;
use crate::qapi::{Error, QDict, QObject};
use crate::trace::events;
use crate::trace_event;

/// Requests served in one run before fds and timers get their turn.
const BUDGET: usize = 256;

/// State of the dispatcher.
pub(crate) struct Dispatcher {
    bh: BhId,
    /// Sessions with waiting requests, each once.
    ready: VecDeque<MonitorId>,
    stopped: bool,
    /// An in-band command is under way.
    busy: bool,
    /// Kept empty, for its memory; `None` while a reply is being written.
    writer: Option<Box<JsonWriter>>,
    /// The monitor that the command under way came from.
    pub(super) current: Option<MonitorId>,
}

impl Dispatcher {
    /// One whose bottom half is `bh`.
    pub(super) fn new(bh: BhId) -> Self {
        Dispatcher {
            bh,
            ready: VecDeque::new(),
            stopped: false,
            busy: false,
            writer: None,
            current: None,
        }
    }

    /// No request is taken up any more; the program is about to end.
    pub(super) fn stop(&mut self) {
        self.stopped = true;
    }
}

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
    for _ in 0..BUDGET {
        if !may_serve(rt) {
            break;
        }
        let Some(id) = rt.dispatcher.ready.pop_front() else {
            break;
        };
        let Some(request) = take_request(rt, id) else {
            continue;
        };
        if events::monitor_qmp_bh_dispatcher.is_wanted() {
            with_session(rt, id, trace_taken_up);
        }
        let answered = monitor_qmp_dispatch(rt, id, request, false);
        request_taken_up(rt, id, answered);
    }
    rt.output.dispatcher_runs = false;
    if may_serve(rt) && !rt.dispatcher.ready.is_empty() {
        rt.main_loop.bh_schedule(rt.dispatcher.bh);
    }
    flush_dirty(rt);
}

/// The next request of a session that was taken off the list.
#[inline]
fn take_request<S>(rt: &mut Runtime<S>, id: MonitorId) -> Option<Request> {
    let qmp = rt.monitors.qmp_mut(id)?;
    qmp.listed = false;
    qmp.session.take()
}

/// Goes on with a session after a request was taken up. `answered` is false
/// while its command is under way.
#[inline]
fn request_taken_up<S>(rt: &mut Runtime<S>, id: MonitorId, answered: bool) {
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    let (resumes, ready) = (qmp.session.taken_up(answered), qmp.session.is_ready());
    let goes_on = takes_input(qmp);
    let has_input = qmp.session.has_input();
    if resumes {
        trace_event!(monitor_resume, [monitor: label(rt, id)], "{}", label(rt, id));
    }
    if ready {
        enlist(rt, id);
    }
    // A suspended session takes no more, but what waits behind its input may go on.
    let goes_on = if has_input { pull(rt, id) } else { goes_on };
    if goes_on {
        accept_input(rt, id);
    }
}

/// Goes on with a session that has new input, or that its output held back.
pub(super) fn go_on<S>(rt: &mut Runtime<S>, id: MonitorId) {
    enlist(rt, id);
    pull(rt, id);
}

/// Works off a session's input, until it is suspended or its client has too much
/// to read: out-of-band requests are answered right here, and a small piece of
/// input can hold many of them. Returns whether more input can be taken.
fn pull<S>(rt: &mut Runtime<S>, id: MonitorId) -> bool {
    loop {
        let exits = rt.exit_requested().is_some();
        let Some(mon) = rt.monitors.get_mut(id) else {
            return false;
        };
        let full = mon.over_budget();
        let MonitorKind::Qmp(qmp) = &mut mon.kind else {
            return false;
        };
        if full || exits {
            return takes_input(qmp);
        }
        let commands = if qmp.session.is_negotiated() {
            &rt.commands
        } else {
            &rt.cap_negotiation_commands
        };
        // A trace and a test kit look at the message as it was parsed.
        let parses = events::handle_qmp_command.is_wanted() || rt.interceptor.is_some();
        let find = |name: &[u8]| commands.key(name).filter(|_| !parses);
        match qmp.session.next(find) {
            Next::Nothing => return takes_input(qmp),
            message => {
                let suspended = message == Next::Queued { suspends: true };
                handle_qmp_command(rt, id, message);
                if suspended {
                    return false;
                }
            }
        }
    }
}

fn takes_input(qmp: &MonitorQmp) -> bool {
    qmp.session.wants_input() || qmp.session.has_read_all()
}

/// Handles a message, or the error it provoked: carries it out at once if it is
/// out of band, else sees to it that the session is served.
#[inline]
fn handle_qmp_command<S>(rt: &mut Runtime<S>, id: MonitorId, message: Next) {
    match message {
        Next::Nothing => {}
        Next::OutOfBand(request) => {
            if MESSAGE_TRACED.iter().any(|event| event.is_wanted()) {
                with_session(rt, id, |label, session| {
                    trace_out_of_band(label, &request, session.serial(true));
                });
            }
            monitor_qmp_dispatch(rt, id, *request, true);
        }
        Next::Queued { suspends } => {
            if MESSAGE_TRACED.iter().any(|event| event.is_wanted()) {
                with_session(rt, id, |label, session| {
                    trace_queued(label, session, suspends)
                });
            }
            enlist(rt, id);
        }
    }
}

/// Traces something about a session.
#[cold]
fn with_session<S>(rt: &Runtime<S>, id: MonitorId, trace: impl FnOnce(&str, &QmpSession<OwnedFd>)) {
    if let Some(qmp) = rt.monitors.qmp(id) {
        trace(label(rt, id), &qmp.session);
    }
}

/// The outcome of a request.
enum Outcome {
    /// A reply that repeats the id. If it is `Ok`, the return value stands in the writer.
    Reply(Option<QObject>, Result<(), Error>),
    /// It succeeded, and its command does not say so.
    Silent,
    /// Its answer comes later.
    Deferred,
}

/// Where a request came from, as it was when the request was taken up.
#[derive(Clone, Copy)]
struct Caller {
    monitor: MonitorId,
    connection: u64,
    negotiating: bool,
    /// Whether the client enabled out-of-band execution.
    oob_enabled: bool,
    /// Whether this request is carried out out of band.
    oob: bool,
    /// Whether the monitor's clients may use some commands only.
    restricted: bool,
    serial: Serial,
}

impl Caller {
    fn new(monitor: MonitorId, qmp: &MonitorQmp, config: &MonitorConfig, oob: bool) -> Self {
        Caller {
            monitor,
            connection: qmp.session.connection(),
            negotiating: !qmp.session.is_negotiated(),
            oob_enabled: qmp.session.has_oob(),
            oob,
            restricted: config.policy.restricts(),
            serial: qmp.session.serial(oob),
        }
    }
}

/// Carries a request out and answers it (`monitor_qmp_dispatch`). Returns false
/// if the answer comes later.
fn monitor_qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    mon: MonitorId,
    request: Request,
    oob: bool,
) -> bool {
    let Some(monitor) = rt.monitors.get(mon) else {
        return true;
    };
    let MonitorKind::Qmp(qmp) = &monitor.kind else {
        return true;
    };
    let caller = Caller::new(mon, qmp, &monitor.config, oob);
    let kept = rt.dispatcher.writer.take();
    let mut w = kept.unwrap_or_else(|| Box::new(JsonWriter::new(false)));
    w.set_pretty(monitor.config.pretty);
    w.set_limit(monitor.config.max_reply_size);
    let outer = rt.dispatcher.current.replace(mon);
    let outcome = qmp_dispatch(rt, caller, request, &mut w);
    if let Outcome::Reply(id, result) = &outcome {
        write_reply(&mut w, id.as_ref(), result);
        // The client may have left, or left and come back, while the command ran.
        send_reply(rt, mon, caller.connection, caller.serial, &mut w);
    }
    w.clear();
    rt.dispatcher.writer = Some(w);
    rt.dispatcher.current = outer;
    !matches!(outcome, Outcome::Deferred)
}

/// Whether the client of this connection is still there.
#[inline]
fn is_connected<S>(rt: &Runtime<S>, mon: MonitorId, connection: u64) -> bool {
    let qmp = rt.monitors.qmp(mon);
    qmp.is_some_and(|qmp| qmp.session.connection() == connection)
}

/// Checks a request and finds its command (`qmp_dispatch`).
fn qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    caller: Caller,
    request: Request,
    w: &mut JsonWriter,
) -> Outcome {
    let mut env = DispatchEnv {
        negotiating: caller.negotiating,
        oob: false,
        preconfig: rt.preconfig,
        policy: rt.policy,
    };
    let (found, args, id) = match request {
        Request::Plain { command, args, id } => {
            trace_event!(qmp_dispatch, "in band");
            let list = rt.commands_for(caller.negotiating);
            (qmp_find_known_command(list, command, &env), args, id)
        }
        Request::Message(Err(e)) => return Outcome::Reply(None, Err(e)),
        Request::Message(Ok(message)) => {
            let band = if caller.oob { "out of band" } else { "in band" };
            trace_event!(qmp_dispatch, "{band}");
            let req = match qmp_request_check(message, caller.oob_enabled) {
                Ok(req) => req,
                Err((e, id)) => return Outcome::Reply(id, Err(e)),
            };
            if rt.interceptor.is_some() {
                if let Some(outcome) = intercepted(rt, caller, &req, w) {
                    return outcome;
                }
            }
            env.oob = req.oob;
            let list = rt.commands_for(caller.negotiating);
            (qmp_find_command(list, &req.command, &env), req.args, req.id)
        }
    };
    let cmd = match found {
        Ok(cmd) => *cmd,
        Err(e) => return Outcome::Reply(id, Err(e)),
    };
    if caller.restricted {
        if let Err(e) = rt.check_qmp_command(cmd.name) {
            return Outcome::Reply(id, Err(e));
        }
    }
    do_qmp_dispatch(rt, caller, cmd, args, id, w)
}

/// Asks the test kit. None if the command's function is to answer.
#[cold]
fn intercepted<S>(
    rt: &mut Runtime<S>,
    caller: Caller,
    request: &QmpRequest,
    w: &mut JsonWriter,
) -> Option<Outcome> {
    let interceptor = rt.interceptor.clone()?;
    let question = Intercepted {
        monitor: caller.monitor,
        request,
        negotiating: caller.negotiating,
    };
    let id = || request.id.clone();
    match interceptor.request(rt, &question) {
        Verdict::Pass => None,
        Verdict::Silence => Some(Outcome::Silent),
        Verdict::Reply(answer) => Some(Outcome::Reply(id(), write_return(w, answer))),
        Verdict::Later(later) => {
            let command = QmpUnderWay {
                monitor: caller.monitor,
                connection: caller.connection,
                id: id(),
                in_band: !request.oob,
                no_success_response: false,
                name: "intercepted",
                serial: caller.serial,
            };
            let (token, responder) = rt.deferred.begin(UnderWay::Qmp(command));
            rt.dispatcher.busy |= !request.oob;
            later(rt, responder);
            Some(answered_already(rt, token, w))
        }
    }
}

/// Calls the command's function (`do_qmp_dispatch`).
fn do_qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    caller: Caller,
    cmd: QmpCommand<Runtime<S>>,
    args: QDict,
    id: Option<QObject>,
    w: &mut JsonWriter,
) -> Outcome {
    trace_event!(do_qmp_dispatch, "{}: cmd->fn", cmd.name);
    match cmd.func {
        QmpCommandFunc::Immediate(func) => {
            begin_return(w);
            let empty = w.as_bytes().len();
            let mut call = Call::new(args, rt.policy, w);
            call.on_enter(events::qmp_enter.is_wanted().then_some(trace_enter));
            let run = || func(rt, &mut call);
            let result =
                catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(panicked(cmd.name)));
            let silent = cmd.options.no_success_response && result.is_ok();
            if events::qmp_dispatch_done.is_wanted() {
                let text = format!("{}: {}", cmd.name, verdict(&result));
                trace_done(label(rt, caller.monitor), caller.serial, &text, !silent);
            }
            if silent {
                return Outcome::Silent;
            }
            if w.as_bytes().len() == empty {
                w.begin_object();
                w.end_object();
            }
            Outcome::Reply(id, result)
        }
        QmpCommandFunc::Deferred(func) => {
            let command = QmpUnderWay {
                monitor: caller.monitor,
                connection: caller.connection,
                id,
                in_band: !caller.oob,
                no_success_response: cmd.options.no_success_response,
                name: cmd.name,
                serial: caller.serial,
            };
            let (token, responder) = rt.deferred.begin(UnderWay::Qmp(command));
            rt.deferred.starts(token);
            rt.dispatcher.busy |= !caller.oob;
            let mut call = Call::new(args, rt.policy, w);
            call.on_enter(events::qmp_enter.is_wanted().then_some(trace_enter));
            let run = || func(rt, &mut call, responder);
            // A panic drops the responder, which answers.
            let _ = catch_unwind(AssertUnwindSafe(run));
            answered_already(rt, token, w)
        }
    }
}

/// The outcome of a deferred command whose function has returned.
fn answered_already<S>(rt: &mut Runtime<S>, token: u64, w: &mut JsonWriter) -> Outcome {
    let Some(answer) = rt.deferred.take_answer(token) else {
        return Outcome::Deferred;
    };
    let Some(UnderWay::Qmp(command)) = rt.deferred.finish(token) else {
        return Outcome::Silent;
    };
    if command.in_band {
        rt.dispatcher.busy = false;
    }
    let result = write_return(w, answer);
    let silent = command.no_success_response && result.is_ok();
    if events::qmp_dispatch_done.is_wanted() {
        let text = format!("{}: {}", command.name, verdict(&result));
        trace_done(label(rt, command.monitor), command.serial, &text, !silent);
    }
    if silent {
        return Outcome::Silent;
    }
    Outcome::Reply(command.id, result)
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
        let mut w = JsonWriter::new(config.as_ref().is_some_and(|config| config.pretty));
        w.set_limit(config.map_or(0, |config| config.max_reply_size));
        let result = write_return(&mut w, answer);
        write_reply(&mut w, command.id.as_ref(), &result);
        send_reply(rt, mon, command.connection, command.serial, &mut w);
    }
    if command.in_band {
        rt.dispatcher.busy = false;
        if connected {
            request_taken_up(rt, mon, true);
        }
        rt.main_loop.bh_schedule(rt.dispatcher.bh);
    }
}
