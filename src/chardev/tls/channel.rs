//! TLS as a codec: bytes of the wire in and out, plain bytes out and in.
//!
//! ```text
//!            receive: hello, certificates, finished
//!   ┌─────────────┐ ───────────────────────────────▶ ┌──────┐ receive: close_notify
//!   │ handshaking │                                  │ open │ ─────────────────────▶ ended
//!   └─────────────┘                                  └──────┘
//!          │ receive: anything that is not right        │
//!          └───────────────────▶ Err ◀──────────────────┘
//! ```
//!
//! Whatever is called, [`take_output`](TlsChannel::take_output) may have something
//! to send afterwards: an answer of the handshake, a record, or the alert that tells the peer
//! why it is over.

use std::io::{Read, Write};

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, Connection, ServerConnection};

use super::check::distinguished_name;
use super::load::Loaded;
use super::TlsCreds;
use crate::qapi::Error;

/// One end of a TLS connection.
pub(in crate::chardev) struct TlsChannel {
    tls: Connection,
    /// What was decrypted and not yet taken.
    plain: Vec<u8>,
    ended: bool,
}

impl TlsChannel {
    /// The beginning of a connection; a client names its server, whose
    /// certificate must have that name.
    ///
    /// # Errors
    ///
    /// The name cannot be a host's.
    pub fn new(creds: &TlsCreds, hostname: Option<&str>) -> Result<Self, Error> {
        let failed = |e: rustls::Error| Error::new(format!("TLS cannot be started: {e}"));
        let mut tls = match &creds.loaded {
            Loaded::Server(config) => {
                Connection::from(ServerConnection::new(config.clone()).map_err(failed)?)
            }
            Loaded::Client(config) => {
                let host = hostname.filter(|h| !h.is_empty()).unwrap_or("localhost");
                let name = ServerName::try_from(host.to_owned()).map_err(|_| {
                    Error::new(format!("'{host}' cannot be the name in a certificate"))
                })?;
                Connection::from(ClientConnection::new(config.clone(), name).map_err(failed)?)
            }
        };
        // Who calls `send` decides how much.
        tls.set_buffer_limit(None);
        Ok(TlsChannel {
            tls,
            plain: Vec::new(),
            ended: false,
        })
    }

    /// Takes bytes from the wire, however they are cut. What comes after the
    /// peer's close_notify is ignored.
    ///
    /// # Errors
    ///
    /// Why this connection cannot go on.
    pub fn receive(&mut self, mut wire: &[u8]) -> Result<(), String> {
        while !wire.is_empty() && !self.ended {
            self.tls.read_tls(&mut wire).map_err(|e| e.to_string())?;
            let state = self.tls.process_new_packets().map_err(|e| e.to_string())?;
            let before = self.plain.len();
            self.plain
                .resize(before + state.plaintext_bytes_to_read(), 0);
            let got = self.tls.reader().read_exact(&mut self.plain[before..]);
            got.map_err(|e| e.to_string())?;
            self.ended = state.peer_has_closed();
        }
        Ok(())
    }

    /// Whether the peer is not yet known.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether the peer has said that nothing more comes.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// What was decrypted and not yet consumed.
    pub fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Drops the first `n` plain bytes.
    pub fn consume(&mut self, n: usize) {
        self.plain.drain(..n);
    }

    /// Encrypts.
    pub fn send(&mut self, plain: &[u8]) {
        // It writes to memory, without limit.
        let _ = self.tls.writer().write_all(plain);
    }

    /// Says that nothing more comes.
    pub fn close(&mut self) {
        self.tls.send_close_notify();
    }

    /// Appends to `out` what is to be sent.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        while self.tls.wants_write() {
            let _ = self.tls.write_tls(out);
        }
    }

    /// The name in the peer's certificate, which the handshake has verified.
    pub fn peer_name(&self) -> Option<String> {
        let certificates = self.tls.peer_certificates()?;
        distinguished_name(certificates.first()?)
    }
}
