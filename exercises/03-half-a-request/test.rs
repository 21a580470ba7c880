//! Half a request.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/turns.rs"]
mod turns;

use std::os::unix::net::UnixStream;

use exercise::{serve, App};
use peer::Peer;
use qmonitor::main_loop::MainLoop;
use turns::settle;

#[test]
fn a_line_is_a_line_however_it_arrives() {
    let main_loop = MainLoop::new().unwrap();
    let mut app = App { main_loop };
    let (ours, theirs) = UnixStream::pair().unwrap();
    serve(&mut app, theirs);
    let mut peer = Peer::new(ours);
    let mut tell = |text: &str| {
        peer.send(text);
        settle(&mut app);
        peer.received()
    };

    assert_eq!(tell("ping\n"), "pong\n", "a whole line");
    assert_eq!(tell("pi"), "", "half a line is no line yet");
    assert_eq!(tell("ng\n"), "pong\n", "now it is one");
    assert_eq!(
        tell("ping\npong\nping\n"),
        "pong\nwhat?\npong\n",
        "three at once"
    );
    assert_eq!(tell("pong\npi"), "what?\n", "one and a half");
    assert_eq!(tell("ng\n"), "pong\n", "the other half");
}
