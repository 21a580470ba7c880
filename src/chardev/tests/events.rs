//! Front ends, labels and what may happen inside a handler.

use super::*;
use crate::chardev::backend::peer::MemoryPeer;
use crate::main_loop::{Condition, Flow};

use ChrEvent::*;

#[test]
fn a_front_end_hears_of_what_is_open_already() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "m").unwrap();
    peer.open(&mut app);
    let front = app.attach(peer.chardev());
    app.expect_events(front, &[Opened]);
    assert!(frontend_open(&app, peer.chardev()));
}

#[test]
fn null_is_never_open() {
    let mut app = App::new();
    let chr = app.add("null,id=n");
    let front = app.attach(chr);
    assert_eq!(app.write(front, "x").unwrap(), 1);
    app.turn();
    app.expect_events(front, &[]);
    assert_eq!(app.filename(chr), "null");
}

#[test]
fn a_chardev_has_one_front_end() {
    let mut app = App::new();
    let chr = app.add("null,id=n");
    let fe = qemu_chr_fe_init(&mut app, chr).unwrap();
    let e = qemu_chr_fe_init(&mut app, chr).unwrap_err();
    assert_eq!(e.desc(), "chardev 'n' is already in use");
    qemu_chr_fe_deinit(&mut app, fe, false);
    assert!(qemu_chr_fe_init(&mut app, chr).is_ok());
}

#[test]
fn labels() {
    let mut app = App::new();
    let chr = app.add("null,id=n");
    assert_eq!(qemu_chr_find(&app, "n"), Some(chr));
    assert_eq!(label(&app, chr), "n");
    let e = app.try_add("null,id=n").unwrap_err();
    let text = "attempt to add duplicate property 'n' to object (type 'container')";
    assert_eq!(e.desc(), text);
    // QMP takes anything.
    let null = ChardevConfig::new(ChardevBackend::Null);
    assert!(chardev_add(&mut app, "", null.clone()).is_ok());
    assert!(chardev_add(&mut app, "1 2", null).is_ok());
    let labels: Vec<_> = app.chardevs().iter().map(|(_, c)| c.label()).collect();
    assert_eq!(labels, ["n", "", "1 2"]);
}

#[test]
fn removal_and_its_errors() {
    let mut app = App::new();
    let chr = app.add("null,id=n");
    let e = chardev_remove(&mut app, "x").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'x' not found");
    let fe = qemu_chr_fe_init(&mut app, chr).unwrap();
    let e = chardev_remove(&mut app, "n").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'n' is busy");
    qemu_chr_fe_deinit(&mut app, fe, false);
    chardev_remove(&mut app, "n").unwrap();
    assert_eq!(qemu_chr_find(&app, "n"), None);
    // What has an old id finds nothing, also after its slot is used again.
    app.add("null,id=n");
    assert!(app.chardevs().get(chr).is_none());
    assert_eq!(app.filename(chr), "");
}

#[test]
fn change_and_its_errors() {
    let mut app = App::new();
    let chr = app.add("null,id=n");
    let null = || ChardevConfig::new(ChardevBackend::Null);
    let e = chardev_change(&mut app, "x", null()).unwrap_err();
    assert_eq!(e.desc(), "Chardev 'x' does not exist");
    let fe = qemu_chr_fe_init(&mut app, chr).unwrap();
    let e = chardev_change(&mut app, "n", null()).unwrap_err();
    assert_eq!(e.desc(), "Chardev user does not support chardev hotswap");
    qemu_chr_fe_deinit(&mut app, fe, false);
    assert!(chardev_change(&mut app, "n", null()).is_ok());
    // A change that fails loses the old one.
    let bad = SocketConfig::new(SocketAddress::Unix(UnixSocketAddress::path("/no/dir/s")));
    let bad = ChardevConfig::new(ChardevBackend::Socket(bad));
    let e = chardev_change(&mut app, "n", bad).unwrap_err();
    assert_eq!(
        e.desc(),
        "Failed to add chardev 'n': Failed to bind socket to /no/dir/s: No such file or directory"
    );
    assert_eq!(qemu_chr_find(&app, "n"), None);
}

#[test]
fn a_break_reaches_the_front_end() {
    let mut app = App::new();
    let chr = app.add("null,id=n");
    let front = app.attach(chr);
    chardev_send_break(&mut app, "n").unwrap();
    app.expect_events(front, &[Break]);
    let e = chardev_send_break(&mut app, "x").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'x' not found");
}

#[test]
fn input_comes_only_as_the_front_end_takes_it() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "m").unwrap();
    peer.open(&mut app);
    let front = app.attach(peer.chardev());
    app.fronts[front].room = 0;
    peer.send(&mut app, "abcdef");
    app.turn();
    app.expect_input(front, "");
    app.fronts[front].room = 4;
    app.turn();
    app.expect_input(front, "abcdef");
    assert_eq!(app.fronts[front].pieces, [4, 2]);
    peer.split(&mut app, 1);
    peer.send(&mut app, "xy");
    app.turn();
    assert_eq!(app.fronts[front].pieces, [4, 2, 1, 1]);
}

#[test]
fn closed_comes_after_the_last_byte() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "m").unwrap();
    let front = app.attach(peer.chardev());
    peer.open(&mut app);
    app.fronts[front].room = 1;
    peer.send(&mut app, "abc");
    peer.close(&mut app);
    app.fronts[front].on_event = |app, n, event| {
        if event == Closed {
            app.fronts[n].got.push(b'.');
        }
    };
    app.turn();
    app.expect_input(front, "abc.");
    app.expect_events(front, &[Opened, Closed]);
}

/// chardev → front end → another chardev → its front end, all on one stack.
#[test]
fn handlers_nest() {
    let mut app = App::new();
    let a = MemoryPeer::new(&mut app, "a").unwrap();
    let b = MemoryPeer::new(&mut app, "b").unwrap();
    for peer in [a, b] {
        let front = app.attach(peer.chardev());
        peer.open(&mut app);
        app.fronts[front].on_read = |app, n, bytes| {
            let other = app.fronts[1 - n].fe.chardev();
            if bytes == b"ping" {
                qemu_chr_be_write(app, other, b"pong");
            }
            app.write(n, bytes).unwrap();
        };
    }
    a.send(&mut app, "ping");
    a.expect(&mut app, "ping");
    b.expect(&mut app, "pong");
    app.expect_input(1, "pong");
}

#[test]
fn a_handler_may_remove_its_own_chardev() {
    for at in [Opened, Closed] {
        let mut app = App::new();
        let peer = MemoryPeer::new(&mut app, "m").unwrap();
        let front = app.attach(peer.chardev());
        if at == Closed {
            peer.open(&mut app);
        }
        app.fronts[front].on_event = |app, n, _| {
            let fe = app.fronts[n].fe;
            qemu_chr_fe_deinit(app, fe, true);
        };
        peer.open(&mut app);
        peer.close(&mut app);
        app.turn();
        assert!(app.chardevs().is_empty(), "{at:?}");
        assert_eq!(app.main_loop().watch_count(), 0);
    }
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "m").unwrap();
    let front = app.attach(peer.chardev());
    app.fronts[front].on_read = |app, n, _| {
        let fe = app.fronts[n].fe;
        qemu_chr_fe_deinit(app, fe, true);
    };
    peer.split(&mut app, 1);
    peer.send(&mut app, "xy");
    app.turn();
    app.expect_input(front, "x");
    assert!(app.chardevs().is_empty());
    assert_eq!(app.main_loop().watch_count(), 0);
}

#[test]
fn a_refused_write_can_be_waited_for() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "m").unwrap();
    let front = app.attach(peer.chardev());
    peer.open(&mut app);
    peer.limit(&mut app, 3);
    assert_eq!(app.write(front, "abcd").unwrap(), 3);
    let e = app.write(front, "d").unwrap_err();
    assert_eq!(e.kind(), std::io::ErrorKind::WouldBlock);
    let fe = app.fronts[front].fe;
    let watch = qemu_chr_fe_add_watch(&mut app, fe, Condition::OUT, move |app: &mut App, _| {
        app.write(front, "d").unwrap();
        Flow::Remove
    });
    assert!(watch.is_some());
    app.turn();
    assert_eq!(peer.output(&mut app), b"abc");
    peer.expect(&mut app, "d");
    assert!(!app.main_loop().has_watch(watch.unwrap()));
}

#[test]
fn what_is_written_to_a_closed_chardev_is_lost() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "m").unwrap();
    let front = app.attach(peer.chardev());
    assert_eq!(app.write(front, "lost").unwrap(), 4);
    peer.open(&mut app);
    peer.expect(&mut app, "");
}

#[test]
fn the_log_has_the_output_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    std::fs::write(&log, "old").unwrap();
    let opts = format!("null,id=n,logfile={}", log.display());
    let mut app = App::new();
    let chr = app.add(&opts);
    let front = app.attach(chr);
    app.write(front, "out\n").unwrap();
    qemu_chr_be_write(&mut app, chr, b"in\n");
    assert_eq!(std::fs::read(&log).unwrap(), b"out\n");
    qemu_chr_cleanup(&mut app);
    let chr = app.add(&format!("{opts},logappend=on"));
    let front = app.attach(chr);
    app.write(front, "more\n").unwrap();
    assert_eq!(std::fs::read(&log).unwrap(), b"out\nmore\n");
}

#[test]
fn log_errors() {
    let mut app = App::new();
    for (path, text) in [
        (
            "/no/dir/x",
            "Could not create '/no/dir/x': No such file or directory",
        ),
        ("/dev/fdset/5", "Failed to find fdset /dev/fdset/5"),
        ("/dev/fdset/x", "Could not parse fdset /dev/fdset/x"),
    ] {
        let e = app
            .try_add(&format!("null,id=n,logfile={path}"))
            .unwrap_err();
        assert_eq!(e.desc(), text);
        assert!(app.chardevs().is_empty());
    }
}
