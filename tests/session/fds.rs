//! Which request gets a descriptor.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use qmonitor::chardev::ChardevHost;
use qmonitor::chardev::MemoryPeer;
use qmonitor::qapi::QmpCommandOptions;

use crate::world::*;

/// Adds the command `claim`, which notes the file behind a name.
fn world() -> World {
    let mut w = World::new();
    immediate(&mut w.rt, "claim", QmpCommandOptions::NONE, |rt, call| {
        let args = call.take_args();
        let name = args.get_str("tag").unwrap();
        let fd = rt.monitor_get_fd(name).expect("a monitor is served")?;
        let file = std::fs::read_link(format!("/proc/thread-self/fd/{}", fd.as_raw_fd())).unwrap();
        rt.state.notes.push(file.display().to_string());
        Ok(())
    });
    w
}

fn null() -> OwnedFd {
    File::open("/dev/null").unwrap().into()
}

fn zero() -> OwnedFd {
    File::open("/dev/zero").unwrap().into()
}

fn getfd(name: &str, id: i64) -> String {
    format!("{{'execute': 'getfd', 'arguments': {{'fdname': '{name}'}}, 'id': {id}}}")
}

fn claim(name: &str, id: i64) -> String {
    note_req(name, id).replace("note", "claim")
}

const NONE: &str = "No file descriptor supplied via SCM_RIGHTS";

/// Has the session read one request with its descriptor.
fn send_with(w: &mut World, peer: MemoryPeer, request: &str, fd: OwnedFd) {
    peer.send_fd(&mut w.rt, fd);
    w.send(peer, request);
    w.settle();
}

#[test]
fn requests_that_wait_keep_their_descriptors_apart() {
    let mut w = world();
    let a = w.oob_client("a");
    w.send(a, req("hold", 1));
    w.settle();
    w.send(a, getfd("early", 2));
    w.settle();
    send_with(&mut w, a, &getfd("null", 3), null());
    send_with(&mut w, a, &getfd("zero", 4), zero());
    w.release();
    w.expect(a, &[ok(1), err("2", NONE), ok(3), ok(4)]);
    w.send(a, claim("null", 5) + &claim("zero", 6));
    w.expect(a, &[ok(5), ok(6)]);
    w.expect_notes(&["/dev/null", "/dev/zero"]);
}

#[test]
fn a_descriptor_waits_for_a_request_that_takes_it() {
    let mut w = world();
    let a = w.client("a");
    send_with(&mut w, a, "{'execute': ", null());
    w.send(a, "'note', 'id': 1}");
    w.send(a, getfd("null", 2) + &getfd("again", 3));
    w.expect(a, &["{\"return\": {}, \"id\": 1}", &ok(2), &err("3", NONE)]);
    w.send(a, claim("null", 4));
    w.expect(a, &[ok(4)]);
    w.expect_notes(&["", "/dev/null"]);
}

#[test]
fn a_newer_descriptor_replaces_one_that_nobody_took() {
    let mut w = world();
    let a = w.client("a");
    send_with(&mut w, a, &note_req("x", 1), null());
    send_with(&mut w, a, &getfd("f", 2), zero());
    w.send(a, getfd("g", 3) + &claim("f", 4));
    w.expect(a, &[ok(1), ok(2), err("3", NONE), ok(4)]);
    w.expect_notes(&["x", "/dev/zero"]);
}

#[test]
fn a_descriptor_goes_with_its_connection() {
    let mut w = world();
    let a = w.client("a");
    send_with(&mut w, a, "{'execute': ", null());
    a.close(&mut w.rt);
    w.settle();
    w.connect(a, "");
    w.send(a, getfd("f", 1));
    w.expect(a, &[err("1", NONE)]);
}
