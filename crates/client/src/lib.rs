//! A typed client: a method for each command of the program `qmonitor` (the
//! commands are QEMU's), and an enum of the events.
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
//! It is blocking and works over anything that reads and writes. A server without a
//! command answers it with an error of the class `CommandNotFound`. The client
//! ignores what a newer server adds.
//!
//! The server is generated from the same schema files, so its types have the same
//! shape, but they are not the same types. For another schema, generate a client of
//! your own: `client: true` in [`codegen::rust::Options`].
//!
//! [`codegen::rust::Options`]: https://docs.rs/qmonitor-qapi/latest/qmonitor_qapi/codegen/rust/struct.Options.html

pub use qmonitor::qapi::client::{ClientError, Execute, QapiEvent, QmpClient, RawEvent};

include!(concat!(env!("OUT_DIR"), "/client.rs"));
