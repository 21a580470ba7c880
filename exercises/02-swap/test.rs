//! Swap the watch.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/turns.rs"]
mod turns;

use std::os::unix::net::{UnixListener, UnixStream};
use std::rc::Rc;

use exercise::{listen, App};
use peer::Peer;
use qmonitor::main_loop::MainLoop;
use turns::settle;

#[test]
fn the_second_client_waits_until_the_first_has_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echo");
    let listener = Rc::new(UnixListener::bind(&path).unwrap());
    let mut app = App {
        main_loop: MainLoop::new().unwrap(),
        listener,
    };
    listen(&mut app);

    let mut first = Peer::new(UnixStream::connect(&path).unwrap());
    first.send("one");
    settle(&mut app);
    assert_eq!(first.received(), "one");

    let mut second = Peer::new(UnixStream::connect(&path).unwrap());
    second.send("two");
    settle(&mut app);
    assert_eq!(second.received(), "", "there is a client already");
    first.send("three");
    settle(&mut app);
    assert_eq!(
        first.received(),
        "three",
        "the first client is still served"
    );

    drop(first);
    settle(&mut app);
    assert_eq!(
        second.received(),
        "two",
        "now it is the second client's turn"
    );

    drop(second);
    settle(&mut app);
    assert_eq!(app.main_loop.watch_count(), 1, "one watch: it listens");
}
