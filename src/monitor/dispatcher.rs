//! The dispatcher of in-band requests: one for all QMP sessions, a bottom half
//! that serves those with waiting requests in turn
//! (`monitor_qmp_dispatcher_co`).
//!
//! A command is immediate and answered when its function returns, or deferred
//! and answered when its responder is used. While a deferred command is under
//! way the dispatcher serves nobody, as in QEMU; out-of-band commands do not
//! pass through it and go on.

use std::collections::{HashMap, VecDeque};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

use super::qmp::{self, Request};
use super::runtime::Runtime;
use super::table::{flush_dirty, label, MonitorId};
use crate::main_loop::{BhHandle, BhId, MainLoop};
use crate::qapi::dispatch::{
    qmp_find_command, qmp_request_check, Call, DispatchEnv, QmpCommand, QmpCommandFunc, QmpRequest,
};
use crate::qapi::json::JsonWriter;
use crate::qapi::{Error, QObject, RawResponder, ReplyPort};
use crate::trace_event;

/// Requests served in one run before fds and timers get their turn.
const BUDGET: usize = 256;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dispatched {
    /// It was answered, or needs no answer.
    Answered,
    /// Its answer comes later.
    Deferred,
}

/// A deferred command that has not been answered.
struct Pending {
    monitor: MonitorId,
    connection: u64,
    id: Option<QObject>,
    in_band: bool,
    /// Success is not answered.
    no_success_response: bool,
    name: &'static str,
}

type Answer = Result<QObject, Error>;

/// Where responders put their answers, from whichever thread.
struct Port {
    answers: Mutex<Vec<(u64, Answer)>>,
    bh: BhHandle,
}

impl ReplyPort for Port {
    fn deliver(&self, token: u64, answer: Answer) {
        let mut answers = self.answers.lock().unwrap_or_else(|e| e.into_inner());
        answers.push((token, answer));
        drop(answers);
        self.bh.schedule();
    }
}

/// State of the dispatcher.
pub struct Dispatcher {
    bh: BhId,
    flush_bh: BhId,
    /// Sessions with waiting requests, each once.
    ready: VecDeque<MonitorId>,
    running: bool,
    stopped: bool,
    /// The in-band command that is under way.
    busy: Option<u64>,
    pending: HashMap<u64, Pending>,
    next_token: u64,
    port: Arc<Port>,
    /// Kept for its memory; `None` while a reply is being written.
    writer: Option<Box<JsonWriter>>,
    pub(crate) current: Option<MonitorId>,
}

impl Dispatcher {
    pub(crate) fn new<S: 'static>(main_loop: &mut MainLoop<Runtime<S>>) -> Self {
        let answers_bh = main_loop.bh_new("monitor_qmp_deferred", deliver_answers);
        Dispatcher {
            bh: main_loop.bh_new("monitor_qmp_bh_dispatcher", monitor_qmp_bh_dispatcher),
            flush_bh: main_loop.bh_new("monitor_flush", flush_dirty),
            ready: VecDeque::new(),
            running: false,
            stopped: false,
            busy: None,
            pending: HashMap::new(),
            next_token: 0,
            port: Arc::new(Port {
                answers: Mutex::default(),
                bh: main_loop.bh_handle(answers_bh),
            }),
            writer: None,
            current: None,
        }
    }

    /// Whether the dispatcher runs just now and will flush at its end.
    pub(crate) fn is_running(&self) -> bool {
        self.running
    }

    pub(crate) fn flush_bh(&self) -> BhId {
        self.flush_bh
    }

    /// Whether a command of this monitor's connection is under way.
    pub(crate) fn has_pending(&self, monitor: MonitorId, connection: u64) -> bool {
        let mut pending = self.pending.values();
        pending.any(|pending| pending.monitor == monitor && pending.connection == connection)
    }

    /// No request is taken up any more; the program is about to end.
    pub(crate) fn stop(&mut self) {
        self.stopped = true;
    }
}

/// Puts a session on the list of those to be served.
pub(crate) fn enlist<S>(rt: &mut Runtime<S>, id: MonitorId) {
    rt.dispatcher.ready.push_back(id);
    if !rt.dispatcher.running {
        rt.main_loop.bh_schedule(rt.dispatcher.bh);
    }
}

/// Whether requests are taken up at present. Once exit was asked for they never
/// are again.
fn may_serve<S>(rt: &Runtime<S>) -> bool {
    let d = &rt.dispatcher;
    d.busy.is_none() && !d.stopped && rt.exit_requested().is_none()
}

fn monitor_qmp_bh_dispatcher<S>(rt: &mut Runtime<S>) {
    rt.dispatcher.running = true;
    for _ in 0..BUDGET {
        if !may_serve(rt) {
            break;
        }
        let Some(id) = rt.dispatcher.ready.pop_front() else {
            break;
        };
        let Some(request) = qmp::pop_request(rt, id) else {
            continue;
        };
        trace_event!(monitor_qmp_bh_dispatcher, "serves {}", label(rt, id));
        let done = monitor_qmp_dispatch(rt, id, request, false);
        qmp::request_taken(rt, id, done == Dispatched::Answered);
    }
    rt.dispatcher.running = false;
    if may_serve(rt) && !rt.dispatcher.ready.is_empty() {
        rt.main_loop.bh_schedule(rt.dispatcher.bh);
    }
    flush_dirty(rt);
}

/// What a request comes to.
enum Outcome {
    /// A reply that repeats the id. If it is `Ok`, the return value stands in the writer.
    Reply(Option<QObject>, Result<(), Error>),
    /// It succeeded, and its command does not say so.
    Silent,
    /// Its answer comes later.
    Deferred,
}

/// Carries a request out and answers it (`monitor_qmp_dispatch`).
pub(crate) fn monitor_qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    mon: MonitorId,
    request: Request,
    oob: bool,
) -> Dispatched {
    let Some(session) = rt.monitors.qmp_mut(mon) else {
        return Dispatched::Answered;
    };
    let (pretty, connection) = (session.pretty, session.connection);
    let kept = rt.dispatcher.writer.take();
    let mut w = kept.unwrap_or_else(|| Box::new(JsonWriter::new(false)));
    w.clear();
    w.set_pretty(pretty);
    let outer = rt.dispatcher.current.replace(mon);
    let outcome = qmp_dispatch(rt, mon, request, oob, &mut w);
    if let Outcome::Reply(id, result) = &outcome {
        match result {
            Ok(()) => {
                if let Some(id) = id {
                    w.key("id");
                    w.qobject(id);
                }
                w.end_object();
            }
            Err(e) => qmp::write_error(&mut w, id.as_ref(), e),
        }
        // The client may have left, or left and come back, while the command ran.
        let same = |q: &mut qmp::MonitorQmp| q.connection == connection;
        if rt.monitors.qmp_mut(mon).is_some_and(same) {
            qmp::send(rt, mon, &mut w);
        }
    }
    rt.dispatcher.writer = Some(w);
    rt.dispatcher.current = outer;
    match outcome {
        Outcome::Reply(..) | Outcome::Silent => Dispatched::Answered,
        Outcome::Deferred => Dispatched::Deferred,
    }
}

/// Checks a request and finds its command (`qmp_dispatch`).
fn qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    mon: MonitorId,
    request: Request,
    oob: bool,
    w: &mut JsonWriter,
) -> Outcome {
    let Some(session) = rt.monitors.qmp_mut(mon) else {
        return Outcome::Silent;
    };
    let (negotiating, oob_enabled) = (!session.negotiated, session.oob);
    let message = match request {
        Ok(message) => message,
        Err(e) => return Outcome::Reply(None, Err(e)),
    };
    trace_event!(
        qmp_dispatch,
        "{}",
        if oob { "out of band" } else { "in band" }
    );
    let req = match qmp_request_check(message, oob_enabled) {
        Ok(req) => req,
        Err((e, id)) => return Outcome::Reply(id, Err(e)),
    };
    let env = DispatchEnv {
        negotiating,
        oob: req.oob,
        preconfig: rt.preconfig,
        policy: rt.policy,
    };
    let list = match negotiating {
        true => &rt.cap_negotiation_commands,
        false => &rt.commands,
    };
    let permitted = |cmd: QmpCommand<_>| rt.check_qmp_command(cmd.name).map(|()| cmd);
    match qmp_find_command(list, &req.command, &env).and_then(permitted) {
        Ok(cmd) => do_qmp_dispatch(rt, mon, cmd, req, oob, w),
        Err(e) => Outcome::Reply(req.id, Err(e)),
    }
}

/// Calls the command's function (`do_qmp_dispatch`).
fn do_qmp_dispatch<S>(
    rt: &mut Runtime<S>,
    mon: MonitorId,
    cmd: QmpCommand<Runtime<S>>,
    req: QmpRequest,
    oob: bool,
    w: &mut JsonWriter,
) -> Outcome {
    trace_event!(do_qmp_dispatch, "{}: cmd->fn", cmd.name);
    let no_success_response = cmd.options.no_success_response;
    match cmd.func {
        QmpCommandFunc::Immediate(func) => {
            w.begin_object();
            w.schema_key("return");
            let empty = w.as_bytes().len();
            let mut call = Call::new(req.args, rt.policy, w);
            let run = || func(rt, &mut call);
            let result =
                catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(panicked(cmd.name)));
            trace_event!(qmp_dispatch_done, "{}: {}", cmd.name, verdict(&result));
            if no_success_response && result.is_ok() {
                return Outcome::Silent;
            }
            if w.as_bytes().len() == empty {
                w.begin_object();
                w.end_object();
            }
            Outcome::Reply(req.id, result)
        }
        QmpCommandFunc::Deferred(func) => {
            let connection = rt.monitors.qmp_mut(mon).map_or(0, |q| q.connection);
            let d = &mut rt.dispatcher;
            d.next_token += 1;
            let token = d.next_token;
            let pending = Pending {
                monitor: mon,
                connection,
                id: req.id,
                in_band: !oob,
                no_success_response,
                name: cmd.name,
            };
            d.pending.insert(token, pending);
            if !oob {
                d.busy = Some(token);
            }
            let responder = RawResponder::new(d.port.clone(), token);
            let mut call = Call::new(req.args, rt.policy, w);
            let run = || func(rt, &mut call, responder);
            // The responder is dropped by a panic and answers.
            let _ = catch_unwind(AssertUnwindSafe(run));
            Outcome::Deferred
        }
    }
}

fn verdict(result: &Result<(), Error>) -> &str {
    match result {
        Ok(()) => "succeeded",
        Err(e) => e.desc(),
    }
}

fn panicked(name: &str) -> Error {
    // The panic's own message and place went to standard error already.
    Error::new(format!("Command '{name}' failed: its handler panicked"))
}

/// Takes the answers of deferred commands to their clients. An answer whose
/// client has left is dropped: it must not reach the next one.
fn deliver_answers<S>(rt: &mut Runtime<S>) {
    let mut answers = {
        let port = &rt.dispatcher.port;
        let mut answers = port.answers.lock().unwrap_or_else(|e| e.into_inner());
        std::mem::take(&mut *answers)
    };
    for (token, answer) in answers.drain(..) {
        let Some(pending) = rt.dispatcher.pending.remove(&token) else {
            continue;
        };
        trace_event!(qmp_dispatch_done, "{}: answered", pending.name);
        let connection = pending.connection;
        let pretty = match rt.monitors.qmp_mut(pending.monitor) {
            Some(q) if q.connection == connection => Some(q.pretty),
            _ => None,
        };
        let silent = pending.no_success_response && answer.is_ok();
        if let Some(pretty) = pretty.filter(|_| !silent) {
            let mut w = JsonWriter::new(pretty);
            match answer {
                Ok(value) => {
                    w.begin_object();
                    w.key("return");
                    w.qobject(&value);
                    if let Some(id) = &pending.id {
                        w.key("id");
                        w.qobject(id);
                    }
                    w.end_object();
                }
                Err(e) => qmp::write_error(&mut w, pending.id.as_ref(), &e),
            }
            qmp::send(rt, pending.monitor, &mut w);
        }
        if pending.in_band {
            rt.dispatcher.busy = None;
            if pretty.is_some() {
                qmp::request_taken(rt, pending.monitor, true);
            }
            rt.main_loop.bh_schedule(rt.dispatcher.bh);
        }
    }
}
