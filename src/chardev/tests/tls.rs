//! Socket chardevs that speak TLS, with real sockets and a codec at the other end.

use std::io::ErrorKind;
use std::net::{Shutdown, TcpListener, TcpStream};

use super::*;
use crate::chardev::codec::tls::testing::Pki;
use crate::chardev::codec::tls::TlsChannel;

use ChrEvent::*;

/// A peer: the codec on a socket.
pub(super) struct Peer {
    pub tcp: TcpStream,
    pub tls: TlsChannel,
    /// What it has decrypted.
    pub plain: Vec<u8>,
    /// The chardev has closed the connection.
    pub gone: bool,
    /// Why the codec has given up.
    pub error: Option<String>,
}

impl Peer {
    pub fn new(tcp: TcpStream, creds: &TlsCreds) -> Self {
        tcp.set_nonblocking(true).unwrap();
        Peer {
            tcp,
            tls: TlsChannel::new(creds, Some("localhost")).unwrap(),
            plain: Vec::new(),
            gone: false,
            error: None,
        }
    }

    /// What the codec wants to send.
    pub fn wire(&mut self) -> Vec<u8> {
        let mut wire = Vec::new();
        self.tls.take_output(&mut wire);
        wire
    }

    /// Sends what there is, then takes what has come.
    pub fn exchange(&mut self) {
        let wire = self.wire();
        // Into a socket that was closed, perhaps.
        let _ = self.tcp.write_all(&wire);
        self.take_in();
    }

    pub fn take_in(&mut self) {
        let mut buf = [0; 65536];
        loop {
            match self.tcp.read(&mut buf) {
                Ok(0) => self.gone = true,
                Ok(n) => {
                    self.error = self.tls.receive(&buf[..n], &mut self.plain).err();
                    continue;
                }
                Err(e) => self.gone |= e.kind() != ErrorKind::WouldBlock,
            }
            return;
        }
    }

    pub fn plain(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.plain)
    }
}

/// A server and its certificates.
pub(super) struct Server {
    pub app: App,
    pub chr: ChardevId,
    pub pki: Pki,
    port: u16,
}

impl Server {
    fn new(options: &str) -> Self {
        let pki = Pki::new();
        let mut app = App::new();
        app.tls_creds.push(("tls0", pki.server()));
        let (chr, port) = listen(&mut app, "s", options);
        Server {
            app,
            chr,
            pki,
            port,
        }
    }

    fn tcp(&mut self) -> TcpStream {
        let tcp = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        self.app.turn();
        tcp
    }

    /// A client at the beginning of its handshake.
    fn connect(&mut self) -> Peer {
        let creds = self.pki.client();
        Peer::new(self.tcp(), &creds)
    }

    fn until(&mut self, peer: &mut Peer, mut so: impl FnMut(&mut App, &mut Peer) -> bool) {
        self.app.until(|app| {
            peer.exchange();
            so(app, peer)
        });
    }

    fn is_open(&self) -> bool {
        is_open(&self.app, self.chr)
    }

    /// A client that has been let in.
    #[track_caller]
    fn open(&mut self) -> Peer {
        let mut peer = self.connect();
        let chr = self.chr;
        self.until(&mut peer, |app, peer| {
            !peer.tls.is_handshaking() && is_open(app, chr)
        });
        peer
    }

    #[track_caller]
    fn expect_report(&mut self, reason: &str) {
        let reports = std::mem::take(&mut self.app.reports);
        let [report] = &reports[..] else {
            panic!("{reports:?}")
        };
        let head = format!(
            "TLS failed on character device s (tcp:127.0.0.1:{},server=on <-> 127.0.0.1:",
            self.port
        );
        assert!(report.starts_with(&head), "{report}");
        assert!(report.ends_with(&format!("): {reason}")), "{report}");
    }
}

fn is_open(app: &App, chr: ChardevId) -> bool {
    !app.filename(chr).starts_with("disconnected:")
}

fn listen(app: &mut App, label: &str, options: &str) -> (ChardevId, u16) {
    let chr = app.add(&format!(
        "socket,id={label},host=127.0.0.1,port=0,server=on,wait=off,tls-creds=tls0{options}"
    ));
    let port = match char_socket_get_addr(app, chr) {
        Some(SocketAddress::Inet(inet)) => inet.port.parse().unwrap(),
        other => panic!("{other:?}"),
    };
    (chr, port)
}

#[test]
fn it_opens_after_the_handshake_however_it_is_cut_and_whoever_listens() {
    let mut s = Server::new("");
    let idle = s.app.filename(s.chr);
    let mut peer = s.connect();
    while peer.tls.is_handshaking() {
        let wire = peer.wire();
        for byte in wire {
            peer.tcp.write_all(&[byte]).unwrap();
            s.app.turn();
            if peer.tls.is_handshaking() {
                assert_eq!(s.app.filename(s.chr), idle);
            }
        }
        peer.take_in();
    }
    s.until(&mut peer, |app, _| {
        app.filename(app.chardevs.find("s").unwrap()) != idle
    });
    let front = s.app.attach(s.chr);
    s.app.expect_events(front, &[Opened]);
    assert_eq!(s.app.reports, [""; 0]);
}

#[test]
fn talk_leave_and_again() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    for _ in 0..3 {
        let mut peer = s.open();
        s.app.expect_events(front, &[Opened]);
        peer.tls.send(b"hello");
        s.until(&mut peer, |app, _| app.fronts[front].got.len() == 5);
        s.app.expect_input(front, "hello");
        assert_eq!(s.app.write(front, "hi").unwrap(), 2);
        s.until(&mut peer, |_, peer| peer.plain == b"hi");
        // What comes before the end is read, and the end is answered.
        peer.tls.send(b"bye");
        peer.tls.close();
        s.until(&mut peer, |_, peer| peer.gone);
        s.app.expect_input(front, "bye");
        s.app.expect_events(front, &[Closed]);
        assert!(peer.tls.has_ended());
    }
}

#[test]
fn who_cannot_show_a_certificate_of_the_ca_is_dropped() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let others = Pki::new();
    let mut careless = others.options(TlsEndpoint::Client);
    careless.verify_peer = false;
    let stranger = careless.load().unwrap();
    s.pki.remove("client-key.pem");
    let nameless = s.pki.client();
    s.pki.issue("client", |_| {});
    for (creds, reason) in [
        (stranger, "invalid peer certificate: BadSignature"),
        (nameless, "peer sent no certificates"),
    ] {
        let mut peer = Peer::new(s.tcp(), &creds);
        s.until(&mut peer, |_, peer| peer.gone);
        assert!(peer.error.is_some(), "no alert came");
        s.expect_report(reason);
        s.app.expect_events(front, &[]);
        drop(s.open());
        s.app.until(|app| app.fronts[front].events.len() == 2);
        s.app.expect_events(front, &[Opened, Closed]);
    }
}

#[test]
fn the_authorization_decides() {
    let mut s = Server::new(",tls-authz=authz");
    let front = s.app.attach(s.chr);
    let mut peer = s.connect();
    s.until(&mut peer, |_, peer| peer.gone);
    s.expect_report("authz does not let 'O=Example,CN=client' in");
    s.app.expect_events(front, &[]);
    assert_eq!(peer.plain(), b"");

    s.app.allowed.push("O=Example,CN=client");
    drop(s.open());
    s.app.expect_events(front, &[Opened]);

    let (_, port) = listen(&mut s.app, "t", ",tls-authz=nope");
    let creds = s.pki.client();
    let mut peer = Peer::new(TcpStream::connect(("127.0.0.1", port)).unwrap(), &creds);
    s.until(&mut peer, |_, peer| peer.gone);
    let report = s.app.reports.pop().unwrap();
    assert!(
        report.ends_with("): Cannot find QAuthZ object ID nope"),
        "{report}"
    );
}

#[test]
fn what_is_no_tls_is_dropped() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    for (bytes, reason) in [
        (
            &b"{\"execute\": \"qmp_capabilities\"}\r\n"[..],
            "received corrupt message of type InvalidContentType",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "received corrupt message of type InvalidContentType",
        ),
        (
            &[0xff; 70_000],
            "received corrupt message of type InvalidContentType",
        ),
        (b"", "the peer went away"),
        (b"\x16\x03\x01", "the peer went away"),
    ] {
        let mut tcp = s.tcp();
        let _ = tcp.write_all(bytes);
        let _ = tcp.shutdown(Shutdown::Write);
        s.app.until(|app| !app.reports.is_empty());
        s.expect_report(reason);
    }
    s.app.expect_events(front, &[]);
    drop(s.open());
}

#[test]
fn a_client_may_vanish_at_any_point_of_the_handshake() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let mut at = 0;
    loop {
        // It sends `at` bytes in all.
        let mut peer = s.connect();
        let mut left = at;
        while peer.tls.is_handshaking() && left > 0 {
            let wire = peer.wire();
            let n = wire.len().min(left);
            peer.tcp.write_all(&wire[..n]).unwrap();
            left -= n;
            s.app.turn();
            peer.take_in();
        }
        let through = left > 0 || s.is_open();
        drop(peer);
        s.app.until(|app| {
            app.filename(app.chardevs.find("s").unwrap())
                .starts_with("disc")
        });
        if through {
            break;
        }
        s.app.expect_events(front, &[]);
        at += 61;
    }
    s.app.fronts[front].events.clear();
    drop(s.open());
    s.app.expect_events(front, &[Opened]);
}

#[test]
fn a_handshake_that_stalls_holds_up_nobody_else() {
    let mut s = Server::new("");
    let (other, port) = listen(&mut s.app, "t", "");
    let _stalled = s.connect();
    let creds = s.pki.client();
    let mut peer = Peer::new(TcpStream::connect(("127.0.0.1", port)).unwrap(), &creds);
    s.until(&mut peer, |app, _| is_open(app, other));
    assert!(!s.is_open());
    // It does not keep the loop busy either.
    assert!(!main_loop_wait(&mut s.app, Some(Duration::ZERO)).unwrap());
}

#[test]
fn a_front_end_that_takes_little_gets_all() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    s.app.fronts[front].room = 3;
    let mut peer = s.open();
    let text: Vec<u8> = (0..40_000u32).map(|i| i as u8).collect();
    peer.tls.send(&text[..100]);
    s.until(&mut peer, |app, _| app.fronts[front].got.len() == 100);
    // Busy: what is decrypted waits, and the loop rests.
    s.app.fronts[front].room = 0;
    peer.tls.send(&text[100..]);
    peer.tls.close();
    peer.exchange();
    s.app.turn();
    assert_eq!(s.app.fronts[front].got.len(), 100);
    s.app.fronts[front].room = 10;
    s.until(&mut peer, |app, _| {
        app.fronts[front].events == [Opened, Closed]
    });
    s.app.expect_input(front, &text);
}

#[test]
fn what_was_decrypted_is_read_though_the_peer_is_gone() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let mut peer = s.open();
    s.app.fronts[front].room = 0;
    peer.tls.send(b"last words");
    peer.exchange();
    s.app.turn();
    s.app.fronts[front].room = 1;
    drop(peer);
    s.app
        .until(|app| app.fronts[front].events == [Opened, Closed]);
    s.app.expect_input(front, "last words");
}

#[test]
fn much_in_both_directions() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let mut peer = s.open();
    // More than the kernel takes.
    let text: Vec<u8> = (0..16_000_000u32).map(|i| (i / 7) as u8).collect();
    let mut written = 0;
    let mut blocked = false;
    let mut got = Vec::new();
    s.until(&mut peer, |app, peer| {
        got.extend(peer.plain());
        while written < text.len() {
            match app.write(front, &text[written..]) {
                Ok(n) => written += n,
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::WouldBlock);
                    blocked = true;
                    break;
                }
            }
        }
        got.len() == text.len()
    });
    assert!(got == text && blocked);
    for piece in text.chunks(50_000) {
        peer.tls.send(piece);
        let wire = peer.wire();
        let mut sent = 0;
        s.app.until(|_| {
            while let Ok(n @ 1..) = peer.tcp.write(&wire[sent..]) {
                sent += n;
            }
            sent == wire.len()
        });
    }
    s.app.until(|app| app.fronts[front].got.len() == text.len());
    assert!(s.app.fronts[front].got == text);
}

#[test]
fn a_damaged_record_ends_the_connection() {
    let mut s = Server::new("");
    let front = s.app.attach(s.chr);
    let mut peer = s.open();
    peer.tls.send(b"quit");
    let mut wire = peer.wire();
    *wire.last_mut().unwrap() ^= 1;
    peer.tcp.write_all(&wire).unwrap();
    s.until(&mut peer, |_, peer| peer.gone);
    s.app.expect_input(front, "");
    s.app.expect_events(front, &[Opened, Closed]);
    s.expect_report("cannot decrypt peer's message");
}

#[test]
fn removal_says_goodbye() {
    let mut s = Server::new("");
    let mut peer = s.open();
    chardev_remove(&mut s.app, "s").unwrap();
    s.until(&mut peer, |_, peer| peer.gone);
    assert!(peer.tls.has_ended());
}

#[test]
fn telnet_goes_inside() {
    let mut s = Server::new(",telnet=on");
    let front = s.app.attach(s.chr);
    let mut peer = s.open();
    s.until(&mut peer, |_, peer| peer.plain.len() >= 12);
    assert_eq!(
        peer.plain(),
        b"\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00"
    );
    peer.tls.send(b"a\xff\xffb\xff\xf3");
    s.until(&mut peer, |app, _| app.fronts[front].got.len() == 3);
    s.app.expect_events(front, &[Opened, Break]);
}

#[cfg(feature = "websocket")]
#[test]
fn websocket_goes_inside() {
    let mut s = Server::new(",websocket=on");
    let front = s.app.attach(s.chr);
    let mut peer = s.connect();
    s.until(&mut peer, |_, peer| !peer.tls.is_handshaking());
    assert!(!s.is_open());
    // A request in two records, the second with a frame behind it.
    let (one, two) = websocket::REQUEST.split_at(30);
    peer.tls.send(one.as_bytes());
    s.until(&mut peer, |_, _| true);
    peer.tls.send(&[two.as_bytes(), b"\x82\x82ABCD)+"].concat());
    s.until(&mut peer, |app, _| app.fronts[front].got == b"hi");
    s.app.write(front, "one").unwrap();
    s.until(&mut peer, |_, peer| peer.plain.ends_with(b"\x82\x03one"));
    let answer = String::from_utf8_lossy(&peer.plain()).into_owned();
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    s.app.expect_events(front, &[Opened]);
}

#[test]
fn waiting_includes_the_handshake() {
    let _fds = FdGuard::new();
    let pki = Pki::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let creds = pki.client();
    let mut app = App::new();
    app.tls_creds.push(("tls0", pki.server()));
    app.named_fds = Some(vec![("l".to_owned(), listener.into())]);
    let client = std::thread::spawn(move || {
        let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let mut peer = Peer::new(tcp, &creds);
        while peer.tls.is_handshaking() {
            peer.exchange();
            std::thread::yield_now();
        }
        peer.exchange();
        peer
    });
    let chr = app.add("socket,id=s,fd=l,server=on,wait=on,tls-creds=tls0");
    assert!(!app.filename(chr).starts_with("disconnected:"));
    drop(client.join().unwrap());
}

#[test]
fn several_clients_each_with_a_handshake_of_its_own() {
    let mut s = Server::new(",max-clients=3");
    let fe = qemu_chr_fe_init_server(&mut s.app, s.chr).unwrap();
    let handlers = CharHandlers {
        new_client: Some(|app: &mut App, _, client| {
            app.attach(client);
        }),
        ..CharHandlers::new(|_, _| 0, |_, _, _| {}, |_, _, event| panic!("{event:?}"))
    };
    qemu_chr_fe_set_handlers(&mut s.app, fe, Some(handlers), 0);
    let mut stalled = s.connect();
    let mut peer = s.connect();
    s.until(&mut peer, |app, _| app.fronts[1].events == [Opened]);
    peer.tls.send(b"hello");
    s.until(&mut peer, |app, _| app.fronts[1].got == b"hello");
    s.app.expect_events(0, &[]);
    // The one that failed is gone, with its chardev.
    stalled.tcp.write_all(b"no TLS").unwrap();
    s.until(&mut stalled, |_, stalled| stalled.gone);
    s.app.expect_events(0, &[Closed]);
    assert!(s.app.reports[0].starts_with("TLS failed on character device s.0 ("));
    assert!(s.app.chardevs.find("s.0").is_none());
}

#[test]
fn only_a_verified_peer_is_no_stranger() {
    let pki = Pki::new();
    let mut trusting = pki.options(TlsEndpoint::Server);
    trusting.verify_peer = false;
    let mut app = App::new();
    app.tls_creds.push(("tls0", pki.server()));
    app.tls_creds.push(("open", trusting.load().unwrap()));
    let options = "host=0.0.0.0,port=0,server=on,wait=off,tls-creds";
    let verified = app.add(&format!("socket,id=a,{options}=tls0"));
    let open = app.add(&format!("socket,id=b,{options}=open"));
    assert_eq!(qemu_chr_exposed_at(&app, verified), None);
    assert!(qemu_chr_exposed_at(&app, open).is_some());
}

#[test]
fn the_end_waits_for_a_front_end_that_is_not_done() {
    let mut s = Server::new("");
    let fe = qemu_chr_fe_init(&mut s.app, s.chr).unwrap();
    let handlers = CharHandlers {
        drained: Some(|app: &App, _, _| app.removes == "done"),
        ..CharHandlers::new(
            |_, _| 100,
            |_, _, _| {},
            |app, _, event| app.reports.push(event.name().to_owned()),
        )
    };
    qemu_chr_fe_set_handlers(&mut s.app, fe, Some(handlers), 0);
    let mut peer = s.open();
    peer.tls.send(b"work");
    peer.tls.close();
    s.until(&mut peer, |_, _| true);
    s.app.turn();
    assert_eq!(s.app.reports, ["CHR_EVENT_OPENED"]);
    // It can still be answered.
    qemu_chr_fe_write(&mut s.app, fe, b"result").unwrap();
    s.until(&mut peer, |_, peer| peer.plain == b"result");
    s.app.removes = "done";
    s.until(&mut peer, |_, peer| peer.gone);
    assert_eq!(s.app.reports, ["CHR_EVENT_OPENED", "CHR_EVENT_CLOSED"]);
}
