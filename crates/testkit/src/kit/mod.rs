//! The kit on a machine: it stands between its monitors and their commands, and between its
//! chardevs and their clients.
//!
//! ```text
//!   client ──▶ chardev ──▶ wire: journal ──▶ session ──▶ stubs ──▶ command
//!   client ◀── chardev ◀── wire: faults  ◀── session ◀── reply, event ◀──┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `journal` | what came |
//! | `stubs` | what is answered in place of commands |
//! | `holds` | what is answered later |
//! | `faults` | which faults happen at a point |
//! | `agent` | guest agents |
//! | `wire` | clients that come and go, and what they send |
//! | `messages` | what is sent to them, and what faults make of it |
//! | `output` | how that leaves |
//! | `lint` | what a strict server would not have liked |
//! | `verify` | expectations, and what came near them |
//!
//! No borrow of the state lasts while the runtime is called: it may come back at any time.

mod agent;
mod faults;
mod holds;
pub mod journal;
mod lint;
mod messages;
mod output;
mod stubs;
mod verify;
mod wire;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use qmonitor::chardev::{ChardevHost, ChardevId};
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::monitor::MonitorId;
use qmonitor::qapi::{QDict, QObject};
use qmonitor::Runtime;
use qmonitor_machine::Machine;

use agent::Agent;
use faults::LiveFault;
use holds::Held;
use journal::{Entry, Journal};
pub use lint::Remark;
use stubs::LiveStub;
use verify::LiveExpect;
pub use verify::{fits, NearMiss};
use wire::Connection;

use crate::random::Random;
use crate::scenario::{Base, Expect, Scenario, Stub};
use crate::schema::Schema;

/// The runtime of the mock.
pub type Rt = Runtime<Machine>;

/// Something that happened, for those who wait.
#[derive(Debug, Clone)]
pub enum Notice {
    /// A request was dealt with: answered, held or swallowed.
    Request(Entry),
    /// A client has connected.
    Connected(ClientInfo),
    /// A client has left.
    Disconnected(ClientInfo),
    /// Nothing is left to do at this instant.
    Idle,
}

/// Is told what happens.
type Notify = dyn FnMut(&Notice);

/// Tells of the kit before the process ends.
type LastWords = dyn FnOnce(&Kit);

/// A client.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// The label of the monitor's chardev.
    pub monitor: String,
    /// The number of the connection.
    pub connection: u64,
    /// Where the client is.
    pub peer: String,
}

/// The kit.
pub struct Kit {
    state: RefCell<State>,
}

pub(crate) struct State {
    base: Base,
    schema: Arc<Schema>,
    /// Whether a profile was chosen, so that it answers `query-qmp-schema`.
    profile: Option<String>,
    stubs: Vec<LiveStub>,
    last_stub: u64,
    faults: Vec<LiveFault>,
    expect: Vec<LiveExpect>,
    journal: Journal,
    clients: Vec<Connection>,
    agents: Vec<Agent>,
    connections: u64,
    held: Vec<Held>,
    /// The points that let everything pass.
    released: BTreeSet<String>,
    /// Servers that take no client, and those that turn the next one away.
    never_accept: Vec<ChardevId>,
    turn_away: Vec<ChardevId>,
    /// What went wrong apart from expectations.
    failures: Vec<String>,
    random: Random,
    notify: Option<Box<Notify>>,
    /// What is done before a fault ends the process.
    last_words: Option<Box<LastWords>>,
    /// Something happened since the mock was last idle.
    active: bool,
    /// Whether `quit` came.
    quit: bool,
    /// Whether `exit` and `kill` end the process, or only the mock.
    owns_process: bool,
}

impl Kit {
    /// Puts a kit onto a runtime that has no chardevs yet.
    pub fn install(rt: &mut Rt, scenario: &Scenario, seed: u64, owns_process: bool) -> Rc<Kit> {
        let state = State {
            base: scenario.base,
            schema: scenario.schema.clone(),
            profile: scenario.profile.clone(),
            stubs: Vec::new(),
            last_stub: 0,
            faults: scenario
                .faults
                .iter()
                .cloned()
                .map(LiveFault::new)
                .collect(),
            expect: scenario
                .expect
                .iter()
                .cloned()
                .map(LiveExpect::new)
                .collect(),
            journal: Journal::default(),
            clients: Vec::new(),
            agents: Vec::new(),
            connections: 0,
            held: Vec::new(),
            released: BTreeSet::new(),
            never_accept: Vec::new(),
            turn_away: Vec::new(),
            failures: Vec::new(),
            random: Random::new(seed),
            notify: None,
            last_words: None,
            active: false,
            quit: false,
            owns_process,
        };
        let kit = Rc::new(Kit {
            state: RefCell::new(state),
        });
        for stub in &scenario.stubs {
            kit.add_stub(stub.clone());
        }
        rt.set_interceptor(Rc::new(Handle(kit.clone())));
        rt.chardevs_mut().set_tap(Rc::new(Handle(kit.clone())));
        kit
    }

    /// Has everything that happens told.
    pub fn set_notify(&self, notify: impl FnMut(&Notice) + 'static) {
        self.state.borrow_mut().notify = Some(Box::new(notify));
    }

    /// Has something done before a fault ends the process.
    pub fn set_last_words(&self, last_words: impl FnOnce(&Kit) + 'static) {
        self.state.borrow_mut().last_words = Some(Box::new(last_words));
    }

    /// Whether a client has ended the mock.
    pub fn has_quit(&self) -> bool {
        self.state.borrow().quit
    }

    /// Whether something is still to be written to a client.
    pub fn has_output(&self) -> bool {
        let state = self.state.borrow();
        let mut clients = state.clients.iter();
        clients.any(|client| !client.mute && !client.out.is_empty())
    }

    /// Adds a stub behind the others, and returns its name.
    pub fn add_stub(&self, stub: Stub) -> String {
        let mut state = self.state.borrow_mut();
        state.last_stub += 1;
        let id = format!("stub{}", state.last_stub);
        state.stubs.push(LiveStub::new(id.clone(), stub));
        id
    }

    /// Adds a stub before the others, so that it goes before those of the scenario.
    pub fn add_stub_first(&self, stub: Stub) -> String {
        let id = self.add_stub(stub);
        self.state.borrow_mut().stubs.rotate_right(1);
        id
    }

    /// Takes a stub away; false if there is none of this name.
    pub fn remove_stub(&self, id: &str) -> bool {
        let mut state = self.state.borrow_mut();
        let before = state.stubs.len();
        state.stubs.retain(|stub| stub.id != id);
        state.stubs.len() < before
    }

    /// Adds an expectation.
    pub fn add_expect(&self, expect: Expect) {
        self.state.borrow_mut().expect.push(LiveExpect::new(expect));
    }

    /// The stubs, faults and expectations in force, as they stand in a scenario.
    pub fn save(&self, scenario: &mut QDict) {
        let state = self.state.borrow();
        let stubs = state.stubs.iter().map(|live| live.stub.to_dict().into());
        let faults = state.faults.iter().map(|live| &live.fault);
        // Of the built-in faults those that are off as ever go without saying.
        let changed = faults.filter(|fault| fault.enabled || !fault.built_in);
        let faults = changed.map(|fault| (fault.name.as_str(), fault.to_dict()));
        let expect = state.expect.iter().map(|live| live.expect.to_dict().into());
        let (stubs, faults) = (Vec::from_iter(stubs), QDict::from_iter(faults));
        let expect = Vec::from_iter(expect);
        if !stubs.is_empty() {
            scenario.insert("stubs", QObject::List(stubs));
        }
        if !faults.is_empty() {
            scenario.insert("faults", faults);
        }
        if !expect.is_empty() {
            scenario.insert("expect", QObject::List(expect));
        }
    }

    /// The schema that stubs are checked against.
    pub fn schema(&self) -> Arc<Schema> {
        self.state.borrow().schema.clone()
    }

    /// Looks at the journal.
    pub fn with_journal<T>(&self, look: impl FnOnce(&Journal) -> T) -> T {
        look(&self.state.borrow().journal)
    }

    /// How many requests a stub has answered.
    pub fn stub_used(&self, id: &str) -> Option<u64> {
        let state = self.state.borrow();
        let stub = state.stubs.iter().find(|stub| stub.id == id);
        stub.map(|stub| stub.done)
    }

    /// Sends an event to all clients, or to those of one monitor. False if there is no such
    /// monitor.
    pub fn emit(&self, rt: &mut Rt, name: &str, data: &QDict, to: Option<&str>) -> bool {
        let Some(label) = to else {
            rt.send_event(None, name, data);
            return true;
        };
        let monitors = rt.monitor_list();
        let chosen: Vec<MonitorId> = monitors
            .into_iter()
            .filter(|(_, chr)| qmonitor::chardev::label(rt, *chr) == label)
            .map(|(id, _)| id)
            .collect();
        for id in &chosen {
            rt.send_event(Some(*id), name, data);
        }
        !chosen.is_empty()
    }

    /// Goes on with what waits until nothing else is to do. Returns whether something did.
    pub fn idle(self: &Rc<Self>, rt: &mut Rt) -> bool {
        if self.flush_held_output(rt) || self.end_the_gone(rt) {
            return true;
        }
        let was_active = std::mem::take(&mut self.state.borrow_mut().active);
        if was_active {
            self.notify(&Notice::Idle);
        }
        false
    }

    /// Something happened by order of the control channel.
    pub fn touch(&self) {
        self.state.borrow_mut().active = true;
    }

    /// Starts over: the journal, the counts and what is held. Stubs go too, unless they are to
    /// stay.
    pub fn reset(&self, keep_stubs: bool) {
        let mut state = self.state.borrow_mut();
        state.journal.clear();
        state.failures.clear();
        state.connections = 0;
        state.expect.iter_mut().for_each(LiveExpect::reset);
        state.faults.iter_mut().for_each(LiveFault::reset);
        state.released.clear();
        if keep_stubs {
            state.stubs.iter_mut().for_each(LiveStub::reset);
        } else {
            state.stubs.clear();
        }
    }

    fn notify(&self, notice: &Notice) {
        // Taken out, because it may ask something.
        let notify = self.state.borrow_mut().notify.take();
        if let Some(mut notify) = notify {
            notify(notice);
            self.state.borrow_mut().notify.get_or_insert(notify);
        }
    }

    /// Calls back after a while; at once if that is no time.
    fn after(rt: &mut Rt, delay: Duration, callback: impl FnOnce(&mut Rt) + 'static) {
        if delay.is_zero() {
            return callback(rt);
        }
        let timer = Rc::new(std::cell::Cell::new(None));
        let own = timer.clone();
        let mut callback = Some(callback);
        let id = rt
            .main_loop_mut()
            .timer_new(ClockType::Realtime, "mock", move |rt: &mut Rt| {
                if let Some(id) = own.take() {
                    rt.main_loop_mut().timer_free(id);
                }
                if let Some(callback) = callback.take() {
                    callback(rt);
                }
            });
        timer.set(Some(id));
        rt.main_loop_mut().timer_mod_in(id, delay);
    }
}

/// The kit as the runtime's hooks hold it; callbacks need it shared.
pub(crate) struct Handle(pub(crate) Rc<Kit>);
