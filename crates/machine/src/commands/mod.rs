//! The machine's commands, one file for each subsystem: QMP, HMP, and the rows of HMP.
//!
//! Everything in here is glue between the library and the model. The machine's
//! functions return results and lists of events; here events are sent, and an exit
//! status becomes a request to end the loop. A command's events are sent before it
//! returns, so clients see them before the reply, as with QEMU.

mod absent;
mod backups;
mod block;
mod block_bitmaps;
mod block_connect;
mod block_edges;
mod block_edits;
mod block_fifo;
mod block_graph;
mod block_info;
mod block_jobs;
mod block_limits;
mod block_media;
mod block_pages;
mod block_stats;
mod chains;
mod completion;
mod copies;
mod cpu;
mod current_cpu;
mod datagrams;
mod devices;
mod dirty_rate;
mod displays;
mod drive_add;
mod drives;
mod dump;
mod emulator;
mod exports;
mod guest_ports;
mod hmp;
mod hmp_copies;
mod internal_snapshots;
mod interrupts;
mod job_args;
mod jobs;
mod keys;
mod log;
mod machine;
mod machine_snapshots;
mod memory;
mod memory_devices;
mod migration;
mod migration_channel;
mod migration_in;
mod migration_info;
mod migration_out;
mod migration_send;
mod migration_settings;
mod migration_steps;
mod mirrors;
mod missing_modules;
mod nbd_server;
mod net;
mod net_tap;
mod net_user;
mod netdevs;
mod new_images;
mod newer;
mod objects;
mod pci;
mod qdev;
mod qemu_io;
mod qom;
mod qtest;
mod qtree;
mod queries;
mod registers;
mod roms;
mod run_state;
mod shell_words;
mod snapshots;
mod statistics;
mod streams;
mod transaction;
mod ui;
mod unsupported;
mod vnc;
mod vnc_clients;
mod vnc_info;
mod vnc_listen;

#[cfg(test)]
mod disk_play_tests;
#[cfg(test)]
mod tests;

pub use block::blockdev_from_cli;
pub(crate) use drives::{drive_new, format_help, guess_warning, NewDrive, QEMU_DRIVE_OPTS};
pub(crate) use log::{log_items, LogItems};
pub(crate) use machine_snapshots::load as load_snapshot;
pub(crate) use migration_in::incoming_from_cli;
pub(crate) use missing_modules::MISSING_MODULE;
pub use net::{netdev_from_cli, netdev_with_id};
pub use objects::{
    attach, is_made_after_chardevs, monitor_from_options, object_from_text, object_help,
    object_help_wanted, object_of_option,
};
pub use qdev::{add_ports, board_nic, device_from_cli};
pub(crate) use qtest::{qtest_from_cli, take_clock_in_hand};
pub use run_state::{killed, start_machine};
pub(crate) use vnc::vnc_new;

use crate::schema::{self, ShutdownCause};
use crate::Machine;
use qmonitor::monitor::hmp::HmpPair;
use qmonitor::monitor::TlsLookup;
use qmonitor::qapi::{Error, QDict};
use qmonitor::Runtime;
use run_state::main_loop_should_exit;

/// Commands that change nothing, though their names do not begin with `query-`.
const READ_ONLY: &[&str] = &[
    "qom-get",
    "qom-list",
    "qom-list-properties",
    "qom-list-types",
];

type Pairs = &'static [HmpPair<Machine>];

/// The HMP commands of each subsystem, and its sub-commands of `info`.
const HMP: &[(Pairs, Pairs)] = &[
    (absent::COMMANDS, absent::INFO),
    (block::COMMANDS, block_pages::INFO),
    (block_jobs::COMMANDS, block_jobs::INFO),
    (cpu::COMMANDS, cpu::INFO),
    (dirty_rate::COMMANDS, dirty_rate::INFO),
    (drive_add::COMMANDS, &[]),
    (dump::COMMANDS, dump::INFO),
    (emulator::COMMANDS, emulator::INFO),
    (log::COMMANDS, &[]),
    (machine::COMMANDS, machine::INFO),
    (memory::COMMANDS, memory::INFO),
    (migration::COMMANDS, migration::INFO),
    (migration_settings::COMMANDS, migration_settings::INFO),
    (net::COMMANDS, net::INFO),
    (objects::COMMANDS, &[]),
    (newer::COMMANDS, newer::INFO),
    (qdev::COMMANDS, qdev::INFO),
    (&[], pci::INFO),
    (&[], interrupts::INFO),
    (&[], qtree::INFO),
    (qom::COMMANDS, qom::INFO),
    (run_state::COMMANDS, run_state::INFO),
    (ui::COMMANDS, ui::INFO),
];

/// Adds the machine's commands, QMP and HMP, to a runtime, and has `quit` tell
/// clients of the shutdown.
pub fn register(rt: &mut Runtime<Machine>) {
    rt.add_commands(schema::qmp_init_marshal, &schema::QAPI_SCHEMA);
    rt.set_quit_handler(|rt| {
        rt.state.run.quit_request(ShutdownCause::HostQmpQuit);
        main_loop_should_exit(rt);
    });
    rt.set_monitor_removed_handler(|rt, monitor| {
        rt.state.current_cpus.remove(&monitor);
        objects::monitor_removed(rt, monitor);
    });
    rt.add_read_only_commands(READ_ONLY);
    rt.set_tls_lookup(TlsLookup {
        creds: Machine::tls_creds,
        authz: Machine::authz_is_allowed,
    });
    let hmp = rt.hmp_mut();
    for (commands, _) in HMP {
        hmp.table.extend(commands.iter().copied());
    }
    if let Some(table) = hmp.table.sub_mut("info") {
        for (_, info) in HMP {
            table.extend(info.iter().copied());
        }
    }
    hmp.add_help_topic("log", || log_items("log"));
    hmp.set_options(options);
    hmp.set_cpu_exists(current_cpu::cpu_exists);
    hmp.add_completion(completion::complete);
}

/// Reads the options of `device_add` and `netdev_add` while their line is parsed.
fn options(rt: &Runtime<Machine>, group: &str, text: &str) -> Result<QDict, Error> {
    let mut warnings = Vec::new();
    if group == net::QEMU_NETDEV_OPTS.name {
        return net::netdev_options(&rt.state, text, &mut warnings);
    }
    qdev::device_options(text, &mut warnings)
}
