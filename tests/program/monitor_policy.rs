//! Restricted monitors, and monitors that strangers can reach, as the program's
//! users see them.

use std::io::Read;

use crate::common::{run, Client, Server};
use serde_json::{json, Value};

#[test]
fn monitors_can_be_restricted() {
    let server = Server::start(&[
        "-chardev",
        "socket,id=c,path={dir}/ro,server=on,wait=off",
        "-mon",
        "c,mode=control,read-only=on",
        "-chardev",
        "socket,id=d,path={dir}/some,server=on,wait=off,max-clients=2",
        "-object",
        "monitor-qmp,id=m,chardev=d,allow=query-*:stop",
        "-chardev",
        "socket,id=e,path={dir}/h,server=on,wait=off",
        "-object",
        "monitor-hmp,id=h,chardev=e,read-only=on",
    ]);
    let mut watcher = server.qmp_at("ro");
    let read_only =
        |name| format!("The command '{name}' is refused because this monitor is read-only");
    for (command, arguments) in [
        ("stop", json!({})),
        ("object-add", json!({"qom-type": "can-bus", "id": "x"})),
        ("object-del", json!({"id": "m"})),
        (
            "chardev-add",
            json!({"id": "x", "backend": {"type": "null", "data": {}}}),
        ),
        ("chardev-remove", json!({"id": "c"})),
        (
            "qom-set",
            json!({"path": "/machine", "property": "x", "value": 1}),
        ),
        ("ringbuf-read", json!({"device": "x", "size": 1})),
        ("quit", json!({})),
    ] {
        assert_eq!(watcher.refused(command, arguments), read_only(command));
    }
    assert_eq!(watcher.ask("query-status")["running"], true);
    let list = watcher.ask_with("qom-list", json!({"path": "/objects"}));
    assert_eq!(list.as_array().unwrap().len(), 3);
    let get = json!({"path": "/objects/m", "property": "allow"});
    assert_eq!(watcher.ask_with("qom-get", get), json!("query-*:stop"));
    for (line, output) in [
        ("info status", "VM status: running\r\n".to_owned()),
        ("stop", format!("Error: {}\r\n", read_only("stop"))),
        ("c", format!("Error: {}\r\n", read_only("cont"))),
        ("qmp stop", format!("Error: {}\r\n", read_only("stop"))),
        ("qmp query-name", String::new()),
        ("print 1", "0x1\r\n".to_owned()),
        // What is in the guest's memory is not for those who only watch.
        ("x/4xb 0", format!("Error: {}\r\n", read_only("x"))),
        ("xp/4xb 0", format!("Error: {}\r\n", read_only("xp"))),
        ("sum 0 1", format!("Error: {}\r\n", read_only("sum"))),
    ] {
        let line_given = json!({"command-line": line});
        assert_eq!(
            watcher.ask_with("human-monitor-command", line_given),
            json!(output),
            "{line}"
        );
    }

    // The same rules apply to each session of the monitor.
    for _ in 0..2 {
        let mut some = server.qmp_at("some");
        assert_eq!(some.ask("stop"), json!({}));
        assert_eq!(some.ask("query-status")["running"], false);
        for command in ["cont", "human-monitor-command", "qom-list"] {
            assert_eq!(
                some.refused(command, json!({})),
                format!("The command '{command}' is not among those that this monitor allows")
            );
        }
    }

    let mut person = Client::connect(&server.path("h"));
    person.until("(qemu) ");
    person.send("cont\n");
    person.until(&format!("Error: {}\r\n(qemu) ", read_only("cont")));
    person.send("info status\n");
    person.until("VM status: paused\r\n(qemu) ");
    let mut owner = server.qmp();
    assert_eq!(owner.ask("cont"), json!({}));
}

#[test]
fn secrets_are_hidden_from_those_who_only_watch() {
    let server = Server::start(&[
        "-object",
        "secret,id=s,data=hidden,format=raw",
        "-chardev",
        "socket,id=c,path={dir}/ro,server=on,wait=off",
        "-mon",
        "c,mode=control,read-only=on",
    ]);
    let data = |path| json!({"path": path, "property": "data"});
    let mut watcher = server.qmp_at("ro");
    let hidden = "The property 'data' is hidden because this monitor is read-only";
    for path in ["/objects/s", "s"] {
        assert_eq!(watcher.refused("qom-get", data(path)), hidden);
    }
    let line = json!({"command-line": "qom-get /objects/s data"});
    let shown = watcher.ask_with("human-monitor-command", line);
    assert_eq!(shown, json!(format!("Error: {hidden}\r\n")));
    let format = json!({"path": "/objects/s", "property": "format"});
    assert_eq!(watcher.ask_with("qom-get", format), json!("raw"));
    let mut owner = server.qmp();
    assert_eq!(owner.ask_with("qom-get", data("s")), json!("hidden"));
}

#[test]
fn requests_can_be_kept_small() {
    let server = Server::start(&[
        "-chardev",
        "socket,id=c,path={dir}/small,server=on,wait=off",
        "-mon",
        "c,mode=control,json-max-size=1k,json-max-tokens=100,json-max-depth=5",
    ]);
    let mut client = server.qmp_at("small");
    for (input, desc) in [
        (
            format!("'{}'", "x".repeat(1024)),
            "JSON token size limit exceeded",
        ),
        ("[[[[[[".to_owned(), "JSON nesting depth limit exceeded"),
        (
            format!("[{}", "1,".repeat(50)),
            "JSON token count limit exceeded",
        ),
    ] {
        client.send(&input);
        assert_eq!(client.message()["error"]["desc"], desc);
        // The rest of the message draws errors of its own: drop them.
        client.send("\u{1}");
        let stray = |message: Value| message["error"]["desc"].to_string().contains("stray");
        while !stray(client.message()) {}
    }
    assert_eq!(client.ask("query-name"), json!({}));
    let out = run(&[
        "-chardev",
        "null,id=a",
        "-mon",
        "a,mode=control,json-max-depth=1025",
    ]);
    assert!(String::from_utf8(out.stderr)
        .unwrap()
        .ends_with(": Parameter 'json-max-depth' expects a number from 1 to 1024\n"));
}

#[test]
fn a_monitor_that_strangers_can_reach_is_warned_of_once() {
    let server = Server::start_bare(&[
        "-nodefaults",
        "-qmp",
        "tcp:0.0.0.0:0,server=on,wait=off,max-clients=4",
        "-monitor",
        "tcp:127.0.0.1:0,server=on,wait=off",
        "-chardev",
        "socket,id=m,host=::,port=0,server=on,wait=off,mux=on,ipv6=on",
        "-mon",
        "m",
        "-qmp",
        "unix:{dir}/q,server=on,wait=off",
    ]);
    let mut owner = server.qmp();
    let port = owner.ask("query-chardev");
    let own = port.as_array().unwrap().iter();
    let mut own = own.filter(|c| c["label"] == "compat_monitor0");
    let filename = own.next().unwrap()["filename"].as_str().unwrap().to_owned();
    let port = filename
        .rsplit(':')
        .next()
        .unwrap()
        .split(',')
        .next()
        .unwrap();
    // There is no warning for each of its clients.
    let visitors = [(); 2].map(|()| {
        let stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        (&stream).read_exact(&mut [0; 8]).unwrap();
        stream
    });
    drop(visitors);
    owner.ask_with(
        "chardev-add",
        json!({"id": "late", "backend": {"type": "socket", "data": {"wait": false,
               "addr": {"type": "inet", "data": {"host": "0.0.0.0", "port": "0"}}}}}),
    );
    owner.ask_with(
        "object-add",
        json!({"qom-type": "monitor-hmp", "id": "h", "chardev": "late"}),
    );
    owner.ask("quit");
    let out = server.finish();
    let err = String::from_utf8(out.stderr).unwrap();
    let warnings: Vec<_> = err
        .lines()
        .filter(|line| line.contains("warning: "))
        .collect();
    assert_eq!(warnings.len(), 3, "{err}");
    let qmp = "-qmp tcp:0.0.0.0:0,server=on,wait=off,max-clients=4: warning: QMP monitor on \
               chardev 'compat_monitor0' at tcp:0.0.0.0:";
    assert!(warnings[0].contains(qmp), "{err}");
    assert!(
        warnings[1].contains("-mon m: warning: HMP monitor on chardev 'm' at tcp::::"),
        "{err}"
    );
    assert!(warnings[2].contains(": warning: HMP monitor on chardev 'late' at tcp:0.0.0.0:"));
}
