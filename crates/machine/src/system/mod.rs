//! The programs: from their command lines to a running loop.

mod char_options;
pub mod cli;
pub mod hardware;
mod help;
mod host;
mod readconfig;
mod report;
pub mod settings;
pub mod storage_daemon;
pub mod vl;
