//! A guest agent on a chardev: `qemu-ga`'s dialect, which has no greeting and no negotiation.
//!
//! Its parser goes on where it was when the next client comes, as the real one's: it reads from a
//! serial port and does not know of clients. `guest-sync-delimited` is for that.

use std::rc::Rc;

use qmonitor::chardev::{qemu_chr_fe_init, qemu_chr_fe_set_handlers, CharHandlers, ChardevId};
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::qapi::dispatch::qmp_request_check;
use qmonitor::qapi::json::{qobject_to_json, JsonMessageParser};
use qmonitor::qapi::{Error, ErrorClass, QDict, QNum, QObject};

use super::holds::{Due, Held, Waiter};
use super::journal::{Fate, Kind};
use super::messages::Awaited;
use super::stubs::{How, Plan};
use super::{Kit, Rt, State};
use crate::pattern::Bindings;
use crate::scenario::{Action, Base, Emit, Point};

/// An agent that clients can reach.
pub(super) struct Agent {
    pub(super) chr: ChardevId,
    parser: JsonMessageParser,
    /// The bytes of the message that is not complete.
    raw: Vec<u8>,
}

/// Where a reply goes.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    chr: ChardevId,
    connection: u64,
    n: u64,
    command: String,
    id: Option<QObject>,
}

/// The commands that need no stub.
const COMMANDS: [&str; 4] = [
    "guest-info",
    "guest-ping",
    "guest-sync",
    "guest-sync-delimited",
];

/// How much is read at a time.
const READ: usize = 4096;

impl State {
    pub(super) fn agent(&mut self, chr: ChardevId) -> Option<&mut Agent> {
        self.agents.iter_mut().find(|agent| agent.chr == chr)
    }

    fn agent_plan(&mut self, command: &str, args: &QDict) -> Plan {
        let found = self.find_stub(|stub, bound| stub.when.fits(command, args, bound));
        self.note_followed(|when| when.fits(command, args, &mut Bindings::new()));
        match found {
            Some((i, bound)) => self.plan_of(i, bound),
            None => Plan::of(How::Machine),
        }
    }

    /// What the agent itself answers.
    fn agent_answer(&mut self, command: &str, args: &QDict) -> Result<QObject, Error> {
        match command {
            "guest-ping" => Ok(QDict::new().into()),
            "guest-sync" | "guest-sync-delimited" => match args.get("id") {
                Some(QObject::Num(QNum::I64(id))) => Ok((*id).into()),
                Some(_) => {
                    let desc = "Invalid parameter type for 'id', expected: integer";
                    Err(Error::new(desc))
                }
                None => Err(Error::new("Parameter 'id' is missing")),
            },
            "guest-info" => Ok(self.agent_info()),
            _ => {
                if self.base == Base::Strict {
                    self.failures.push(format!("unexpected command: {command}"));
                }
                let desc = format!("The command {command} has not been found");
                Err(Error::with_class(ErrorClass::CommandNotFound, desc))
            }
        }
    }

    /// The agent's version and commands, those of stubs among them.
    fn agent_info(&self) -> QObject {
        let stubs = self
            .stubs
            .iter()
            .filter_map(|live| live.stub.when.command());
        let mut names: Vec<&str> = stubs.filter(|name| name.starts_with("guest-")).collect();
        names.extend(COMMANDS);
        names.sort_unstable();
        names.dedup();
        let commands = names.into_iter().map(|name| {
            let mut command = QDict::new();
            command.insert("enabled", true);
            command.insert("name", name);
            command.insert("success-response", true);
            command.into()
        });
        let commands: Vec<QObject> = commands.collect();
        let mut info = QDict::new();
        info.insert("version", "10.0.2");
        info.insert("supported_commands", commands);
        info.into()
    }
}

impl Kit {
    /// Has an agent answer on a chardev.
    ///
    /// # Errors
    ///
    /// The chardev is in use.
    pub fn add_agent(&self, rt: &mut Rt, chr: ChardevId) -> Result<(), Error> {
        let fe = qemu_chr_fe_init(rt, chr)?;
        self.state.borrow_mut().agents.push(Agent {
            chr,
            parser: JsonMessageParser::default(),
            raw: Vec::new(),
        });
        // What comes in was worked off before the front end gets it.
        let handlers = CharHandlers::new(|_, _| READ, |_, _, _| {}, |_, _, _| {});
        qemu_chr_fe_set_handlers(rt, fe, Some(handlers), fe.to_opaque());
        Ok(())
    }

    /// Works off what a client of an agent sends.
    pub(super) fn agent_reads(self: &Rc<Self>, rt: &mut Rt, chr: ChardevId, mut buf: &[u8]) {
        let time_ns = rt.main_loop().clock_get_ns(ClockType::Realtime);
        while !buf.is_empty() {
            let (message, n, connection) = {
                let state = &mut *self.state.borrow_mut();
                let Some(agent) = state.agent(chr) else {
                    return;
                };
                let (used, message) = agent.parser.parse(buf);
                agent.raw.extend_from_slice(&buf[..used]);
                buf = &buf[used..];
                let Some(message) = message else { continue };
                let raw = std::mem::take(&mut agent.raw);
                let Some(client) = state.client(chr) else {
                    return;
                };
                let connection = client.info.connection;
                let (what, id) = Kind::of(message.clone());
                let entry = client.entry(time_ns, what, id, raw.trim_ascii());
                (message, state.note_only(entry), connection)
            };
            let mut reply = Reply {
                chr,
                connection,
                n,
                command: String::new(),
                id: None,
            };
            let checked = message.map_err(|e| (e, None));
            match checked.and_then(|message| qmp_request_check(message, false)) {
                Ok(request) => {
                    reply.command = request.command;
                    reply.id = request.id;
                    self.agent_takes(rt, reply, request.args);
                }
                Err((e, id)) => {
                    reply.id = id;
                    self.agent_replies(rt, reply, Err(e), Vec::new(), Bindings::new());
                }
            }
        }
    }

    fn agent_takes(self: &Rc<Self>, rt: &mut Rt, reply: Reply, args: QDict) {
        let (actions, mut plan) = {
            let state = &mut *self.state.borrow_mut();
            let actions = state.faults_at(Point::Request, &reply.command);
            (actions, state.agent_plan(&reply.command, &args))
        };
        for action in actions {
            match action {
                Action::Delay(more) => plan.delay += more,
                Action::StopReading => self.stop_reading_at(reply.chr),
                Action::Silence => return self.settle(reply.n, Fate::Silenced),
                // An agent sends no events.
                Action::Events(..) => {}
                other => {
                    self.cut_later(rt, reply.chr, other);
                    return self.settle(reply.n, Fate::Silenced);
                }
            }
        }
        let point = plan.hold.take();
        let point = point.filter(|point| !self.state.borrow().released.contains(point));
        let due = Due {
            command: reply.command.clone(),
            args,
            how: plan.how,
            before: Vec::new(),
            bound: plan.bound,
        };
        let waiter = Waiter::Agent(reply.clone(), plan.then);
        let held = Held::new(reply.n, due, waiter);
        match point {
            Some(point) => self.hold(held.at(point)),
            None => {
                let kit = self.clone();
                Kit::after(rt, plan.delay, move |rt| held.answer(&kit, rt));
            }
        }
    }

    /// Answers a request as a stub says, or as the agent itself does.
    pub(super) fn agent_answers(
        self: &Rc<Self>,
        rt: &mut Rt,
        reply: Reply,
        due: Due,
        then: Vec<Emit>,
    ) {
        let answer = match due.how {
            How::Value(answer) => answer,
            How::Machine => {
                let state = &mut *self.state.borrow_mut();
                state.agent_answer(&reply.command, &due.args)
            }
        };
        self.agent_replies(rt, reply, answer, then, due.bound);
    }

    fn agent_replies(
        self: &Rc<Self>,
        rt: &mut Rt,
        reply: Reply,
        answer: Result<QObject, Error>,
        then: Vec<Emit>,
        bound: Bindings,
    ) {
        let delimited = reply.command == "guest-sync-delimited" && answer.is_ok();
        let mut message = QDict::new();
        match answer {
            Ok(value) => message.insert("return", value),
            Err(e) => {
                let mut error = QDict::new();
                error.insert("class", e.class().as_str());
                error.insert("desc", e.desc());
                message.insert("error", error)
            }
        };
        if let Some(id) = &reply.id {
            message.insert("id", id.clone());
        }
        let mut bytes = Vec::new();
        if delimited {
            bytes.push(0xff);
        }
        bytes.extend_from_slice(qobject_to_json(&message.into(), false).as_bytes());
        bytes.push(b'\n');
        let actions = {
            let state = &mut *self.state.borrow_mut();
            let connection = state.client(reply.chr).map(|client| client.info.connection);
            if connection != Some(reply.connection) {
                // The client has left.
                return;
            }
            state.faults_at(Point::Reply, &reply.command)
        };
        let awaited = Awaited {
            n: reply.n,
            command: reply.command,
            id: reply.id,
            then,
            bound,
        };
        self.reply_with(rt, reply.chr, bytes, awaited, actions);
        self.pump(rt, reply.chr);
    }
}
