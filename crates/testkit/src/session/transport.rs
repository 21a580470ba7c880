//! The session as a connection: for the typed client, and for clients of others.

use std::io::{self, Read, Write};

use super::limits::Clock;
use super::Session;

impl<S> Read for Session<S> {
    /// Waits for the next message. While a request is not answered, simulated time does as in
    /// [`answer`](Session::answer), else as in [`event`](Session::event). Fails with `TimedOut`
    /// where those would panic.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.reading.is_empty() {
            self.reading = self.next_bytes()?.into();
        }
        self.reading.read(buf)
    }
}

impl<S> Session<S> {
    /// The next message, or what has come of it if the client has left.
    fn next_bytes(&mut self) -> io::Result<Vec<u8>> {
        let waits_for_answer = self.wire.unanswered().next().is_some();
        let clock = if waits_for_answer {
            self.answer_clock()
        } else {
            Clock::Moves
        };
        let what = if waits_for_answer {
            "an answer"
        } else {
            "a message"
        };
        match self.wait(what, clock, |wire| wire.take_bytes()) {
            Ok(bytes) => Ok(bytes),
            Err(_) if !self.is_open() => Ok(std::mem::take(self.wire.part())),
            Err(message) => Err(io::Error::new(io::ErrorKind::TimedOut, message)),
        }
    }
}

impl<S> Write for Session<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if !self.is_open() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.send_raw(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
