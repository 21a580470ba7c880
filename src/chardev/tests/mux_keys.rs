//! Keys of a mux that wait for front ends without room.

use proptest::prelude::*;

use super::mux::mux;
use super::*;

use ChrEvent::*;

/// Handlers of a front end that works off all its input in time, but not while it has no
/// room.
const DILIGENT: CharHandlers<App> = CharHandlers {
    backlog: Some(|app, n| app.fronts[n as usize].room == 0),
    ..HANDLERS
};

fn attach_diligent(app: &mut App, chr: ChardevId) -> usize {
    let front = app.attach(chr);
    let fe = app.fronts[front].fe;
    qemu_chr_fe_set_handlers(app, fe, Some(DILIGENT), front as u64);
    app.fronts[front].events.clear();
    front
}

#[track_caller]
fn make_room(app: &mut App, front: usize, room: usize) {
    app.fronts[front].room = room;
    let fe = app.fronts[front].fe;
    qemu_chr_fe_accept_input(app, fe);
    app.turn();
}

#[test]
fn a_key_waits_until_what_came_before_is_worked_off() {
    let (mut app, peer, chr) = mux();
    let (first, second) = (
        attach_diligent(&mut app, chr),
        attach_diligent(&mut app, chr),
    );
    app.fronts[first].events.clear();
    app.fronts[second].room = 1000;
    app.fronts[second].on_read = |app, n, _| app.fronts[n].room = 0;
    peer.send(&mut app, "one\x01cto the first\x01c\x01btwo");
    app.turn();
    app.expect_input(second, "one");
    app.expect_input(first, "");
    app.expect_events(second, &[]);
    make_room(&mut app, second, 1000);
    app.expect_input(first, "to the first");
    app.expect_input(second, "two");
    app.expect_events(second, &[MuxOut, MuxIn, Break]);
}

#[test]
fn nothing_is_read_behind_a_key_that_waits() {
    let (mut app, peer, chr) = mux();
    let front = attach_diligent(&mut app, chr);
    app.fronts[front].room = 0;
    peer.send(&mut app, format!("abc\x01s{}", "d".repeat(100)));
    app.turn();
    assert_eq!(app.requests, []);
    assert_eq!(qemu_chr_be_can_write(&app, peer.chardev()), 0);
    // Without room for all of it, the key waits on.
    app.fronts[front].on_read = |app, n, bytes| app.fronts[n].room -= bytes.len();
    make_room(&mut app, front, 3);
    app.expect_input(front, "abc");
    assert_eq!(app.requests, []);
    make_room(&mut app, front, 1000);
    assert_eq!(app.requests, [ChardevRequest::CommitAll]);
    app.expect_input(front, "d".repeat(100));
}

#[test]
fn a_key_acts_while_nothing_before_it_waits() {
    let (mut app, peer, chr) = mux();
    let front = app.attach(chr);
    let unhurried = CharHandlers {
        backlog: Some(|_, _| false),
        ..HANDLERS
    };
    let fe = app.fronts[front].fe;
    qemu_chr_fe_set_handlers(&mut app, fe, Some(unhurried), front as u64);
    app.fronts[front].room = 0;
    peer.send(&mut app, "\x01sabc\x01x");
    app.turn();
    assert_eq!(app.requests, [ChardevRequest::CommitAll]);
}

#[test]
fn the_end_of_the_connection_does_not_wait_for_what_is_held() {
    let (mut app, peer, chr) = mux();
    let (first, second) = (
        attach_diligent(&mut app, chr),
        attach_diligent(&mut app, chr),
    );
    app.fronts[first].events.clear();
    app.fronts[second].room = 0;
    peer.open(&mut app);
    peer.send(&mut app, "lost\x01ckept\x01");
    peer.close(&mut app);
    app.turn();
    app.expect_events(second, &[Opened, MuxOut, Closed]);
    app.expect_events(first, &[Opened, MuxIn, Closed]);
    app.expect_input(second, "");
    app.expect_input(first, "kept");
    // The escape key was the last; the next client's first key is a command.
    peer.open(&mut app);
    peer.send(&mut app, "sx");
    app.turn();
    assert_eq!(app.requests, [ChardevRequest::CommitAll]);
    app.expect_input(first, "x");
}

#[test]
fn when_the_one_that_holds_input_up_leaves_the_rest_is_for_the_others() {
    let (mut app, peer, chr) = mux();
    let (first, second) = (
        attach_diligent(&mut app, chr),
        attach_diligent(&mut app, chr),
    );
    app.fronts[second].room = 0;
    peer.send(&mut app, "abc\x01s");
    app.turn();
    let fe = app.fronts[second].fe;
    qemu_chr_fe_deinit(&mut app, fe, false);
    app.turn();
    app.expect_input(first, "abc");
    assert_eq!(app.requests, [ChardevRequest::CommitAll]);
    let fe = app.fronts[first].fe;
    app.fronts[first].room = 0;
    peer.send(&mut app, "dropped with the last front end");
    app.turn();
    qemu_chr_fe_deinit(&mut app, fe, false);
    let third = attach_diligent(&mut app, chr);
    app.turn();
    app.expect_input(third, "");
}

#[test]
fn keys_wait_through_a_mux_on_a_mux() {
    let (mut app, peer, _) = mux();
    let outer = app.add("mux,id=o,chardev=m");
    let front = attach_diligent(&mut app, outer);
    app.fronts[front].room = 10;
    app.fronts[front].on_read = |app, n, _| app.fronts[n].room = 0;
    peer.send(&mut app, "abc\x01s");
    app.turn();
    assert_eq!(app.requests, []);
    make_room(&mut app, front, 10);
    assert_eq!(app.requests, [ChardevRequest::CommitAll]);
    app.expect_input(front, "abc");
}

/// Sends a script to two front ends that work off all their input, in pieces of `piece`
/// bytes. First they have no room, then `rooms` one after the other, then plenty. Returns
/// what each has got, and its events.
fn play(script: &str, piece: usize, rooms: &[usize]) -> [(String, Vec<ChrEvent>); 2] {
    let (mut app, peer, chr) = mux();
    let fronts = [
        attach_diligent(&mut app, chr),
        attach_diligent(&mut app, chr),
    ];
    for front in fronts {
        app.fronts[front].events.clear();
        app.fronts[front].room = 0;
        app.fronts[front].on_read = |app, n, bytes| app.fronts[n].room -= bytes.len();
    }
    peer.split(&mut app, piece);
    peer.send(&mut app, script);
    app.turn();
    for room in rooms.iter().chain(&[1000, 1000]) {
        for front in fronts {
            make_room(&mut app, front, *room);
        }
    }
    fronts.map(|front| {
        let front = &app.fronts[front];
        (front.got.escape_ascii().to_string(), front.events.clone())
    })
}

fn key_or_text() -> impl Strategy<Value = &'static str> {
    prop_oneof![
        Just("a"),
        Just("bcd"),
        Just("\x01c"),
        Just("\x01b"),
        Just("\x01\x01")
    ]
}

proptest! {
    /// However little the front ends take at a time, each gets the same input and events.
    #[test]
    fn keys_and_text_keep_their_order(
        script in prop::collection::vec(key_or_text(), 0..40),
        piece in 1usize..20,
        rooms in prop::collection::vec(0usize..6, 0..30),
    ) {
        let script = script.concat();
        prop_assert_eq!(play(&script, piece, &rooms), play(&script, 1000, &[]));
    }
}
