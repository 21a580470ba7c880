//! How output leaves: at once, after a delay, in pieces, or together.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use qmonitor::chardev::{can_yank, chr_watch_output, chr_write_past_tap, ChardevId};
use qmonitor::main_loop::{ClockType, Host};

use super::journal::Fate;
use super::messages::Awaited;
use super::{Kit, Rt, State};
use crate::scenario::Action;

/// A message, or a part of one.
pub(super) struct Out {
    bytes: Vec<u8>,
    sent: usize,
    /// The request that it answers.
    pub(super) answers: Option<Awaited>,
    /// What happens when it was written.
    pub(super) cut: Option<Action>,
}

impl Out {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Out {
            bytes,
            sent: 0,
            answers: None,
            cut: None,
        }
    }
}

/// A message that waits for its time.
pub(super) struct Delayed {
    pub(super) due: i64,
    pub(super) out: Out,
}

/// How many pieces go to a socket in one turn; others have their turn after them.
const PIECES_A_TURN: u32 = 32;

/// What can be done about the output.
enum Step {
    /// Write this piece. With `true` others follow in later turns.
    Write(Vec<u8>, bool),
    /// Come back after this time.
    Wait(Duration),
    Nothing,
}

impl State {
    /// Moves what is due to the output, and chooses what is written next.
    fn next_piece(&mut self, chr: ChardevId, now: i64, flush: bool) -> Step {
        let (slice, hold) = self.output_faults();
        let Some(at) = self.clients.iter().position(|client| client.chr == chr) else {
            return Step::Nothing;
        };
        let client = &mut self.clients[at];
        while client
            .delayed
            .front()
            .is_some_and(|delayed| delayed.due <= now)
        {
            let due = client.delayed.pop_front();
            client.out.extend(due.map(|delayed| delayed.out));
        }
        let Some(first) = client.out.front() else {
            let next = client.delayed.front();
            return next.map_or(Step::Nothing, |next| {
                Step::Wait(Duration::from_nanos((next.due - now) as u64))
            });
        };
        if let Some(slice) = slice {
            let rest = &first.bytes[first.sent..];
            let size = match slice {
                Some(size) => size,
                None => 1 + self.random.below(rest.len().max(1)),
            };
            return Step::Write(rest[..size.min(rest.len())].to_vec(), true);
        }
        let Some(hold) = hold else {
            return Step::Write(first.bytes[first.sent..].to_vec(), false);
        };
        if client.out.len() < hold && !flush {
            return Step::Nothing;
        }
        let all = client
            .out
            .iter()
            .take(hold.max(1))
            .map(|out| &out.bytes[out.sent..]);
        Step::Write(all.collect::<Vec<_>>().concat(), false)
    }

    /// Notes that bytes were written. Returns the messages that are complete now.
    fn written(&mut self, chr: ChardevId, mut n: usize) -> Vec<Out> {
        let Some(client) = self.client(chr) else {
            return Vec::new();
        };
        let mut complete = Vec::new();
        while let Some(first) = client.out.front_mut() {
            let part = n.min(first.bytes.len() - first.sent);
            first.sent += part;
            n -= part;
            if first.sent < first.bytes.len() {
                break;
            }
            complete.extend(client.out.pop_front());
            if n == 0 && client.out.front().is_none_or(|next| !next.bytes.is_empty()) {
                break;
            }
        }
        complete
    }
}

impl Kit {
    /// Writes what can be written.
    pub(super) fn pump(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId) {
        self.pump_with(rt, chr, false);
    }

    fn pump_with(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, flush: bool) {
        let mut pieces = 0;
        loop {
            let now = rt.main_loop().clock_get_ns(ClockType::Realtime);
            let (step, mute) = {
                let state = &mut *self.state.borrow_mut();
                let waits = state.client(chr).is_none_or(|client| client.scheduled);
                if waits {
                    return;
                }
                let mute = state.client(chr).is_some_and(|client| client.mute);
                (state.next_piece(chr, now, flush), mute)
            };
            let (piece, one_a_turn) = match step {
                Step::Nothing => return,
                Step::Wait(delay) => return self.pump_after(rt, chr, delay),
                Step::Write(piece, one_a_turn) => (piece, one_a_turn),
            };
            let n = if mute || piece.is_empty() {
                piece.len()
            } else {
                match chr_write_past_tap(rt, chr, &piece) {
                    Ok(n) => n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        return self.pump_when_writable(rt, chr);
                    }
                    // The end of the connection is reported by the loop.
                    Err(_) => piece.len(),
                }
            };
            let complete = self.state.borrow_mut().written(chr, n);
            for out in complete {
                self.completed(rt, chr, out, mute);
            }
            pieces += 1;
            // A peer in memory sees what one turn writes as one piece; a socket's sees each write.
            if one_a_turn && (pieces == PIECES_A_TURN || !can_yank(rt, chr)) {
                return self.pump_next_turn(rt, chr);
            }
        }
    }

    fn completed(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, out: Out, mute: bool) {
        if let Some(awaited) = out.answers {
            let silenced = mute || out.bytes.is_empty();
            Kit::emit_all(self, rt, awaited.then, &awaited.bound);
            let fate = if silenced {
                Fate::Silenced
            } else {
                Fate::Answered
            };
            self.settle(awaited.n, fate);
        }
        if let Some(action) = out.cut {
            // Nothing behind this is written.
            if let Some(client) = self.state.borrow_mut().client(chr) {
                client.mute = true;
            }
            self.cut_later(rt, chr, action);
        }
    }

    fn set_scheduled(&self, chr: ChardevId, scheduled: bool) {
        if let Some(client) = self.state.borrow_mut().client(chr) {
            client.scheduled = scheduled;
        }
    }

    /// Goes on unless the client has left, and perhaps another come.
    fn pump_again(self: &Rc<Self>, chr: ChardevId) -> impl FnOnce(&mut Rt) + 'static {
        let kit = self.clone();
        let connection = move |kit: &Kit| {
            let state = &mut *kit.state.borrow_mut();
            state.client(chr).map(|client| client.info.connection)
        };
        let before = connection(self);
        self.set_scheduled(chr, true);
        move |rt: &mut Rt| {
            if connection(&kit) == before {
                kit.set_scheduled(chr, false);
                kit.pump(rt, chr);
            }
        }
    }

    fn pump_next_turn(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId) {
        let again = self.pump_again(chr);
        rt.main_loop_mut().bh_schedule_oneshot("mock_output", again);
    }

    fn pump_when_writable(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId) {
        let again = self.pump_again(chr);
        if chr_watch_output(rt, chr, again).is_none() {
            // No call will ever tell when it can be written.
            self.set_scheduled(chr, false);
            if let Some(client) = self.state.borrow_mut().client(chr) {
                client.out.clear();
            }
        }
    }

    /// New output may come meanwhile and leave; only what is delayed waits.
    fn pump_after(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, delay: Duration) {
        let again = {
            let state = &mut *self.state.borrow_mut();
            let Some(client) = state.client(chr).filter(|client| !client.alarm) else {
                return;
            };
            client.alarm = true;
            client.info.connection
        };
        let kit = self.clone();
        Kit::after(rt, delay, move |rt| {
            let is_same = {
                let state = &mut *kit.state.borrow_mut();
                let client = state.client(chr);
                client.is_some_and(|client| {
                    client.alarm = false;
                    client.info.connection == again
                })
            };
            if is_same {
                kit.pump(rt, chr);
            }
        });
    }

    /// Writes what is kept back to be written together. Returns whether there was some.
    pub(super) fn flush_held_output(self: &Rc<Self>, rt: &mut Rt) -> bool {
        let waiting: Vec<ChardevId> = {
            let state = self.state.borrow();
            let clients = state.clients.iter();
            let waiting = clients.filter(|client| !client.out.is_empty() && !client.scheduled);
            waiting.map(|client| client.chr).collect()
        };
        for chr in &waiting {
            self.pump_with(rt, *chr, true);
        }
        !waiting.is_empty()
    }
}
