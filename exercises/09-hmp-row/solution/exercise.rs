//! A lamp with a monitor.

use qmonitor::main_loop::TimeSource;
use qmonitor::monitor::hmp::{ArgKind, Hmp, HmpArg, HmpArgs, HmpRow};
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

const LAMP: HmpRow =
    HmpRow::new("lamp", "on|off", "switch the lamp").args(&[HmpArg::new("state", ArgKind::OnOff)]);

fn hmp_lamp(hmp: &mut Hmp<'_, Room>, args: &HmpArgs) {
    let result = Room::qmp_set_lamp(hmp.rt, args.bool("state"));
    hmp.handle_error(result);
}

/// A lamp that is off, in simulated time.
pub fn room() -> Runtime<Room> {
    let mut rt = Runtime::with_time(Room { on: false }, TimeSource::simulated()).expect("a loop");
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt.hmp_mut().table.add(LAMP, hmp_lamp);
    rt
}
