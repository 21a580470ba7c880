//! A QMP session as a pure machine: bytes in, requests out. It knows no chardev,
//! no loop and no command, so its rules can be tested against a plain model.
//!
//! ```text
//!   feed ──▶ inbuf ──next──▶ OutOfBand: carry it out at once
//!                        └─▶ Queued ──▶ queue ──take──▶ carry it out ──▶ taken_up
//! ```
//!
//! Messages are *pulled* out of the input. A suspended session gives none, and
//! its driver reads no more while it does not want input, so what a client may have
//! under way is bounded. Without out-of-band execution each request suspends the
//! session until it is answered; with it, the eighth waiting request does, until
//! one is taken.

use std::collections::VecDeque;
use std::fmt;

use super::outbuf::clear_buffer;
use crate::qapi::dispatch::{qmp_is_oob, CommandKey};
use crate::qapi::json::{qobject_to_json, Dialect, JsonLimits, JsonMessageParser};
use crate::qapi::{Arguments, Error, PlainArguments, QObject};

/// Requests that may wait in a session with out-of-band execution
/// (`QMP_REQ_QUEUE_LEN_MAX`).
pub(crate) const QMP_REQ_QUEUE_LEN_MAX: usize = 8;

/// One message.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    /// As the parser gave it.
    Message(Result<QObject, Error>),
    /// A request in band that was recognised without parsing it.
    Plain {
        command: CommandKey,
        args: Arguments,
        id: Option<QObject>,
    },
}

impl Request {
    /// The command's name, if it has one.
    pub(crate) fn command(&self) -> Option<&str> {
        match self {
            Request::Plain { command, .. } => Some(command.name()),
            Request::Message(Ok(QObject::Dict(members))) => {
                let named = ["execute", "exec-oob"].map(|key| members.get(key));
                match named.into_iter().flatten().next()? {
                    QObject::String(name) => Some(name),
                    _ => None,
                }
            }
            Request::Message(_) => None,
        }
    }
}

/// As a trace shows it.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Request::Message(Ok(message)) => f.write_str(&qobject_to_json(message, false)),
            Request::Message(Err(e)) => e.fmt(f),
            Request::Plain { command, .. } => f.write_str(command.name()),
        }
    }
}

/// The number of a request in its session, from 1 on. Those out of band are counted for
/// themselves, as they overtake the others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Serial {
    number: u64,
    oob: bool,
}

/// As a trace shows it.
impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.oob { "oob#" } else { "#" };
        write!(f, "{sign}{}", self.number)
    }
}

/// What [`QmpSession::next`] found in the input.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// A request to be carried out at once. In a box, so that what is usual is small.
    OutOfBand(Box<Request>),
    /// A request, or an error to be answered in its turn, that was queued.
    Queued {
        /// Whether it suspends the session.
        suspends: bool,
    },
    /// No whole message, or the session is suspended.
    Nothing,
}

/// The state of a session. `F` is the descriptor that may come along with bytes.
#[derive(Debug)]
pub(crate) struct QmpSession<F> {
    /// False until `qmp_capabilities`; forgotten with each connection.
    negotiated: bool,
    /// Whether the client enabled out-of-band execution.
    oob: bool,
    /// Counts connections, so that an answer to a former one is not sent to this.
    connection: u64,
    parser: JsonMessageParser,
    inbuf: Vec<u8>,
    parsed: usize,
    /// Each with the descriptor that came with it: while one waits, the next may
    /// come with its own.
    queue: VecDeque<(Request, Option<F>)>,
    /// How many requests were taken out of the queue.
    taken: u64,
    /// How many requests came out of band.
    out_of_band: u64,
    /// Came with bytes of a message that is not complete yet.
    arrived: Option<F>,
    /// Came with the request under way or an earlier one, and was not taken.
    in_hand: Option<F>,
    suspended: bool,
    /// The connection was given up; further input from it is dropped.
    deaf: bool,
}

impl<F> QmpSession<F> {
    pub(crate) fn new(limits: JsonLimits, dialect: Dialect) -> Self {
        QmpSession {
            negotiated: false,
            oob: false,
            connection: 0,
            parser: JsonMessageParser::with_dialect(limits, dialect),
            inbuf: Vec::new(),
            parsed: 0,
            queue: VecDeque::new(),
            taken: 0,
            out_of_band: 0,
            arrived: None,
            in_hand: None,
            suspended: false,
            deaf: false,
        }
    }

    /// Back to a fresh session, as on connecting and on leaving.
    pub(crate) fn reset(&mut self) {
        self.renegotiate();
        self.connection += 1;
        self.parser.reset();
        self.inbuf = Vec::new();
        self.parsed = 0;
        self.queue.clear();
        self.taken = 0;
        self.out_of_band = 0;
        self.arrived = None;
        self.in_hand = None;
        self.suspended = false;
        self.deaf = false;
    }

    /// Drops everything and ignores further input, until the next reset.
    pub(crate) fn give_up(&mut self) {
        self.reset();
        self.deaf = true;
    }

    /// Back to negotiation. Input and queue stay: the stream goes on, and may be
    /// in mid-message.
    pub(crate) fn renegotiate(&mut self) {
        self.negotiated = false;
        self.oob = false;
    }

    /// Ends the negotiation.
    pub(crate) fn negotiated(&mut self, oob: bool) {
        self.negotiated = true;
        self.oob = oob;
    }

    /// Whether the negotiation is over.
    #[inline]
    pub(crate) fn is_negotiated(&self) -> bool {
        self.negotiated
    }

    /// Whether the client enabled out-of-band execution.
    #[inline]
    pub(crate) fn has_oob(&self) -> bool {
        self.oob
    }

    /// The number of the connection.
    #[inline]
    pub(crate) fn connection(&self) -> u64 {
        self.connection
    }

    /// Takes bytes, and the descriptor that came with them.
    pub(crate) fn feed(&mut self, bytes: &[u8], fd: Option<F>) {
        if !self.deaf {
            if fd.is_some() {
                self.arrived = fd;
            }
            // A long string need not be copied twice.
            let begun = if self.inbuf.is_empty() && !self.suspended {
                self.parser.take_plain(bytes)
            } else {
                0
            };
            self.inbuf.extend_from_slice(&bytes[begun..]);
        }
    }

    /// Pulls the next message out of the input. `find` looks commands up; a plain
    /// request of one that it finds is not parsed. Without it every message is. `spare` is
    /// memory for its arguments.
    #[inline]
    pub(crate) fn next(
        &mut self,
        find: Option<impl Fn(&[u8]) -> Option<CommandKey>>,
        spare: &mut Option<Box<PlainArguments>>,
    ) -> Next {
        while !self.suspended && self.parsed < self.inbuf.len() {
            if let Some(find) = &find {
                let input = &self.inbuf[self.parsed..];
                if let Some(plain) = self.parser.plain_request_into(input, spare) {
                    if let Some(command) = find(plain.command) {
                        let (args, id) = (plain.arguments, plain.id);
                        self.queue
                            .push_back((Request::Plain { command, args, id }, self.arrived.take()));
                        let len = plain.len;
                        let request = &self.inbuf[self.parsed..self.parsed + len];
                        self.parser.pass(request);
                        self.has_parsed(len);
                        return self.queued();
                    }
                }
            }
            if let Some(next) = self.parse() {
                return next;
            }
        }
        Next::Nothing
    }

    /// Parses some of the input. It stays out of line, or what is rare would burden what
    /// is usual.
    #[inline(never)]
    fn parse(&mut self) -> Option<Next> {
        let (n, message) = self.parser.parse(&self.inbuf[self.parsed..]);
        self.has_parsed(n);
        let message = message?;
        if message.as_ref().is_ok_and(qmp_is_oob) {
            if self.arrived.is_some() {
                self.in_hand = self.arrived.take();
            }
            self.out_of_band += 1;
            return Some(Next::OutOfBand(Box::new(Request::Message(message))));
        }
        self.queue
            .push_back((Request::Message(message), self.arrived.take()));
        Some(self.queued())
    }

    #[inline]
    fn has_parsed(&mut self, n: usize) {
        self.parsed += n;
        if self.parsed == self.inbuf.len() {
            self.parsed = 0;
            clear_buffer(&mut self.inbuf);
        }
    }

    #[inline]
    fn queued(&mut self) -> Next {
        self.suspended |= !self.oob || self.queue.len() >= QMP_REQ_QUEUE_LEN_MAX;
        Next::Queued {
            suspends: self.suspended,
        }
    }

    /// The request that was queued last, and its serial.
    pub(crate) fn newest(&self) -> Option<(&Request, Serial)> {
        let (request, _) = self.queue.back()?;
        let number = self.taken + self.queue.len() as u64;
        Some((request, Serial { number, oob: false }))
    }

    /// The serial of the request that was taken last, or came last out of band.
    #[inline]
    pub(crate) fn serial(&self, oob: bool) -> Serial {
        let number = if oob { self.out_of_band } else { self.taken };
        Serial { number, oob }
    }

    /// How many requests wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Whether no message is pulled at present.
    #[cfg(test)]
    pub(crate) fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Whether more input should be read.
    #[inline]
    pub(crate) fn wants_input(&self) -> bool {
        !self.suspended && self.parsed == self.inbuf.len()
    }

    /// Whether there is input that was not worked off.
    #[inline]
    pub(crate) fn has_input(&self) -> bool {
        self.parsed < self.inbuf.len()
    }

    /// Whether a request waits to be carried out.
    #[inline]
    pub(crate) fn is_ready(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Whether all input was worked off, though perhaps not answered.
    pub(crate) fn has_read_all(&self) -> bool {
        self.queue.is_empty() && self.parsed == self.inbuf.len()
    }

    /// Takes the next request, to carry it out.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Request> {
        let (request, fd) = self.queue.pop_front()?;
        self.taken += 1;
        if fd.is_some() {
            self.in_hand = fd;
        }
        Some(request)
    }

    /// Notes that the request taken last was carried out. `answered` is false if its
    /// answer comes later; this is called again then. Returns whether the session
    /// resumes.
    #[inline]
    pub(crate) fn taken_up(&mut self, answered: bool) -> bool {
        let resumes =
            self.suspended && (answered || self.oob) && self.queue.len() < QMP_REQ_QUEUE_LEN_MAX;
        self.suspended &= !resumes;
        resumes
    }

    /// Takes the descriptor that came with the request under way or an earlier one.
    pub(crate) fn take_fd(&mut self) -> Option<F> {
        self.in_hand.take()
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
