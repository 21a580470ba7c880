//! Accept a client by hand.

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
fn each_client_is_greeted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("hello");
    let listener = Rc::new(UnixListener::bind(&path).unwrap());
    let mut app = App {
        main_loop: MainLoop::new().unwrap(),
        clients: Vec::new(),
    };
    listen(&mut app, listener.clone());
    settle(&mut app);
    assert_eq!(app.clients.len(), 0, "nobody has connected");

    for count in 1..=3 {
        let mut peer = Peer::new(UnixStream::connect(&path).unwrap());
        settle(&mut app);
        assert_eq!(
            app.clients.len(),
            count,
            "the loop did not accept the client"
        );
        peer.send("is anybody there?\n");
        assert_eq!(peer.received(), "hello\n");
    }
}
