//! The network block device protocol (its public description is `doc/proto.md` of the project
//! NBD): what a server says to one client. Sockets are elsewhere.

mod client;
mod connect;
mod negotiation;
mod remote;
mod server;
mod stream;
mod transmission;
mod wire;

use super::graph::Blocks;

pub use connect::connect;
pub use remote::Remote;
pub use server::{NbdClient, NbdServer};
pub use stream::NbdStream;

/// More unsent bytes than this, and nothing is taken from the client.
const MOST_OUTPUT: usize = 4 << 20;

/// A client of the server.
#[derive(Debug)]
pub struct Session {
    phase: Phase,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The client wants no padding after an old way to choose an export.
    no_zeroes: bool,
    structured: bool,
    /// The id of the export that the client uses.
    export: Option<String>,
    /// What it may ask the status of: the numbers are the places here.
    contexts: Vec<Context>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The client's flags come first.
    Flags,
    Options,
    Transmission,
    Ended,
}

/// What bytes of an export are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Context {
    Allocation,
    Depth,
    Bitmap(String),
}

impl Context {
    fn name(&self) -> String {
        match self {
            Context::Allocation => "base:allocation".to_owned(),
            Context::Depth => "qemu:allocation-depth".to_owned(),
            Context::Bitmap(name) => format!("qemu:dirty-bitmap:{name}"),
        }
    }
}

impl Session {
    /// A client that has just come.
    pub fn new() -> Self {
        let mut session = Session {
            phase: Phase::Flags,
            input: Vec::new(),
            output: Vec::new(),
            no_zeroes: false,
            structured: false,
            export: None,
            contexts: Vec::new(),
        };
        session.greet();
        session
    }

    /// Takes bytes of the client.
    pub fn take(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Answers one message of the client, if it is there whole; false if there is nothing to
    /// do now.
    pub fn step(&mut self, blocks: &mut Blocks) -> bool {
        if self.output.len() > MOST_OUTPUT {
            return false;
        }
        match self.phase {
            Phase::Flags => self.take_flags(),
            Phase::Options => self.take_option(blocks),
            Phase::Transmission => self.take_request(blocks),
            Phase::Ended => false,
        }
    }

    /// Whether bytes of the client are wanted.
    pub fn wants_input(&self) -> bool {
        self.phase != Phase::Ended && self.output.len() <= MOST_OUTPUT
    }

    /// Bytes that wait to be sent.
    pub fn output(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// Whether the connection is to be closed once everything is sent.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// The export that the client uses.
    pub fn export(&self) -> Option<&str> {
        self.export.as_deref()
    }

    /// Takes so many bytes of the input, if they are there.
    fn take_input(&mut self, length: usize) -> Option<Vec<u8>> {
        (self.input.len() >= length).then(|| self.input.drain(..length).collect())
    }

    fn end(&mut self) -> bool {
        self.phase = Phase::Ended;
        false
    }
}

impl Default for Session {
    fn default() -> Self {
        Session::new()
    }
}
