//! The recorder: a proxy in front of a real QEMU that writes a scenario of what passed.

mod recording;

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{channel, Sender};
use std::thread;
use std::time::Instant;

use crate::address::Address;
use recording::{Recording, Side};

/// Recordings of up to so many exchanges are written after each of them, so that a recorder that
/// is killed leaves its work behind.
const WRITTEN_AT_ONCE: usize = 500;

/// Both kinds of streams.
enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    fn connect(address: &Address) -> io::Result<Stream> {
        match address {
            Address::Unix(path) => UnixStream::connect(path).map(Stream::Unix),
            Address::Tcp(host, port) => TcpStream::connect((host.as_str(), *port)).map(Stream::Tcp),
            Address::Fd(_) => Err(unsupported()),
        }
    }

    fn try_clone(&self) -> io::Result<Stream> {
        match self {
            Stream::Unix(stream) => stream.try_clone().map(Stream::Unix),
            Stream::Tcp(stream) => stream.try_clone().map(Stream::Tcp),
        }
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buf),
            Stream::Tcp(stream) => stream.read(buf),
        }
    }

    fn write_all(&mut self, buf: &[u8]) -> io::Result<()> {
        match self {
            Stream::Unix(stream) => stream.write_all(buf),
            Stream::Tcp(stream) => stream.write_all(buf),
        }
    }

    /// Tells the other end that no more comes.
    fn finish(&self) {
        // It may be gone already.
        let _ = match self {
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
        };
    }
}

fn unsupported() -> io::Error {
    io::Error::new(
        io::ErrorKind::Unsupported,
        "expected unix:PATH or tcp:HOST:PORT",
    )
}

enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn bind(address: &Address) -> io::Result<(Listener, Address)> {
        match address {
            Address::Unix(path) => {
                let listener = UnixListener::bind(path)?;
                Ok((Listener::Unix(listener), address.clone()))
            }
            Address::Tcp(host, port) => {
                let listener = TcpListener::bind((host.as_str(), *port))?;
                let port = listener.local_addr()?.port();
                Ok((Listener::Tcp(listener), Address::Tcp(host.clone(), port)))
            }
            Address::Fd(_) => Err(unsupported()),
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        match self {
            Listener::Unix(listener) => Ok(Stream::Unix(listener.accept()?.0)),
            Listener::Tcp(listener) => Ok(Stream::Tcp(listener.accept()?.0)),
        }
    }
}

/// Passes bytes on in one direction, and tells of them.
fn relay(mut from: Stream, mut to: Stream, side: Side, told: &Sender<(Side, Vec<u8>)>) {
    let mut buf = vec![0; 64 * 1024];
    while let Ok(n) = from.read(&mut buf) {
        // Told first: what a request causes must not be heard of before it.
        if n == 0 || told.send((side, buf[..n].to_vec())).is_err() {
            break;
        }
        if to.write_all(&buf[..n]).is_err() {
            break;
        }
    }
    to.finish();
}

/// Listens for one client, connects it to the upstream QEMU, and writes the scenario when both
/// have gone. `ready` is called with the address when it listens.
///
/// # Errors
///
/// A message: it cannot listen, connect or write.
pub fn record(
    out: &str,
    upstream: &Address,
    qmp: &Address,
    ready: impl FnOnce(&Address),
) -> Result<(), String> {
    let failed = |what: &Address, e: io::Error| format!("{what}: {e}");
    let (listener, own) = Listener::bind(qmp).map_err(|e| failed(qmp, e))?;
    ready(&own);
    let client = listener.accept().map_err(|e| failed(qmp, e))?;
    if let Address::Unix(path) = qmp {
        // Nobody else is served.
        let _ = std::fs::remove_file(path);
    }
    let server = Stream::connect(upstream).map_err(|e| failed(upstream, e))?;
    let twice = |stream: &Stream| stream.try_clone().map_err(|e| e.to_string());
    let (to_client, to_server) = (twice(&client)?, twice(&server)?);
    let (sender, told) = channel();
    let other = sender.clone();
    let threads = [
        thread::spawn(move || relay(client, to_server, Side::Client, &sender)),
        thread::spawn(move || relay(server, to_client, Side::Server, &other)),
    ];
    let begin = Instant::now();
    let mut recording = Recording::default();
    let write = |recording: &Recording| {
        let text = recording.to_scenario();
        std::fs::write(out, text).map_err(|e| format!("{out}: {e}"))
    };
    for (side, bytes) in told {
        recording.take(side, &bytes, begin.elapsed());
        if recording.len() <= WRITTEN_AT_ONCE {
            write(&recording)?;
        }
    }
    for thread in threads {
        // They end with the streams.
        let _ = thread.join();
    }
    write(&recording)
}
