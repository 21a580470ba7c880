//! What a test kit needs of a runtime: to be asked, to carry out a command later, to send events
//! of its own.

use std::panic::{catch_unwind, AssertUnwindSafe};
use std::rc::Rc;

use super::events;
use super::intercept::Interceptor;
use super::reply::panicked;
use super::runtime::Runtime;
use super::table::{MonitorId, MonitorKind};
use super::MonitorMode;
use crate::chardev::ChardevId;
use crate::main_loop::ClockType;
use crate::qapi::dispatch::{qmp_find_command, Call, DispatchEnv, QmpCommandFunc, QmpCommandList};
use crate::qapi::events::EventInfo;
use crate::qapi::json::{qobject_from_json, JsonWriter};
use crate::qapi::{Error, QDict, QObject, RawResponder, SpecialFeatures};

impl<S> Runtime<S> {
    /// Has a test kit asked before each command. Without one a request costs one comparison
    /// more.
    pub fn set_interceptor(&mut self, interceptor: Rc<dyn Interceptor<Self>>) {
        self.interceptor = Some(interceptor);
    }

    /// The chardev of a monitor.
    pub fn monitor_chardev(&self, id: MonitorId) -> Option<ChardevId> {
        Some(self.monitors.get(id)?.fe.chardev())
    }

    /// The monitor on a chardev, and its kind.
    pub fn monitor_on(&self, chr: ChardevId) -> Option<(MonitorId, MonitorMode)> {
        let mut monitors = self.monitors.iter();
        let (id, monitor) = monitors.find(|(_, monitor)| monitor.fe.chardev() == chr)?;
        let mode = match monitor.kind {
            MonitorKind::Qmp(_) => MonitorMode::Control,
            MonitorKind::Hmp(_) => MonitorMode::Readline,
        };
        Some((id, mode))
    }

    /// The monitors, oldest first, with their chardevs.
    pub fn monitor_list(&self) -> Vec<(MonitorId, ChardevId)> {
        let all = self.monitors.iter();
        all.map(|(id, monitor)| (id, monitor.fe.chardev()))
            .collect()
    }

    /// Sends an event that needs no declaration and keeps to no rate limit: to one session, or
    /// to all past their negotiation.
    pub fn send_event(&mut self, to: Option<MonitorId>, name: &str, data: &QDict) {
        let time_ns = self.main_loop.clock_get_ns(ClockType::Host);
        events::send_event_to(self, to, name, data, time_ns);
    }

    /// Sends an event that keeps to the rate limit of its kind, as the machine's own.
    pub fn send_limited_event(&mut self, name: &str, data: QDict) {
        match LIMITED.iter().find(|event| event.name == name) {
            Some(event) => events::qapi_event_emit(self, event, data),
            None => self.send_event(None, name, &data),
        }
    }

    /// An event as [`send_event`](Self::send_event) would send it now, with its line end.
    pub fn render_event(&self, name: &str, data: &QDict) -> Vec<u8> {
        let mut w = self.json_writer(false);
        let time_ns = self.main_loop.clock_get_ns(ClockType::Host);
        events::write_event(&mut w, name, data, time_ns);
        w.newline();
        w.take()
    }

    /// Carries a command out for a monitor, as if its request was next, and answers through
    /// the responder.
    pub fn run_command(
        &mut self,
        monitor: MonitorId,
        command: &str,
        args: QDict,
        responder: RawResponder,
    ) {
        let negotiating = self.monitors.qmp(monitor);
        let env = DispatchEnv {
            negotiating: negotiating.is_some_and(|qmp| !qmp.session.is_negotiated()),
            oob: false,
            preconfig: self.preconfig,
            policy: self.policy,
        };
        let list = self.commands_for(env.negotiating);
        let found = match qmp_find_command(list, command, &env) {
            Ok(found) => *found,
            Err(e) => return responder.respond(Err(e)),
        };
        let outer = self.dispatcher.current.replace(monitor);
        let mut w = self.json_writer(false);
        let mut call = Call::new(args, self.policy, &mut w);
        match found.func {
            QmpCommandFunc::Immediate(func) => {
                let run = || func(self, &mut call);
                let result = catch_unwind(AssertUnwindSafe(run));
                let result = result.unwrap_or_else(|_| Err(panicked(found.name)));
                responder.respond(result.and_then(|()| returned(&w)));
            }
            QmpCommandFunc::Deferred(func) => {
                let run = || func(self, &mut call, responder);
                // A panic drops the responder, which answers.
                let _ = catch_unwind(AssertUnwindSafe(run));
            }
        }
        self.dispatcher.current = outer;
    }

    /// The commands that a session may call at present.
    pub fn command_list(&self) -> &QmpCommandList<Self> {
        &self.commands
    }
}

const fn limited(name: &'static str) -> EventInfo {
    EventInfo {
        name,
        features: SpecialFeatures::NONE,
    }
}

/// The events that have a rate limit.
static LIMITED: [EventInfo; 9] = [
    limited("RTC_CHANGE"),
    limited("WATCHDOG"),
    limited("BALLOON_CHANGE"),
    limited("QUORUM_FAILURE"),
    limited("HV_BALLOON_STATUS_REPORT"),
    limited("VSERPORT_CHANGE"),
    limited("QUORUM_REPORT_BAD"),
    limited("MEMORY_DEVICE_SIZE_CHANGE"),
    limited("BLOCK_IO_ERROR"),
];

/// What a command has written; nothing is an empty object.
fn returned(w: &JsonWriter) -> Result<QObject, Error> {
    match w.as_bytes() {
        [] => Ok(QDict::new().into()),
        text => qobject_from_json(text),
    }
}
