//! A lamp with a monitor.

use qmonitor::main_loop::TimeSource;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

/// What the compiler made of lamp.json.
#[allow(missing_docs, dead_code)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/hmp_row.rs"));
}
use schema::{Lamp, LampCommands};

/// The program's own state.
pub struct Room {
    on: bool,
}

impl LampCommands for Room {
    fn qmp_query_lamp(rt: &mut Runtime<Self>) -> Result<Lamp, Error> {
        Ok(Lamp { on: rt.state.on })
    }

    fn qmp_set_lamp(rt: &mut Runtime<Self>, on: bool) -> Result<(), Error> {
        rt.state.on = on;
        Ok(())
    }
}

/// A lamp that is off, in simulated time.
pub fn room() -> Runtime<Room> {
    let mut rt = Runtime::with_time(Room { on: false }, TimeSource::simulated()).expect("a loop");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    // Your turn: add a row to rt.hmp_mut().table, and its function above.
    rt
}
