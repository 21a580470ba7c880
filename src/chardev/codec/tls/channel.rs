//! TLS as a codec: bytes of the wire in and out, plain bytes out and in.
//!
//! ```text
//!            receive: hello, certificates, finished
//!   ┌─────────────┐ ───────────────────────────────▶ ┌──────┐ receive: close_notify
//!   │ handshaking │                                  │ open │ ─────────────────────▶ ended
//!   └─────────────┘                                  └──────┘
//!          │ receive: a record that makes no sense      │
//!          └───────────────────▶ Err ◀──────────────────┘
//! ```
//!
//! After each call [`take_output`](TlsChannel::take_output) may have something to send: an
//! answer of the handshake, a record, or the alert that tells the peer why it is over.

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
    ended: bool,
}

impl TlsChannel {
    /// The beginning of a connection. A client names the host that its server's
    /// certificate must be for.
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
        // The caller of `send` limits how much.
        tls.set_buffer_limit(None);
        Ok(TlsChannel { tls, ended: false })
    }

    /// Takes bytes from the wire, however they are cut, and appends what it
    /// decrypts to `plain`. Bytes behind the peer's close_notify are ignored.
    ///
    /// # Errors
    ///
    /// Why this connection cannot go on.
    pub fn receive(&mut self, mut wire: &[u8], plain: &mut Vec<u8>) -> Result<(), String> {
        while !wire.is_empty() && !self.ended {
            self.tls.read_tls(&mut wire).map_err(|e| e.to_string())?;
            let state = self.tls.process_new_packets().map_err(|e| e.to_string())?;
            let before = plain.len();
            plain.resize(before + state.plaintext_bytes_to_read(), 0);
            let got = self.tls.reader().read_exact(&mut plain[before..]);
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

    /// Encrypts.
    pub fn send(&mut self, plain: &[u8]) {
        // It writes to memory, without limit.
        let _ = self.tls.writer().write_all(plain);
    }

    /// Says that nothing more comes.
    pub fn close(&mut self) {
        self.tls.send_close_notify();
    }

    /// Moves the bytes for the wire to the end of `out`.
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

#[cfg(test)]
mod tests {
    use super::super::testing::Pki;
    use super::super::TlsEndpoint;
    use super::*;

    /// One end, and what it has decrypted.
    struct End {
        tls: TlsChannel,
        plain: Vec<u8>,
    }

    impl End {
        fn new(creds: &TlsCreds, hostname: Option<&str>) -> Self {
            End {
                tls: TlsChannel::new(creds, hostname).unwrap(),
                plain: Vec::new(),
            }
        }

        fn receive(&mut self, wire: &[u8]) -> Result<(), String> {
            self.tls.receive(wire, &mut self.plain)
        }

        fn take(&mut self) -> Vec<u8> {
            std::mem::take(&mut self.plain)
        }
    }

    /// Two ends and what is between them, `step` bytes at a time.
    struct Pair {
        server: End,
        client: End,
        step: usize,
    }

    fn deliver(from: &mut End, to: &mut End, step: usize) -> Result<bool, String> {
        let mut wire = Vec::new();
        from.tls.take_output(&mut wire);
        for piece in wire.chunks(step) {
            to.receive(piece)?;
        }
        Ok(!wire.is_empty())
    }

    impl Pair {
        fn new(pki: &Pki, step: usize) -> Self {
            Pair {
                server: End::new(&pki.server(), None),
                client: End::new(&pki.client(), Some("localhost")),
                step,
            }
        }

        /// Lets bytes flow until there are none left.
        fn settle(&mut self) -> Result<(), String> {
            while deliver(&mut self.client, &mut self.server, self.step)?
                | deliver(&mut self.server, &mut self.client, self.step)?
            {}
            Ok(())
        }
    }

    #[test]
    fn however_it_is_cut() {
        let pki = Pki::new();
        for step in [1, 2, 5, 100, 1 << 20] {
            let mut pair = Pair::new(&pki, step);
            assert!(pair.server.tls.is_handshaking());
            pair.settle().unwrap();
            assert!(!pair.server.tls.is_handshaking() && !pair.client.tls.is_handshaking());
            let name = pair.server.tls.peer_name();
            assert_eq!(name.as_deref(), Some("O=Example,CN=client"));
            pair.client.tls.send(b"hello");
            pair.server.tls.send(&vec![b'x'; 100_000]);
            pair.settle().unwrap();
            assert_eq!(pair.server.take(), b"hello");
            assert_eq!(pair.client.take(), vec![b'x'; 100_000]);
            pair.client.tls.send(b"bye");
            pair.client.tls.close();
            pair.settle().unwrap();
            assert!(pair.server.tls.has_ended());
            assert_eq!(pair.server.take(), b"bye");
            assert_eq!(pair.server.receive(b"what comes later"), Ok(()));
            assert_eq!(pair.server.take(), b"");
        }
    }

    #[test]
    fn both_versions() {
        let pki = Pki::new();
        for (version, wire) in [("TLS1.2", [3, 3]), ("TLS1.3", [3, 4])] {
            let mut options = pki.options(TlsEndpoint::Client);
            options.priority = format!("NORMAL:-VERS-ALL:+VERS-{version}");
            let mut pair = Pair::new(&pki, 1000);
            let creds = options.load().unwrap();
            pair.client = End::new(&creds, Some("127.0.0.1"));
            pair.settle().unwrap();
            let spoken = pair.server.tls.tls.protocol_version().unwrap();
            assert_eq!(u16::from(spoken).to_be_bytes(), wire);
        }
    }

    #[test]
    fn garbage_and_damage_end_it_with_an_alert() {
        let pki = Pki::new();
        let mut server = End::new(&pki.server(), None);
        server.receive(b"GET / HTTP/1.1\r\n\r\n").unwrap_err();
        let mut alert = Vec::new();
        server.tls.take_output(&mut alert);
        assert_eq!(alert[0], 21, "an alert");

        let mut pair = Pair::new(&pki, 1000);
        pair.settle().unwrap();
        let mut wire = Vec::new();
        pair.client.tls.send(b"hello");
        pair.client.tls.take_output(&mut wire);
        *wire.last_mut().unwrap() ^= 1;
        let e = pair.server.receive(&wire).unwrap_err();
        assert_eq!(e, "cannot decrypt peer's message");
        assert_eq!(pair.server.take(), b"");
    }

    #[test]
    fn a_server_must_have_the_name_that_was_asked_for() {
        let pki = Pki::new();
        for (host, fits) in [
            ("localhost", true),
            ("", true),
            ("127.0.0.1", true),
            ("example.com", false),
            ("127.0.0.2", false),
        ] {
            let mut pair = Pair::new(&pki, 1000);
            pair.client = End::new(&pki.client(), Some(host));
            assert_eq!(pair.settle().is_ok(), fits, "{host}");
        }
        let e = TlsChannel::new(&pki.client(), Some("a b")).err().unwrap();
        assert_eq!(e.desc(), "'a b' cannot be the name in a certificate");
    }

    #[test]
    fn who_is_believed() {
        let pki = Pki::new();
        let others = Pki::with_ca(|p| {
            let name = &mut p.distinguished_name;
            name.push(rcgen::DnType::CommonName, "Other CA");
        });
        pki.issue("client", |p| p.serial_number = Some(7.into()));
        let outcome = |server: &TlsCreds, client: &TlsCreds| {
            let mut pair = Pair {
                server: End::new(server, None),
                client: End::new(client, Some("localhost")),
                step: 1000,
            };
            pair.settle().map(|()| pair.server.tls.peer_name())
        };
        let name = Some("O=Example,CN=client".to_owned());
        assert_eq!(outcome(&pki.server(), &pki.client()), Ok(name));
        let unknown = "invalid peer certificate: UnknownIssuer";
        assert_eq!(
            outcome(&others.server(), &pki.client()),
            Err(unknown.into())
        );

        // A client of another CA that would believe anybody.
        let mut careless = others.options(TlsEndpoint::Client);
        careless.verify_peer = false;
        let careless = careless.load().unwrap();
        let e = outcome(&pki.server(), &careless).unwrap_err();
        assert_eq!(e, unknown);
        let mut open = pki.options(TlsEndpoint::Server);
        open.verify_peer = false;
        let open = open.load().unwrap();
        assert_eq!(outcome(&open, &careless), Ok(None));

        pki.revoke(8);
        assert!(outcome(&pki.server(), &pki.client()).is_ok());
        pki.revoke(7);
        let e = outcome(&pki.server(), &pki.client()).unwrap_err();
        assert_eq!(e, "invalid peer certificate: Revoked");

        pki.remove("client-key.pem");
        let e = outcome(&pki.server(), &pki.client()).unwrap_err();
        assert_eq!(e, "peer sent no certificates");
    }
}
