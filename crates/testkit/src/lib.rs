#![doc = include_str!("../README.md")]

pub mod address;
pub mod amount;
pub mod check;
pub mod control;
mod emulator;
mod front;
pub mod kit;
mod mock;
pub mod node;
mod options;
pub mod pattern;
pub mod problem;
pub mod program;
mod random;
pub mod read;
mod read_json;
mod record;
mod report;
pub mod scenario;
pub mod schema;
pub mod server;
pub mod session;
mod sim;
#[cfg(feature = "tokio")]
pub mod stream;
mod words;

pub use front::{Received, Slice};
pub use mock::{Builder, Mock, StubBuilder};
#[doc(hidden)]
pub use serde_json;
pub use session::Session;
pub use sim::Sim;
#[cfg(feature = "tokio")]
pub use stream::{AsyncPeer, AsyncSim};
pub use words::{value, Event, Request};

/// The page about the kit, whose examples in Rust run as tests. It is not in the package.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
pub struct TestingPage;
