//! What is sent to clients, and what faults make of it.

use std::rc::Rc;
use std::time::Duration;

use qmonitor::chardev::ChardevId;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::qapi::json::{qobject_from_json, qobject_to_json};
use qmonitor::qapi::{QDict, QObject};

use super::output::{Delayed, Out};
use super::{Kit, Rt};
use crate::pattern::Bindings;
use crate::scenario::{Action, Emit, Point};

/// A request whose reply has not been written.
pub(super) struct Awaited {
    pub(super) n: u64,
    pub(super) command: String,
    pub(super) id: Option<QObject>,
    pub(super) then: Vec<Emit>,
    pub(super) bound: Bindings,
}

impl Awaited {
    fn plain(n: u64) -> Self {
        Awaited {
            n,
            command: String::new(),
            id: None,
            then: Vec::new(),
            bound: Bindings::new(),
        }
    }
}

/// Finds the ends of messages in what a session writes. Pretty ones have several lines.
#[derive(Default)]
pub(super) struct Framer {
    message: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Framer {
    /// Takes bytes, and returns the messages they complete, with their line ends.
    fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        for byte in bytes {
            self.message.push(*byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                b'\n' if self.depth == 0 => messages.push(std::mem::take(&mut self.message)),
                _ => {}
            }
        }
        messages
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MessageKind {
    Greeting,
    Event,
    Reply,
}

/// The first member tells what a message is; the session writes them in a fixed order.
fn kind_of(message: &[u8]) -> MessageKind {
    let first = message.trim_ascii_start();
    let first = first.strip_prefix(b"{").unwrap_or(first).trim_ascii_start();
    if first.starts_with(b"\"QMP\"") {
        MessageKind::Greeting
    } else if first.starts_with(b"\"timestamp\"") {
        MessageKind::Event
    } else {
        MessageKind::Reply
    }
}

fn parse(message: &[u8]) -> QDict {
    match qobject_from_json(message) {
        Ok(QObject::Dict(dict)) => dict,
        _ => QDict::new(),
    }
}

fn write(message: QDict) -> Vec<u8> {
    let mut text = qobject_to_json(&message.into(), false).into_bytes();
    text.extend_from_slice(b"\r\n");
    text
}

/// What faults make of a message.
struct Fated {
    first: Vec<Vec<u8>>,
    message: Option<Vec<u8>>,
    copies: usize,
    delay: Duration,
    cut: Option<Action>,
}

impl Kit {
    /// Takes what a session writes.
    pub(super) fn outgoing(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, buf: &[u8]) {
        let messages = {
            let state = &mut *self.state.borrow_mut();
            state.active = true;
            let Some(client) = state.client(chr) else {
                return;
            };
            if client.is_qmp {
                client.framer.feed(buf)
            } else {
                vec![buf.to_vec()]
            }
        };
        let is_qmp = self
            .state
            .borrow_mut()
            .client(chr)
            .is_some_and(|c| c.is_qmp);
        for message in messages {
            match kind_of(&message) {
                _ if !is_qmp => self.put(rt, chr, Out::new(message), false, Duration::ZERO),
                MessageKind::Greeting => self.greeting(rt, chr, message),
                MessageKind::Event => self.event(rt, chr, message),
                MessageKind::Reply => self.reply(rt, chr, message),
            }
        }
        self.pump(rt, chr);
    }

    fn greeting(&self, rt: &mut Rt, chr: ChardevId, message: Vec<u8>) {
        let actions = {
            let state = &mut *self.state.borrow_mut();
            let actions = state.client(chr).map(|c| std::mem::take(&mut c.greeting));
            actions.unwrap_or_default()
        };
        let mut delay = Duration::ZERO;
        for action in actions {
            match action {
                Action::Delay(more) => delay += more,
                Action::NoGreeting | Action::Silence => return,
                Action::EventFirst(name, data) => {
                    let event = rt.render_event(&name, &data);
                    self.put(rt, chr, Out::new(event), false, Duration::ZERO);
                }
                _ => {}
            }
        }
        self.put(rt, chr, Out::new(message), true, delay);
    }

    fn event(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, message: Vec<u8>) {
        let has_faults = self.state.borrow().has_faults_at(Point::Event);
        if !has_faults {
            return self.put(rt, chr, Out::new(message), false, Duration::ZERO);
        }
        let name = parse(&message)
            .get_str("event")
            .unwrap_or_default()
            .to_owned();
        let actions = self.state.borrow_mut().faults_at(Point::Event, &name);
        let fated = self.fate(rt, chr, message, actions);
        self.put_fated(rt, chr, fated, None, false);
    }

    fn reply(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, message: Vec<u8>) {
        let (awaited, actions) = {
            let state = &mut *self.state.borrow_mut();
            let Some(client) = state.client(chr) else {
                return;
            };
            let at = match client.awaited.len() {
                0 | 1 => 0,
                // Those out of band overtake others.
                _ => {
                    let id = parse(&message).remove("id");
                    let same = client.awaited.iter().position(|awaited| awaited.id == id);
                    same.unwrap_or(client.awaited.len())
                }
            };
            let awaited = if at < client.awaited.len() {
                Some(client.awaited.remove(at))
            } else {
                // The session found fault with what came and answers itself.
                client.waiting.pop_front().map(Awaited::plain)
            };
            let command = awaited
                .as_ref()
                .map_or("", |awaited| awaited.command.as_str());
            let actions = state.faults_at(Point::Reply, command);
            (awaited, actions)
        };
        let id = awaited.as_ref().and_then(|awaited| awaited.id.clone());
        let fated = self.fate(rt, chr, message, actions);
        self.put_fated(rt, chr, fated, awaited, true);
        if let Some(client) = self.state.borrow_mut().client(chr) {
            client.last_id = id;
        }
    }

    /// Puts the reply to a request into the output, as faults will have it.
    pub(super) fn reply_with(
        self: &Rc<Self>,
        rt: &mut Rt,
        chr: ChardevId,
        message: Vec<u8>,
        awaited: Awaited,
        actions: Vec<Action>,
    ) {
        let id = awaited.id.clone();
        let fated = self.fate(rt, chr, message, actions);
        self.put_fated(rt, chr, fated, Some(awaited), true);
        if let Some(client) = self.state.borrow_mut().client(chr) {
            client.last_id = id;
        }
    }

    fn fate(&self, rt: &mut Rt, chr: ChardevId, message: Vec<u8>, actions: Vec<Action>) -> Fated {
        let mut fated = Fated {
            first: Vec::new(),
            message: Some(message),
            copies: 1,
            delay: Duration::ZERO,
            cut: None,
        };
        for action in actions {
            let message = fated.message.take();
            match action {
                Action::Silence | Action::Drop => continue,
                Action::Delay(more) => fated.delay += more,
                Action::Duplicate(more) => fated.copies += more,
                Action::Events(count, name, data) => {
                    let event = rt.render_event(&name, &data);
                    fated.first.extend(std::iter::repeat_n(event, count));
                }
                Action::IdStale | Action::Id(_) => {
                    let id = match action {
                        Action::Id(id) => Some(id),
                        _ => {
                            let state = &mut *self.state.borrow_mut();
                            state.client(chr).and_then(|client| client.last_id.clone())
                        }
                    };
                    fated.message = message.map(|message| {
                        let mut dict = parse(&message);
                        dict.remove("id");
                        if let Some(id) = id {
                            dict.insert("id", id);
                        }
                        write(dict)
                    });
                    continue;
                }
                Action::Pad(size) => {
                    fated.message = message.map(|mut message| {
                        // White space behind the first brace is still the same JSON.
                        message.splice(1..1, std::iter::repeat_n(b' ', size));
                        message
                    });
                    continue;
                }
                Action::Send(size) => {
                    fated.message = message.map(|mut message| {
                        message.truncate(size.unwrap_or(message.len() / 2));
                        message
                    });
                    continue;
                }
                other => fated.cut = Some(other),
            }
            fated.message = message;
        }
        fated
    }

    fn put_fated(
        self: &Rc<Self>,
        rt: &mut Rt,
        chr: ChardevId,
        fated: Fated,
        awaited: Option<Awaited>,
        is_reply: bool,
    ) {
        for event in fated.first {
            self.put(rt, chr, Out::new(event), is_reply, fated.delay);
        }
        let message = fated.message.unwrap_or_default();
        let mut last = Out::new(message.clone());
        last.answers = awaited;
        last.cut = fated.cut;
        for _ in 1..fated.copies {
            self.put(rt, chr, Out::new(message.clone()), is_reply, fated.delay);
        }
        self.put(rt, chr, last, is_reply, fated.delay);
    }

    /// Puts a message into the output. What must stay in order waits behind what is delayed.
    fn put(&self, rt: &mut Rt, chr: ChardevId, out: Out, in_order: bool, delay: Duration) {
        let now = rt.main_loop().clock_get_ns(ClockType::Realtime);
        let state = &mut *self.state.borrow_mut();
        let Some(client) = state.client(chr) else {
            return;
        };
        if delay.is_zero() && (!in_order || client.delayed.is_empty()) {
            client.out.push_back(out);
            return;
        }
        let delay = i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX);
        let last = client
            .delayed
            .back()
            .map_or(i64::MIN, |delayed| delayed.due);
        let due = now.saturating_add(delay).max(last);
        client.delayed.push_back(Delayed { due, out });
    }
}
