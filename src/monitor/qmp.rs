//! The QMP session: greeting, negotiation, requests, replies.
//!
//! ```text
//!            CHR_EVENT_OPENED                qmp_capabilities
//!   closed ──────────────────▶ negotiating ──────────────────▶ command mode
//!     ▲     greeting is sent        │                               │
//!     └─────────────────────────────┴──────── CHR_EVENT_CLOSED ─────┘
//! ```
//!
//! Bytes arrive in large pieces and wait in `inbuf`; messages are *pulled* out
//! of it. A session that is suspended does not pull, and its chardev is not
//! read either, so what a client may have under way is bounded. Without
//! out-of-band execution each request suspends until it is answered; with it,
//! the eighth waiting request does.

use std::collections::VecDeque;

use super::dispatcher;
use super::runtime::Runtime;
use super::table::{
    accept_input, discard_output, label, mark_dirty, Monitor, MonitorId, MonitorKind,
};
use super::version;
use crate::chardev::{qemu_chr_fe_set_handlers, CharFrontend, CharHandlers, ChrEvent};
use crate::qapi::json::{JsonMessageParser, JsonWriter};
use crate::qapi::{Error, QObject};
use crate::trace_event;

/// Requests that may wait in a session with out-of-band execution
/// (`QMP_REQ_QUEUE_LEN_MAX`).
pub(crate) const QMP_REQ_QUEUE_LEN_MAX: usize = 8;

/// How much is read from the chardev at a time.
const READ_CHUNK: usize = 64 * 1024;

/// Unsent output beyond which a client is sent no events.
const EVENT_BUDGET: usize = 1024 * 1024;

/// One message, as the parser gave it.
pub(crate) type Request = Result<QObject, Error>;

/// The state of a QMP session (QEMU's `MonitorQMP`).
pub struct MonitorQmp {
    pub(crate) pretty: bool,
    /// False until `qmp_capabilities`; forgotten with each connection.
    pub(crate) negotiated: bool,
    /// Whether the client enabled out-of-band execution.
    pub(crate) oob: bool,
    /// Counts connections: what belongs to a former one finds out so.
    pub(crate) connection: u64,
    connected: bool,
    parser: JsonMessageParser,
    inbuf: Vec<u8>,
    parsed: usize,
    queue: VecDeque<Request>,
    suspended: bool,
    /// Whether the dispatcher has this session on its list.
    listed: bool,
}

impl MonitorQmp {
    fn new(pretty: bool) -> Self {
        MonitorQmp {
            pretty,
            negotiated: false,
            oob: false,
            connection: 0,
            connected: false,
            parser: JsonMessageParser::default(),
            inbuf: Vec::new(),
            parsed: 0,
            queue: VecDeque::new(),
            suspended: false,
            listed: false,
        }
    }

    /// Back to a fresh session, as on connecting and on leaving.
    fn reset(&mut self) {
        self.negotiated = false;
        self.oob = false;
        self.connection += 1;
        self.parser.reset();
        self.inbuf = Vec::new();
        self.parsed = 0;
        self.queue.clear();
        self.suspended = false;
    }
}

/// Starts a QMP monitor on a chardev (`monitor_init_qmp`).
pub(crate) fn monitor_init_qmp<S>(
    rt: &mut Runtime<S>,
    fe: CharFrontend,
    pretty: bool,
) -> MonitorId {
    let kind = MonitorKind::Qmp(MonitorQmp::new(pretty));
    let id = rt.monitors.insert(fe, kind);
    let handlers = CharHandlers {
        can_read: monitor_can_read,
        read: monitor_qmp_read,
        event: monitor_qmp_event,
    };
    qemu_chr_fe_set_handlers(rt, fe, Some(handlers), id.to_opaque());
    id
}

fn monitor_can_read<S>(rt: &Runtime<S>, opaque: u64) -> usize {
    let Some(mon) = rt.monitors.get(MonitorId::from_opaque(opaque)) else {
        return 0;
    };
    match &mon.kind {
        MonitorKind::Qmp(q) if !q.suspended && q.parsed == q.inbuf.len() && !mon.over_budget() => {
            READ_CHUNK
        }
        _ => 0,
    }
}

fn monitor_qmp_read<S>(rt: &mut Runtime<S>, opaque: u64, bytes: &[u8]) {
    let id = MonitorId::from_opaque(opaque);
    let n = bytes.len();
    trace_event!(monitor_qmp_read, "{} got {n} bytes", label(rt, id));
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    qmp.inbuf.extend_from_slice(bytes);
    pump(rt, id);
}

/// Whether an event may still be added to what waits for the client.
pub(crate) fn takes_event(mon: &Monitor) -> bool {
    mon.out.unsent().len() <= EVENT_BUDGET
}

/// Pulls messages out of what has arrived, until the session is suspended.
pub(crate) fn pump<S>(rt: &mut Runtime<S>, id: MonitorId) {
    loop {
        let Some(qmp) = rt.monitors.qmp_mut(id) else {
            return;
        };
        if qmp.suspended || qmp.parsed == qmp.inbuf.len() {
            return;
        }
        let (n, message) = qmp.parser.parse(&qmp.inbuf[qmp.parsed..]);
        qmp.parsed += n;
        if qmp.parsed == qmp.inbuf.len() {
            qmp.parsed = 0;
            qmp.inbuf.clear();
        }
        if let Some(request) = message {
            handle_qmp_command(rt, id, request);
        }
    }
}

/// Takes a complete message, or the error it provoked: carries it out at once
/// if it is out of band, else queues it.
fn handle_qmp_command<S>(rt: &mut Runtime<S>, id: MonitorId, request: Request) {
    trace_event!(
        handle_qmp_command,
        "{} {}",
        label(rt, id),
        match &request {
            Ok(req) => crate::qapi::json::qobject_to_json(req, false),
            Err(e) => e.to_string(),
        }
    );
    if let Ok(QObject::Dict(dict)) = &request {
        if dict.contains_key("exec-oob") && !dict.contains_key("execute") {
            trace_event!(monitor_qmp_cmd_out_of_band, "{}", label(rt, id));
            dispatcher::monitor_qmp_dispatch(rt, id, request, true);
            return;
        }
    }
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    qmp.queue.push_back(request);
    let waiting = qmp.queue.len();
    qmp.suspended |= !qmp.oob || waiting >= QMP_REQ_QUEUE_LEN_MAX;
    let suspended = qmp.suspended;
    trace_event!(
        monitor_qmp_cmd_in_band,
        "{} has {waiting} waiting",
        label(rt, id)
    );
    if suspended {
        trace_event!(monitor_suspend, "{}", label(rt, id));
    }
    enlist(rt, id);
}

/// Puts the session on the dispatcher's list if it has something to be served
/// and room for the answer.
fn enlist<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    let room = !mon.over_budget();
    if let MonitorKind::Qmp(qmp) = &mut mon.kind {
        if room && !qmp.listed && !qmp.queue.is_empty() {
            qmp.listed = true;
            dispatcher::enlist(rt, id);
        }
    }
}

/// The next request of a session that the dispatcher has taken off its list.
pub(crate) fn pop_request<S>(rt: &mut Runtime<S>, id: MonitorId) -> Option<Request> {
    let qmp = rt.monitors.qmp_mut(id)?;
    qmp.listed = false;
    qmp.queue.pop_front()
}

/// After a request was taken up: sees to it that the next ones are. `answered`
/// is false while a deferred command is under way.
pub(crate) fn request_taken<S>(rt: &mut Runtime<S>, id: MonitorId, answered: bool) {
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    if qmp.suspended && (answered || qmp.oob) && qmp.queue.len() < QMP_REQ_QUEUE_LEN_MAX {
        qmp.suspended = false;
        trace_event!(monitor_resume, "{}", label(rt, id));
    }
    enlist(rt, id);
    if rt.exit_requested().is_none() && !rt.monitors.get(id).is_some_and(Monitor::over_budget) {
        pump(rt, id);
        accept_input(rt, id);
    }
}

/// Goes on with a session that was held back.
pub(crate) fn go_on<S>(rt: &mut Runtime<S>, id: MonitorId) {
    enlist(rt, id);
    pump(rt, id);
}

fn monitor_qmp_event<S>(rt: &mut Runtime<S>, opaque: u64, event: ChrEvent) {
    let id = MonitorId::from_opaque(opaque);
    trace_event!(monitor_qmp_event, "{} {}", label(rt, id), event.name());
    match event {
        ChrEvent::Opened => {
            let Some(qmp) = rt.monitors.qmp_mut(id) else {
                return;
            };
            qmp.reset();
            qmp.connected = true;
            let pretty = qmp.pretty;
            let mut w = JsonWriter::new(pretty);
            write_greeting(&mut w);
            send(rt, id, &mut w);
        }
        ChrEvent::Closed => {
            if let Some(qmp) = rt.monitors.qmp_mut(id) {
                qmp.reset();
                qmp.connected = false;
            }
            discard_output(rt, id);
        }
        ChrEvent::Break | ChrEvent::MuxIn | ChrEvent::MuxOut => {}
    }
}

fn write_greeting(w: &mut JsonWriter) {
    w.begin_object();
    w.key("QMP");
    w.begin_object();
    w.key("version");
    version::write_version_info(w);
    w.key("capabilities");
    w.begin_array();
    w.string("oob");
    w.end_array();
    w.end_object();
    w.end_object();
}

/// Ends the message with CR LF and puts it into the session's output buffer
/// (`qmp_send_response`). Empties the writer.
pub(crate) fn send<S>(rt: &mut Runtime<S>, id: MonitorId, w: &mut JsonWriter) {
    trace_event!(
        monitor_qmp_respond,
        "{} {}",
        label(rt, id),
        String::from_utf8_lossy(w.as_bytes())
    );
    w.newline();
    if let Some(mon) = rt.monitors.get_mut(id) {
        mon.out.push(w.as_bytes());
        mark_dirty(rt, id);
    }
    w.clear();
}

/// The session's answer to a request: the error with its `id`.
pub(crate) fn write_error(w: &mut JsonWriter, id: Option<&QObject>, error: &Error) {
    w.clear();
    w.begin_object();
    if let Some(id) = id {
        w.key("id");
        w.qobject(id);
    }
    w.key("error");
    w.begin_object();
    w.key("class");
    w.string(error.class().as_str());
    w.key("desc");
    w.string(error.desc());
    w.end_object();
    w.end_object();
}
