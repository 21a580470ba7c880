//! The client's side of QMP, blocking, over any reader and writer.
//!
//! The compiler emits, on demand, a trait with a method for each command and an
//! enum of the events (`Options::client` in `codegen::rust`); this is what they
//! stand on. [`QmpClient`] connects, negotiates, sends one command at a time and
//! keeps the events that come in between. Whatever else can carry a command to
//! a server implements [`Execute`] and has the typed methods, too.
//!
//! A newer server may send members that the schema does not know; they are
//! ignored.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};

use super::json::{JsonMessageParser, JsonWriter};
use super::visit::{InputVisitor, OutputVisitor, QapiType};
use super::{events, CompatPolicy, Error, ErrorClass, QDict, QObject};

/// Why a command has no result.
#[derive(Debug)]
pub enum ClientError {
    /// The connection failed or was closed.
    Io(io::Error),
    /// The server refused.
    Refused(Error),
    /// What came is not QMP, or not what the schema says.
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
    /// Sends a command and waits for what it returns.
    ///
    /// # Errors
    ///
    /// See [`ClientError`].
    fn qmp_execute(&mut self, command: &str, arguments: QDict) -> Result<QObject, ClientError>;

    /// Sends a command that answers nothing on success, and does not wait.
    ///
    /// # Errors
    ///
    /// The connection failed.
    fn qmp_send(&mut self, command: &str, arguments: QDict) -> Result<(), ClientError>;
}

/// An enumeration of events, as generated.
pub trait QapiEvent: Sized {
    /// The event of this name with the data that `v` stands in; `None` if the
    /// schema does not know it.
    ///
    /// # Errors
    ///
    /// The data are not what the schema says.
    fn visit_in(name: &str, v: &mut InputVisitor) -> Result<Option<Self>, Error>;
}

/// Calls a command and reads what it returns; generated methods call this.
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

/// The arguments whose members `visit` visits; generated methods call this.
pub fn arguments(visit: &dyn Fn(&mut dyn OutputVisitor)) -> QDict {
    events::event_data(CompatPolicy::default(), visit)
}

/// An event as it came.
#[derive(Debug, Clone, PartialEq)]
pub struct RawEvent {
    /// Its name.
    pub name: String,
    /// Its data; empty if it has none.
    pub data: QDict,
    /// When it arose: seconds and microseconds since 1970.
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

    /// The event in the schema's terms; `None` if the schema does not know it.
    ///
    /// # Errors
    ///
    /// The data are not what the schema says.
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
    /// What was read and not parsed yet.
    input: VecDeque<u8>,
    events: VecDeque<RawEvent>,
    greeting: QDict,
    next_id: i64,
}

impl<T: Read + Write> QmpClient<T> {
    /// Takes the greeting and leaves negotiation mode.
    ///
    /// # Errors
    ///
    /// The connection failed, or there is no QMP server at its other end.
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

    /// The next event, waiting for it if none has come yet.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub fn next_event(&mut self) -> Result<RawEvent, ClientError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            // A late error of a command that nobody waits for is dropped.
            let message = self.receive()?;
            self.keep_event(message);
        }
    }

    /// An event that has come already.
    pub fn pending_event(&mut self) -> Option<RawEvent> {
        self.events.pop_front()
    }

    /// The connection itself.
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
