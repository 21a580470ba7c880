//! The programs: from their command lines to a running loop.

mod actions;
mod char_options;
pub mod cli;
mod cli_table;
mod consoles;
mod drive_options;
mod flash;
pub mod hardware;
mod help;
mod host;
mod kept;
mod making;
mod nic_options;
mod numa_options;
mod option_groups;
#[rustfmt::skip]
mod option_table;
mod readconfig;
mod report;
pub mod settings;
mod signals;
mod smbios;
mod sound;
mod starting;
pub mod storage_daemon;
mod tpm;
pub mod trace_server;
mod vc;
mod vdagent;
pub mod vl;
