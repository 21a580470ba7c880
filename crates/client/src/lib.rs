//! A typed client: a method for each command of the program `qmonitor`, which
//! are QEMU's, and an enum of the events.
//!
//! ```no_run
//! use std::os::unix::net::UnixStream;
//!
//! use qmonitor_client::{Event, QmpClient, QmpCommands, RunState};
//!
//! let mut client = QmpClient::connect(UnixStream::connect("/tmp/qmp-test")?)?;
//! client.stop()?;
//! assert_eq!(client.query_status()?.status, RunState::Paused);
//! let event = client.next_event()?;
//! assert_eq!(event.parse()?, Some(Event::Stop));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It is blocking and stands on anything that reads and writes. A server that
//! lacks a command answers with an error of the class `CommandNotFound`; what
//! a newer server adds is ignored.
//!
//! The text is generated from the same schema files as the server, so its types
//! are of the same shape but not the same. For another schema, generate a client
//! of your own: `client: true` in
//! [`codegen::rust::Options`](https://docs.rs/qmonitor-qapi::rust::Options).

pub use qmonitor::qapi::client::{ClientError, Execute, QapiEvent, QmpClient, RawEvent};

include!(concat!(env!("OUT_DIR"), "/client.rs"));
