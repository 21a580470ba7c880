//! Carries a request out and answers it (`monitor_qmp_dispatch`).

use std::panic::{catch_unwind, AssertUnwindSafe};

use super::config::MonitorConfig;
use super::deferred::{QmpUnderWay, UnderWay};
use super::intercept::{Intercepted, Verdict};
use super::output::label;
use super::reply::{begin_return, panicked, send_reply, verdict, write_reply, write_return};
use super::request_trace::{trace_done, trace_enter};
use super::runtime::Runtime;
use super::session::{Request, Serial};
use super::table::{MonitorId, MonitorQmp};
use crate::qapi::dispatch::{
    qmp_find_command, qmp_find_known_command, qmp_request_check, Call, DispatchEnv, QmpCommand,
    QmpCommandFunc, QmpRequest,
};
use crate::qapi::json::{qobject_from_json, JsonWriter};
use crate::qapi::{Arguments, Error, QObject};
use crate::trace::events;
use crate::trace_event;

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
pub(super) struct Caller {
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
    pretty: bool,
    max_reply_size: usize,
}

impl Caller {
    #[inline(always)]
    pub(super) fn new(
        monitor: MonitorId,
        qmp: &MonitorQmp,
        config: &MonitorConfig,
        oob: bool,
    ) -> Self {
        Caller {
            monitor,
            connection: qmp.session.connection(),
            negotiating: !qmp.session.is_negotiated(),
            oob_enabled: qmp.session.has_oob(),
            oob,
            restricted: config.policy.restricts(),
            serial: qmp.session.serial(oob),
            pretty: config.pretty,
            max_reply_size: config.max_reply_size,
        }
    }
}

/// Carries a request out and answers it (`monitor_qmp_dispatch`). Returns false
/// if the answer comes later.
pub(super) fn monitor_qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    caller: Caller,
    request: Request,
) -> bool {
    let kept = rt.dispatcher.writer.take();
    let mut w = kept.unwrap_or_else(|| Box::new(JsonWriter::new(false)));
    w.set_pretty(caller.pretty);
    w.set_member_order(rt.member_order);
    w.set_limit(caller.max_reply_size);
    let outer = rt.dispatcher.current.replace(caller.monitor);
    let outcome = qmp_dispatch(rt, &caller, request, &mut w);
    if let Outcome::Reply(id, result) = &outcome {
        write_reply(&mut w, id.as_ref(), result);
        // The client may have left, or left and come back, while the command ran.
        send_reply(rt, caller.monitor, caller.connection, caller.serial, &mut w);
    }
    w.clear();
    rt.dispatcher.writer = Some(w);
    rt.dispatcher.current = outer;
    !matches!(outcome, Outcome::Deferred)
}

/// Checks a request and finds its command (`qmp_dispatch`).
fn qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    caller: &Caller,
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
            let found = qmp_find_command(list, &req.command, &env);
            (found, req.args.into(), req.id)
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
    caller: &Caller,
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
    caller: &Caller,
    cmd: QmpCommand<Runtime<S>>,
    args: Arguments,
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
            if let Some(spare) = call.into_spare() {
                rt.dispatcher.spare_arguments = Some(spare);
            }
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
            if let Some(pretty) = rt.dispatcher.relaid.take() {
                lay_out_anew(w, empty, pretty);
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

/// Writes the value of a reply again, which begins at `start`, in another layout.
#[cold]
fn lay_out_anew(w: &mut JsonWriter, start: usize, pretty: bool) {
    let Ok(value) = qobject_from_json(&w.as_bytes()[start..]) else {
        return;
    };
    w.clear();
    w.set_pretty(pretty);
    begin_return(w);
    w.qobject(&value);
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
