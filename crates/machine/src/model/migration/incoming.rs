//! The move to here: what has come so far.

use qmonitor::chardev::{SocketAddress, UnixPath};
use qmonitor::main_loop::WatchId;
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::{QDict, QNum, QObject};

use super::stream::{self, Decoder, Section};
use super::{Channel, StreamError};
use crate::model::Machine;
use crate::schema::{MigrationStatus, RunState};

/// The state of the move.
#[derive(Default)]
pub(crate) struct Incoming {
    /// `None` before it was asked for.
    pub(crate) status: Option<MigrationStatus>,
    /// Whether a channel was opened, so that there is no second try.
    pub(crate) is_started: bool,
    /// Why it failed.
    pub(crate) error: Option<String>,
    /// Whether a failure ends the program.
    pub(crate) exit_on_error: bool,
    /// Where it listens, until the machine has come.
    pub(crate) listens_at: Option<SocketAddress>,
    /// The file of the listening socket.
    pub(crate) path: Option<UnixPath>,
    /// Waits for a connection, or for bytes.
    pub(crate) watch: Option<WatchId>,
    pub(crate) channel: Option<Channel>,
    pub(crate) loading: Loading,
}

/// What a section asks for.
pub(crate) enum Asks {
    /// Nothing more.
    Nothing,
    /// That the machine runs here.
    ToRun,
    /// That an interrupted move goes on.
    ToResume,
}

/// A machine that is being read. Nothing but memory changes until all of it has come.
#[derive(Default)]
pub(crate) struct Loading {
    pub(crate) decoder: Decoder,
    devices: Vec<(String, QDict)>,
    machine: QDict,
    /// Whether the other side waits for an answer.
    pub(crate) return_path: bool,
}

impl Loading {
    /// Takes a section.
    ///
    /// # Errors
    ///
    /// It does not fit this machine.
    pub(crate) fn take(&mut self, m: &mut Machine, section: Section) -> Result<Asks, StreamError> {
        let Section {
            kind,
            name,
            content,
        } = section;
        match kind {
            stream::CONFIGURATION => {
                let options = dict(&name, &content)?;
                self.return_path = options.get("return-path") == Some(&QObject::Bool(true));
                m.check_configuration(&name, &options)?;
            }
            stream::MEMORY => m.check_memory(&name, &content)?,
            stream::PAGES => m.load_pages(&name, &content)?,
            stream::DEVICE => {
                m.check_device(&name)?;
                self.devices.push((name.clone(), dict(&name, &content)?));
            }
            stream::MACHINE => self.machine = dict(&name, &content)?,
            stream::POSTCOPY => return Ok(Asks::ToRun),
            stream::RESUME => return Ok(Asks::ToResume),
            _ => {}
        }
        Ok(Asks::Nothing)
    }

    /// Gives the machine what has come. Returns the state that it had at the other side, and
    /// its virtual time.
    ///
    /// # Errors
    ///
    /// The state is unknown.
    pub(crate) fn finish(&mut self, m: &mut Machine) -> Result<(RunState, i64), StreamError> {
        let state = self.machine.get_str("runstate").unwrap_or_default();
        let known = state.parse::<RunState>();
        let unknown = |_| StreamError::invalid(format!("Unknown run state '{state}'"));
        let state = known.map_err(unknown)?;
        for (name, state) in std::mem::take(&mut self.devices) {
            m.load_device(&name, &state);
        }
        let clock = match self.machine.get("clock") {
            Some(QObject::Num(QNum::I64(ns))) => *ns,
            _ => 0,
        };
        Ok((state, clock))
    }
}

fn dict(name: &str, content: &[u8]) -> Result<QDict, StreamError> {
    match qobject_from_json(content) {
        Ok(QObject::Dict(dict)) => Ok(dict),
        _ => Err(StreamError::invalid(format!(
            "the state of '{name}' is not an object"
        ))),
    }
}
