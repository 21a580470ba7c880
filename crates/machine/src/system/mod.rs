//! The programs: what their command lines say, and the way from there to a running
//! loop.

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
