//! A lamp with a monitor.

use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::{Error, Responder};
use qmonitor::Runtime;

/// What the compiler made of lamp.json.
#[allow(missing_docs, dead_code)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/out_of_band.rs"));
}
use schema::{Lamp, LampCommands};

/// The program's own state.
pub struct Room {
    on: bool,
    /// Those that wait for the lamp to be off.
    waiting: Vec<Responder<()>>,
}

impl LampCommands for Room {
    fn qmp_query_lamp(rt: &mut Runtime<Self>) -> Result<Lamp, Error> {
        Ok(Lamp { on: rt.state.on })
    }

    fn qmp_wait_for_off(rt: &mut Runtime<Self>, responder: Responder<()>) {
        rt.state.waiting.push(responder);
    }

    fn qmp_panic_button(rt: &mut Runtime<Self>) -> Result<(), Error> {
        // Your turn: those that wait are to be answered. And lamp.json has to allow it.
        rt.state.on = false;
        Ok(())
    }
}

/// A lamp that is on, in simulated time.
pub fn room() -> Runtime<Room> {
    let room = Room {
        on: true,
        waiting: Vec::new(),
    };
    let mut rt = Runtime::with_time(room, TimeSource::simulated()).expect("a loop");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt
}
