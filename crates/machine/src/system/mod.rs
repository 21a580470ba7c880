//! The programs: from their command lines to a running loop.

mod actions;
mod char_options;
pub mod cli;
mod consoles;
pub mod hardware;
mod help;
mod host;
mod option_groups;
#[rustfmt::skip]
mod option_table;
mod readconfig;
mod report;
pub mod settings;
mod signals;
pub mod storage_daemon;
pub mod trace_server;
mod vc;
pub mod vl;
