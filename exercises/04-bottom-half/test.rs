//! A bottom half too early.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/peer.rs"]
mod peer;
#[path = "../common/turns.rs"]
mod turns;

use std::os::unix::net::UnixStream;

use exercise::App;
use peer::Peer;
use turns::settle;

#[test]
fn the_client_is_told_when_the_device_has_answered() {
    let (client, client_end) = UnixStream::pair().unwrap();
    let (device, device_end) = UnixStream::pair().unwrap();
    let mut app = App::new(client_end, device_end);
    let (mut client, mut device) = (Peer::new(client), Peer::new(device));

    for answer in ["21 degrees", "22 degrees"] {
        client.send("how warm is it?");
        settle(&mut app);
        assert_eq!(device.received(), "how warm is it?");
        assert_eq!(client.received(), "", "the device has not answered yet");

        device.send(answer);
        settle(&mut app);
        let told = client.received();
        assert_eq!(told, format!("done: {answer}\n"), "the answer got lost");
    }
}
