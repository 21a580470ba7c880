//! The program under test, and its clients.

use std::collections::VecDeque;
use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::chardev::{label, CharFrontend, ChardevHost, ChardevReport};
use qmonitor::main_loop::{ClockType, Host, TimeSource};
use qmonitor::monitor::{
    monitor_remove, qapi_event_emit, MonitorId, MonitorMode, MonitorOptions, Runtime,
};
use qmonitor::qapi::{
    Call, Error, EventInfo, QDict, QNum, QObject, QmpCommand, QmpCommandFunc, QmpCommandOptions,
    RawResponder, Responder, SpecialFeatures,
};

use crate::fd_guard::FdGuard;
pub type Rt = Runtime<Bench>;

/// The program's own state.
#[derive(Default)]
pub struct Bench {
    /// Arguments of the commands `note`, in the order of execution.
    pub notes: Vec<String>,
    /// Responders of the commands `hold` under way, the oldest first.
    pub held: VecDeque<RawResponder>,
    /// Responders of the HMP command `sum` under way.
    pub typed: VecDeque<Responder<i64>>,
    /// The monitor that the command `leave` removes.
    pub leaver: Option<MonitorId>,
    /// The client of the monitor that a command has made.
    pub made: Option<MemoryPeer>,
    /// Where the command `say` writes.
    pub ends: Vec<CharFrontend>,
    /// Output at the other ends of those.
    pub heard: Vec<Vec<u8>>,
    /// Messages for the person at the terminal.
    pub reports: std::rc::Rc<std::cell::RefCell<Vec<String>>>,
}

const PLAIN: SpecialFeatures = SpecialFeatures::NONE;

pub const fn event(name: &'static str) -> EventInfo {
    EventInfo {
        name,
        features: PLAIN,
    }
}

/// Not rate limited.
pub static EVENT_PLAIN: EventInfo = event("PLAIN");
/// At most one a second.
pub static EVENT_WATCHDOG: EventInfo = event("WATCHDOG");
/// At most one a second of each `id`.
pub static EVENT_VSERPORT: EventInfo = event("VSERPORT_CHANGE");

pub const OOB: QmpCommandOptions = QmpCommandOptions {
    allow_oob: true,
    ..QmpCommandOptions::NONE
};

/// Adds a command that answers at once.
pub fn immediate(
    rt: &mut Rt,
    name: &'static str,
    options: QmpCommandOptions,
    func: fn(&mut Rt, &mut Call<'_>) -> Result<(), Error>,
) {
    rt.commands_mut().register(QmpCommand {
        name,
        options,
        features: PLAIN,
        func: QmpCommandFunc::Immediate(func),
    });
}

/// Adds a command that answers later.
pub fn deferred(
    rt: &mut Rt,
    name: &'static str,
    options: QmpCommandOptions,
    func: fn(&mut Rt, &mut Call<'_>, RawResponder),
) {
    rt.commands_mut().register(QmpCommand {
        name,
        options,
        features: PLAIN,
        func: QmpCommandFunc::Deferred(func),
    });
}

/// A number among the arguments.
pub fn int(args: &QDict, name: &str) -> i64 {
    match args.get(name) {
        Some(QObject::Num(QNum::I64(n))) => *n,
        other => panic!("{name} is {other:?}"),
    }
}

fn note(rt: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    let args = call.take_args();
    rt.state
        .notes
        .push(args.get_str("tag").unwrap_or_default().to_owned());
    Ok(())
}

fn hold(rt: &mut Rt, _: &mut Call<'_>, responder: RawResponder) {
    rt.state.held.push_back(responder);
}

fn emit(rt: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    let mut args = call.take_args();
    let event = match args.get_str("event") {
        Some("WATCHDOG") => &EVENT_WATCHDOG,
        Some("VSERPORT_CHANGE") => &EVENT_VSERPORT,
        _ => &EVENT_PLAIN,
    };
    args.remove("event");
    qapi_event_emit(rt, event, args);
    Ok(())
}

fn big(rt: &mut Rt, call: &mut Call<'_>) -> Result<(), Error> {
    rt.state.notes.push("big".to_owned());
    let size = int(&call.take_args(), "size") as usize;
    call.ret(&"x".repeat(size));
    Ok(())
}

fn leave(rt: &mut Rt, _: &mut Call<'_>) -> Result<(), Error> {
    let id = rt.state.leaver.take().expect("somebody is to leave");
    monitor_remove(rt, id);
    Ok(())
}

pub struct World {
    pub rt: Rt,
    /// Last, to be dropped last.
    _fds: FdGuard,
}

impl World {
    pub fn new() -> Self {
        Self::with_time(TimeSource::simulated())
    }

    pub fn with_time(time: TimeSource) -> Self {
        let fds = FdGuard::new();
        let mut rt = Runtime::with_time(Bench::default(), time).unwrap();
        let reports = rt.state.reports.clone();
        rt.set_report(move |kind, text| {
            assert_eq!(kind, ChardevReport::Error);
            reports.borrow_mut().push(text.to_owned());
        });
        immediate(&mut rt, "note", QmpCommandOptions::NONE, note);
        immediate(&mut rt, "note-oob", OOB, note);
        deferred(&mut rt, "hold", QmpCommandOptions::NONE, hold);
        deferred(&mut rt, "hold-oob", OOB, hold);
        immediate(&mut rt, "emit", QmpCommandOptions::NONE, emit);
        immediate(&mut rt, "big", QmpCommandOptions::NONE, big);
        immediate(&mut rt, "big-oob", OOB, big);
        immediate(&mut rt, "leave", QmpCommandOptions::NONE, leave);
        World { rt, _fds: fds }
    }

    /// A monitor on a chardev in memory without a client.
    pub fn monitor(&mut self, label: &str) -> MemoryPeer {
        self.monitor_with(label, false).0
    }

    pub fn monitor_with(&mut self, label: &str, pretty: bool) -> (MemoryPeer, MonitorId) {
        let peer = MemoryPeer::new(&mut self.rt, label).unwrap();
        let id = self.monitor_on(peer, pretty);
        (peer, id)
    }

    /// A monitor on an existing chardev.
    pub fn monitor_on(&mut self, peer: MemoryPeer, pretty: bool) -> MonitorId {
        let options = MonitorOptions {
            pretty: Some(pretty),
            ..self.options(peer)
        };
        self.rt.monitor_init(&options).unwrap()
    }

    /// Options of a QMP monitor on an existing chardev.
    pub fn options(&self, peer: MemoryPeer) -> MonitorOptions {
        MonitorOptions {
            mode: Some(MonitorMode::Control),
            ..MonitorOptions::new(label(&self.rt, peer.chardev()))
        }
    }

    /// A client, past greeting and negotiation, of a monitor with these
    /// options; their chardev does not count.
    #[track_caller]
    pub fn client_with(&mut self, capabilities: &str, options: MonitorOptions) -> MemoryPeer {
        let peer = MemoryPeer::new(&mut self.rt, "client").unwrap();
        let options = MonitorOptions {
            mode: Some(MonitorMode::Control),
            chardev: "client".to_owned(),
            ..options
        };
        self.rt.monitor_init(&options).unwrap();
        self.connect(peer, capabilities);
        peer
    }

    /// A client past greeting and negotiation.
    #[track_caller]
    pub fn client(&mut self, label: &str) -> MemoryPeer {
        let peer = self.monitor(label);
        self.connect(peer, "");
        peer
    }

    /// A client past greeting and negotiation that may go out of band.
    #[track_caller]
    pub fn oob_client(&mut self, label: &str) -> MemoryPeer {
        let peer = self.monitor(label);
        self.connect(peer, "'oob'");
        peer
    }

    /// Connects and negotiates.
    #[track_caller]
    pub fn connect(&mut self, peer: MemoryPeer, capabilities: &str) {
        peer.open(&mut self.rt);
        self.expect(peer, &[GREETING]);
        peer.send(&mut self.rt, capabilities_request(capabilities));
        self.expect(peer, &["{\"return\": {}}"]);
    }

    pub fn send(&mut self, peer: MemoryPeer, bytes: impl AsRef<[u8]>) {
        peer.send(&mut self.rt, bytes);
    }

    /// Turns the loop until nothing happens; exactly these lines must have
    /// come.
    #[track_caller]
    pub fn expect<L: AsRef<str>>(&mut self, peer: MemoryPeer, lines: &[L]) {
        let got = peer.recv(&mut self.rt);
        let got = String::from_utf8(got).unwrap();
        let expected: String = lines
            .iter()
            .map(|line| format!("{}\r\n", line.as_ref()))
            .collect();
        assert_eq!(got, expected);
    }

    /// Whether the connection still stands when nothing happens any more.
    pub fn is_open(&mut self, peer: MemoryPeer) -> bool {
        self.settle();
        let chr = self.rt.chardevs().get(peer.chardev());
        chr.is_some_and(qmonitor::chardev::Chardev::is_open)
    }

    /// Turns the loop until nothing happens.
    pub fn settle(&mut self) {
        while self.rt.turn(Some(Duration::ZERO)).unwrap() {}
    }

    /// Lets time pass and timers run.
    pub fn advance(&mut self, ms: u64) {
        self.rt
            .main_loop_mut()
            .time_advance(Duration::from_millis(ms));
        self.settle();
    }

    pub fn now_ns(&self) -> i64 {
        self.rt.main_loop().clock_get_ns(ClockType::Host)
    }

    /// Answers the oldest `hold`.
    #[track_caller]
    pub fn release(&mut self) {
        let responder = self.rt.state.held.pop_front().expect("one is held");
        responder.respond(Ok(QDict::new().into()));
    }

    #[track_caller]
    pub fn expect_notes(&mut self, notes: &[&str]) {
        assert_eq!(std::mem::take(&mut self.rt.state.notes), notes);
    }

    pub fn emit(&mut self, event: &'static EventInfo, id: &str) {
        let mut data = QDict::new();
        data.insert("id", id);
        qapi_event_emit(&mut self.rt, event, data);
    }
}

pub const GREETING: &str = concat!(
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, \"package\": \"qmonitor-",
    env!("CARGO_PKG_VERSION"),
    "\"}, \"capabilities\": [\"oob\"]}}"
);

pub fn capabilities_request(capabilities: &str) -> String {
    format!("{{'execute': 'qmp_capabilities', 'arguments': {{'enable': [{capabilities}]}}}}")
}

/// A request without arguments.
pub fn req(command: &str, id: i64) -> String {
    format!("{{'execute': '{command}', 'id': {id}}}")
}

pub fn oob(command: &str, id: i64) -> String {
    format!("{{'exec-oob': '{command}', 'id': {id}}}")
}

pub fn note_req(tag: &str, id: i64) -> String {
    format!("{{'execute': 'note', 'arguments': {{'tag': '{tag}'}}, 'id': {id}}}")
}

pub fn ok(id: i64) -> String {
    format!("{{\"return\": {{}}, \"id\": {id}}}")
}

/// A GenericError; `id` as JSON, or empty for none.
pub fn err(id: &str, desc: &str) -> String {
    let id = match id {
        "" => String::new(),
        id => format!("\"id\": {id}, "),
    };
    format!("{{{id}\"error\": {{\"class\": \"GenericError\", \"desc\": \"{desc}\"}}}}")
}

/// An event whose data is `id`, at a time in nanoseconds.
pub fn event_line(name: &str, id: &str, time_ns: i64) -> String {
    format!(
        "{{\"timestamp\": {{\"seconds\": {}, \"microseconds\": {}}}, \"event\": \"{name}\", \
         \"data\": {{\"id\": \"{id}\"}}}}",
        time_ns / 1_000_000_000,
        time_ns % 1_000_000_000 / 1000
    )
}
