//! The protocols on a connection, one inside the other, as a machine without a
//! socket: bytes of the wire go in and out, bytes of the application come out
//! and go in.
//!
//! ```text
//!          receive                               read
//!   wire ──────────▶ TLS ─▶ raw ─▶ websocket ─▶ telnet ─▶ plain ─▶ front end
//!   wire ◀────────── TLS ◀────────── frame ◀────────────────────── front end
//!                                                send
//! ```
//!
//! Each layer is optional; without any, bytes pass as they are.
//!
//! # States
//!
//! ```text
//!     TLS: new                                     websocket: new           neither: new
//!        ▼                                               ▼                       ▼
//!   ┌─────────────┐ finished ┌─────────┐ admit      ┌─────────┐ 101           ┌──────┐
//!   │ Handshaking │─────────▶│ Unknown │──┬────────▶│ Request │──────────────▶│ Open │
//!   └─────────────┘          └─────────┘  │         └─────────┘               └──────┘
//!          │ record that            │     │ no websocket │ 400, 403, 404, end   ▲ │ close, or
//!          │ makes no sense, end    │     └──────────────┼──────────────────────┘ │ a frame that
//!          ▼                        ▼                    ▼                        ▼ makes no sense
//!         Err             the caller drops it         Closed                closed, once all is read
//! ```
//!
//! [`advance`](Stream::advance) goes on as far as the bytes allow and says why it
//! stopped.
//!
//! # How far it reads ahead
//!
//! [`receive`](Stream::receive) decrypts what it is given, because TLS deals in
//! whole records, and keeps it raw. Only [`read`](Stream::read) takes frames and
//! telnet commands off, as many as the front end has room for: while a front end
//! does not read, its peer's pings are not answered. The caller receives more
//! only when all [input](Stream::has_input) is read.

use crate::chardev::codec::telnet::TelnetDecoder;
use crate::chardev::codec::tls::TlsChannel;
use crate::chardev::codec::websocket::{self, FrameDecoder, MAX_REQUEST, REQUEST_END};

/// A peer that pings on without reading gets no more answers than this many bytes,
/// which RFC 6455 (5.5.3) allows.
const MAX_UNSENT_PONGS: usize = 64 * 1024;

/// The most bytes of one write that are encrypted before the kernel has taken
/// the previous ones.
const MAX_WRITE: usize = 64 * 1024;

/// An empty buffer keeps no more memory than this.
const KEPT: usize = 64 * 1024;

/// How far the handshakes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// TLS shakes hands.
    Handshaking,
    /// TLS has verified the peer's certificate; the caller has not let the peer in.
    Unknown,
    /// The websocket waits for its request.
    Request,
    /// Bytes pass between the peer and the front end.
    Open,
}

/// Why a stream that is not open yet stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// It needs more bytes.
    NeedMore,
    /// The caller decides whether the peer may come in, by its
    /// [name](Stream::peer_name): [`admit`](Stream::admit) it, or drop the stream.
    Authorize,
    /// It is open.
    Opened,
    /// It ends after what is left to send.
    Closed,
}

/// What one [`read`](Stream::read) gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Input {
    /// How many bytes.
    pub(super) len: usize,
    /// How many breaks came before those bytes or among them.
    pub(super) breaks: usize,
    /// The connection ends now, after what is left to send.
    pub(super) closed: bool,
}

impl Input {
    /// Input of a socket without a stream.
    pub(super) fn plain(len: usize) -> Self {
        Input {
            len,
            breaks: 0,
            closed: false,
        }
    }
}

/// The protocols of one connection.
pub(in crate::chardev) struct Stream {
    stage: Stage,
    tls: Option<TlsChannel>,
    websocket: Option<FrameDecoder>,
    telnet: Option<TelnetDecoder>,
    /// Decrypted; frames and telnet commands are still in it.
    raw: Vec<u8>,
    /// For the front end.
    plain: Vec<u8>,
    /// Breaks that were taken off with the plain bytes.
    breaks: usize,
    /// To be sent.
    wire: Vec<u8>,
    /// Nothing follows what was received.
    ended: bool,
    /// The websocket was closed.
    closed: bool,
}

impl Stream {
    /// The layers of a new connection.
    pub(super) fn new(
        tls: Option<TlsChannel>,
        websocket: bool,
        telnet: Option<TelnetDecoder>,
    ) -> Self {
        let mut stream = Stream {
            stage: Stage::Handshaking,
            tls,
            websocket: websocket.then(FrameDecoder::default),
            telnet,
            raw: Vec::new(),
            plain: Vec::new(),
            breaks: 0,
            wire: Vec::new(),
            ended: false,
            closed: false,
        };
        match &mut stream.tls {
            // A client begins with its hello.
            Some(tls) => tls.take_output(&mut stream.wire),
            None => stream.admit(),
        }
        stream
    }

    /// Takes bytes of the wire, however they are cut; none mean its end.
    ///
    /// # Errors
    ///
    /// Why TLS cannot go on. An alert that tells the peer is left to send.
    pub(super) fn receive(&mut self, wire: &[u8]) -> Result<(), String> {
        if wire.is_empty() {
            self.ended = true;
            return Ok(());
        }
        let Some(tls) = &mut self.tls else {
            self.raw.extend(wire);
            return Ok(());
        };
        let received = tls.receive(wire, &mut self.raw);
        tls.take_output(&mut self.wire);
        self.ended |= tls.has_ended();
        received
    }

    /// Goes on towards the open state. `now` is the time in seconds since 1970,
    /// for the answer to a websocket's request.
    ///
    /// # Errors
    ///
    /// The peer went away before TLS knew it.
    pub(super) fn advance(&mut self, now: i64) -> Result<Step, String> {
        match self.stage {
            Stage::Handshaking => match &self.tls {
                Some(tls) if tls.is_handshaking() && self.ended => {
                    Err("the peer went away".to_owned())
                }
                Some(tls) if tls.is_handshaking() => Ok(Step::NeedMore),
                _ => {
                    self.stage = Stage::Unknown;
                    Ok(Step::Authorize)
                }
            },
            Stage::Unknown => Ok(Step::Authorize),
            Stage::Request => Ok(self.answer_request(now)),
            Stage::Open => Ok(Step::Opened),
        }
    }

    /// Lets the peer in.
    pub(super) fn admit(&mut self) {
        if self.websocket.is_some() {
            self.stage = Stage::Request;
        } else {
            self.open();
        }
    }

    fn answer_request(&mut self, now: i64) -> Step {
        let head = &self.raw[..self.raw.len().min(MAX_REQUEST)];
        let end = head
            .windows(REQUEST_END.len())
            .position(|bytes| bytes == REQUEST_END);
        let len = match end {
            Some(end) => end + REQUEST_END.len(),
            None if head.len() == MAX_REQUEST => MAX_REQUEST,
            None if self.ended => return Step::Closed,
            None => return Step::NeedMore,
        };
        match websocket::handshake(&head[..len], now) {
            Ok(answer) => {
                self.raw.drain(..len);
                self.queue(&answer);
                self.open();
                Step::Opened
            }
            Err(answer) => {
                self.queue(&answer);
                Step::Closed
            }
        }
    }

    fn open(&mut self) {
        self.stage = Stage::Open;
        if let Some(telnet) = &self.telnet {
            let opening = telnet.opening();
            self.send(opening);
        }
    }

    /// Whether the handshakes are over.
    pub(super) fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Whether TLS, if there is any, has let the peer in.
    pub(super) fn knows_peer(&self) -> bool {
        !matches!(self.stage, Stage::Handshaking | Stage::Unknown)
    }

    /// The name in the peer's certificate.
    pub(super) fn peer_name(&self) -> Option<String> {
        self.tls.as_ref()?.peer_name()
    }

    /// Whether bytes were received that are not yet read.
    pub(super) fn has_input(&self) -> bool {
        !self.plain.is_empty() || !self.raw.is_empty()
    }

    /// Whether nothing can be received any more.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Gives the front end's next bytes.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> Input {
        if self.plain.is_empty() {
            self.decode(buf.len());
        }
        let len = self.plain.len().min(buf.len());
        buf[..len].copy_from_slice(&self.plain[..len]);
        drop_front(&mut self.plain, len);
        Input {
            len,
            breaks: std::mem::take(&mut self.breaks),
            closed: self.closed && self.plain.is_empty(),
        }
    }

    /// Takes frames and commands off up to `max` raw bytes. A telnet command that
    /// was cut makes the result a byte longer than that.
    fn decode(&mut self, max: usize) {
        if self.websocket.is_none() && self.telnet.is_none() {
            std::mem::swap(&mut self.raw, &mut self.plain);
            return;
        }
        let len = max.min(self.raw.len());
        let mut input = self.raw[..len].to_vec();
        drop_front(&mut self.raw, len);
        if let Some(websocket) = &mut self.websocket {
            let decoded = websocket.decode(&input);
            self.closed = decoded.closed;
            if decoded.closed || self.wire.len() < MAX_UNSENT_PONGS {
                self.queue(&decoded.replies);
            }
            input = decoded.text;
        }
        match &mut self.telnet {
            Some(telnet) => self.breaks += telnet.decode(&input, &mut self.plain),
            None => self.plain = input,
        }
    }

    /// Takes bytes of the front end and returns how many; a websocket takes all, in
    /// one frame. The caller empties the [wire](Self::wire) before it gives more.
    pub(super) fn send(&mut self, bytes: &[u8]) -> usize {
        if self.websocket.is_some() {
            self.queue(&websocket::frame(bytes));
            return bytes.len();
        }
        let taken = bytes.len().min(MAX_WRITE);
        self.queue(&bytes[..taken]);
        taken
    }

    /// Whether output is framed or encrypted.
    pub(super) fn wraps_output(&self) -> bool {
        self.tls.is_some() || self.websocket.is_some()
    }

    /// Tells the peer that nothing more comes, if there is TLS to say it.
    pub(super) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
            tls.take_output(&mut self.wire);
        }
    }

    fn queue(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => {
                tls.send(bytes);
                tls.take_output(&mut self.wire);
            }
            None => self.wire.extend(bytes),
        }
    }

    /// What is to be sent.
    pub(in crate::chardev) fn wire(&self) -> &[u8] {
        &self.wire
    }

    /// Drops the first `n` bytes of the wire, which were sent.
    pub(super) fn sent(&mut self, n: usize) {
        drop_front(&mut self.wire, n);
    }

    /// The telnet decoder, in the state that the connection left it in.
    pub(super) fn into_telnet(self) -> Option<TelnetDecoder> {
        self.telnet
    }
}

/// Drops the first bytes of a buffer, and gives back the memory of one that is empty
/// then and was large.
fn drop_front(buffer: &mut Vec<u8>, len: usize) {
    buffer.drain(..len);
    if buffer.is_empty() && buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
