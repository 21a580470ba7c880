//! Add a chardev backend.

#[cfg_attr(feature = "solutions", path = "solution/exercise.rs")]
mod exercise;
#[path = "../common/qmp.rs"]
mod qmp;

use qmonitor::chardev::{qemu_chr_fe_init, qemu_chr_fe_write, qemu_chr_find};
use qmp::Client;

#[test]
fn the_backend_counts_lines() {
    let mut rt = exercise::program();
    let client = Client::connect(&mut rt, "client");
    let add = "{'execute': 'chardev-add',                'arguments': {'id': 'log', 'backend': {'type': 'lines', 'data': {}}}}";
    assert_eq!(client.ask(&mut rt, add), [r#"{"return": {}}"#]);

    // What a monitor or a serial port would be to it: its front end.
    let chardev = qemu_chr_find(&rt, "log").expect("it was added");
    let front = qemu_chr_fe_init(&mut rt, chardev).expect("it is free");
    for text in ["one\ntw", "o\n", "three"] {
        let taken = qemu_chr_fe_write(&mut rt, front, text.as_bytes()).unwrap();
        assert_eq!(taken, text.len(), "a backend says how much it took");
    }

    let shown = client
        .ask(&mut rt, "{'execute': 'query-chardev'}")
        .join("\n");
    assert!(shown.contains(r#""filename": "lines:2""#), "{shown}");
}
