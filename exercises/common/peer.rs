//! A socket to talk through, for the tests of 1 to 6.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// The other end of a connection.
pub struct Peer(UnixStream);

impl Peer {
    /// A peer on this end of a connection.
    pub fn new(stream: UnixStream) -> Peer {
        stream.set_nonblocking(true).expect("a socket");
        Peer(stream)
    }

    /// Sends text.
    pub fn send(&mut self, text: &str) {
        self.0
            .write_all(text.as_bytes())
            .expect("the other end is open");
    }

    /// All that has come so far.
    pub fn received(&mut self) -> String {
        let mut text = Vec::new();
        let mut buf = [0; 1024];
        loop {
            match self.0.read(&mut buf) {
                Ok(0) => break,
                Ok(n) => text.extend(&buf[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => panic!("{e}"),
            }
        }
        String::from_utf8(text).expect("text")
    }
}
