//! Tests of an embedder's own handlers: a client in memory, in simulated time.
//!
//! A [`Session`] owns the runtime under test and one QMP client of it. Nothing waits for the
//! system's clock, and what never comes is a message instead of a test that hangs.
//!
//! ```
//! use std::time::Duration;
//!
//! use qmonitor::main_loop::TimeSource;
//! use qmonitor::Runtime;
//! use qmonitor_testkit::session::{assert_json, Session};
//! use qmonitor_testkit::qmp;
//!
//! let mut rt = Runtime::with_time((), TimeSource::simulated()).unwrap();
//! // rt.add_commands(...): the commands under test
//! let mut session = Session::negotiated(rt);
//! let version = session.ask(qmp!("query-version")).unwrap();
//! let qemu = version.as_dict().and_then(|version| version.get("qemu")).unwrap();
//! assert_json(qemu, &qmp!({"major": 10, "minor": 0, "micro": 2}));
//!
//! session.rt().send_event(None, "TICK", &Default::default());
//! assert_eq!(session.event("TICK"), qmp!(event "TICK"));
//! session.advance(Duration::from_secs(3600)); // takes no time
//! ```
//!
//! # What time does
//!
//! | waiting for | simulated time |
//! |---|---|
//! | an answer | stands still; worker threads get up to ten seconds to answer |
//! | an answer, after [`let_time_pass`](Session::let_time_pass) | goes on, for commands that a timer answers |
//! | an event | goes on from deadline to deadline; without a timer, threads get their ten seconds |
//! | an [`event_now`](Session::event_now) | stands still, for events that a worker thread causes |

mod compare;
mod faults;
mod golden;
mod limits;
mod sweep;
mod transport;
mod wait;
mod wire;

use std::borrow::Borrow;
use std::collections::VecDeque;
use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{Error, ErrorClass, QDict, QObject};
use qmonitor::Runtime;

pub use compare::{assert_json, differences};
use limits::{unwrap, Clock, Limits};
use wire::{is_answer, Wire};

use crate::words::{Event, Request};

/// A runtime under test, and its client.
pub struct Session<S: 'static> {
    rt: Runtime<S>,
    wire: Wire,
    limits: Limits,
    answers_take_time: bool,
    last_id: i64,
    /// What `Read` has taken of a message and not handed on.
    reading: VecDeque<u8>,
}

/// A request that was sent, for [`Session::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent(i64);

impl<S> Session<S> {
    /// A client that has connected and sent nothing yet. The runtime's time is simulated or
    /// manual.
    ///
    /// # Panics
    ///
    /// If the runtime has a chardev `session`, or the process is out of descriptors.
    #[track_caller]
    pub fn connect(mut rt: Runtime<S>) -> Self {
        let label = "session";
        let made = MemoryPeer::new(&mut rt, label).and_then(|peer| {
            rt.monitor_init(&MonitorOptions {
                mode: Some(MonitorMode::Control),
                ..MonitorOptions::new(label)
            })?;
            Ok(peer)
        });
        let peer = unwrap(made.map_err(|e| e.to_string()));
        peer.open(&mut rt);
        Session {
            rt,
            wire: Wire::new(peer),
            limits: Limits::default(),
            answers_take_time: false,
            last_id: 0,
            reading: VecDeque::new(),
        }
    }

    /// A client past its negotiation.
    ///
    /// # Panics
    ///
    /// As [`connect`](Self::connect), and if the runtime does not greet or negotiate.
    #[track_caller]
    pub fn negotiated(rt: Runtime<S>) -> Self {
        let mut session = Self::connect(rt);
        session.negotiate();
        session
    }

    /// Reads the greeting, negotiates, and returns the greeting.
    ///
    /// # Panics
    ///
    /// If the runtime does not greet, or refuses.
    #[track_caller]
    pub fn negotiate(&mut self) -> QDict {
        let greeting = self.wait("the greeting", Clock::Stands, |wire| {
            wire.take(|message| message.contains_key("QMP"))
        });
        let greeting = unwrap(greeting);
        if let Err(e) = self.ask(Request::new("qmp_capabilities")) {
            panic!("the negotiation failed: {e}");
        }
        greeting
    }

    /// The runtime under test.
    pub fn rt(&mut self) -> &mut Runtime<S> {
        &mut self.rt
    }

    /// The embedder's state.
    pub fn state(&mut self) -> &mut S {
        &mut self.rt.state
    }

    /// Gives the runtime back.
    pub fn into_rt(self) -> Runtime<S> {
        self.rt
    }

    /// Simulated time since the runtime was made.
    pub fn now(&self) -> Duration {
        let ns = self.rt.main_loop().clock_get_ns(ClockType::Realtime);
        Duration::from_nanos(ns.try_into().unwrap_or(0))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    ///
    /// The error that the command answered.
    ///
    /// # Panics
    ///
    /// If no answer comes; the message tells what came instead.
    #[track_caller]
    pub fn ask(&mut self, request: impl Borrow<Request>) -> Result<QObject, Error> {
        let sent = self.send(request);
        self.answer(sent)
    }

    /// Sends a request without waiting.
    pub fn send(&mut self, request: impl Borrow<Request>) -> Sent {
        self.last_id += 1;
        let mut dict = request.borrow().to_dict();
        dict.insert("id", self.last_id);
        self.send_raw(qobject_to_json(&dict.into(), false) + "\n");
        Sent(self.last_id)
    }

    /// Sends bytes.
    pub fn send_raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.wire.send(&mut self.rt, bytes.as_ref());
    }

    /// Waits for the answer to a request that was [sent](Self::send).
    ///
    /// # Errors
    ///
    /// The error that the command answered.
    ///
    /// # Panics
    ///
    /// If no answer comes; the message tells what came instead.
    #[track_caller]
    pub fn answer(&mut self, sent: Sent) -> Result<QObject, Error> {
        let id = QObject::from(sent.0);
        let what = match self.wire.command_of(&id) {
            Some(command) => format!("the answer to {command}"),
            None => "an answer that has come already".to_owned(),
        };
        let answer = self.wait(&what, self.answer_clock(), |wire| {
            wire.take(|message| is_answer(message) && message.get("id") == Some(&id))
        });
        outcome(unwrap(answer))
    }

    /// Waits for the next event of this name, and takes it; earlier messages stay.
    ///
    /// # Panics
    ///
    /// If it does not come; the message tells what came instead.
    #[track_caller]
    pub fn event(&mut self, name: &str) -> Event {
        unwrap(self.wait_event(name, Clock::Moves))
    }

    /// Waits for the next event of this name while simulated time stands still.
    ///
    /// # Panics
    ///
    /// As [`event`](Self::event).
    #[track_caller]
    pub fn event_now(&mut self, name: &str) -> Event {
        unwrap(self.wait_event(name, Clock::Stands))
    }

    fn wait_event(&mut self, name: &str, clock: Clock) -> Result<Event, String> {
        let what = format!("the event {name}");
        let event = self.wait(&what, clock, |wire| {
            wire.take(|message| message.get_str("event") == Some(name))
        });
        event.map(as_event)
    }

    /// Takes the events that have come by now.
    ///
    /// # Panics
    ///
    /// If the loop does not come to rest.
    #[track_caller]
    pub fn events(&mut self) -> Vec<Event> {
        self.settle();
        let wire = &mut self.wire;
        let next = || wire.take(|message| message.contains_key("event"));
        std::iter::from_fn(next).map(as_event).collect()
    }
}

fn as_event(mut message: QDict) -> Event {
    Event {
        event: message.get_str("event").unwrap_or_default().to_owned(),
        data: match message.remove("data") {
            Some(QObject::Dict(data)) => data,
            _ => QDict::new(),
        },
    }
}

fn outcome(mut message: QDict) -> Result<QObject, Error> {
    match message.remove("error") {
        Some(QObject::Dict(error)) => Err(refusal(&error)),
        _ => Ok(message.remove("return").unwrap_or(QObject::Null)),
    }
}

fn refusal(error: &QDict) -> Error {
    let classes = [
        ErrorClass::CommandNotFound,
        ErrorClass::DeviceNotActive,
        ErrorClass::DeviceNotFound,
        ErrorClass::KvmMissingCap,
    ];
    let named = |class: &ErrorClass| error.get_str("class") == Some(class.as_str());
    let class = classes.into_iter().find(named);
    let desc = error.get_str("desc").unwrap_or_default().to_owned();
    Error::with_class(class.unwrap_or(ErrorClass::GenericError), desc)
}
