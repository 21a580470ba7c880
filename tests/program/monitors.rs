//! Monitors that come and go, several clients on one, and clients that leave,
//! as the program's users see them.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::common::{run, Client, Server};
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{sendmsg, setsockopt, sockopt, ControlMessage, MsgFlags};
use nix::sys::stat::Mode;
use serde_json::{json, Value};

/// The labels of the chardevs, sorted.
fn chardevs(client: &mut Client) -> Vec<String> {
    let list = client.ask("query-chardev");
    let labels = list.as_array().unwrap().iter();
    let mut labels: Vec<_> = labels
        .map(|c| c["label"].as_str().unwrap().to_owned())
        .collect();
    labels.sort();
    labels
}

/// Asks until the answer is yes; the server needs only a moment.
#[track_caller]
fn until(client: &mut Client, mut so: impl FnMut(&mut Client) -> bool) {
    let start = std::time::Instant::now();
    while !so(client) {
        assert!(start.elapsed().as_secs() < 20, "it does not happen");
    }
}

#[track_caller]
fn add_listener(client: &mut Client, id: &str, path: &Path, more: Value) {
    let mut data = json!({"wait": false, "addr": {"type": "unix", "data": {"path": path}}});
    for (name, value) in more.as_object().unwrap() {
        data[name] = value.clone();
    }
    client.ask_with(
        "chardev-add",
        json!({"id": id, "backend": {"type": "socket", "data": data}}),
    );
}

fn objects(client: &mut Client) -> Vec<Value> {
    let list = client.ask_with("qom-list", json!({"path": "/objects"}));
    let list = list.as_array().unwrap().iter();
    list.filter(|p| p["name"] != "type").cloned().collect()
}

#[test]
fn monitors_are_objects() {
    let server = Server::start(&[]);
    let mut owner = server.qmp();
    add_listener(&mut owner, "c", &server.path("m"), json!({}));
    let add = json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c"});
    owner.ask_with("object-add", add.clone());
    assert_eq!(
        objects(&mut owner),
        [json!({"name": "m", "type": "child<monitor-qmp>"})]
    );
    for (property, value) in [
        ("type", json!("monitor-qmp")),
        ("chardev", json!("c")),
        ("pretty", json!(false)),
        ("close-action", json!("none")),
    ] {
        let get = json!({"path": "/objects/m", "property": property});
        assert_eq!(owner.ask_with("qom-get", get), value, "{property}");
    }
    let list = owner.ask("query-chardev");
    let own = list.as_array().unwrap().iter().find(|c| c["label"] == "c");
    assert_eq!(own.unwrap()["frontend-open"], true);
    for (arguments, desc) in [
        (
            add.clone(),
            "attempt to add duplicate property 'm' to object (type 'container')",
        ),
        (
            json!({"qom-type": "monitor-qmp", "id": "n", "chardev": "c"}),
            "chardev 'c' is already in use",
        ),
        (
            json!({"qom-type": "monitor-hmp", "id": "n", "chardev": "nosuch"}),
            "chardev \"nosuch\" not found",
        ),
        (
            json!({"qom-type": "monitor-hmp", "id": "n", "chardev": "c", "pretty": true}),
            "Parameter 'pretty' is unexpected",
        ),
        (
            json!({"qom-type": "monitor-qmp", "id": "n"}),
            "Parameter 'chardev' is missing",
        ),
    ] {
        assert_eq!(owner.refused("object-add", arguments), desc);
    }
    let mut guest = server.qmp_at("m");
    assert_eq!(guest.ask("query-name"), json!({}));
    assert_eq!(
        owner.refused("chardev-remove", json!({"id": "c"})),
        "Chardev 'c' is busy"
    );
    // QEMU's properties can be set at any time, those that it does not have cannot.
    let set = |property: &str, value: Value| json!({"path": "/objects/m", "property": property, "value": value});
    owner.ask_with("qom-set", set("pretty", json!(true)));
    guest.send("{\"execute\": \"query-name\"}\n");
    guest.until("\r\n}\r\n");
    owner.ask_with("qom-set", set("close-action", json!("delete")));
    owner.ask_with("qom-set", set("close-action", json!("none")));
    owner.ask_with("qom-set", set("pretty", json!(false)));
    assert_eq!(
        owner.refused("qom-set", set("json-max-depth", json!(7))),
        "Property 'json-max-depth' can no longer be set"
    );

    owner.ask_with("object-del", json!({"id": "m"}));
    assert_eq!(objects(&mut owner), [json!(null); 0]);
    // The connection belongs to the chardev, and another monitor may use that
    // now.
    owner.ask_with(
        "object-add",
        json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c"}),
    );
    guest.expect_greeting();
    owner.ask_with("object-del", json!({"id": "m"}));
    owner.ask_with("chardev-remove", json!({"id": "c"}));
    assert_eq!(guest.expect_close(), "");
}

#[test]
fn a_monitor_is_not_deleted_by_its_own_client() {
    let server = Server::start_bare(&[
        "-object",
        "monitor-qmp,id=m,chardev=c",
        "-object",
        "monitor-hmp,id=h,chardev=d",
        "-chardev",
        "socket,id=c,path={dir}/q,server=on,wait=off,max-clients=2",
        "-chardev",
        "socket,id=d,path={dir}/h,server=on,wait=off",
    ]);
    let mut one = server.qmp();
    let mut two = server.qmp();
    let refusal = "Cannot delete the current QMP monitor";
    for client in [&mut one, &mut two] {
        assert_eq!(client.refused("object-del", json!({"id": "m"})), refusal);
        let line = json!({"command-line": "object_del m"});
        assert_eq!(
            client.ask_with("human-monitor-command", line),
            json!(format!("Error: {refusal}\r\n"))
        );
    }
    let mut human = Client::connect(&server.path("h"));
    human.until("(qemu) ");
    human.send("object_del h\n");
    human.until("Error: Deleting HMP monitors is not supported\r\n(qemu) ");
    human.send("object_del m\n");
    human.until("(qemu) ");
    assert_eq!(one.expect_close(), "");
    assert_eq!(two.expect_close(), "");
    human.send("object_add monitor-qmp,id=m,chardev=c,pretty=on\n");
    human.until("(qemu) ");
    Client::connect(&server.path("q")).until("\r\n}\r\n");
    human.send("object_del m\n");
    human.until("(qemu) ");
    human.send("chardev-remove c\n");
    human.until("(qemu) ");
    assert!(!server.path("q").exists());
    human.send("quit\n");
    assert!(server.finish().status.success());
}

#[test]
fn close_action_delete_takes_monitor_and_chardev_with_the_client() {
    let server = Server::start(&[]);
    let mut owner = server.qmp();
    for _ in 0..3 {
        add_listener(&mut owner, "c", &server.path("m"), json!({}));
        let add = json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "c",
                         "close-action": "delete"});
        owner.ask_with("object-add", add);
        // There is no client that could leave.
        assert_eq!(chardevs(&mut owner), ["c", "compat_monitor0"]);
        let mut guest = server.qmp_at("m");
        guest.send("{'execute': 'query-name', 'id': 1}");
        guest.half_close();
        assert_eq!(guest.expect_close(), "{\"return\": {}, \"id\": 1}\r\n");
        until(&mut owner, |owner| chardevs(owner) == ["compat_monitor0"]);
        assert_eq!(objects(&mut owner), [json!(null); 0]);
        assert!(!server.path("m").exists());
    }
    owner.ask_with(
        "chardev-add",
        json!({"id": "r", "backend": {"type": "ringbuf", "data": {}}}),
    );
    owner.ask_with(
        "chardev-add",
        json!({"id": "x", "backend": {"type": "mux", "data": {"chardev": "r"}}}),
    );
    assert_eq!(
        owner.refused(
            "object-add",
            json!({"qom-type": "monitor-qmp", "id": "m", "chardev": "x",
                   "close-action": "delete"})
        ),
        "'close-action=delete' is not compatible with mux chardev 'x'"
    );
    assert_eq!(objects(&mut owner), [json!(null); 0]);
}

#[test]
fn each_of_several_clients_has_a_session_of_its_own() {
    let server = Server::start_bare(&[
        "-nodefaults",
        "-qmp",
        "unix:{dir}/q,server=on,wait=off,max-clients=8",
        "-monitor",
        "unix:{dir}/h,server=on,wait=off,max-clients=2",
    ]);
    let mut clients: Vec<_> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.expect_greeting();
    }
    let (oob, others) = clients.split_first_mut().unwrap();
    oob.ask_with("qmp_capabilities", json!({"enable": ["oob"]}));
    assert_eq!(
        others[0].refused("query-name", json!({})),
        "Expecting capabilities negotiation with 'qmp_capabilities'"
    );
    others[0].ask("qmp_capabilities");
    let request = "{'exec-oob': 'yank', 'arguments': {'instances': []}, 'id': 1}";
    oob.send(request);
    assert_eq!(oob.message(), json!({"return": {}, "id": 1}));
    others[0].send(request);
    let refusal = others[0].message()["error"]["desc"].clone();
    assert_eq!(refusal, "QMP input member 'exec-oob' is unexpected");
    // Descriptors belong to a session.
    let null = File::open("/dev/null").unwrap();
    sendmsg::<()>(
        oob.socket().as_raw_fd(),
        &[IoSlice::new(
            b"{'execute': 'getfd', 'arguments': {'fdname': 'f'}}",
        )],
        &[ControlMessage::ScmRights(&[null.as_raw_fd()])],
        MsgFlags::empty(),
        None,
    )
    .unwrap();
    assert_eq!(oob.message(), json!({"return": {}}));
    assert_eq!(
        others[0].refused("closefd", json!({"fdname": "f"})),
        "File descriptor named 'f' not found"
    );
    assert_eq!(oob.ask_with("closefd", json!({"fdname": "f"})), json!({}));

    let mut ninth = server.connect();
    let labels = chardevs(oob);
    assert_eq!(labels.len(), 10, "{labels:?}");
    assert_eq!(
        labels[..3],
        ["compat_monitor0", "compat_monitor0.0", "compat_monitor0.1"]
    );
    drop(clients.pop());
    ninth.expect_greeting();
    ninth.ask("qmp_capabilities");

    let mut people = [(); 2].map(|()| Client::connect(&server.path("h")));
    for person in &mut people {
        person.until("(qemu) ");
    }
    people[0].send("sto");
    people[1].send("stop\n");
    people[1].until("(qemu) ");
    for client in clients[..2].iter_mut().chain([&mut ninth]) {
        client.expect_event("STOP");
    }
    people[0].send("p\n");
    people[0].until("\r\n(qemu) ");
    ninth.send("{'execute': 'quit', 'id': 'bye'}");
    ninth.expect_event("SHUTDOWN");
    assert_eq!(ninth.message(), json!({"return": {}, "id": "bye"}));
    assert_eq!(ninth.expect_close(), "");
    clients[1].expect_event("SHUTDOWN");
    assert_eq!(clients[1].expect_close(), "");
    // Clients that have not negotiated get no events.
    assert_eq!(clients[2].expect_close(), "");
    let paths = [server.path("q"), server.path("h")];
    assert!(server.finish().status.success());
    assert!(paths.iter().all(|path| !path.exists()));
}

#[test]
fn one_client_is_the_default_and_several_need_a_monitor() {
    for (args, message) in [
        (
            &[
                "-serial",
                "unix:/tmp/nonexistent/s,server=on,wait=off,max-clients=0",
            ][..],
            "Parameter 'max-clients' expects a number from 1 to 1048576",
        ),
        (
            &["-qmp", "unix:/nonexistent/s,max-clients=2"],
            "'max-clients' option is incompatible with socket in client connect mode",
        ),
        (
            &["-qmp", "unix:/nonexistent/s,server=on,max-clients=many"],
            "Parameter 'max-clients' expects a number",
        ),
        (
            &[
                "-serial",
                "tcp:127.0.0.1:0,server=on,wait=off,max-clients=2",
            ],
            "chardev 'serial0' serves several clients ('max-clients'), only a monitor can use it",
        ),
        (
            &[
                "-serial",
                "mon:tcp:127.0.0.1:0,server=on,wait=off,max-clients=2",
            ],
            "chardev 'serial0-base' serves several clients ('max-clients'), only a monitor can \
             use it",
        ),
    ] {
        let out = run(args);
        let err = String::from_utf8(out.stderr).unwrap();
        assert!(err.contains(message), "{args:?}: {err}");
        assert_eq!(out.status.code(), Some(1));
    }
    let server = Server::start(&[]);
    // A drive may be read-only in QEMU too.
    for option in ["chardev", "mon"] {
        let arguments = json!({ "option": option });
        let options = server
            .qmp()
            .ask_with("query-command-line-options", arguments);
        let text = options.to_string();
        assert!(
            !text.contains("max-clients") && !text.contains("read-only"),
            "{text}"
        );
    }
}

/// Sends a request that stays under way until the fifo is read, and behind it
/// one with a visible effect.
fn blocked_and_behind(dir: &Path) -> String {
    let blocked = json!({"execute": "chardev-add", "arguments": {"id": "blocked",
        "backend": {"type": "file", "data": {"out": dir.join("fifo")}}}});
    let behind = json!({"execute": "chardev-add", "arguments": {"id": "behind",
        "backend": {"type": "null", "data": {}}}});
    format!("{blocked}{behind}")
}

#[test]
fn what_a_client_leaves_behind_is_dropped_or_drained() {
    for drain in [false, true] {
        for capabilities in [json!([]), json!(["oob"])] {
            let option = if drain { ",drain-on-close=on" } else { "" };
            let mon = format!("c,mode=control{option}");
            let server = Server::start(&[
                "-chardev",
                "socket,id=c,path={dir}/m,server=on,wait=off",
                "-mon",
                &mon,
            ]);
            let fifo = server.path("fifo");
            nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
            let dir = fifo.parent().unwrap();
            let mut owner = server.qmp();
            let mut guest = Client::connect(&server.path("m"));
            guest.expect_greeting();
            guest.ask_with("qmp_capabilities", json!({"enable": capabilities}));
            guest.send(blocked_and_behind(dir));
            drop(guest);
            let reader = std::thread::spawn(move || {
                let mut text = String::new();
                File::open(fifo).unwrap().read_to_string(&mut text).unwrap();
            });
            until(&mut owner, |owner| {
                chardevs(owner).contains(&"blocked".to_owned())
            });
            if drain {
                until(&mut owner, |owner| {
                    chardevs(owner).contains(&"behind".to_owned())
                });
            } else {
                assert!(server.qmp_at("m").ask("query-name").is_object());
            }
            assert_eq!(server.qmp_at("m").ask("query-name"), json!({}));
            owner.ask("quit");
            assert!(server.finish().status.success());
            reader.join().unwrap();
        }
    }
}

#[test]
fn who_stops_sending_gets_all_answers() {
    for capabilities in [json!([]), json!(["oob"])] {
        let server = Server::start(&[]);
        let fifo = server.path("fifo");
        nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
        let mut client = server.connect();
        client.expect_greeting();
        client.ask_with("qmp_capabilities", json!({"enable": capabilities}));
        client.send(blocked_and_behind(fifo.parent().unwrap()));
        client.send("{'execute': 'query-name', 'id': 1}");
        client.half_close();
        let reader = std::thread::spawn(move || File::open(fifo).unwrap());
        assert_eq!(
            client.expect_close(),
            "{\"return\": {}}\r\n{\"return\": {}}\r\n{\"return\": {}, \"id\": 1}\r\n"
        );
        drop(reader.join().unwrap());
    }
}

#[test]
fn the_end_of_standard_input_cuts_no_answer_short() {
    let mut server = Server::start(&["-qmp", "stdio"]);
    let mut other = server.qmp();
    let mut output = server.stdout();
    let script = "{'execute': 'qmp_capabilities'}".to_owned()
        + &"{'execute': 'query-qmp-schema'}".repeat(4)
        + "{'execute': 'query-name', 'id': 'last'}";
    // The pipe is full, so part of the last answer is still held back when the
    // server meets the end of the input: before it reads a piece, it has looked
    // at everything.
    std::io::Write::write_all(&mut server.stdin(), script.as_bytes()).unwrap();
    let (mut text, mut piece) = (Vec::new(), [0; 4096]);
    while !text.ends_with(b"\"last\"}\r\n") {
        other.ask("query-name");
        let mut fds = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(20_000u16)).unwrap();
        assert_eq!(ready, 1, "{} bytes were not all", text.len());
        let n = output.read(&mut piece).unwrap();
        text.extend(&piece[..n]);
    }
    let lines = String::from_utf8(text).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 7);
    assert_eq!(lines[2], lines[5]);
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leaving {
    Closes,
    Resets,
    /// Shuts down its sending side, then reads to the end.
    HalfCloses,
}

/// A connection to the socket `mx-base`, whatever its family. `TcpStream` reads and writes
/// unix sockets as well.
fn connect_to_mux(owner: &mut Client, server: &Server) -> TcpStream {
    let list = owner.ask("query-chardev");
    let mut chardevs = list.as_array().unwrap().iter();
    let base = chardevs.find(|c| c["label"] == "mx-base").unwrap();
    let name = base["filename"].as_str().unwrap();
    let stream: OwnedFd = match name.split_once("tcp:127.0.0.1:") {
        None => UnixStream::connect(server.path("mx")).unwrap().into(),
        Some((_, port)) => {
            let port: u16 = port.split(',').next().unwrap().parse().unwrap();
            TcpStream::connect(("127.0.0.1", port)).unwrap().into()
        }
    };
    let stream = TcpStream::from(stream);
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

fn leave(mut client: TcpStream, how: Leaving) {
    match how {
        Leaving::Closes => {}
        Leaving::Resets => {
            let linger = nix::libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&client, sockopt::Linger, &linger).unwrap();
        }
        Leaving::HalfCloses => {
            client.shutdown(Shutdown::Write).unwrap();
            client.read_to_end(&mut Vec::new()).unwrap();
        }
    }
}

#[track_caller]
fn is_running(owner: &mut Client) -> bool {
    owner.ask("query-status")["running"].as_bool().unwrap()
}

/// Has one client after the other write a script to a mux with these monitors and leave,
/// reading nothing. Each finds the mux served; `stops` says whether the script stops the
/// machine.
#[track_caller]
fn mux_survives(modes: &[&str], script: &str, stops: bool) {
    for socket in ["path={dir}/mx", "host=127.0.0.1,port=0"] {
        let chardev = format!("socket,id=mx,{socket},server=on,wait=off,mux=on");
        let mut args = vec!["-chardev", &chardev];
        let mons: Vec<_> = modes.iter().map(|mode| format!("mx,mode={mode}")).collect();
        for mon in &mons {
            args.extend(["-mon", mon]);
        }
        let server = Server::start(&args);
        let mut owner = server.qmp();
        for how in [Leaving::Closes, Leaving::Resets, Leaving::HalfCloses] {
            let mut client = connect_to_mux(&mut owner, &server);
            // "QEMU" or "{"QMP"": it is served.
            client.read_exact(&mut [0; 4]).unwrap();
            let fds = server.open_fds();
            client.write_all(script.as_bytes()).unwrap();
            leave(client, how);
            if stops {
                until(&mut owner, |owner| !is_running(owner));
            }
            let mut next = connect_to_mux(&mut owner, &server);
            let mut start = [0; 4];
            let served = next.read_exact(&mut start);
            assert!(served.is_ok(), "{modes:?} {socket} {how:?}: {served:?}");
            assert_eq!(server.open_fds(), fds, "{modes:?} {socket} {how:?}");
            assert_eq!(is_running(&mut owner), !stops, "{modes:?} {socket} {how:?}");
            drop(next);
            owner.ask("cont");
        }
        owner.ask("quit");
        assert!(server.finish().status.success());
    }
}

/// A line that the line editor echoes with more output than a monitor holds back.
fn long_line(c: &str) -> String {
    c.repeat(300) + "\n"
}

#[test]
fn a_client_of_a_mux_may_leave_input_unread_in_any_monitor() {
    let (x, y) = (long_line("x"), long_line("y"));
    let both = ["readline", "control"];
    let swapped = ["control", "readline"];
    mux_survives(&both, &format!("\x01c{x}\x01c"), false);
    mux_survives(&swapped, &format!("{x}\x01c"), false);
    mux_survives(&swapped, &format!("{x}\x01c{x}\x01c{y}\x01c"), false);
    mux_survives(
        &["readline"; 3],
        &format!("{x}\x01c{x}\x01c{y}\x01c"),
        false,
    );
    mux_survives(&["control"; 2], &format!("{x}\x01c{{\x01c"), false);
}

#[test]
fn the_reply_to_a_change_of_layout_has_the_new_one() {
    let server = Server::start(&["-profile", "11.1"]);
    let mut qmp = server.qmp();
    let set = |value: &str| {
        format!(
            "{{\"execute\": \"qom-set\", \"arguments\": {{\"path\": \
             \"/objects/compat_monitor0\", \"property\": \"pretty\", \"value\": {value}}}}}\n"
        )
    };
    qmp.send(set("true"));
    let text = qmp.until("\r\n}\r\n");
    assert_eq!(
        text.replace("\r\n", "\n"),
        "{\n    \"return\": {\n    }\n}\n"
    );
    qmp.send(set("false"));
    assert_eq!(qmp.until("\r\n"), "{\"return\": {}}\r\n");
}

/// A monitor that goes with its client leaves a mux to its other users.
#[test]
fn close_action_delete_on_a_mux() {
    let server = Server::start(&["-profile", "11.1"]);
    let mut owner = server.qmp();
    let mux = json!({"id": "x", "backend": {"type": "mux", "data": {"chardev": "c"}}});
    add_listener(&mut owner, "c", &server.path("c"), json!({}));
    owner.ask_with("chardev-add", mux);
    let monitor = |id, action| json!({"qom-type": "monitor-qmp", "id": id, "chardev": "x", "close-action": action});
    owner.ask_with("object-add", monitor("m", "delete"));
    owner.ask_with("object-add", monitor("n", "none"));
    Client::connect(&server.path("c")).expect_greeting();
    until(&mut owner, |owner| {
        let left = objects(owner);
        left.iter().all(|object| object["name"] != "m")
    });
    assert_eq!(
        owner.refused("chardev-remove", json!({"id": "x"})),
        "Chardev 'x' is busy"
    );
}

#[test]
fn a_key_of_a_mux_does_not_overtake_what_a_client_sent_before() {
    let (x, y) = (long_line("x"), long_line("y"));
    let stop = format!("{x}stop\n\x01c");
    mux_survives(&["readline"], &stop, true);
    // Twice, so that the focus is where it was for the next client.
    mux_survives(&["control", "readline"], &format!("{stop}\x01c"), true);
    mux_survives(&["readline", "readline"], &format!("{stop}{y}"), true);
    mux_survives(
        &["readline"],
        &format!("{x}\x01c{y}\x01c{x}stop\n\x01c"),
        true,
    );
}
