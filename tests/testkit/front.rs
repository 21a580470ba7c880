//! The front for tests in Rust.

use std::time::Duration;

use qmonitor_testkit::serde_json::json;
use qmonitor_testkit::{qmp, Mock, Slice};

use crate::process::Client;

#[test]
fn unplug_waits_for_the_event() {
    let mock = Mock::machine().seed_from_env().start();
    let del = mock
        .on(qmp!("device_del", id = "d0"))
        .reply(qmp!({}))
        .times(1);
    let mut client = Client::negotiated(mock.socket());
    let job = std::thread::spawn(move || {
        client.call("device_del", json!({"id": "d0"}));
        client.event("DEVICE_DELETED");
    });
    mock.wait_for(&del);
    assert!(!job.is_finished());
    mock.emit(qmp!(event "DEVICE_DELETED", device = "d0", path = "/machine/peripheral/d0"));
    job.join().unwrap();
    assert_eq!(del.used(), 1);
    mock.received()
        .in_order([qmp!("qmp_capabilities"), qmp!("device_del", id = "d0")]);
}

fn message(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let failed = std::panic::catch_unwind(test).expect_err("it fails");
    match failed.downcast::<String>() {
        Ok(message) => *message,
        Err(_) => panic!("a message"),
    }
}

#[test]
fn dropping_a_mock_verifies_it() {
    let text = message(|| {
        let mock = Mock::machine().seed(5).start();
        let _stop = mock.on(qmp!("stop")).reply(qmp!({})).times(2);
        Client::negotiated(mock.socket()).call("stop", json!({}));
    });
    assert!(
        text.contains("expected {execute: stop} twice, but it came once"),
        "{text}"
    );
    assert!(text.contains("QMONITOR_SEED=5"), "{text}");
    let text = message(|| {
        let mock = Mock::strict().start();
        Client::negotiated(mock.socket()).call("stop", json!({}));
    });
    assert!(text.contains("unexpected command: stop {}"), "{text}");
}

#[test]
fn what_does_not_fit_the_schema_is_refused_where_it_stands() {
    let text = message(|| {
        let mock = Mock::machine().start();
        mock.on(qmp!("query-name")).reply(qmp!({"nmae": "x"}));
    });
    assert_eq!(
        text,
        "reply.return.nmae: unknown member 'nmae'; did you mean 'name'?"
    );
    let text = message(|| Mock::machine().start().emit(qmp!(event "STOPP")));
    assert!(text.contains("did you mean 'STOP'?"), "{text}");
    let text = message(|| Mock::machine().start().fault("chopp"));
    assert!(text.contains("did you mean 'chop'?"), "{text}");
}

#[test]
fn time_is_the_tests() {
    let mock = Mock::machine().start();
    let second = Duration::from_secs(1);
    let event = qmp!(event "SHUTDOWN", guest = true, reason = "guest-shutdown");
    let stop = mock.on(qmp!("stop")).pass().then(second, event);
    let mut client = Client::negotiated(mock.socket());
    client.call("stop", json!({}));
    mock.wait_for(&stop);
    mock.advance(second);
    assert_eq!(client.event("SHUTDOWN")["data"]["guest"], true);
    let _held = mock
        .on(qmp!("query-name"))
        .hold("gate")
        .reply(qmp!({"name": "late"}));
    client.send("{\"execute\": \"query-name\"}");
    mock.wait_request(qmp!("query-name"));
    assert_eq!(mock.release("gate"), 1);
    assert_eq!(client.recv(), Some(json!({"return": {"name": "late"}})));
}

/// Counts messages in whatever pieces they come.
#[derive(Default)]
struct Codec {
    depth: usize,
    done: usize,
}

impl Codec {
    fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'{' => self.depth += 1,
                b'}' => {
                    self.depth -= 1;
                    self.done += usize::from(self.depth == 0);
                }
                _ => {}
            }
        }
    }
}

#[test]
fn survives_any_chunking() {
    let mut shapes = std::collections::BTreeSet::new();
    Mock::sweep(0..50, |m| {
        m.fault(Slice::random());
        m.connect();
        m.send(qmp!("qmp_capabilities"));
        m.send(qmp!("query-version"));
        let mut client = Codec::default();
        let mut shape = Vec::new();
        m.pipe(|bytes| {
            client.feed(bytes);
            shape.push(bytes.len());
        });
        assert_eq!(client.done, 3);
        shapes.insert(shape);
    });
    assert!(shapes.len() > 40, "seeds differ");
}

#[test]
fn a_sweep_stops_at_the_seed_that_fails() {
    let mut ran = 0;
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Mock::sweep(0..9, |m| {
            ran += 1;
            if m.seed() == 3 {
                m.expect(&qmp!("stop"), 1);
            }
        });
    }));
    let message = failed.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(
        message.contains("but it came never") && message.contains("QMONITOR_SEED=3"),
        "{message}"
    );
    assert_eq!(ran, 4);
}

#[test]
fn two_mocks_do_not_see_each_other() {
    let (one, two) = (Mock::machine().start(), Mock::machine().start());
    assert_ne!(one.socket(), two.socket());
    let _stub = one.on(qmp!("query-name")).reply(qmp!({"name": "one"}));
    let mut client = Client::negotiated(two.socket());
    assert_eq!(client.call("query-name", json!({})), json!({"return": {}}));
    assert_eq!(one.received().entries().len(), 0);
    assert_eq!(
        two.received().commands(),
        ["qmp_capabilities", "query-name"]
    );
    let dir = one.socket().parent().unwrap().to_owned();
    drop(one);
    assert!(!dir.exists());
}
