//! Muxes.

use super::*;
use crate::chardev::backend::peer::MemoryPeer;

use ChrEvent::*;

/// A mux on a peer in memory.
pub(super) fn mux() -> (App, MemoryPeer, ChardevId) {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "base").unwrap();
    let chr = app.add("mux,id=m,chardev=base");
    (app, peer, chr)
}

#[test]
fn the_one_attached_last_has_the_focus_and_the_key_passes_it_on() {
    let (mut app, peer, chr) = mux();
    let fronts = [app.attach(chr), app.attach(chr), app.attach(chr)];
    app.expect_events(fronts[0], &[MuxIn, Opened, MuxOut]);
    app.expect_events(fronts[1], &[MuxIn, Opened, MuxOut]);
    app.expect_events(fronts[2], &[MuxIn, Opened]);
    for focus in [2, 0, 1, 2, 0] {
        peer.send(&mut app, "x\x01c");
        app.turn();
        app.expect_input(fronts[focus], "x");
        app.expect_events(fronts[focus], &[MuxOut]);
        app.expect_events(fronts[(focus + 1) % 3], &[MuxIn]);
    }
}

#[test]
fn what_the_base_tells_goes_to_all() {
    let (mut app, peer, chr) = mux();
    let fronts = [app.attach(chr), app.attach(chr)];
    for front in fronts {
        app.fronts[front].events.clear();
    }
    peer.open(&mut app);
    peer.close(&mut app);
    app.turn();
    for front in fronts {
        app.expect_events(front, &[Opened, Closed]);
    }
}

#[test]
fn while_suspended_nobody_hears_anything_and_then_everybody_once() {
    let mut app = App::new();
    let peer = MemoryPeer::new(&mut app, "base").unwrap();
    suspend_mux_open(&mut app);
    let chr = app.add("mux,id=m,chardev=base");
    let fronts = [app.attach(chr), app.attach(chr)];
    peer.open(&mut app);
    app.expect_events(fronts[0], &[MuxIn, MuxOut]);
    app.expect_events(fronts[1], &[MuxIn]);
    resume_mux_open(&mut app);
    for front in fronts {
        app.expect_events(front, &[Opened]);
    }
}

#[test]
fn front_end_open_is_about_the_mux() {
    let (mut app, peer, chr) = mux();
    let open = |app: &App| (frontend_open(app, peer.chardev()), frontend_open(app, chr));
    assert_eq!(open(&app), (false, false));
    let front = app.attach(chr);
    assert_eq!(open(&app), (true, true));
    let fe = app.fronts[front].fe;
    qemu_chr_fe_deinit(&mut app, fe, false);
    assert_eq!(open(&app), (false, false));
    assert_eq!(app.filename(chr), "mux");
}

#[test]
fn when_the_focused_one_leaves_the_next_one_gets_the_focus() {
    let (mut app, peer, chr) = mux();
    let fronts = [app.attach(chr), app.attach(chr)];
    let fe = app.fronts[fronts[1]].fe;
    qemu_chr_fe_deinit(&mut app, fe, false);
    peer.send(&mut app, "x");
    app.turn();
    app.expect_input(fronts[0], "x");
    // Its place is free again.
    let third = app.attach(chr);
    peer.send(&mut app, "y");
    app.turn();
    app.expect_input(third, "y");
}

#[test]
fn four_is_the_maximum() {
    let (mut app, _, chr) = mux();
    for _ in 0..4 {
        app.attach(chr);
    }
    let e = qemu_chr_fe_init(&mut app, chr).unwrap_err();
    assert_eq!(
        e.desc(),
        "too many uses of multiplexed chardev 'm' (maximum is 4)"
    );
}

#[test]
fn keys() {
    for (key, output, request) in [
        ("x", "QEMU: Terminated\n\r", Some(ChardevRequest::Exit(0))),
        ("s", "", Some(ChardevRequest::CommitAll)),
        ("z", "", None),
        ("X", "", None),
    ] {
        let (mut app, peer, chr) = mux();
        let front = app.attach(chr);
        peer.open(&mut app);
        // Prefix and letter in different reads.
        peer.split(&mut app, 1);
        peer.send(&mut app, format!("\x01{key}"));
        peer.expect(&mut app, output);
        app.expect_input(front, "");
        assert_eq!(app.requests, request.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn the_prefix_twice_is_input_and_b_is_a_break() {
    let (mut app, peer, chr) = mux();
    let front = app.attach(chr);
    app.fronts[front].events.clear();
    peer.send(&mut app, "\x01\x01\x01b");
    app.turn();
    app.expect_input(front, "\x01");
    app.expect_events(front, &[Break]);
}

#[test]
fn help_names_the_key() {
    let (mut app, peer, chr) = mux();
    app.attach(chr);
    peer.open(&mut app);
    peer.send(&mut app, "\x01h");
    peer.expect(
        &mut app,
        "\n\rC-a h    print this help\n\rC-a x    exit emulator\n\r\
         C-a s    save disk data back to file (if -snapshot)\n\r\
         C-a t    toggle console timestamps\n\r\
         C-a b    send break (magic sysrq)\n\r\
         C-a c    switch between console and monitor\n\r\
         C-a C-a  sends C-a\n\r",
    );
    set_term_escape_char(&mut app, b'~');
    peer.send(&mut app, "~?");
    peer.expect(
        &mut app,
        "\n\rEscape-Char set to Ascii: 0x7e\n\r\n\rEscape-Char h    print this help\n\r\
         Escape-Char x    exit emulator\n\r\
         Escape-Char s    save disk data back to file (if -snapshot)\n\r\
         Escape-Char t    toggle console timestamps\n\r\
         Escape-Char b    send break (magic sysrq)\n\r\
         Escape-Char c    switch between console and monitor\n\r\
         Escape-Char Escape-Char  sends Escape-Char\n\r",
    );
}

#[test]
fn input_waits_for_a_front_end_that_takes_none_and_keys_still_work() {
    let (mut app, peer, chr) = mux();
    let front = app.attach(chr);
    app.fronts[front].room = 0;
    peer.send(&mut app, "abc\x01s");
    app.turn();
    assert_eq!(app.requests, [ChardevRequest::CommitAll]);
    // More than the buffer holds stays with the peer.
    peer.send(&mut app, "d".repeat(100));
    app.turn();
    app.expect_input(front, "");
    app.fronts[front].room = 10;
    let fe = app.fronts[front].fe;
    qemu_chr_fe_accept_input(&mut app, fe);
    app.turn();
    app.expect_input(front, format!("abc{}", "d".repeat(100)));
}

#[test]
fn time_stamps_begin_with_the_line_after_the_next() {
    let (mut app, peer, chr) = mux();
    let front = app.attach(chr);
    peer.open(&mut app);
    peer.send(&mut app, "\x01t");
    app.turn();
    app.write(front, "a\nb\n").unwrap();
    app.advance(61_005);
    app.write(front, "c").unwrap();
    app.write(front, "d\n").unwrap();
    peer.expect(&mut app, "a\n[00:00:00.000] b\n[00:01:01.005] cd\n");
    peer.send(&mut app, "\x01t");
    app.turn();
    app.write(front, "e\nf\n").unwrap();
    peer.expect(&mut app, "e\nf\n");
}

#[test]
fn removal_of_a_mux_leaves_its_base() {
    let mut app = App::new();
    let chr = app.add("null,id=n,mux=on");
    assert_eq!(app.filename(chr), "mux");
    let base = qemu_chr_find(&app, "n-base").unwrap();
    assert_eq!(app.filename(base), "null");
    let e = chardev_remove(&mut app, "n-base").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'n-base' is busy");
    let null = ChardevConfig::new(ChardevBackend::Null);
    let e = chardev_change(&mut app, "n", null.clone()).unwrap_err();
    let text = "For mux or hub device hotswap is not supported yet";
    assert_eq!(e.desc(), text);
    let e = chardev_change(&mut app, "n-base", null).unwrap_err();
    assert_eq!(e.desc(), "Chardev user does not support chardev hotswap");
    chardev_remove(&mut app, "n").unwrap();
    chardev_remove(&mut app, "n-base").unwrap();
    assert!(app.chardevs().is_empty());
}

#[test]
fn a_mux_may_sit_on_a_mux() {
    let (mut app, peer, _) = mux();
    let outer = app.add("mux,id=o,chardev=m");
    let front = app.attach(outer);
    peer.open(&mut app);
    app.fronts[front].room = 1;
    peer.send(&mut app, "hello");
    app.turn();
    app.expect_input(front, "hello");
    app.write(front, "hi").unwrap();
    peer.expect(&mut app, "hi");
}

#[test]
fn a_handler_may_leave_the_mux_in_the_middle_of_input() {
    let (mut app, peer, chr) = mux();
    let front = app.attach(chr);
    app.fronts[front].room = 1;
    app.fronts[front].on_read = |app, n, _| {
        let fe = app.fronts[n].fe;
        qemu_chr_fe_deinit(app, fe, true);
    };
    peer.send(&mut app, "abc");
    app.turn();
    app.expect_input(front, "a");
    assert_eq!(qemu_chr_find(&app, "m"), None);
    assert!(chardev_remove(&mut app, "base").is_ok());
}

#[test]
fn input_comes_in_one_piece_up_to_the_escape_key() {
    let (mut app, peer, chr) = mux();
    let (first, second) = (app.attach(chr), app.attach(chr));
    let long = "x".repeat(5000);
    peer.send(&mut app, format!("{long}\x01c{long}\x01\x01y"));
    app.turn();
    app.expect_input(second, &long);
    app.expect_input(first, format!("{long}\x01y"));
    assert_eq!(app.fronts[second].pieces, [5000]);
    assert_eq!(app.fronts[first].pieces, [5000, 1, 1]);
}

#[test]
fn what_a_front_end_cannot_take_any_more_waits_for_it() {
    let (mut app, peer, chr) = mux();
    let (first, second) = (app.attach(chr), app.attach(chr));
    app.fronts[second].room = 1000;
    app.fronts[second].on_read = |app, n, _| app.fronts[n].room = 0;
    peer.send(&mut app, format!("{}\x01cfor the first", "x".repeat(500)));
    peer.split(&mut app, 300);
    app.turn();
    app.expect_input(second, "x".repeat(300));
    // Of the next piece the mux reads only what it has room for.
    app.expect_input(first, "");
    app.fronts[second].room = 1000;
    app.fronts[second].on_read = |_, _, _| {};
    let fe = app.fronts[second].fe;
    qemu_chr_fe_accept_input(&mut app, fe);
    app.turn();
    app.expect_input(second, "x".repeat(200));
    app.expect_input(first, "for the first");
}

#[test]
fn errors() {
    let mut app = App::new();
    app.add("null,id=n");
    app.add("null,id=x,mux=on");
    app.add("hub,id=h,chardevs.0=n");
    let stacked = |name: &str| {
        format!(
            "hub: multiplexers and hub devices can't be stacked, check chardev '{name}', \
             chardev should not be a hub device or have 'mux=on' enabled"
        )
    };
    for (opts, text) in [
        (
            "mux,id=a,chardev=b",
            "mux: base chardev b not found".to_owned(),
        ),
        ("mux,id=a,chardev=n", "chardev 'n' is already in use".into()),
        (
            "hub,id=a,chardevs.0=b",
            "hub: chardev can't be found by id 'b'".into(),
        ),
        (
            "hub,id=a,chardevs.0=n",
            "chardev 'n' is already in use".into(),
        ),
        ("hub,id=a,chardevs.0=x", stacked("x")),
        ("hub,id=a,chardevs.0=h", stacked("h")),
    ] {
        let e = app.try_add(opts).unwrap_err();
        assert_eq!(e.desc(), text, "{opts}");
    }
    // A hub that fails half way gives back what it had.
    app.add("null,id=free");
    assert!(app
        .try_add("hub,id=a,chardevs.0=free,chardevs.1=nosuch")
        .is_err());
    assert!(chardev_remove(&mut app, "free").is_ok());
    let e = chardev_remove(&mut app, "n").unwrap_err();
    assert_eq!(e.desc(), "Chardev 'n' is busy");
    chardev_remove(&mut app, "h").unwrap();
    chardev_remove(&mut app, "n").unwrap();
}
