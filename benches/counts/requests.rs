//! Requests to a machine.

use super::in_process::World;
use super::row::row;

const QUERY_VERSION: &[u8] = b"{\"execute\": \"query-version\"}\n";

const ADD_RING: &str = r#"{"execute": "chardev-add", "arguments": {"id": "ring", "backend": {"type": "ringbuf", "data": {}}}}"#;

/// Requests that are counted one at a time. The reply to the first is kept, that to the
/// second is made anew each time.
const REQUESTS: [(&str, &str); 6] = [
    ("query-version", r#"{"execute": "query-version"}"#),
    ("query-status", r#"{"execute": "query-status"}"#),
    (
        "qom-get",
        r#"{"execute": "qom-get", "arguments": {"path": "/machine", "property": "type"}}"#,
    ),
    (
        "qom-get, partial path",
        r#"{"execute": "qom-get", "arguments": {"path": "r0", "property": "type"}}"#,
    ),
    (
        "info status",
        r#"{"execute": "human-monitor-command", "arguments": {"command-line": "info status"}}"#,
    ),
    ("query-qmp-schema", r#"{"execute": "query-qmp-schema"}"#),
];

pub fn of_one_session() {
    let mut world = World::new("");
    let mut client = world.connect();
    let add = r#"{"execute": "object-add", "arguments": {"qom-type": "rng-builtin", "id": "r0"}}"#;
    world.exchange(&mut client, &line(add), 1);
    // The first requests of a client cost more: they may come with descriptors.
    for (name, request) in &REQUESTS[..2] {
        let together = line(request).repeat(64);
        world.exchange(&mut client, &together, 64);
        row(&format!("{name}, 64 at a time"), 640, || {
            for _ in 0..10 {
                world.exchange(&mut client, &together, 64);
            }
        });
    }
    for (name, request) in REQUESTS {
        let request = line(request);
        for _ in 0..32 {
            world.exchange(&mut client, &request, 1);
        }
        row(name, 10, || {
            for _ in 0..10 {
                world.exchange(&mut client, &request, 1);
            }
        });
    }
}

/// The row is for each command that the reply names.
pub fn of_commands() {
    let mut world = World::new("");
    let mut client = world.connect();
    let request = line(r#"{"execute": "query-commands"}"#);
    let reply = world.exchange(&mut client, &request, 1);
    let reply = String::from_utf8(reply).expect("JSON is text");
    let commands = reply.matches("\"name\"").count();
    row("query-commands, each command", commands, || {
        world.exchange(&mut client, &request, 1);
    });
}

pub fn of_a_visit() {
    let mut world = World::new("");
    world.visit();
    row("connect, negotiate, close", 10, || {
        for _ in 0..10 {
            world.visit();
        }
    });
}

fn line(request: &str) -> Vec<u8> {
    format!("{request}\n").into_bytes()
}

/// A string of a million bytes as an argument; the row is for each byte.
pub fn of_a_long_string() {
    const LENGTH: usize = 1_000_000;
    let mut world = World::new("");
    let mut client = world.connect();
    world.exchange(&mut client, &line(ADD_RING), 1);
    let data = "x".repeat(LENGTH);
    let request = line(&format!(
        r#"{{"execute": "ringbuf-write", "arguments": {{"device": "ring", "data": "{data}"}}}}"#
    ));
    world.exchange(&mut client, &request, 1);
    row("a byte of a string of 1 MB", LENGTH, || {
        world.exchange(&mut client, &request, 1);
    });
}

/// A request to one of several sessions.
pub fn of_many_sessions() {
    let mut world = World::new(",max-clients=1000");
    let mut clients = Vec::new();
    for count in [3, 20, 70, 1000] {
        while clients.len() < count {
            clients.push(world.connect());
        }
        let client = &mut clients[count / 2];
        for _ in 0..32 {
            world.exchange(client, QUERY_VERSION, 1);
        }
        row(&format!("query-version, {count} sessions"), 100, || {
            for _ in 0..100 {
                world.exchange(client, QUERY_VERSION, 1);
            }
        });
    }
}

pub fn of_many_objects() {
    let mut world = World::new("");
    let mut client = world.connect();
    let mut objects = 0;
    for count in [100, 2000] {
        while objects < count {
            world.exchange(&mut client, &add_object(objects), 1);
            objects += 1;
        }
        row(&format!("object-add, {count} objects"), 10, || {
            for _ in 0..10 {
                world.exchange(&mut client, &add_object(objects), 1);
                objects += 1;
            }
        });
        for path in ["/objects/o7", "o7"] {
            let request = format!(
                r#"{{"execute": "qom-get", "arguments": {{"path": "{path}", "property": "type"}}}}"#
            );
            row(&format!("qom-get of {path}, {count} objects"), 10, || {
                for _ in 0..10 {
                    world.exchange(&mut client, &line(&request), 1);
                }
            });
        }
    }
}

fn add_object(number: usize) -> Vec<u8> {
    line(&format!(
        r#"{{"execute": "object-add", "arguments": {{"qom-type": "rng-builtin", "id": "o{number}"}}}}"#
    ))
}
