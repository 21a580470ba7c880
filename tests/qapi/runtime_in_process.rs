//! The library inside a test's own process: two runtimes beside each other, a
//! runtime in a foreign loop.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::MonitorMode;
use qmonitor::qapi::Error;
use qmonitor::Runtime;
use serde_json::{json, Value};

#[allow(missing_docs, dead_code)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/embed.rs"));
}

/// A state for runtimes in this process.
struct Oven {
    target: f64,
}

impl schema::EmbedCommands for Oven {
    fn qmp_query_thermostat(rt: &mut Runtime<Self>) -> Result<schema::Thermostat, Error> {
        let target = rt.state.target;
        let heating = true;
        Ok(schema::Thermostat { target, heating })
    }

    fn qmp_set_target(rt: &mut Runtime<Self>, target: f64) -> Result<(), Error> {
        rt.state.target = target;
        schema::qapi_event_send_target_changed(rt, target);
        Ok(())
    }
}

/// A runtime that serves QMP on the socket `name` of a directory.
#[track_caller]
fn oven(dir: &tempfile::TempDir, name: &str, target: f64) -> Runtime<Oven> {
    let mut rt = Runtime::new(Oven { target }).expect("a runtime");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    let path = dir.path().join(name);
    let form = format!("unix:{},server=on,wait=off", path.display());
    let listening = rt.monitor_parse(&form, MonitorMode::Control, false);
    listening.expect("a listening socket");
    rt
}

/// A client in the same thread as its server: it never waits.
struct Guest {
    stream: UnixStream,
    got: Vec<u8>,
}

impl Guest {
    #[track_caller]
    fn connect(dir: &tempfile::TempDir, name: &str) -> Guest {
        let stream = UnixStream::connect(dir.path().join(name)).expect("someone listens");
        stream.set_nonblocking(true).expect("a socket");
        let got = Vec::new();
        Guest { stream, got }
    }

    #[track_caller]
    fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("room for it");
    }

    /// The complete messages so far.
    #[track_caller]
    fn messages(&mut self) -> Vec<Value> {
        // The end of the input only means that nothing more has come yet.
        let _ = self.stream.read_to_end(&mut self.got);
        let end = self.got.iter().rposition(|byte| *byte == b'\n');
        let whole: Vec<u8> = self.got.drain(..end.map_or(0, |end| end + 1)).collect();
        whole
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect()
    }
}

#[test]
fn several_instances_live_in_one_process() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut ovens = [oven(&dir, "a", 100.0), oven(&dir, "b", 200.0)];
    let mut guests = [Guest::connect(&dir, "a"), Guest::connect(&dir, "b")];
    let turns = |ovens: &mut [Runtime<Oven>; 2]| {
        // A turn each, until neither has anything to do.
        let turn = |rt: &mut Runtime<Oven>| rt.turn(Some(Duration::ZERO)).expect("a turn");
        while ovens.iter_mut().fold(false, |ran, rt| turn(rt) | ran) {}
    };
    turns(&mut ovens);
    for guest in &mut guests {
        assert_eq!(guest.messages().len(), 1, "the greeting");
        guest.send(r#"{"execute": "qmp_capabilities"}"#);
    }
    turns(&mut ovens);
    for guest in &mut guests {
        assert_eq!(guest.messages(), [json!({"return": {}})]);
    }

    guests[0].send(r#"{"execute": "set-target", "arguments": {"target": 150}, "id": "a"}"#);
    guests[1].send(r#"{"execute": "query-thermostat", "id": "b"}"#);
    turns(&mut ovens);
    let first = guests[0].messages();
    assert_eq!(first.len(), 2, "{first:?}");
    assert_eq!(first[0]["event"], "TARGET_CHANGED");
    assert_eq!(first[1], json!({"return": {}, "id": "a"}));
    assert_eq!(
        guests[1].messages(),
        [json!({"return": {"heating": true, "target": 200}, "id": "b"})],
        "neither the other's state nor the other's event"
    );

    guests[0].send(r#"{"execute": "quit"}"#);
    turns(&mut ovens);
    assert!(ovens[0].exit_requested().is_some());
    assert!(ovens[1].exit_requested().is_none());
    let [mut first, mut second] = ovens;
    first.shut_down();
    drop(first);
    guests[1].send(r#"{"execute": "query-version"}"#);
    while second.turn(Some(Duration::ZERO)).expect("a turn") {}
    assert_eq!(guests[1].messages().len(), 1, "the other serves on");
}

#[test]
fn a_foreign_loop_sleeps_until_there_is_something_to_do() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut rt = oven(&dir, "q", 100.0);
    let mut guest = Guest::connect(&dir, "q");
    let timer =
        rt.main_loop_mut()
            .timer_new(ClockType::Realtime, "done", |rt: &mut Runtime<Oven>| {
                rt.request_exit(3);
            });
    let (mut got, mut sleeps) = (Vec::new(), 0);
    let status = loop {
        if let Some(exit) = rt.exit_requested() {
            break exit.status;
        }
        let timeout = match rt.main_loop().next_timeout() {
            Some(wait) => PollTimeout::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap(),
            None => PollTimeout::NONE,
        };
        sleeps += u32::from(timeout != PollTimeout::ZERO);
        let monitor_fd = rt.main_loop_mut().poll_fd().expect("epoll");
        let mut fds = [
            PollFd::new(monitor_fd, PollFlags::POLLIN),
            PollFd::new(guest.stream.as_fd(), PollFlags::POLLIN),
        ];
        // Without a wake-up this would never return.
        poll(&mut fds, timeout).expect("poll");
        for message in guest.messages() {
            match got.len() {
                0 => guest.send(r#"{"execute": "qmp_capabilities"}"#),
                1 => guest.send(r#"{"execute": "set-target", "arguments": {"target": 1}}"#),
                // The event is first, then the reply: nothing is left but time.
                3 => {
                    let delay = Duration::from_millis(20);
                    rt.main_loop_mut().timer_mod_in(timer, delay);
                }
                _ => {}
            }
            got.push(message);
        }
        rt.turn(Some(Duration::ZERO)).expect("a turn");
    };
    assert_eq!(status, 3, "the timer's");
    assert_eq!(got.len(), 4, "{got:?}");
    assert_eq!(got[2]["event"], "TARGET_CHANGED");
    assert_eq!(got[3], json!({"return": {}}));
    // It slept for each message and the timer, and hardly more often.
    assert!((1..=20).contains(&sleeps), "{sleeps}");
    rt.shut_down();
}
