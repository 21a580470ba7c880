//! Socket chardevs that connect with TLS, and which credentials a socket takes.

use std::net::{TcpListener, TcpStream};

use super::tls::Peer;
use super::*;
use crate::chardev::codec::tls::testing::Pki;

use ChrEvent::*;

/// A chardev that reconnects to a listener of ours.
struct Client {
    app: App,
    front: usize,
    pki: Pki,
    listener: TcpListener,
    /// Last, to be dropped last.
    _fds: FdGuard,
}

impl Client {
    fn new() -> Self {
        let fds = FdGuard::new();
        let pki = Pki::new();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut app = App::new();
        app.tls_creds.push(("tls0", pki.client()));
        let chr = app.add(&format!(
            "socket,id=c,host=127.0.0.1,port={port},reconnect-ms=100,tls-creds=tls0"
        ));
        let front = app.attach(chr);
        Client {
            app,
            front,
            pki,
            listener,
            _fds: fds,
        }
    }

    fn accept(&mut self) -> TcpStream {
        self.app.turn();
        self.listener.accept().unwrap().0
    }

    /// What our server makes of the chardev, to the end of it or until it is open.
    fn serve(&mut self, creds: &TlsCreds) -> Peer {
        let mut peer = Peer::new(self.accept(), creds);
        let front = self.front;
        self.app.until(|app| {
            peer.exchange();
            peer.gone || !app.fronts[front].events.is_empty()
        });
        peer
    }
}

#[test]
fn it_opens_talks_and_comes_back() {
    let mut c = Client::new();
    let creds = c.pki.server();
    for _ in 0..2 {
        let mut peer = c.serve(&creds);
        c.app.expect_events(c.front, &[Opened]);
        c.app.write(c.front, "hello").unwrap();
        c.app.until(|_| {
            peer.exchange();
            peer.plain == b"hello"
        });
        assert_eq!(peer.tls.peer_name().as_deref(), Some("O=Example,CN=client"));
        peer.tls.send(b"hi");
        peer.exchange();
        let front = c.front;
        c.app.until(|app| app.fronts[front].got == b"hi");
        c.app.expect_input(c.front, "hi");
        drop(peer);
        c.app.until(|app| !app.fronts[front].events.is_empty());
        c.app.expect_events(c.front, &[Closed]);
        c.app.advance(100);
    }
    assert_eq!(c.app.reports, [""; 0]);
}

#[test]
fn of_a_row_of_failures_only_the_first_is_reported() {
    let mut c = Client::new();
    // A server that speaks no TLS.
    for _ in 0..3 {
        let mut tcp = c.accept();
        tcp.write_all(b"220 mail.example.com ESMTP\r\n").unwrap();
        c.app.until(|app| app.main_loop.watch_count() == 0);
        c.app.advance(100);
    }
    let reports = std::mem::take(&mut c.app.reports);
    assert_eq!(reports.len(), 1, "{reports:?}");
    let reason = "): received corrupt message of type InvalidContentType";
    assert!(reports[0].ends_with(reason), "{reports:?}");
    c.app.expect_events(c.front, &[]);

    let creds = c.pki.server();
    drop(c.serve(&creds));
    c.app.expect_events(c.front, &[Opened]);
}

#[test]
fn a_server_with_another_name_or_ca_is_not_believed() {
    let mut c = Client::new();
    let peer = c.serve(&Pki::new().server());
    assert!(peer.gone && peer.error.is_some());
    let report = &c.app.reports[0];
    assert!(
        report.ends_with("): invalid peer certificate: BadSignature"),
        "{report}"
    );
    c.app.expect_events(c.front, &[]);

    let mut c = Client::new();
    c.pki.issue("server", |p| p.subject_alt_names.truncate(1));
    let creds = c.pki.server();
    let peer = c.serve(&creds);
    assert!(peer.gone && peer.error.is_some());
    assert!(
        c.app.reports[0].contains("not valid for name"),
        "{:?}",
        c.app.reports
    );
}

#[test]
fn credentials_must_fit() {
    let pki = Pki::new();
    let mut app = App::new();
    let mut trusting = pki.options(TlsEndpoint::Server);
    trusting.verify_peer = false;
    app.tls_creds.push(("server", pki.server()));
    app.tls_creds.push(("client", pki.client()));
    app.tls_creds.push(("trusting", trusting.load().unwrap()));
    let inet = "host=127.0.0.1,port=0";
    for (options, expected) in [
        (
            format!("{inet},server=on,wait=off,tls-creds=nope"),
            "No TLS credentials with id 'nope'",
        ),
        (
            format!("{inet},server=on,wait=off,tls-creds=client"),
            "Expected TLS credentials for a server endpoint",
        ),
        (
            format!("{inet},tls-creds=server"),
            "Expected TLS credentials for a client endpoint",
        ),
        (
            "path=/x,tls-creds=client".to_owned(),
            "'tls_creds' option is incompatible with 'unix' address type",
        ),
        (
            "fd=1,tls-creds=client".to_owned(),
            "'tls_creds' option is incompatible with 'fd' address type as client",
        ),
        (
            format!("{inet},server=on,wait=off,tls-creds=trusting,tls-authz=a"),
            "'tls_authz' option requires TLS credentials with verify-peer=on",
        ),
    ] {
        let e = app.try_add(&format!("socket,id=s,{options}")).unwrap_err();
        assert_eq!(e.desc(), expected);
    }
}
