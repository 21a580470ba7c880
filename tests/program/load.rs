//! Many clients, one after the other and all at once.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use crate::common::Server;

/// How much a server's resident memory may change, in kB, because an allocator
/// keeps some.
const NOISE: i64 = 256;

/// Comes, negotiates and leaves; `QMONITOR_CYCLES` says how often.
#[test]
fn clients_that_come_and_go_leave_nothing_behind() {
    let cycles = std::env::var("QMONITOR_CYCLES");
    let cycles = cycles.map_or(3_000, |n| n.parse().expect("a number of cycles"));
    let server = Server::start(&[]);
    for _ in 0..300 {
        server.qmp();
    }
    // One more client, so that the last one has gone for certain.
    let client = server.qmp();
    let (fds, resident) = (server.open_fds(), server.resident());
    drop(client);
    for _ in 0..cycles {
        server.qmp();
    }
    let _client = server.qmp();
    assert_eq!(server.open_fds(), fds);
    let grown = server.resident() - resident;
    println!("{cycles} cycles: resident memory {resident} kB, {grown:+} kB");
    assert!(grown < NOISE, "{grown} kB");
}

/// A server with that many sessions past their negotiation.
fn sessions(count: usize) -> (Server, Vec<BufReader<UnixStream>>) {
    let form = "unix:{dir}/many,server=on,wait=off,max-clients=1000";
    let server = Server::start(&["-qmp", form]);
    server.qmp();
    let connect = |_| {
        let stream = UnixStream::connect(server.path("many")).unwrap();
        let mut client = BufReader::new(stream);
        line(&mut client);
        ask(&mut client, "{'execute': 'qmp_capabilities'}");
        client
    };
    let clients = (0..count).map(connect).collect();
    (server, clients)
}

fn ask(client: &mut BufReader<UnixStream>, request: &str) -> String {
    client.get_ref().write_all(request.as_bytes()).unwrap();
    line(client)
}

fn line(client: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    client.read_line(&mut line).unwrap();
    line
}

#[test]
fn a_session_takes_little_memory_whatever_it_was_asked_before() {
    const FEW: usize = 10;
    const MANY: usize = 210;
    let (small, mut few) = sessions(FEW);
    let (big, mut many) = sessions(MANY);
    let long = format!("{}{{'execute': 'query-name'}}", " ".repeat(60_000));
    let text = format!(
        "{{'execute': 'query-name', 'id': '{}'}}",
        "x".repeat(60_000)
    );
    let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
    for request in ["{'execute': 'query-qmp-schema'}", &long, &text, &deep] {
        for client in few.iter_mut().chain(&mut many) {
            assert!(ask(client, request).ends_with("\r\n"));
        }
    }
    let more = big.resident() - small.resident();
    let each = more as f64 / (MANY - FEW) as f64;
    println!("{each:.2} kB a session");
    assert!(each < 16.0, "{each} kB a session");
}
