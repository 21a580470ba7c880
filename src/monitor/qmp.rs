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
//!
//! # A client that does not read
//!
//! Replies are bounded without losing any: a session with more than
//! 64 KiB of unsent output takes no further request, and its
//! client can send no more than the kernel's buffers hold.
//!
//! Events come whether the client likes it or not. They are never dropped one
//! by one, because a client could not know that it has missed any. Once more
//! than 1 MiB of them waits and the chardev takes no more, the
//! session is given up as a whole, which is reported and which the client
//! cannot miss: a socket is shut down, and listens again; on a chardev
//! that cannot be (a terminal, a pipe) the events that were kept are followed
//! by a new greeting, and the session is back at its negotiation.
//!
//! What becomes of a client's requests when it leaves is in
//! [`clients`](super::clients).

use std::collections::VecDeque;
use std::os::fd::OwnedFd;

use super::clients::{
    monitor_backlog, monitor_client_left, monitor_drained, monitor_new_client, NewMonitor,
};
use super::config::MonitorConfig;
use super::dispatcher;
use super::outbuf::clear_buffer;
use super::runtime::Runtime;
use super::table::{
    accept_input, discard_output, label, mark_dirty, monitor_flush, MonitorId, MonitorKind,
};
use super::version;
use crate::chardev::{
    can_yank, char_socket_yank, label as chardev_label, qemu_chr_fe_get_msgfd,
    qemu_chr_fe_set_handlers, CharHandlers, ChardevHost, ChardevReport, ChrEvent,
};
use crate::qapi::dispatch::qmp_is_oob;
use crate::qapi::json::{JsonMessageParser, JsonWriter};
use crate::qapi::{Error, QObject};
use crate::trace_event;

/// Requests that may wait in a session with out-of-band execution
/// (`QMP_REQ_QUEUE_LEN_MAX`).
pub(crate) const QMP_REQ_QUEUE_LEN_MAX: usize = 8;

/// How much is read from the chardev at a time.
const READ_CHUNK: usize = 64 * 1024;

/// Unsent events beyond which a client is given up.
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
    parser: JsonMessageParser,
    inbuf: Vec<u8>,
    parsed: usize,
    /// With the descriptor that came with each: while one waits, the next may
    /// come with its own.
    queue: VecDeque<(Request, Option<OwnedFd>)>,
    /// Came with bytes of a message that is not complete yet.
    arrived: Option<OwnedFd>,
    /// Came with the request under way or an earlier one, and was not taken.
    pub(crate) msgfd: Option<OwnedFd>,
    suspended: bool,
    /// The connection was given up: what still comes in from it is nobody's.
    given_up: bool,
    /// Bytes of events since the output was last empty, as far as unsent.
    unsent_events: usize,
    /// Whether the dispatcher has this session on its list.
    listed: bool,
}

impl MonitorQmp {
    fn new(config: &MonitorConfig) -> Self {
        MonitorQmp {
            pretty: config.pretty,
            negotiated: false,
            oob: false,
            connection: 0,
            parser: JsonMessageParser::new(config.limits),
            inbuf: Vec::new(),
            parsed: 0,
            queue: VecDeque::new(),
            arrived: None,
            msgfd: None,
            suspended: false,
            given_up: false,
            unsent_events: 0,
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
        self.arrived = None;
        self.msgfd = None;
        self.suspended = false;
        self.given_up = false;
        self.unsent_events = 0;
    }

    /// Whether all input was worked off, but perhaps not answered.
    pub(crate) fn has_read_all(&self) -> bool {
        self.queue.is_empty() && self.parsed == self.inbuf.len()
    }

    /// Notes how much output is left after some of it was sent.
    pub(crate) fn note_unsent(&mut self, unsent: usize) {
        self.unsent_events = self.unsent_events.min(unsent);
    }
}

/// Starts a QMP monitor on a chardev (`monitor_init_qmp`).
pub(crate) fn monitor_init_qmp<S>(rt: &mut Runtime<S>, new: NewMonitor) -> MonitorId {
    let fe = new.fe;
    let kind = MonitorKind::Qmp(MonitorQmp::new(&new.config));
    let id = rt.monitors.insert(new, kind);
    let handlers = CharHandlers {
        new_client: Some(monitor_new_client),
        drained: Some(monitor_drained),
        backlog: Some(monitor_backlog),
        ..CharHandlers::new(monitor_can_read, monitor_qmp_read, monitor_qmp_event)
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
    let fe = rt.monitors.get(id).map(|mon| mon.fe);
    let fd = fe.and_then(|fe| qemu_chr_fe_get_msgfd(rt, fe));
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    if !qmp.given_up {
        qmp.arrived = fd.or(qmp.arrived.take());
        qmp.inbuf.extend_from_slice(bytes);
        pump(rt, id);
    }
}

/// Pulls messages out of what has arrived, until the session is suspended or
/// its client has too much to read: out-of-band requests are answered right
/// here, and a small piece of input can hold many of them.
pub(crate) fn pump<S>(rt: &mut Runtime<S>, id: MonitorId) {
    while rt.exit_requested().is_none() {
        let Some(mon) = rt.monitors.get_mut(id) else {
            return;
        };
        let full = mon.over_budget();
        let MonitorKind::Qmp(qmp) = &mut mon.kind else {
            return;
        };
        if full || qmp.suspended || qmp.parsed == qmp.inbuf.len() {
            return;
        }
        let (n, message) = qmp.parser.parse(&qmp.inbuf[qmp.parsed..]);
        qmp.parsed += n;
        if qmp.parsed == qmp.inbuf.len() {
            qmp.parsed = 0;
            clear_buffer(&mut qmp.inbuf);
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
    if request.as_ref().is_ok_and(qmp_is_oob) {
        trace_event!(monitor_qmp_cmd_out_of_band, "{}", label(rt, id));
        if let Some(qmp) = rt.monitors.qmp_mut(id) {
            qmp.msgfd = qmp.arrived.take().or(qmp.msgfd.take());
        }
        dispatcher::monitor_qmp_dispatch(rt, id, request, true);
        return;
    }
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    qmp.queue.push_back((request, qmp.arrived.take()));
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
    let (request, fd) = qmp.queue.pop_front()?;
    qmp.msgfd = fd.or(qmp.msgfd.take());
    Some(request)
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
    pump(rt, id);
    // A suspended session takes no more, but what waits behind its input may go on.
    let ready =
        |q: &mut MonitorQmp| q.parsed == q.inbuf.len() && (!q.suspended || q.queue.is_empty());
    if rt.monitors.qmp_mut(id).is_some_and(ready) {
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
            send_greeting(rt, id);
        }
        ChrEvent::Closed => {
            if let Some(qmp) = rt.monitors.qmp_mut(id) {
                qmp.reset();
            }
            discard_output(rt, id);
            monitor_client_left(rt, id);
        }
        ChrEvent::Break | ChrEvent::MuxIn | ChrEvent::MuxOut => {}
    }
}

fn send_greeting<S>(rt: &mut Runtime<S>, id: MonitorId) {
    if let Some(qmp) = rt.monitors.qmp_mut(id) {
        let mut w = JsonWriter::new(qmp.pretty);
        write_greeting(&mut w);
        send(rt, id, &mut w);
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

/// Puts an event, with its line end, into the session's output buffer.
pub(crate) fn send_event<S: 'static>(rt: &mut Runtime<S>, id: MonitorId, line: &[u8]) {
    if !has_room_for_event(rt, id, line.len()) {
        // A burst in one turn is no fault of the client's.
        monitor_flush(rt, id);
        if !has_room_for_event(rt, id, line.len()) {
            return give_up(rt, id);
        }
    }
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    match &mut mon.kind {
        // Flushing may have ended the session.
        MonitorKind::Qmp(qmp) if qmp.negotiated => qmp.unsent_events += line.len(),
        _ => return,
    }
    mon.out.push(line);
    mark_dirty(rt, id);
}

fn has_room_for_event<S>(rt: &mut Runtime<S>, id: MonitorId, len: usize) -> bool {
    let qmp = rt.monitors.qmp_mut(id);
    qmp.is_none_or(|q| q.unsent_events == 0 || q.unsent_events + len <= EVENT_BUDGET)
}

/// Ends a session whose client does not read its events; see the module page.
fn give_up<S: 'static>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(chr) = rt.monitors.get(id).map(|mon| mon.fe.chardev()) else {
        return;
    };
    let can_be_cut = can_yank(rt, chr);
    let Some(qmp) = rt.monitors.qmp_mut(id) else {
        return;
    };
    let what = if can_be_cut {
        qmp.reset();
        qmp.given_up = true;
        discard_output(rt, id);
        char_socket_yank(rt, chr);
        "the connection is closed"
    } else {
        // Input and queue stay: the stream goes on, and in mid-message.
        qmp.negotiated = false;
        qmp.oob = false;
        qmp.unsent_events = 0;
        send_greeting(rt, id);
        "the session starts anew"
    };
    let text = format!(
        "monitor on chardev '{}': its client has left over 1 MiB of events unread, {what}",
        chardev_label(rt, chr)
    );
    rt.chardev_report(ChardevReport::Error, &text);
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
