//! A thermostat with a monitor: its own state, its own commands, no machine.
//!
//!     cargo run -p thermostat --bin thermostat -- /tmp/thermostat
//!     nc -U /tmp/thermostat          QMP;  nc -U /tmp/thermostat.hmp   for people
//!
//! The build script of one line compiles the schema:
//! `qmonitor_qapi::build::compile("embed.json")`.

use qmonitor::monitor::hmp::{ArgKind, Hmp, HmpArg, HmpArgs, HmpRow};
use qmonitor::monitor::MonitorMode;
use qmonitor::qapi::Error;
use qmonitor::Runtime;

/// The code that the compiler made of `embed.json`.
#[allow(missing_docs)]
mod schema {
    include!(concat!(env!("OUT_DIR"), "/embed.rs"));
}
use schema::{EmbedCommands, Thermostat};

/// The program's own state.
struct Heater {
    target: f64,
    room: f64,
}

impl EmbedCommands for Heater {
    fn qmp_query_thermostat(rt: &mut Runtime<Self>) -> Result<Thermostat, Error> {
        Ok(Thermostat {
            target: rt.state.target,
            heating: rt.state.room < rt.state.target,
        })
    }

    fn qmp_set_target(rt: &mut Runtime<Self>, target: f64) -> Result<(), Error> {
        if !(5.0..=30.0).contains(&target) {
            return Err(Error::new("Parameter 'target' expects 5 to 30 degrees"));
        }
        rt.state.target = target;
        schema::qapi_event_send_target_changed(rt, target);
        Ok(())
    }
}

fn hmp_set_target(hmp: &mut Hmp<'_, Heater>, args: &HmpArgs) {
    let result = Heater::qmp_set_target(hmp.rt, args.int("degrees") as f64);
    hmp.handle_error(result);
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("/tmp/thermostat".into());
    let mut rt = Runtime::new(Heater {
        target: 21.0,
        room: 19.5,
    })?;
    rt.exit_on_signals()?;
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    const ROW: HmpRow = HmpRow::new("set_target", "degrees", "aim at another temperature")
        .args(&[HmpArg::new("degrees", ArgKind::Int)]);
    rt.hmp_mut().table.add(ROW, hmp_set_target);
    let qmp = format!("unix:{path},server=on,wait=off");
    rt.monitor_parse(&qmp, MonitorMode::Control, false)?;
    let hmp = format!("unix:{path}.hmp,server=on,wait=off");
    rt.monitor_parse(&hmp, MonitorMode::Readline, false)?;
    std::process::exit(rt.run()?)
}
