//! A lamp with a monitor.

use std::time::Duration;

use qmonitor::main_loop::{ClockType, Host, TimeSource};
use qmonitor::qapi::{Error, Responder};
use qmonitor::Runtime;

/// What the compiler made of lamp.json.
#[allow(missing_docs, dead_code)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/deferred.rs"));
}
use schema::{Lamp, LampCommands};

/// The program's own state.
pub struct Room {
    pub on: bool,
}

impl LampCommands for Room {
    fn qmp_query_lamp(rt: &mut Runtime<Self>) -> Result<Lamp, Error> {
        Ok(Lamp { on: rt.state.on })
    }

    fn qmp_dim_lamp(rt: &mut Runtime<Self>, ms: u32, responder: Responder<()>) {
        let mut responder = Some(responder);
        let clock = ClockType::Virtual;
        let timer = rt
            .main_loop_mut()
            .timer_new(clock, "dim", move |rt: &mut Runtime<Self>| {
                rt.state.on = false;
                if let Some(responder) = responder.take() {
                    responder.respond(Ok(()));
                }
            });
        let delay = Duration::from_millis(ms.into());
        rt.main_loop_mut().timer_mod_in(timer, delay);
    }
}

/// A lamp that is on, in simulated time.
pub fn room() -> Runtime<Room> {
    let mut rt = Runtime::with_time(Room { on: true }, TimeSource::simulated()).expect("a loop");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt
}
