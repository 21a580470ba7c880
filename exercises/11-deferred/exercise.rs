//! A lamp with a monitor.

use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::Error;
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

    // Your turn: answer when the time is over.
    fn qmp_dim_lamp(rt: &mut Runtime<Self>, ms: u32) -> Result<(), Error> {
        let _ = ms;
        rt.state.on = false;
        Ok(())
    }
}

/// A lamp that is on, in simulated time.
pub fn room() -> Runtime<Room> {
    let mut rt = Runtime::with_time(Room { on: true }, TimeSource::simulated()).expect("a loop");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt
}
