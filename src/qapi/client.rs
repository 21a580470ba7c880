//! The client's side of QMP, blocking, over any reader and writer.
//!
//! On demand (`Options::client` in `codegen::rust`) the compiler emits a trait with
//! a method for each command and an enum of the events. Both build on this module.
//! [`QmpClient`] connects, negotiates, sends one command at a time and queues the
//! events that arrive in between. Another transport gets the typed methods by
//! implementing [`Execute`].
//!
//! A newer server may send members that the schema does not know; they are
//! ignored.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};

use super::json::{JsonMessageParser, JsonWriter};
use super::visit::{InputVisitor, QObjectOutputVisitor, QapiType};
use super::{events, CompatPolicy, Error, ErrorClass, MemberOrder, QDict, QObject};

/// Why a command has no result.
#[derive(Debug)]
pub enum ClientError {
    /// The connection failed or was closed.
    Io(io::Error),
    /// The server answered with an error.
    Refused(Error),
    /// The server sent something that is not QMP, or that does not fit the schema.
    Protocol(String),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientError::Io(e) => write!(f, "connection to the QMP server: {e}"),
            ClientError::Refused(e) => e.fmt(f),
            ClientError::Protocol(what) => write!(f, "unexpected message from the server: {what}"),
        }
    }
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ClientError::Io(e) => Some(e),
            ClientError::Refused(e) => Some(e),
            ClientError::Protocol(_) => None,
        }
    }
}

impl From<io::Error> for ClientError {
    fn from(e: io::Error) -> Self {
        ClientError::Io(e)
    }
}

fn protocol(e: Error) -> ClientError {
    ClientError::Protocol(e.desc().to_owned())
}

/// Carries commands to a server.
pub trait Execute: Sized {
    /// Sends a command and waits for its return value.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    fn qmp_execute(&mut self, command: &str, arguments: QDict) -> Result<QObject, ClientError>;

    /// Sends a command that has no success response, and does not wait.
    ///
    /// # Errors
    ///
    /// Fails if the connection fails.
    fn qmp_send(&mut self, command: &str, arguments: QDict) -> Result<(), ClientError>;
}

/// Implemented by the generated enum of events.
pub trait QapiEvent: Sized {
    /// Reads the event `name` from `v`, which is positioned in its data. `None` if
    /// the schema does not know the event.
    ///
    /// # Errors
    ///
    /// Fails if the data do not fit the schema.
    fn visit_in(name: &str, v: &mut InputVisitor) -> Result<Option<Self>, Error>;
}

/// Calls a command and converts its return value. Generated methods call this.
///
/// # Errors
///
/// See [`ClientError`].
pub fn call<T: QapiType>(
    server: &mut impl Execute,
    command: &str,
    arguments: QDict,
) -> Result<T, ClientError> {
    let value = server.qmp_execute(command, arguments)?;
    let mut v = InputVisitor::new(value, CompatPolicy::default()).lenient();
    T::visit_in(&mut v, "").map_err(protocol)
}

/// Builds the arguments from the members that `visit` writes. Generated methods
/// call this.
pub fn arguments(visit: &dyn Fn(&mut QObjectOutputVisitor)) -> QDict {
    events::event_data(CompatPolicy::default(), visit)
}

/// An event as received.
#[derive(Debug, Clone, PartialEq)]
pub struct RawEvent {
    /// Its name.
    pub name: String,
    /// Its data; empty if it has none.
    pub data: QDict,
    /// When it happened: seconds and microseconds since 1970.
    pub timestamp: (i64, i64),
}

impl RawEvent {
    fn new(mut message: QDict) -> Self {
        let time = message.remove("timestamp");
        let part = |name| match time.as_ref()?.as_dict()?.get(name) {
            Some(QObject::Num(super::QNum::I64(n))) => Some(*n),
            _ => None,
        };
        RawEvent {
            name: message.get_str("event").unwrap_or_default().to_owned(),
            timestamp: (
                part("seconds").unwrap_or(-1),
                part("microseconds").unwrap_or(-1),
            ),
            data: match message.remove("data") {
                Some(QObject::Dict(data)) => data,
                _ => QDict::new(),
            },
        }
    }

    /// Converts the event to the schema's enum; `None` if the schema does not know
    /// it.
    ///
    /// # Errors
    ///
    /// Fails if the data do not fit the schema.
    pub fn parse<E: QapiEvent>(&self) -> Result<Option<E>, ClientError> {
        let data = self.data.clone().into();
        let mut v = InputVisitor::new(data, CompatPolicy::default()).lenient();
        v.start_struct("").map_err(protocol)?;
        E::visit_in(&self.name, &mut v).map_err(protocol)
    }
}

/// A connection to a QMP server.
pub struct QmpClient<T> {
    transport: T,
    parser: JsonMessageParser,
    /// Bytes received but not parsed yet.
    input: VecDeque<u8>,
    events: VecDeque<RawEvent>,
    greeting: QDict,
    next_id: i64,
}

impl<T: Read + Write> QmpClient<T> {
    /// Reads the greeting and leaves negotiation mode.
    ///
    /// # Errors
    ///
    /// Fails if the connection fails, or if its other end is not a QMP server.
    ///
    /// ```no_run
    /// use qmonitor::qapi::client::{Execute, QmpClient};
    /// use qmonitor::qapi::QDict;
    ///
    /// let socket = std::os::unix::net::UnixStream::connect("/tmp/qmp-test")?;
    /// let mut client = QmpClient::connect(socket)?;
    /// let status = client.qmp_execute("query-status", QDict::new())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn connect(transport: T) -> Result<Self, ClientError> {
        let mut client = QmpClient {
            transport,
            parser: JsonMessageParser::default(),
            input: VecDeque::new(),
            events: VecDeque::new(),
            greeting: QDict::new(),
            next_id: 0,
        };
        let mut message = client.receive()?;
        match message.remove("QMP") {
            Some(QObject::Dict(greeting)) => client.greeting = greeting,
            _ => return Err(ClientError::Protocol("no greeting".into())),
        }
        client.qmp_execute("qmp_capabilities", QDict::new())?;
        Ok(client)
    }

    /// The greeting: `version` and `capabilities`.
    pub fn greeting(&self) -> &QDict {
        &self.greeting
    }

    /// Returns the next event; waits for it if none has arrived yet.
    ///
    /// # Errors
    ///
    /// Fails if the connection fails.
    pub fn next_event(&mut self) -> Result<RawEvent, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            // No caller waits for the late error of a command, so it is dropped.
            let message = self.receive()?;
            self.keep_event(message);
        }
    }

    /// Returns an event that has already arrived.
    pub fn pending_event(&mut self) -> Option<RawEvent> {
        self.events.pop_front()
    }

    /// Gives back the transport.
    pub fn into_inner(self) -> T {
        self.transport
    }

    fn keep_event(&mut self, message: QDict) {
        if message.contains_key("event") {
            self.events.push_back(RawEvent::new(message));
        }
    }

    fn receive(&mut self) -> Result<QDict, ClientError> {
        loop {
            let (used, outcome) = self.parser.parse(self.input.make_contiguous());
            self.input.drain(..used);
            match outcome {
                Some(Ok(QObject::Dict(message))) => return Ok(message),
                Some(Ok(_)) => return Err(ClientError::Protocol("not an object".into())),
                Some(Err(e)) => return Err(protocol(e)),
                None => {}
            }
            let mut chunk = [0; 4096];
            match self.transport.read(&mut chunk) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Ok(n) => self.input.extend(&chunk[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn send(&mut self, command: &str, arguments: QDict) -> Result<QObject, ClientError> {
        self.next_id += 1;
        let id = QObject::from(self.next_id);
        let mut w = JsonWriter::new(false);
        w.set_member_order(MemberOrder::Kept);
        w.begin_object();
        w.key("execute");
        w.string(command);
        if !arguments.is_empty() {
            w.key("arguments");
            w.qobject(&arguments.into());
        }
        w.key("id");
        w.qobject(&id);
        w.end_object();
        w.newline();
        self.transport.write_all(w.as_bytes())?;
        self.transport.flush()?;
        Ok(id)
    }
}

impl<T: Read + Write> Execute for QmpClient<T> {
    fn qmp_execute(&mut self, command: &str, arguments: QDict) -> Result<QObject, ClientError> {
        let id = self.send(command, arguments)?;
        loop {
            let mut message = self.receive()?;
            if message.contains_key("event") || message.get("id") != Some(&id) {
                self.keep_event(message);
                continue;
            }
            return match (message.remove("return"), message.remove("error")) {
                (Some(value), _) => Ok(value),
                (None, Some(QObject::Dict(error))) => Err(ClientError::Refused(refusal(&error))),
                (None, _) => Err(ClientError::Protocol("neither return nor error".into())),
            };
        }
    }

    fn qmp_send(&mut self, command: &str, arguments: QDict) -> Result<(), ClientError> {
        self.send(command, arguments).map(drop)
    }
}

fn refusal(error: &QDict) -> Error {
    let class = match error.get_str("class") {
        Some("CommandNotFound") => ErrorClass::CommandNotFound,
        Some("DeviceNotActive") => ErrorClass::DeviceNotActive,
        Some("DeviceNotFound") => ErrorClass::DeviceNotFound,
        Some("KVMMissingCap") => ErrorClass::KvmMissingCap,
        _ => ErrorClass::GenericError,
    };
    Error::with_class(class, error.get_str("desc").unwrap_or_default().to_owned())
}
