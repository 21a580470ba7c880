//! Two QMP sessions: whatever clients send, when they go and what happens
//! meanwhile, each of their requests has one answer, in order, with its `id`;
//! the greeting comes first, and events only come after negotiation.
//!
//! Input: a byte of flags, then a [script](super::script). Bit 0 of the flags
//! takes the machine's commands instead of a few deferred ones, bit 1 indents;
//! the others shuffle.

use std::collections::VecDeque;
use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::main_loop::{Host, TimeSource};
use qmonitor::monitor::{qapi_event_emit, MonitorMode, MonitorOptions};
use qmonitor::qapi::json::{qobject_to_json, JsonMessageParser};
use qmonitor::qapi::{
    Call, Error, EventInfo, QDict, QObject, QmpCommand, QmpCommandFunc, QmpCommandOptions,
    RawResponder, SpecialFeatures,
};
use qmonitor::Runtime;

use super::harmless;
use super::script::{self, Step};

/// Commands under way.
#[derive(Default)]
struct Held(VecDeque<RawResponder>);

/// A program with deferred commands, or one that has none.
trait Program: Sized + 'static {
    fn held(&mut self) -> Option<&mut Held>;
}

impl Program for Held {
    fn held(&mut self) -> Option<&mut Held> {
        Some(self)
    }
}

impl Program for qmonitor_machine::Machine {
    fn held(&mut self) -> Option<&mut Held> {
        None
    }
}

const PLAIN: SpecialFeatures = SpecialFeatures::NONE;

static EVENTS: [EventInfo; 3] = [
    event("PLAIN"),
    // Both at most once a second, the latter for each `id`.
    event("WATCHDOG"),
    event("VSERPORT_CHANGE"),
];

const fn event(name: &'static str) -> EventInfo {
    EventInfo {
        name,
        features: PLAIN,
    }
}

pub fn session(data: &[u8]) {
    let [flags, script @ ..] = data else {
        return;
    };
    if flags & 1 == 1 {
        play(harmless::machine(), *flags, script);
    } else {
        play(bench(), *flags, script);
    }
}

fn bench() -> Runtime<Held> {
    let mut rt = Runtime::with_time(Held::default(), TimeSource::simulated()).expect("descriptors");
    rt.set_report(|_, _| {});
    rt.hmp_mut().table = harmless::restricted(&rt.hmp_mut().table);
    let in_band = QmpCommandOptions::NONE;
    let out_of_band = QmpCommandOptions {
        allow_oob: true,
        ..in_band
    };
    for (name, options) in [("hold", in_band), ("hold-oob", out_of_band)] {
        let func = QmpCommandFunc::Deferred(|rt: &mut Runtime<Held>, _, responder| {
            rt.state.0.push_back(responder);
        });
        register(&mut rt, name, options, func);
    }
    for (name, options) in [("note", in_band), ("note-oob", out_of_band)] {
        register(&mut rt, name, options, QmpCommandFunc::Immediate(note));
    }
    register(&mut rt, "emit", in_band, QmpCommandFunc::Immediate(emit));
    rt
}

fn register(
    rt: &mut Runtime<Held>,
    name: &'static str,
    options: QmpCommandOptions,
    func: QmpCommandFunc<Runtime<Held>>,
) {
    rt.commands_mut().register(QmpCommand {
        name,
        options,
        features: PLAIN,
        func,
    });
}

fn note(_: &mut Runtime<Held>, call: &mut Call<'_>) -> Result<(), Error> {
    let args = call.take_args();
    call.ret(&QObject::Dict(args));
    Ok(())
}

fn emit(rt: &mut Runtime<Held>, call: &mut Call<'_>) -> Result<(), Error> {
    let args = call.take_args();
    let event = EVENTS
        .iter()
        .find(|e| Some(e.name) == args.get_str("event"));
    qapi_event_emit(rt, event.unwrap_or(&EVENTS[0]), args);
    Ok(())
}

/// An `id` as text; `None` stands for a request without one or an unreadable
/// request.
type Id = Option<String>;

/// A client, and the output it may get.
struct Client {
    peer: MemoryPeer,
    /// Reads its input as the session does.
    requests: JsonMessageParser,
    in_band: VecDeque<Id>,
    out_of_band: Vec<Id>,
    /// Output that is not a whole message yet.
    heard: Vec<u8>,
    greeted: bool,
    negotiated: bool,
    /// An infinity came back, which no parser reads: ids are not checked any
    /// more.
    blurred: bool,
}

impl Client {
    fn new(peer: MemoryPeer) -> Self {
        Client {
            peer,
            requests: JsonMessageParser::default(),
            in_band: VecDeque::new(),
            out_of_band: Vec::new(),
            heard: Vec::new(),
            greeted: false,
            negotiated: false,
            blurred: false,
        }
    }

    /// Notes what is about to be sent. Before a request that could do harm it
    /// cuts `bytes` off and returns false.
    fn note_requests(&mut self, bytes: &mut Vec<u8>) -> bool {
        let mut at = 0;
        let mut any = false;
        while at < bytes.len() {
            let (used, message) = self.requests.parse(&bytes[at..]);
            let dict = match &message {
                Some(Ok(message)) if !harmless::is_request(message) => {
                    bytes.truncate(at);
                    if any {
                        // The last message is complete only with a byte after it
                        // if it is a number or a word. Without one the harmful
                        // request may have begun in an earlier piece, and a
                        // newline would end that inside a string.
                        bytes.push(b'\n');
                    }
                    return false;
                }
                Some(Ok(message)) => message.as_dict(),
                Some(Err(_)) => None,
                None => break,
            };
            any = true;
            at += used;
            let id = dict.and_then(|dict| dict.get("id"));
            let id = id.map(|id| qobject_to_json(id, false));
            let has = |name| dict.is_some_and(|dict| dict.contains_key(name));
            if has("exec-oob") && !has("execute") {
                self.out_of_band.push(id);
            } else {
                self.in_band.push_back(id);
            }
        }
        true
    }

    fn is_answered(&self) -> bool {
        self.in_band.is_empty() && self.out_of_band.is_empty()
    }

    /// Takes output and compares it with the expected answers.
    fn hear(&mut self, bytes: &[u8], pretty: bool) {
        self.heard.extend(bytes);
        let end: &[u8] = if pretty { b"\n}\r\n" } else { b"\r\n" };
        while let Some(at) = find(&self.heard, end) {
            let rest = self.heard.split_off(at + end.len());
            let message = std::mem::replace(&mut self.heard, rest);
            self.understand(&message);
        }
    }

    fn understand(&mut self, message: &[u8]) {
        let text = std::str::from_utf8(message).expect("all output is text");
        let parsed = qmonitor::qapi::json::qobject_from_json(message);
        let Ok(QObject::Dict(dict)) = &parsed else {
            assert!(text.contains("inf"), "not a message: {text}");
            self.blurred = true;
            return;
        };
        if !self.greeted {
            assert!(dict.contains_key("QMP"), "no greeting: {text}");
            self.greeted = true;
            return;
        }
        if let Some(event) = dict.get("event") {
            assert!(self.negotiated, "an event before negotiation: {text}");
            assert!(
                event.as_str().is_some() && dict.contains_key("timestamp"),
                "{text}"
            );
            return;
        }
        match (
            dict.get("return"),
            dict.get("error").and_then(QObject::as_dict),
        ) {
            (Some(_), None) => self.negotiated = true,
            (None, Some(error)) => {
                assert!(error.get_str("class").is_some(), "{text}");
                assert!(
                    error.get_str("desc").is_some_and(|d| !d.is_empty()),
                    "{text}"
                );
            }
            _ => panic!("not a reply: {text}"),
        }
        self.cross_off(dict.get("id"), text);
    }

    fn cross_off(&mut self, id: Option<&QObject>, text: &str) {
        let id = id.map(|id| qobject_to_json(id, false));
        if self.in_band.front() == Some(&id) {
            self.in_band.pop_front();
        } else if let Some(at) = self.out_of_band.iter().position(|other| *other == id) {
            self.out_of_band.remove(at);
        } else {
            assert!(
                self.blurred,
                "nobody asked for {text}, but {:?}",
                self.in_band
            );
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

struct Play<S: Program> {
    rt: Runtime<S>,
    clients: [Client; 2],
    pretty: bool,
}

fn play<S: Program>(mut rt: Runtime<S>, flags: u8, script: &[u8]) {
    rt.main_loop_mut()
        .set_shuffle((flags > 3).then_some(flags.into()));
    let pretty = flags & 2 != 0;
    let clients = ["m0", "m1"].map(|label| {
        let peer = MemoryPeer::new(&mut rt, label).expect("descriptors");
        let options = MonitorOptions {
            mode: Some(MonitorMode::Control),
            pretty: Some(pretty),
            ..MonitorOptions::new(label)
        };
        rt.monitor_init(&options).expect("a monitor");
        peer.open(&mut rt);
        Client::new(peer)
    });
    let mut play = Play {
        rt,
        clients,
        pretty,
    };
    let mut acting = 0;
    for step in script::read(script) {
        if play.rt.exit_requested().is_some() {
            break;
        }
        if !play.step(step, &mut acting) {
            break;
        }
    }
    for n in 0..play.clients.len() {
        play.finish(n);
    }
    play.rt.shut_down();
}

impl<S: Program> Play<S> {
    /// False if the script has to end here.
    fn step(&mut self, step: Step, acting: &mut usize) -> bool {
        if !matches!(step, Step::Send(_) | Step::Turn) {
            self.settle();
        }
        let client = &mut self.clients[*acting];
        let peer = client.peer;
        match step {
            Step::Send(mut bytes) => {
                let all = client.note_requests(&mut bytes);
                peer.send(&mut self.rt, &bytes);
                if !all {
                    return false;
                }
            }
            Step::Split(0) => peer.split(&mut self.rt, usize::MAX),
            Step::Split(len) => peer.split(&mut self.rt, len.into()),
            Step::Leave => self.leave(*acting),
            Step::LeaveAnswered => {
                self.finish(*acting);
                self.leave(*acting);
            }
            Step::Wait(n) => {
                let time = Duration::from_millis(u64::from(n) * u64::from(n));
                self.rt.main_loop_mut().time_advance(time);
            }
            Step::Emit(n) => {
                let event = &EVENTS[usize::from(n) % EVENTS.len()];
                let data: QDict = [("id", i64::from(n / 3))].into_iter().collect();
                qapi_event_emit(&mut self.rt, event, data);
            }
            Step::Answer => {
                let held = self.rt.state.held().and_then(|held| held.0.pop_front());
                held.into_iter()
                    .for_each(|r| r.respond(Ok(QDict::new().into())));
            }
            Step::Drop => drop(self.rt.state.held().and_then(|held| held.0.pop_back())),
            Step::Limit(n) => {
                let limit = [0, 1, 50, 5000, usize::MAX][usize::from(n) % 5];
                peer.limit(&mut self.rt, limit);
            }
            Step::Switch => *acting = 1 - *acting,
            Step::Turn => drop(self.rt.turn(Some(Duration::ZERO)).expect("a turn")),
        }
        self.read(*acting);
        true
    }

    fn settle(&mut self) {
        while self.rt.turn(Some(Duration::ZERO)).expect("a turn") {}
    }

    fn read(&mut self, n: usize) {
        let client = &mut self.clients[n];
        let bytes = client.peer.output(&mut self.rt);
        client.hear(&bytes, self.pretty);
    }

    /// Answers all held commands and reads all replies.
    fn finish(&mut self, n: usize) {
        self.clients[n].peer.limit(&mut self.rt, usize::MAX);
        loop {
            self.settle();
            self.read(n);
            let held = self.rt.state.held().and_then(|held| held.0.pop_front());
            let Some(held) = held else { break };
            held.respond(Ok(QDict::new().into()));
        }
        if self.rt.exit_requested().is_some() {
            return;
        }
        let client = &self.clients[n];
        assert!(
            client.is_answered() || client.blurred,
            "never answered: {:?} {:?}",
            client.in_band,
            client.out_of_band
        );
        assert!(client.greeted && client.heard.is_empty());
    }

    /// Disconnects once the session has read all input, and connects anew.
    fn leave(&mut self, n: usize) {
        let peer = self.clients[n].peer;
        peer.close(&mut self.rt);
        self.settle();
        let is_open = |rt: &Runtime<S>| {
            let chr = qmonitor::chardev::ChardevHost::chardevs(rt).get(peer.chardev());
            chr.is_some_and(qmonitor::chardev::Chardev::is_open)
        };
        if is_open(&self.rt) {
            // The session does not read a client that has pending output.
            peer.limit(&mut self.rt, usize::MAX);
            self.settle();
        }
        while is_open(&self.rt) && self.rt.exit_requested().is_none() {
            // Nor one that has a command under way.
            let held = self.rt.state.held().and_then(|held| held.0.pop_front());
            let said = peer.output(&mut self.rt);
            assert!(
                held.is_some() || !said.is_empty(),
                "the close is never seen"
            );
            held.into_iter()
                .for_each(|r| r.respond(Ok(QDict::new().into())));
            self.clients[n].hear(&said, self.pretty);
            self.settle();
        }
        let said = peer.output(&mut self.rt);
        if self.rt.exit_requested().is_some() {
            return self.clients[n].hear(&said, self.pretty);
        }
        self.clients[n] = Client::new(peer);
        peer.open(&mut self.rt);
    }
}
