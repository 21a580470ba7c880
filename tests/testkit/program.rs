//! The program `qmonitor-mock`: what it prints, how it ends, what it checks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;

use qmonitor_testkit::serde_json::json;

use crate::process::{Client, Process, PROGRAM};

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(PROGRAM).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn it_says_where_it_listens_and_ends_with_quit() {
    let mock = Process::start("{}", &["--hmp", "tcp:127.0.0.1:0"]);
    assert_eq!(
        mock.lines[0],
        format!("listening qmp unix:{}", mock.path("q").display())
    );
    let hmp = mock.lines[1]
        .strip_prefix("listening hmp tcp:127.0.0.1:")
        .unwrap();
    assert_eq!(
        mock.lines[2],
        format!("listening control unix:{}", mock.path("c").display())
    );
    let mut person = TcpStream::connect(("127.0.0.1", hmp.parse::<u16>().unwrap())).unwrap();
    let mut banner = [0; 4];
    person.read_exact(&mut banner).unwrap();
    assert_eq!(&banner, b"QEMU");
    let mut client = mock.client();
    assert_eq!(client.call("quit", json!({})), json!({"return": {}}));
    assert_eq!(mock.wait(), (Some(0), String::new()));
}

#[test]
fn it_ends_with_a_signal_and_with_its_client() {
    let mock = Process::start("{}", &[]);
    mock.client();
    mock.terminate();
    let (status, told) = mock.wait();
    assert_eq!(status, Some(0));
    assert!(
        told.starts_with("qmonitor-mock: terminating on signal 15 "),
        "{told}"
    );
    let mock = Process::start("{}", &["--once"]);
    drop(mock.client());
    assert_eq!(mock.wait(), (Some(0), String::new()));
}

#[test]
fn a_failed_expectation_is_told_with_the_seed_and_a_report() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("junit.xml");
    let options = ["--seed", "42", "--report", report.to_str().unwrap()];
    let mock = Process::start("expect: [{execute: stop, times: 2}]", &options);
    let mut client = mock.client();
    client.call("stop", json!({}));
    client.call("quit", json!({}));
    let (status, text) = mock.wait();
    assert_eq!(status, Some(1));
    assert!(
        text.contains("expected {execute: stop} twice, but it came once\n"),
        "{text}"
    );
    assert!(
        text.contains("3 requests came:\n  1 qmp_capabilities\n  2 stop\n  3 quit\n"),
        "{text}"
    );
    assert!(
        text.contains("seed 42; to replay: qmonitor-mock "),
        "{text}"
    );
    let report = std::fs::read_to_string(report).unwrap();
    assert!(
        report.contains("<failure message=\"expected {execute: stop} twice"),
        "{report}"
    );
}

#[test]
fn a_wrong_scenario_is_told_with_file_line_and_path_and_never_starts() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.yaml");
    let text = "\
stubs:
  - when: {execute: query-statsu}
    reply: {return: {}}
  - when: {execute: query-status}
    reply: {return: {status: runing, running: 1}}
  - when: {execute: device_del, arguments: {idd: x}}
    replay: {return: {}}
  - when: {execute: stop}
    then: [{event: STOPP, delay: 5}]
faults:
  chop: {at: outputt, do: {slice: 1}}
  cut: {at: reply, of: stop, do: never-accept}
expect: [{never: {execute: quti}}]
tiem: real
";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let expected = [
        ":2:21: stubs[0].when.execute: unknown command 'query-statsu'; did you mean 'query-stats'?",
        ":5:30: stubs[1].reply.return.status: unknown value 'runing'; did you mean 'running'?",
        ":5:47: stubs[1].reply.return.running: expected a boolean, found an integer",
        ":6:45: stubs[2].when.arguments.idd: unknown member 'idd'; did you mean 'id'?",
        ":7:5: stubs[2].replay: unknown member 'replay'; did you mean 'reply'?",
        ":9:20: stubs[3].then[0].event: unknown event 'STOPP'; did you mean 'STOP'?",
        ":9:34: stubs[3].then[0].delay: expected a duration such as 200ms, 1.5s or 2min, found an integer",
        ":11:9: faults.chop.at: unknown place 'outputt'; did you mean 'output'?",
        ":12:34: faults.cut.do: 'never-accept' can only happen at listen",
        ":13:28: expect[0].never.execute: unknown command 'quti'; did you mean 'quit'?",
        ":14:1: tiem: unknown member 'tiem'; did you mean 'time'?",
    ];
    for args in [
        vec!["--check", path],
        vec![path, "--qmp", "unix:/nowhere/q"],
    ] {
        let (status, out, err) = run(&args);
        assert_eq!((status, out.as_str()), (Some(2), ""));
        for line in expected {
            assert!(
                err.contains(&format!("{path}{line}\n")),
                "{line} is not in:\n{err}"
            );
        }
    }
    let (status, _, err) = run(&["--check", "/nowhere.yaml"]);
    assert_eq!(status, Some(2));
    assert!(err.starts_with("/nowhere.yaml:1:1: No such file"), "{err}");
}

#[test]
fn a_right_scenario_is_checked_in_silence_and_a_profile_decides() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new.json");
    std::fs::write(
        &path,
        "{\"stubs\": [{\"when\": {\"execute\": \"qom-list-get\"}, \"pass\": true}]}",
    )
    .unwrap();
    let path = path.to_str().unwrap();
    assert_eq!(run(&["--check", path]).0, Some(2));
    assert_eq!(
        run(&["--check", path, "--profile", "11.1"]),
        (Some(0), String::new(), String::new())
    );
    let (status, _, err) = run(&["--check", path, "--profile", "11.0"]);
    assert_eq!(status, Some(2));
    assert!(
        err.contains("unknown profile '11.0'; did you mean '10.0'?"),
        "{err}"
    );
}

#[test]
fn options_of_the_machine_and_of_the_command_line_go_before() {
    let scenario = "machine: [-name, file]\nstubs: []";
    let mock = Process::start(scenario, &["--", "-name", "line"]);
    let mut client = mock.client();
    assert_eq!(
        client.call("query-name", json!({})),
        json!({"return": {"name": "line"}})
    );
    let (status, _, err) = run(&["-", "--", "-nonsense"]);
    assert_eq!(status, Some(2));
    assert!(err.contains("-nonsense: invalid option"), "{err}");
}

#[test]
fn a_second_client_waits_or_is_refused() {
    let mock = Process::start(
        "faults: {refuse: {at: listen, nth: 2, do: close-listener}}",
        &[],
    );
    let mut client = mock.client();
    let refused = std::os::unix::net::UnixStream::connect(mock.path("q"));
    assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    client.call("query-name", json!({}));
    let mock = Process::start(
        "faults: {turn: {at: listen, nth: 1, do: accept-and-close}}",
        &[],
    );
    assert_eq!(Client::connect(&mock.path("q")).recv(), None);
    mock.client();
}

#[test]
fn the_process_dies_as_it_is_told() {
    let mock = Process::start(
        "faults: {die: {at: reply, of: stop, do: [{send: half}, {exit: 139}]}}",
        &[],
    );
    let mut client = mock.client();
    client.send("{\"execute\": \"stop\"}\n");
    assert_eq!(mock.wait().0, Some(139));
    let mock = Process::start("faults: {die: {at: request, of: stop, do: kill}}", &[]);
    let mut client = mock.client();
    client.send("{\"execute\": \"stop\"}\n");
    assert_eq!(client.recv(), None);
    assert_eq!(mock.wait().0, None, "a signal ended it");
}

#[test]
fn a_tcp_connection_is_reset() {
    let scenario = "faults: {die: {at: reply, of: stop, do: reset}}";
    let mock = Process::start(scenario, &["--qmp", "tcp:127.0.0.1:0"]);
    let port = mock.lines[1]
        .strip_prefix("listening qmp tcp:127.0.0.1:")
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", port.parse::<u16>().unwrap())).unwrap();
    use std::io::Write;
    stream
        .write_all(b"{'execute':'qmp_capabilities'}{'execute':'stop'}")
        .unwrap();
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all).unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
}

/// All that a session of this seed gets, byte by byte.
fn bytes_of(seed: &str) -> Vec<u8> {
    let scenario = "
time: virtual
faults:
  storm: {probability: 0.5}
  twice: {at: reply, probability: 0.3, do: {duplicate: 1}}
  lost: {at: event, probability: 0.3, do: drop}
  pieces: {at: output, do: {slice: random}}
";
    let mock = Process::start(scenario, &["--seed", seed]);
    let mut stream = UnixStream::connect(mock.path("q")).unwrap();
    let mut session = "{\"execute\": \"qmp_capabilities\"}\n".to_owned();
    session += &"{\"execute\": \"query-name\"}\n".repeat(20);
    session += "{\"execute\": \"query-name\", \"id\": \"end\"}\n";
    stream.write_all(session.as_bytes()).unwrap();
    let mut lines = BufReader::new(stream);
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        assert!(
            lines.read_until(b'\n', &mut bytes).unwrap() > 0,
            "the end came too early"
        );
        if bytes[before..].ends_with(b"\"id\": \"end\"}\r\n") {
            return bytes;
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_in_another_process() {
    let first = bytes_of("7");
    let events = first.windows(10).filter(|w| w == b"RTC_CHANGE").count();
    assert!(events > 50, "the faults happen: {events}");
    assert!(first == bytes_of("7"));
    assert!(first != bytes_of("8"));
}

#[test]
fn a_mock_that_a_fault_ends_tells_first_what_did_not_hold() {
    let fault = "faults: {die: {at: reply, of: stop, do: [kill]}}";
    for (expect, told) in [("[]", false), ("[{execute: cont}]", true)] {
        let mock = Process::start(&format!("{fault}\nexpect: {expect}"), &[]);
        let mut client = mock.client();
        client.send("{\"execute\": \"stop\"}");
        while client.recv().is_some() {}
        let (status, text) = mock.wait();
        assert_eq!(status, None, "killed");
        assert!(text.ends_with("qmonitor-mock: a fault ends the process\n"));
        assert_eq!(text.contains("expected {execute: cont}"), told, "{text}");
    }
}

#[test]
fn faults_and_time_are_chosen_on_the_command_line() {
    let scenario = "time: real\nfaults: {late: {at: reply, do: {delay: 1h}, enabled: false}}";
    let mock = Process::start(scenario, &["--fault", "late", "--time", "virtual"]);
    let mut client = Client::connect(&mock.path("q"));
    client.recv();
    client.send("{\"execute\": \"qmp_capabilities\"}");
    let mut control = mock.control();
    // The request has come once its reply waits for its time.
    while control.call("clock-step", json!({}))["return"]["fired"] != 1 {}
    assert_eq!(client.recv(), Some(json!({"return": {}})));
    let (status, _, told) = run(&["-", "--fault", "silnet"]);
    let message = "qmonitor-mock: --fault: unknown fault 'silnet'; did you mean 'silent'?\n";
    assert_eq!((status, told.as_str()), (Some(2), message));
}

#[test]
fn what_was_answered_before_quit_is_written_however_slowly_it_is_read() {
    let mock = Process::start("{}", &["--fault", "chop"]);
    let mut client = Client::connect(&mock.path("q"));
    let words = ["qmp_capabilities", "query-qmp-schema", "quit"];
    let requests = words.map(|word| format!("{{\"execute\": \"{word}\"}}"));
    client.send(&requests.join(""));
    let messages: Vec<_> = std::iter::from_fn(|| client.recv()).collect();
    let replies = messages.iter().filter(|m| m.get("return").is_some());
    assert_eq!(replies.count(), 3);
    assert_eq!(mock.wait(), (Some(0), String::new()));
}

#[test]
fn a_unix_connection_is_reset_if_its_client_sends_on() {
    for at in ["request", "reply"] {
        let fault = format!("faults: {{die: {{at: {at}, of: stop, do: reset}}}}");
        let mock = Process::start(&fault, &[]);
        let mut stream = UnixStream::connect(mock.path("q")).unwrap();
        let first = "{'execute': 'qmp_capabilities'}{'execute': 'stop'}";
        // More than one read takes: the rest is unread when the connection is closed.
        let rest = "{'execute': 'query-status'}".repeat(4000);
        let _ = stream.write_all(format!("{first}{rest}").as_bytes());
        let mut text = String::new();
        let e = stream.read_to_string(&mut text).unwrap_err();
        assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset, "{at}");
    }
}

#[test]
fn what_comes_behind_the_request_that_ends_a_connection_has_no_answer() {
    let fault = "faults: {die: {at: request, of: stop, do: close}}";
    let mock = Process::start(fault, &[]);
    let mut client = Client::connect(&mock.path("q"));
    client.send("{'execute': 'qmp_capabilities'}{'execute': 'stop'}{'execute': 'query-name'}");
    let messages = std::iter::from_fn(|| client.recv()).count();
    assert_eq!(messages, 2, "the greeting and one reply");
}

#[test]
fn a_machine_is_ready_without_the_time_of_its_firmware() {
    let mock = Process::start("machine: [-machine, pc, -smp, 2]", &[]);
    let mut client = mock.client();
    let cpus = client.call("query-cpus-fast", json!({}))["return"].clone();
    let path = format!("/proc/self/task/{}/stat", cpus[0]["thread-id"]);
    let path = path.replace("self", &mock.id());
    let stat = std::fs::read_to_string(path).unwrap();
    let used: Vec<_> = stat.rsplit(')').next().unwrap().split(' ').collect();
    assert_eq!(used[12..14], ["0", "0"], "hundredths of a second");
}

#[test]
fn a_client_that_leaves_behind_a_held_request_makes_room_for_the_next() {
    let stub = "time: virtual\nstubs: [{when: {execute: query-block}, hold: slow}]";
    let mock = Process::start(stub, &[]);
    let text = b"{'execute': 'qmp_capabilities'}{'execute': 'query-block'}{'execute': 'stop'}";
    for length in 0..=text.len() {
        let mut stream = UnixStream::connect(mock.path("q")).unwrap();
        stream.write_all(&text[..length]).unwrap();
    }
    let greeting = Client::connect(&mock.path("q")).recv().unwrap();
    assert!(greeting["QMP"].is_object());
}

#[test]
fn a_server_that_never_accepts_lets_its_clients_wait() {
    for nth in [1, 2] {
        let fault = format!("faults: {{deaf: {{at: listen, nth: {nth}, do: never-accept}}}}");
        let mock = Process::start(&fault, &[]);
        for _ in 1..nth {
            mock.client();
        }
        let mut client = Client::connect(&mock.path("q"));
        client.send("{'execute': 'qmp_capabilities'}");
        mock.control().call("quit", json!({}));
        assert_eq!(client.recv(), None, "nothing came before the end");
    }
}
