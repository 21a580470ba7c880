//! The connection: a thread reads, and hands on events and replies.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{channel, Receiver};

use qmonitor::qapi::json::JsonMessageParser;
use qmonitor::qapi::{QDict, QObject};

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
        let stream = UnixStream::connect(path)?;
        Ok((Box::new(stream.try_clone()?), Box::new(stream)))
    }
}

impl Connection {
    /// Connects; the greeting is the first reply.
    pub fn open(address: &str, mut sink: Sink) -> Result<Connection, String> {
        let (writer, mut reader) = open(address).map_err(|e| format!("{address}: {e}"))?;
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            let end = read_all(&mut *reader, |message| {
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
        })
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
        let line = format!(
            "{}\n",
            qmonitor::qapi::json::qobject_to_json(&request.into(), false)
        );
        let sent = self.writer.write_all(line.as_bytes());
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
