//! The machine's QMP commands: what the schema declares, done to the machine.
//!
//! Everything in here is glue. The machine's functions return results, and
//! lists of what happened; here the latter become events, and an exit status
//! becomes a request to end the loop. A command's events are emitted before it
//! returns, so clients see them before the reply, as with QEMU.

mod absent;
mod block;
mod cpu;
mod hmp_absent;
mod hmp_cmds;
mod hmp_info;
pub(crate) mod hmp_log;
mod hmp_mem;
mod hmp_migrate;
mod hmp_net;
mod hmp_qom;
mod hmp_services;
mod hmp_ui;
mod machine;
mod migration;
mod net;
mod objects;
mod qdev;
mod qom;
mod run_state;
mod ui;

#[cfg(test)]
mod tests;

pub use block::blockdev_from_cli;
pub use net::{netdev_from_cli, netdev_from_options, netdev_options, QEMU_NETDEV_OPTS};
pub use objects::{is_made_after_chardevs, object_from_cli, object_from_text};
pub use qdev::device_from_cli;
pub use qom::chardev_nodes;
pub use ui::no_console;

use crate::model::runstate::{shutdown_caused_by_guest, MachineEvent};
use crate::schema::{
    self, qapi_event_send_powerdown, qapi_event_send_reset, qapi_event_send_resume,
    qapi_event_send_shutdown, qapi_event_send_stop, ShutdownCause,
};
use crate::Machine;
use qmonitor::monitor::TlsLookup;
use qmonitor::Runtime;

/// Commands that change nothing although they are not called `query-*`.
const READ_ONLY: &[&str] = &[
    "qom-get",
    "qom-list",
    "qom-list-properties",
    "qom-list-types",
];

/// Adds the machine's commands, QMP and HMP, to a runtime, and has `quit` tell
/// clients of the shutdown.
pub fn register(rt: &mut Runtime<Machine>) {
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt.set_quit_handler(|rt| {
        rt.state.run.quit_request(ShutdownCause::HostQmpQuit);
        main_loop_should_exit(rt);
    });
    rt.set_monitor_removed_handler(objects::monitor_removed);
    rt.add_read_only_commands(READ_ONLY);
    rt.set_tls_lookup(TlsLookup {
        creds: Machine::tls_creds,
        authz: Machine::authz_is_allowed,
    });
    hmp_cmds::register(rt);
}

/// Starts the machine, unless it is to wait.
pub fn start_machine(rt: &mut Runtime<Machine>) {
    let events = rt.state.run.start();
    emit(rt, &events);
}

/// Ends the program because of a signal (`qemu_system_killed`).
pub fn killed(rt: &mut Runtime<Machine>) {
    rt.state.run.quit_request(ShutdownCause::HostSignal);
    main_loop_should_exit(rt);
}

/// Carries out what was asked of the machine.
fn main_loop_should_exit(rt: &mut Runtime<Machine>) {
    let mut events = Vec::new();
    let status = rt.state.run.main_loop_should_exit(&mut events);
    emit(rt, &events);
    if let Some(status) = status {
        rt.request_exit(status.into());
    }
}

fn emit(rt: &mut Runtime<Machine>, events: &[MachineEvent]) {
    for event in events {
        match *event {
            MachineEvent::Stop => qapi_event_send_stop(rt),
            MachineEvent::Resume => qapi_event_send_resume(rt),
            MachineEvent::Powerdown => qapi_event_send_powerdown(rt),
            MachineEvent::Reset(cause) => {
                qapi_event_send_reset(rt, shutdown_caused_by_guest(cause), cause);
            }
            MachineEvent::Shutdown(cause) => {
                qapi_event_send_shutdown(rt, shutdown_caused_by_guest(cause), cause);
            }
        }
    }
}
