//! A disk that another server has, as a node sees it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::background::{Background, Lane, Pending};
use super::super::bytes::Extent;
use super::client::Connection;

/// A request to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Request {
    Read(u64, u64),
    Write(u64, u64),
    Zero(u64, u64),
    Discard(u64, u64),
    Status(u64, u64),
    Flush,
}

#[derive(Debug)]
enum Answer {
    Bytes(Vec<u8>),
    Extent(Extent),
    Done,
}

/// A connection to a server. A job's requests are made by a thread, and the job comes back
/// for the answer; others wait for it.
#[derive(Debug)]
pub struct Remote {
    connection: Arc<Mutex<Connection>>,
    size: u64,
    is_read_only: bool,
    lane: Option<Lane>,
    pending: HashMap<Request, Pending<io::Result<Answer>>>,
}

impl Remote {
    pub(super) fn new(connection: Connection) -> Self {
        Remote {
            size: connection.size(),
            is_read_only: connection.is_read_only(),
            connection: Arc::new(Mutex::new(connection)),
            lane: None,
            pending: HashMap::new(),
        }
    }

    /// The size of the disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    /// Reads bytes. With threads at hand the error may be that the answer is not there yet;
    /// so it is with all requests.
    ///
    /// # Errors
    ///
    /// The server's, or it is gone.
    pub(in super::super) fn read(
        &mut self,
        offset: u64,
        into: &mut [u8],
        threads: Option<&Background>,
    ) -> io::Result<()> {
        let request = Request::Read(offset, into.len() as u64);
        if let Answer::Bytes(bytes) = self.ask(request, &[], threads)? {
            into.copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(in super::super) fn write(
        &mut self,
        offset: u64,
        from: &[u8],
        threads: Option<&Background>,
    ) -> io::Result<()> {
        let request = Request::Write(offset, from.len() as u64);
        self.ask(request, from, threads).map(|_| ())
    }

    /// Makes bytes zero, or gives them back.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(in super::super) fn clear(
        &mut self,
        offset: u64,
        length: u64,
        must_be_zeros: bool,
        threads: Option<&Background>,
    ) -> io::Result<()> {
        let request = if must_be_zeros {
            Request::Zero(offset, length)
        } else {
            Request::Discard(offset, length)
        };
        self.ask(request, &[], threads).map(|_| ())
    }

    /// Has the server write what it holds back.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(in super::super) fn flush(&mut self, threads: Option<&Background>) -> io::Result<()> {
        self.ask(Request::Flush, &[], threads).map(|_| ())
    }

    /// Whether bytes have data or are zeros.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub(in super::super) fn status(
        &mut self,
        offset: u64,
        length: u64,
        threads: Option<&Background>,
    ) -> io::Result<Extent> {
        match self.ask(Request::Status(offset, length), &[], threads)? {
            Answer::Extent(extent) => Ok(extent),
            _ => Err(nix::errno::Errno::EIO.into()),
        }
    }

    fn ask(
        &mut self,
        request: Request,
        data: &[u8],
        threads: Option<&Background>,
    ) -> io::Result<Answer> {
        let Some(threads) = threads else {
            let mut connection = lock(&self.connection)?;
            return perform(&mut connection, request, data);
        };
        if let Some(pending) = self.pending.get(&request) {
            let answer = pending.poll()?;
            self.pending.remove(&request);
            return answer;
        }
        let lane = match self.lane.take() {
            Some(lane) => lane,
            None => threads.lane("nbd")?,
        };
        let lane = self.lane.insert(lane);
        let (connection, data) = (self.connection.clone(), data.to_vec());
        let pending = lane.run(move || {
            let mut connection = lock(&connection)?;
            perform(&mut connection, request, &data)
        });
        self.pending.insert(request, pending);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

fn lock(connection: &Mutex<Connection>) -> io::Result<MutexGuard<'_, Connection>> {
    connection.lock().map_err(|_| nix::errno::Errno::EIO.into())
}

fn perform(server: &mut Connection, request: Request, data: &[u8]) -> io::Result<Answer> {
    match request {
        Request::Read(offset, length) => {
            let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
            server.read(offset, &mut bytes)?;
            return Ok(Answer::Bytes(bytes));
        }
        Request::Status(offset, length) => {
            return server.status(offset, length).map(Answer::Extent);
        }
        Request::Write(offset, _) => server.write(offset, data)?,
        Request::Zero(offset, length) => server.clear(offset, length, true)?,
        Request::Discard(offset, length) => server.clear(offset, length, false)?,
        Request::Flush => server.flush()?,
    }
    Ok(Answer::Done)
}
