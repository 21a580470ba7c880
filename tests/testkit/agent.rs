//! The guest agent.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use qmonitor_testkit::serde_json::json;

use crate::process::Process;

struct Agent {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Agent {
    fn connect(path: &Path) -> Agent {
        let stream = UnixStream::connect(path).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        Agent { stream, lines }
    }

    #[track_caller]
    fn expect(&mut self, sent: impl AsRef<[u8]>, lines: &[&[u8]]) {
        self.stream.write_all(sent.as_ref()).unwrap();
        for expected in lines {
            let mut line = Vec::new();
            self.lines.read_until(b'\n', &mut line).unwrap();
            let got = line.escape_ascii().to_string();
            assert_eq!(
                got,
                [expected, &b"\n"[..]].concat().escape_ascii().to_string()
            );
        }
    }
}

fn start(scenario: &str) -> Process {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("g");
    // The directory is the test's: it goes with the process.
    let mut mock = Process::start(scenario, &["--qga", &format!("unix:{}", path.display())]);
    mock.keep(dir);
    mock
}

fn agent(mock: &Process) -> Agent {
    Agent::connect(&mock.kept().join("g"))
}

#[test]
fn it_answers_as_the_recorded_agent_does() {
    let mock = start("{}");
    let mut agent = agent(&mock);
    agent.expect(
        "{'execute':'guest-sync','arguments':{'id':123}}\n",
        &[b"{\"return\": 123}"],
    );
    let stray = b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, stray '\\uFFFD'\"}}";
    let delimited = "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":7}}\n".as_bytes();
    agent.expect(
        [b"\xff", delimited].concat(),
        &[stray, b"\xff{\"return\": 7}"],
    );
    agent.expect(
        "{\"execute\":\"guest-ping\",\"id\":5}\n",
        &[b"{\"return\": {}, \"id\": 5}"],
    );
    for (sent, class, desc) in [
        (
            "{'execute':'nope'}",
            "CommandNotFound",
            "The command nope has not been found",
        ),
        ("[1]", "GenericError", "QMP input must be a JSON object"),
        (
            "{'execute':'guest-sync'}",
            "GenericError",
            "Parameter 'id' is missing",
        ),
        ("{]", "GenericError", "JSON parse error, expecting value"),
        (
            "{'execute':'guest-sync','arguments':{'id':'x'}}",
            "GenericError",
            "Invalid parameter type for 'id', expected: integer",
        ),
        (
            "{'execute':'qmp_capabilities'}",
            "CommandNotFound",
            "The command qmp_capabilities has not been found",
        ),
    ] {
        let error = format!("{{\"error\": {{\"class\": \"{class}\", \"desc\": \"{desc}\"}}}}");
        agent.expect(sent, &[error.as_bytes()]);
    }
    let two = "{'execute':'guest-ping'}{'execute':'guest-sync','arguments':{'id':1}}";
    agent.expect(two, &[b"{\"return\": {}}", b"{\"return\": 1}"]);
}

#[test]
fn its_parser_goes_on_where_the_last_client_left_it() {
    let mock = start("{}");
    let mut first = agent(&mock);
    first.expect(
        "{'execute':'guest-ping'}{\"execute\":\"guest-pi",
        &[b"{\"return\": {}}"],
    );
    drop(first);
    let mut second = agent(&mock);
    let delimited = "{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":8}}\n".as_bytes();
    let stray = "{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error, stray '\\\"guest-pi\\uFFFD'\"}}";
    second.expect(
        [b"\xff", delimited].concat(),
        &[stray.as_bytes(), b"\xff{\"return\": 8}"],
    );
}

#[test]
fn stubs_faults_and_the_journal_are_the_same() {
    let mock = start(
        "
stubs:
  - {when: {execute: guest-exec}, reply: {return: {pid: 7}}}
  - {when: {execute: guest-get-time}, hold: clock, reply: {return: 1}}
faults: {twice: {at: reply, of: guest-ping, do: {duplicate: 1}}}
expect: [{execute: guest-exec, arguments: {path: /bin/true}}]
",
    );
    let mut control = mock.control();
    let mut agent = agent(&mock);
    agent.expect(
        "{'execute':'guest-exec','arguments':{'path':'/bin/true'}}",
        &[b"{\"return\": {\"pid\": 7}}"],
    );
    agent.expect(
        "{'execute':'guest-ping'}",
        &[b"{\"return\": {}}", b"{\"return\": {}}"],
    );
    agent.expect("{'execute':'guest-get-time'}", &[]);
    while control.event("MOCK_REQUEST")["data"]["execute"] != "guest-get-time" {}
    let released = control.call("mock-release", json!({"point": "clock"}));
    assert_eq!(released, json!({"return": {"released": 1}}));
    agent.expect("", &[b"{\"return\": 1}"]);
    let verdict = control.call("mock-verify", json!({}));
    assert_eq!(verdict["return"]["ok"], true);
    let list = control.call("query-mock-requests", json!({}));
    assert_eq!(list["return"][2]["execute"], "guest-get-time");
    assert_eq!(list["return"][2]["state"], "answered");
}
