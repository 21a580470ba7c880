//! The connection: a thread reads, and hands on events and replies.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::ExitStatus;
use std::sync::mpsc::{channel, Receiver};

use qmonitor::qapi::json::{qobject_to_json, JsonMessageParser};
use qmonitor::qapi::{QDict, QObject};

use crate::log::Log;
use crate::options::{Options, Target};
use crate::program::Program;

/// What the reading thread calls for each event, and once at the end of the
/// connection.
pub type Sink = Box<dyn FnMut(News<'_>) + Send>;

/// What comes without being asked for.
pub enum News<'a> {
    Event(&'a QDict),
    /// Why there will be no more.
    End(&'a str),
}

/// A session with a server.
pub struct Connection {
    writer: Box<dyn Write>,
    replies: Receiver<QDict>,
    next_id: i64,
    log: Log,
    /// What has been started for this session.
    program: Option<Program>,
}

fn open(address: &str) -> io::Result<(Box<dyn Write>, Box<dyn Read + Send>)> {
    let is_host_and_port = !address.contains('/')
        && address
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if is_host_and_port {
        let stream = TcpStream::connect(address)?;
        Ok((Box::new(stream.try_clone()?), Box::new(stream)))
    } else {
        let path = address.strip_prefix("unix:").unwrap_or(address);
        both(UnixStream::connect(path)?)
    }
}

fn both(stream: UnixStream) -> io::Result<(Box<dyn Write>, Box<dyn Read + Send>)> {
    Ok((Box::new(stream.try_clone()?), Box::new(stream)))
}

impl Connection {
    /// Connects; the greeting is the first reply.
    pub fn open(options: &Options, mut sink: Sink) -> Result<Connection, String> {
        let log = Log::open(options.log.as_deref())?;
        let mut program = None;
        let (writer, mut reader) = match &options.server {
            Target::Address(address) => open(address).map_err(|e| format!("{address}: {e}"))?,
            Target::Program(words) => {
                let (started, stream) = Program::start(words)?;
                program = Some(started);
                both(stream).map_err(|e| e.to_string())?
            }
        };
        let received = log.clone();
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            let end = read_all(&mut *reader, |message| {
                received.add("<-", || qobject_to_json(&message.clone().into(), false));
                if message.contains_key("event") {
                    sink(News::Event(&message));
                    true
                } else {
                    sender.send(message).is_ok()
                }
            });
            sink(News::End(&end));
        });
        Ok(Connection {
            writer,
            replies,
            next_id: 0,
            log,
            program,
        })
    }

    /// Ends the program that was started for the session, if any. Returns how it ended.
    pub fn end(mut self) -> Result<Option<ExitStatus>, String> {
        let Some(program) = self.program.take() else {
            return Ok(None);
        };
        let mut quit = QDict::new();
        quit.insert("execute", "quit");
        // It may have ended already.
        let _ = self.call(quit);
        program.wait().map(Some)
    }

    /// The next message that is no event.
    pub fn reply(&self) -> Result<QDict, String> {
        let ended = |_| "the server has closed the connection".to_owned();
        self.replies.recv().map_err(ended)
    }

    /// Sends a request and waits for its reply. Gives it an id if it has none.
    pub fn call(&mut self, mut request: QDict) -> Result<QDict, String> {
        self.next_id += 1;
        if !request.contains_key("id") {
            request.insert("id", self.next_id);
        }
        let id = request.get("id").cloned();
        let text = qobject_to_json(&request.into(), false);
        self.log.add("->", || text.clone());
        let sent = self.writer.write_all(format!("{text}\n").as_bytes());
        sent.map_err(|e| format!("the server does not listen any more: {e}"))?;
        loop {
            let reply = self.reply()?;
            // A message that the server could not read has no id in its error.
            if reply.get("id") == id.as_ref() || !reply.contains_key("id") {
                return Ok(reply);
            }
        }
    }
}

/// Reads messages until the connection ends, or `take` wants no more; says why it
/// ended.
fn read_all(reader: &mut dyn Read, mut take: impl FnMut(QDict) -> bool) -> String {
    let mut parser = JsonMessageParser::default();
    let mut buf = [0; 65536];
    loop {
        let n = match reader.read(&mut buf) {
            Ok(0) => return "the server has closed the connection".into(),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return e.to_string(),
        };
        let (mut rest, mut goes_on) = (&buf[..n], true);
        while !rest.is_empty() && goes_on {
            let (used, outcome) = parser.parse(rest);
            rest = &rest[used..];
            match outcome {
                Some(Ok(QObject::Dict(message))) => goes_on = take(message),
                Some(_) => return "the other end does not speak QMP".into(),
                None => {}
            }
        }
        if !goes_on {
            return "the shell has ended".into();
        }
    }
}
