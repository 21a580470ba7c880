//! What is answered in place of commands.

use std::rc::Rc;
use std::time::Duration;

use qmonitor::monitor::{Intercepted, Interceptor, MonitorId, Verdict};
use qmonitor::qapi::dispatch::QmpRequest;
use qmonitor::qapi::{Error, ErrorClass, QDict, QObject, RawResponder, ReplyPort};

use super::holds::{Due, Held, Waiter};
use super::journal::Fate;
use super::{Handle, Kit, Rt, State};
use crate::pattern::{fill, Bindings};
use crate::scenario::{Action, Answer, Base, Emit, Point, Reply, Stub};

/// A stub and how often it was used.
pub(super) struct LiveStub {
    pub(super) id: String,
    pub(super) stub: Stub,
    /// Requests that its matcher fitted.
    fitted: u64,
    /// Requests that it answered.
    pub(super) done: u64,
    /// Whether what must come before has come.
    followed: bool,
}

impl LiveStub {
    pub(super) fn new(id: String, stub: Stub) -> Self {
        LiveStub {
            id,
            fitted: 0,
            done: 0,
            followed: stub.follows.is_none(),
            stub,
        }
    }

    pub(super) fn reset(&mut self) {
        (self.fitted, self.done) = (0, 0);
        self.followed = self.stub.follows.is_none();
    }

    /// Counts a request that its matcher fits. Returns whether it answers it.
    fn takes(&mut self) -> bool {
        self.fitted += 1;
        let stub = &self.stub;
        stub.nth.is_none_or(|nth| nth == self.fitted)
            && stub.times.is_none_or(|times| self.done < times)
            && self.followed
    }
}

/// How one request is answered.
pub(super) struct Plan {
    pub(super) how: How,
    pub(super) delay: Duration,
    pub(super) hold: Option<String>,
    pub(super) before: Vec<Emit>,
    pub(super) then: Vec<Emit>,
    pub(super) bound: Bindings,
    stub: bool,
}

/// Who answers.
#[derive(Clone)]
pub(super) enum How {
    Machine,
    Value(Result<QObject, Error>),
}

impl Plan {
    pub(super) fn of(how: How) -> Self {
        Plan {
            how,
            delay: Duration::ZERO,
            hold: None,
            before: Vec::new(),
            then: Vec::new(),
            bound: Bindings::new(),
            stub: false,
        }
    }

    fn of_stub(stub: &Stub, done: u64, bound: Bindings) -> Self {
        let value = |reply: &Reply| match reply {
            Reply::Return(value) => How::Value(Ok(fill(value, &bound))),
            Reply::Error(class, desc) => {
                let desc = fill(&desc.as_str().into(), &bound);
                let desc = desc.as_str().unwrap_or_default().to_owned();
                How::Value(Err(Error::with_class(*class, desc)))
            }
        };
        let (how, hold) = match &stub.answer {
            Answer::Pass | Answer::Text(_) => (How::Machine, None),
            Answer::Replies(replies) => {
                let last = replies.len().saturating_sub(1);
                let reply = replies.get(last.min(done as usize));
                (reply.map_or(How::Machine, value), None)
            }
            Answer::Hold(point, reply) => {
                let how = reply.as_ref().map_or(How::Machine, value);
                (how, Some(point.clone()))
            }
        };
        Plan {
            how,
            delay: stub.delay,
            hold,
            before: stub.before.clone(),
            then: stub.then.clone(),
            bound,
            stub: true,
        }
    }
}

impl State {
    /// Finds the stub for a request; the first that fits wins, and all that fit count.
    pub(super) fn find_stub(
        &mut self,
        fits: impl Fn(&Stub, &mut Bindings) -> bool,
    ) -> Option<(usize, Bindings)> {
        let mut found = None;
        for (i, live) in self.stubs.iter_mut().enumerate() {
            let mut bound = Bindings::new();
            if fits(&live.stub, &mut bound) && live.takes() && found.is_none() {
                found = Some((i, bound));
            }
        }
        if let Some((i, _)) = found {
            self.stubs[i].done += 1;
        }
        found
    }

    /// Lets stubs know of a request that others follow.
    pub(super) fn note_followed(&mut self, fits: impl Fn(&crate::scenario::When) -> bool) {
        for live in &mut self.stubs {
            live.followed |= live.stub.follows.as_ref().is_some_and(&fits);
        }
    }

    fn plan(&mut self, request: &QmpRequest) -> Plan {
        let (command, args) = (request.command.as_str(), &request.args);
        let found = self.find_stub(|stub, bound| stub.when.fits(command, args, bound));
        self.note_followed(|when| when.fits(command, args, &mut Bindings::new()));
        if let Some((i, bound)) = found {
            let no_oob = self.schema.command(command).is_some_and(|c| !c.allow_oob);
            if request.oob && no_oob {
                let desc = format!("The command {command} does not support OOB");
                return Plan::of(How::Value(Err(Error::new(desc))));
            }
            return self.plan_of(i, bound);
        }
        if let Some(value) = self.of_profile(command) {
            return Plan::of(How::Value(Ok(value)));
        }
        match self.base {
            _ if command == "qmp_capabilities" => Plan::of(How::Machine),
            Base::Machine => Plan::of(How::Machine),
            Base::Strict => {
                let shown = QObject::from(args.clone());
                let shown = qmonitor::qapi::json::qobject_to_json(&shown, false);
                self.failures
                    .push(format!("unexpected command: {command} {shown}"));
                Plan::of(How::Value(Err(Error::new("unexpected command"))))
            }
            Base::Empty => {
                let desc = format!("The command {command} has not been found");
                let e = Error::with_class(ErrorClass::CommandNotFound, desc);
                Plan::of(How::Value(Err(e)))
            }
        }
    }

    /// How the stub at this place answers, having been found for a request.
    pub(super) fn plan_of(&self, i: usize, bound: Bindings) -> Plan {
        let live = &self.stubs[i];
        Plan::of_stub(&live.stub, live.done - 1, bound)
    }

    /// What a chosen profile says of itself.
    fn of_profile(&self, command: &str) -> Option<QObject> {
        self.profile.as_ref()?;
        match command {
            "query-qmp-schema" => Some(self.schema.reply()),
            "query-commands" => {
                let names = self.schema.commands();
                let names = names.map(|name| QObject::Dict(QDict::from_iter([("name", name)])));
                Some(QObject::List(names.collect()))
            }
            _ => None,
        }
    }
}

impl Interceptor<Rt> for Handle {
    fn request(&self, rt: &mut Rt, request: &Intercepted<'_>) -> Verdict<Rt> {
        let negotiates = request.request.command == "qmp_capabilities";
        let n = self.0.take_up(rt, request.monitor, request.request);
        if self.0.is_ending(rt, request.monitor) {
            self.0.settle(n, Fate::Silenced);
            return Verdict::Silence;
        }
        if request.negotiating && !negotiates {
            self.0
                .will_answer(rt, request.monitor, n, &request.request.command, None);
            return Verdict::Pass;
        }
        let mut delay = Duration::ZERO;
        let actions = {
            let state = &mut *self.0.state.borrow_mut();
            state.faults_at(Point::Request, &request.request.command)
        };
        for action in actions {
            match action {
                Action::Silence => {
                    self.0.settle(n, Fate::Silenced);
                    return Verdict::Silence;
                }
                Action::Delay(more) => delay += more,
                Action::StopReading => self.0.stop_reading(rt, request.monitor),
                Action::Events(count, event, data) => {
                    for _ in 0..count {
                        rt.send_event(Some(request.monitor), &event, &data);
                    }
                }
                other => {
                    self.0.cut_soon(rt, request.monitor, &other);
                    self.0.settle(n, Fate::Silenced);
                    return Verdict::Silence;
                }
            }
        }
        let mut plan = self.0.state.borrow_mut().plan(request.request);
        plan.delay += delay;
        let succeeds = matches!(plan.how, How::Value(Ok(_)));
        if negotiates && plan.stub && succeeds {
            // The session is negotiated whatever the stub returns.
            let args = request.request.args.clone();
            let nowhere = RawResponder::new(std::sync::Arc::new(Nowhere), 0);
            rt.run_command(request.monitor, "qmp_capabilities", args, nowhere);
        }
        self.0
            .carry_out(rt, request.monitor, n, request.request, plan)
    }

    fn line(&self, rt: &mut Rt, monitor: Option<MonitorId>, line: &str) -> Option<String> {
        let n = monitor.and_then(|monitor| self.0.note_line(rt, monitor, line));
        let found = {
            let state = &mut *self.0.state.borrow_mut();
            let found = state.find_stub(|stub, bound| stub.when.fits_line(line, bound));
            state.note_followed(|when| when.fits_line(line, &mut Bindings::new()));
            found.map(|(i, bound)| (state.stubs[i].stub.clone(), bound))
        };
        if let Some(n) = n {
            self.0.settle(n, Fate::Answered);
        }
        let (stub, bound) = found?;
        Kit::emit_all(&self.0, rt, stub.before, &bound);
        Kit::emit_all(&self.0, rt, stub.then, &bound);
        match stub.answer {
            Answer::Text(text) => {
                let text = fill(&text.as_str().into(), &bound);
                // The monitor puts a carriage return before each line's end itself.
                Some(text.as_str().unwrap_or_default().replace("\r\n", "\n"))
            }
            _ => None,
        }
    }
}

/// Takes an answer that nobody waits for.
struct Nowhere;

impl ReplyPort for Nowhere {
    fn deliver(&self, _: u64, _: Result<QObject, Error>) {}
}

impl Kit {
    fn carry_out(
        self: &Rc<Self>,
        rt: &mut Rt,
        monitor: MonitorId,
        n: u64,
        request: &QmpRequest,
        plan: Plan,
    ) -> Verdict<Rt> {
        let is_open = |point: &String| self.state.borrow().released.contains(point);
        let hold = plan.hold.filter(|point| !is_open(point));
        let then = (plan.then, plan.bound.clone());
        self.will_answer(rt, monitor, n, &request.command, Some(then));
        if plan.delay.is_zero() && hold.is_none() {
            Kit::emit_all(self, rt, plan.before, &plan.bound);
            return match plan.how {
                How::Machine => Verdict::Pass,
                How::Value(answer) => Verdict::Reply(answer),
            };
        }
        let due = Due {
            command: request.command.clone(),
            args: request.args.clone(),
            how: plan.how,
            before: plan.before,
            bound: plan.bound,
        };
        let (kit, delay) = (self.clone(), plan.delay);
        Verdict::Later(Box::new(move |rt, responder| {
            let held = Held::new(n, due, Waiter::Monitor(monitor, responder));
            match hold {
                Some(point) => kit.hold(held.at(point)),
                None => Kit::after(rt, delay, move |rt| held.answer(&kit, rt)),
            }
        }))
    }

    /// Sends events, each after its delay.
    pub(super) fn emit_all(kit: &Rc<Kit>, rt: &mut Rt, events: Vec<Emit>, bound: &Bindings) {
        for event in events {
            let data = crate::pattern::fill_dict(&event.data, bound);
            let name = fill(&event.event.as_str().into(), bound);
            let name = name.as_str().unwrap_or_default().to_owned();
            let kit = kit.clone();
            Kit::after(rt, event.delay, move |rt| {
                kit.touch();
                if event.throttle {
                    rt.send_limited_event(&name, data);
                } else {
                    rt.send_event(None, &name, &data);
                }
            });
        }
    }
}
