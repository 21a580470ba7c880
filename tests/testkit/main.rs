//! The test kit from outside: scenarios in process, the program, its control channel, and the
//! front for tests in Rust.

mod agent;
mod control;
mod emulator;
mod faults;
mod front;
mod json_schema;
mod lint;
mod mixed;
mod pages;
mod process;
mod program;
mod record;
mod reports;
mod save;
mod session;
#[cfg(feature = "tokio")]
mod stream;
mod stubs;
mod wrong;
