//! The reply after the close.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/turns.rs"]
mod turns;

use std::os::unix::net::UnixStream;
use std::time::Duration;

use exercise::{connect, App};
use peer::Peer;
use turns::settle;

fn client(app: &mut App) -> Peer {
    let (ours, theirs) = UnixStream::pair().unwrap();
    connect(app, theirs);
    Peer::new(ours)
}

fn advance(app: &mut App, ms: u64) {
    app.main_loop.time_advance(Duration::from_millis(ms));
    settle(app);
}

#[test]
fn an_answer_is_for_the_client_that_asked() {
    let mut app = App::new();
    let mut first = client(&mut app);
    first.send("one");
    settle(&mut app);
    advance(&mut app, 100);
    assert_eq!(first.received(), "answer to one\n");

    first.send("two");
    settle(&mut app);
    drop(first);
    settle(&mut app);
    let mut second = client(&mut app);
    second.send("three");
    settle(&mut app);
    advance(&mut app, 100);
    assert_eq!(
        second.received(),
        "answer to three\n",
        "it asked nothing else"
    );
}
