//! Clients that come and go, and what they send.

use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use qmonitor::chardev::{
    can_yank, char_socket_close_listener, char_socket_cut, char_socket_end_if_gone,
    char_socket_stop_accepting, filename, label, qemu_chr_be_event, Chardev, ChardevHost,
    ChardevId, ChardevTap, ChrEvent,
};
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::{MonitorId, MonitorMode};
use qmonitor::qapi::dispatch::QmpRequest;
use qmonitor::qapi::json::JsonMessageParser;
use qmonitor::qapi::QObject;

use super::journal::{Entry, Fate, Kind};
use super::messages::{Awaited, Framer};
use super::output::{Delayed, Out};
use super::{ClientInfo, Handle, Kit, Notice, Rt, State};
use crate::pattern::Bindings;
use crate::scenario::{Action, Emit, Point};

/// Kinds of chardevs that are open without a client, as that of the default monitor is.
const NO_CLIENT: [&str; 4] = ["vc", "null", "ringbuf", "file"];

/// A client of a monitor.
pub(super) struct Connection {
    pub(super) chr: ChardevId,
    pub(super) is_qmp: bool,
    pub(super) info: ClientInfo,
    /// Follows the session's own.
    parser: JsonMessageParser,
    /// The bytes of the message that is not complete.
    raw: Vec<u8>,
    fds: u32,
    /// Requests that wait for their turn.
    pub(super) waiting: VecDeque<u64>,
    /// Requests whose reply has not been written.
    pub(super) awaited: Vec<Awaited>,
    pub(super) framer: Framer,
    /// What goes wrong with the greeting.
    pub(super) greeting: Vec<Action>,
    pub(super) out: VecDeque<Out>,
    pub(super) delayed: VecDeque<Delayed>,
    /// A call to go on with the output is due.
    pub(super) scheduled: bool,
    /// A timer for what is delayed runs.
    pub(super) alarm: bool,
    /// The id of the request that was answered last.
    pub(super) last_id: Option<QObject>,
    /// Nothing is read any more.
    deaf: bool,
    /// Nothing is written any more.
    pub(super) mute: bool,
    /// It has asked for the negotiation.
    negotiated: bool,
    /// The mock is about to end it: what comes behind has no answer.
    ending: bool,
    /// The mock has ended it.
    cut: bool,
}

impl Connection {
    /// Something that came, for the journal.
    pub(super) fn entry(
        &mut self,
        time_ns: i64,
        what: Kind,
        id: Option<QObject>,
        raw: &[u8],
    ) -> Entry {
        Entry {
            n: 0,
            time_ns,
            monitor: self.info.monitor.clone(),
            connection: self.info.connection,
            peer: self.info.peer.clone(),
            what,
            id,
            fds: std::mem::take(&mut self.fds),
            raw: raw.to_vec(),
            fate: Fate::Waiting,
            early: false,
            done_after: None,
            left: false,
        }
    }
}

impl State {
    pub(super) fn client(&mut self, chr: ChardevId) -> Option<&mut Connection> {
        self.clients.iter_mut().find(|client| client.chr == chr)
    }
}

impl ChardevTap<Rt> for Handle {
    fn write(&self, rt: &mut Rt, id: ChardevId, buf: &[u8]) -> Option<io::Result<usize>> {
        self.0.meet(rt, id).then(|| {
            self.0.outgoing(rt, id, buf);
            Ok(buf.len())
        })
    }

    fn read(&self, rt: &mut Rt, id: ChardevId, buf: &[u8]) {
        if self.0.meet(rt, id) {
            let is_agent = self.0.state.borrow_mut().agent(id).is_some();
            if is_agent {
                self.0.agent_reads(rt, id, buf);
            } else {
                self.0.incoming(rt, id, buf);
            }
        }
    }

    fn may_read(&self, _: &Rt, id: ChardevId) -> bool {
        let state = self.0.state.borrow();
        let client = state.clients.iter().find(|client| client.chr == id);
        client.is_none_or(|client| !client.deaf)
    }

    fn event(&self, rt: &mut Rt, id: ChardevId, event: ChrEvent) -> bool {
        match event {
            ChrEvent::Opened => {
                self.0.leave(id);
                self.0.meet(rt, id);
            }
            ChrEvent::Closed => self.0.leave(id),
            ChrEvent::Break | ChrEvent::MuxIn | ChrEvent::MuxOut => {}
        }
        true
    }

    fn holds_output(&self, _: &Rt, id: ChardevId) -> bool {
        let state = self.0.state.borrow();
        let client = state.clients.iter().find(|client| client.chr == id);
        client.is_some_and(|c| !c.out.is_empty() || !c.delayed.is_empty())
    }

    fn may_accept(&self, _: &Rt, id: ChardevId) -> bool {
        !self.0.state.borrow().never_accept.contains(&id)
    }

    fn turns_away(&self, rt: &mut Rt, id: ChardevId) -> bool {
        let turned_away = {
            let state = &mut *self.0.state.borrow_mut();
            let at = state.turn_away.iter().position(|chr| *chr == id);
            at.map(|at| state.turn_away.remove(at)).is_some()
        };
        if turned_away {
            self.0.touch();
            self.0.listens(rt, id);
        }
        turned_away
    }

    fn descriptor(&self, id: ChardevId) {
        if let Some(client) = self.0.state.borrow_mut().client(id) {
            client.fds += 1;
        }
    }
}

impl Kit {
    /// Sees to it that a chardev's client is known. False if there is no monitor on it.
    fn meet(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId) -> bool {
        if self.state.borrow_mut().client(chr).is_some() {
            return true;
        }
        let is_agent = self.state.borrow_mut().agent(chr).is_some();
        let mode = rt.monitor_on(chr).map(|(_, mode)| mode);
        let kind = rt.chardevs().get(chr).map_or("", Chardev::kind);
        if (mode.is_none() && !is_agent) || NO_CLIENT.contains(&kind) {
            return false;
        }
        let (monitor, peer) = (label(rt, chr).to_owned(), filename(rt, chr));
        let (notice, cuts) = {
            let state = &mut *self.state.borrow_mut();
            state.connections += 1;
            state.active = true;
            let info = ClientInfo {
                monitor,
                connection: state.connections,
                peer,
            };
            let greeting = state.faults_at(Point::Connect, "");
            let mutes = [Action::Silence, Action::Close, Action::Reset, Action::Kill];
            let cuts = greeting.iter().find(|action| action.cuts()).cloned();
            state.clients.push(Connection {
                chr,
                is_qmp: mode == Some(MonitorMode::Control),
                info: info.clone(),
                parser: JsonMessageParser::default(),
                raw: Vec::new(),
                fds: 0,
                waiting: VecDeque::new(),
                awaited: Vec::new(),
                framer: Framer::default(),
                out: VecDeque::new(),
                delayed: VecDeque::new(),
                scheduled: false,
                alarm: false,
                last_id: None,
                deaf: greeting.contains(&Action::StopReading),
                mute: mutes.iter().any(|action| greeting.contains(action)),
                greeting,
                negotiated: false,
                ending: false,
                cut: false,
            });
            (Notice::Connected(info), cuts)
        };
        if let Some(action) = cuts {
            self.cut_later(rt, chr, action);
        }
        self.notify(&notice);
        self.listens(rt, chr);
        true
    }

    /// A client has left.
    fn leave(&self, chr: ChardevId) {
        let left = {
            let state = &mut *self.state.borrow_mut();
            let at = state.clients.iter().position(|client| client.chr == chr);
            at.map(|at| {
                state.active = true;
                state.clients.remove(at)
            })
        };
        if let Some(client) = left {
            if !client.cut {
                self.state.borrow_mut().note_left(&client);
            }
            self.notify(&Notice::Disconnected(client.info));
        }
    }

    /// Ends the connections of clients that are gone while the session does not read. The loop
    /// waits a while for it, which virtual time may never let pass.
    pub(super) fn end_the_gone(&self, rt: &mut Rt) -> bool {
        let clients: Vec<_> = self.state.borrow().clients.iter().map(|c| c.chr).collect();
        let ended = clients
            .iter()
            .filter(|chr| char_socket_end_if_gone(rt, **chr));
        ended.count() > 0
    }

    /// A server is about to take its next client.
    pub fn listens(&self, rt: &mut Rt, chr: ChardevId) {
        let actions = self.state.borrow_mut().faults_at(Point::Listen, "");
        for action in actions {
            match action {
                Action::CloseListener => char_socket_close_listener(rt, chr),
                Action::NeverAccept => {
                    self.state.borrow_mut().never_accept.push(chr);
                    char_socket_stop_accepting(rt, chr);
                }
                Action::AcceptAndClose => self.state.borrow_mut().turn_away.push(chr),
                _ => {}
            }
        }
    }

    /// Whether there were clients and none is left.
    pub fn all_have_left(&self) -> bool {
        let state = self.state.borrow();
        state.connections > 0 && state.clients.is_empty()
    }

    /// Notes the messages that bytes complete.
    fn incoming(&self, rt: &mut Rt, chr: ChardevId, mut buf: &[u8]) {
        let time_ns = rt.main_loop().clock_get_ns(ClockType::Realtime);
        let state = &mut *self.state.borrow_mut();
        while !buf.is_empty() {
            let Some(client) = state.client(chr).filter(|client| client.is_qmp) else {
                return;
            };
            let (used, message) = client.parser.parse(buf);
            client.raw.extend_from_slice(&buf[..used]);
            buf = &buf[used..];
            let Some(message) = message else { continue };
            let (what, id) = Kind::of(message);
            let raw = std::mem::take(&mut client.raw);
            let mut entry = client.entry(time_ns, what, id, raw.trim_ascii());
            let quits = entry.execute() == Some("quit");
            client.negotiated |= entry.execute() == Some("qmp_capabilities");
            entry.early = !client.negotiated;
            state.quit |= quits;
            state.note(chr, entry);
        }
    }

    /// Notes a line of the human monitor.
    pub(super) fn note_line(&self, rt: &mut Rt, monitor: MonitorId, line: &str) -> Option<u64> {
        let chr = rt.monitor_chardev(monitor)?;
        let time_ns = rt.main_loop().clock_get_ns(ClockType::Realtime);
        let state = &mut *self.state.borrow_mut();
        let client = state.client(chr)?;
        let what = Kind::Line(line.to_owned());
        let entry = client.entry(time_ns, what, None, line.as_bytes());
        Some(state.note(chr, entry))
    }

    /// The number of a request whose turn it is.
    pub(super) fn take_up(&self, rt: &mut Rt, monitor: MonitorId, request: &QmpRequest) -> u64 {
        let Some(chr) = rt.monitor_chardev(monitor) else {
            return 0;
        };
        let state = &mut *self.state.borrow_mut();
        state.active = true;
        let journal = &state.journal;
        let Some(client) = state.clients.iter_mut().find(|client| client.chr == chr) else {
            return 0;
        };
        // What is no request was answered by the session.
        let at = client.waiting.iter().position(|n| {
            let what = journal.get(*n).map(|entry| &entry.what);
            matches!(what, Some(Kind::Command { execute, oob, .. })
                if *execute == request.command && *oob == request.oob)
        });
        let found = at.and_then(|at| client.waiting.remove(at));
        found.unwrap_or(0)
    }

    /// A request will be answered.
    pub(super) fn will_answer(
        &self,
        rt: &mut Rt,
        monitor: MonitorId,
        n: u64,
        command: &str,
        then: Option<(Vec<Emit>, Bindings)>,
    ) {
        let Some(chr) = rt.monitor_chardev(monitor) else {
            return;
        };
        let state = &mut *self.state.borrow_mut();
        let id = state.journal.get(n).and_then(|entry| entry.id.clone());
        if let Some(client) = state.client(chr) {
            let (then, bound) = then.unwrap_or_default();
            client.awaited.push(Awaited {
                n,
                command: command.to_owned(),
                id,
                then,
                bound,
            });
        }
    }

    /// Notes what has become of a request, and tells those who wait.
    pub(super) fn settle(&self, n: u64, fate: Fate) {
        let entry = {
            let state = &mut *self.state.borrow_mut();
            state.active = true;
            let last = state.journal.count();
            state.journal.get_mut(n).map(|entry| {
                entry.fate = fate;
                entry.done_after = (fate != Fate::Held).then_some(last);
                entry.clone()
            })
        };
        if let Some(entry) = entry {
            self.notify(&Notice::Request(entry));
        }
    }

    /// Whether the mock is about to end a monitor's connection.
    pub(super) fn is_ending(&self, rt: &mut Rt, monitor: MonitorId) -> bool {
        let chr = rt.monitor_chardev(monitor);
        let state = &mut *self.state.borrow_mut();
        let client = chr.and_then(|chr| state.client(chr));
        client.is_some_and(|client| client.ending)
    }

    pub(super) fn stop_reading(&self, rt: &mut Rt, monitor: MonitorId) {
        if let Some(chr) = rt.monitor_chardev(monitor) {
            self.stop_reading_at(chr);
        }
    }

    pub(super) fn stop_reading_at(&self, chr: ChardevId) {
        if let Some(client) = self.state.borrow_mut().client(chr) {
            client.deaf = true;
        }
    }

    /// Ends a monitor's connection from a bottom half: now its request is under way.
    pub(super) fn cut_soon(self: &Rc<Self>, rt: &mut Rt, monitor: MonitorId, action: &Action) {
        if let Some(chr) = rt.monitor_chardev(monitor) {
            self.cut_later(rt, chr, action.clone());
        }
    }

    pub(super) fn cut_later(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, action: Action) {
        if let Some(client) = self.state.borrow_mut().client(chr) {
            client.ending = true;
            // A unix socket has no reset but this: to be closed with input unread.
            client.deaf |= action == Action::Reset;
        }
        let kit = self.clone();
        let cut = move |rt: &mut Rt| kit.cut(rt, chr, &action);
        rt.main_loop_mut().bh_schedule_oneshot("mock_cut", cut);
    }

    /// Ends a connection, the mock or the process.
    pub(super) fn cut(&self, rt: &mut Rt, chr: ChardevId, action: &Action) {
        let owns_process = self.state.borrow().owns_process;
        if let Some(client) = self.state.borrow_mut().client(chr) {
            client.cut = true;
        }
        if owns_process && matches!(action, Action::Exit(_) | Action::Kill) {
            let last_words = self.state.borrow_mut().last_words.take();
            last_words.into_iter().for_each(|say| say(self));
        }
        match action {
            Action::Exit(status) if owns_process => std::process::exit(*status),
            Action::Kill if owns_process => {
                let own = nix::unistd::Pid::this();
                let _ = nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGKILL);
            }
            Action::Exit(status) => rt.request_exit(*status),
            Action::Kill => rt.request_exit(137),
            _ if can_yank(rt, chr) => char_socket_cut(rt, chr, *action == Action::Reset),
            _ => qemu_chr_be_event(rt, chr, ChrEvent::Closed),
        }
    }
}

impl State {
    /// A client has left, whatever it was owed.
    fn note_left(&mut self, client: &Connection) {
        let awaited = client.awaited.iter().map(|awaited| awaited.n);
        let delayed = client.delayed.iter().map(|delayed| &delayed.out);
        let out = client.out.iter().chain(delayed);
        let written = out.filter_map(|out| Some(out.answers.as_ref()?.n));
        let waiting = client.waiting.iter().copied();
        for n in awaited.chain(written).chain(waiting) {
            if let Some(entry) = self.journal.get_mut(n) {
                // What is no request was answered by the session.
                entry.left |= matches!(entry.what, Kind::Command { .. });
            }
        }
    }

    /// Enters a request into the journal; a session will take it up.
    fn note(&mut self, chr: ChardevId, entry: Entry) -> u64 {
        let is_line = matches!(entry.what, Kind::Line(_));
        let n = self.note_only(entry);
        if let Some(client) = self.client(chr).filter(|_| !is_line) {
            client.waiting.push_back(n);
        }
        n
    }

    /// Enters a request into the journal.
    pub(super) fn note_only(&mut self, entry: Entry) -> u64 {
        for expect in &mut self.expect {
            expect.note(&entry);
        }
        self.active = true;
        self.journal.add(entry)
    }
}
