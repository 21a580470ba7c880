//! A disk that another server has.
//!
//! Requests wait for their answers, but never longer than a limit: a server that is silent is
//! taken for gone.

use std::io;
use std::time::Duration;

use nix::errno::Errno;

use super::super::bytes::{Extent, ExtentKind};
use super::stream::NbdStream;
use super::wire::{
    be16, be32, be64, can, chunk, info, option, reply, request, FIXED_NEWSTYLE, MAGIC, MAX_DATA,
    NO_ZEROES, OPTION_MAGIC, REPLY_MAGIC, REQUEST_MAGIC, SIMPLE_MAGIC, STRUCTURED_MAGIC,
};
use qmonitor::qapi::Error;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More is not asked for at once.
const PIECE: u64 = 1 << 20;
const ALLOCATION: &str = "base:allocation";

/// A connection to a server, in which an export was chosen.
#[derive(Debug)]
pub struct Connection {
    stream: NbdStream,
    size: u64,
    flags: u16,
    /// The server tells what is allocated.
    has_status: bool,
    cookie: u64,
}

fn broken() -> io::Error {
    Errno::EIO.into()
}

fn failed(e: &io::Error) -> Error {
    Error::from_io("Failed to read from the NBD server", e)
}

impl Connection {
    /// Chooses an export of the server behind a connection.
    ///
    /// # Errors
    ///
    /// It is no server, is silent, or has no such export.
    pub fn open(stream: NbdStream, export: &str) -> Result<Self, Error> {
        stream.set_patience(PATIENCE).map_err(|e| failed(&e))?;
        let mut remote = Connection {
            stream,
            size: 0,
            flags: 0,
            has_status: false,
            cookie: 0,
        };
        remote.greet()?;
        let structured = remote.ask_option(option::STRUCTURED_REPLY, &[]);
        if structured.map_err(|e| failed(&e))?.is_ok() {
            remote.has_status = remote.choose_status(export).map_err(|e| failed(&e))?;
        }
        remote.choose(export)?;
        Ok(remote)
    }

    /// The size of the disk.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.flags & can::READ_ONLY != 0
    }

    fn greet(&mut self) -> Result<(), Error> {
        let head = self.receive(18).map_err(|e| failed(&e))?;
        if be64(&head, 0) != MAGIC || be64(&head, 8) != OPTION_MAGIC {
            return Err(Error::new("Bad initial magic received: not an NBD server"));
        }
        if be16(&head, 16) & FIXED_NEWSTYLE == 0 {
            return Err(Error::new("Server does not support the fixed newstyle"));
        }
        let flags = u32::from(be16(&head, 16) & (FIXED_NEWSTYLE | NO_ZEROES));
        self.send(&flags.to_be_bytes()).map_err(|e| failed(&e))
    }

    fn receive(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Asks for an option. Its answers up to the last, or the number of a refusal and its
    /// text.
    #[allow(clippy::type_complexity)]
    fn ask_option(
        &mut self,
        kind: u32,
        data: &[u8],
    ) -> io::Result<Result<Vec<(u32, Vec<u8>)>, (u32, String)>> {
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let head = [
            &OPTION_MAGIC.to_be_bytes()[..],
            &kind.to_be_bytes(),
            &length.to_be_bytes(),
        ];
        self.send(&[&head.concat(), data].concat())?;
        let mut answers = Vec::new();
        loop {
            let head = self.receive(20)?;
            let (answer, length) = (be32(&head, 12), be32(&head, 16));
            if be64(&head, 0) != REPLY_MAGIC || be32(&head, 8) != kind || length > MAX_DATA {
                return Err(broken());
            }
            let data = self.receive(length as usize)?;
            match answer {
                reply::ACK => return Ok(Ok(answers)),
                refused if refused & 0x8000_0000 != 0 => {
                    let text = String::from_utf8_lossy(&data).into_owned();
                    return Ok(Err((refused, text)));
                }
                kind => answers.push((kind, data)),
            }
        }
    }

    /// Asks to be told what is allocated; false if the server does not know.
    fn choose_status(&mut self, export: &str) -> io::Result<bool> {
        let data = [
            &text(export)[..],
            &1_u32.to_be_bytes(),
            &text(ALLOCATION)[..],
        ]
        .concat();
        let answers = self.ask_option(option::SET_META_CONTEXT, &data)?;
        Ok(answers.is_ok_and(|list| !list.is_empty()))
    }

    fn choose(&mut self, export: &str) -> Result<(), Error> {
        let data = [&text(export)[..], &[0, 0]].concat();
        let answers = self.ask_option(option::GO, &data);
        let answers = match answers.map_err(|e| failed(&e))? {
            Ok(answers) => answers,
            Err((reply::ERR_UNKNOWN, _)) => {
                return Err(Error::new("Requested export not available"))
            }
            Err((_, text)) => return Err(Error::new(format!("server reported: {text}"))),
        };
        let is_export = |(kind, data): &&(u32, Vec<u8>)| {
            *kind == reply::INFO && data.len() >= 12 && be16(data, 0) == info::EXPORT
        };
        let found = answers.iter().find(is_export);
        let (_, data) = found.ok_or_else(|| Error::new("server did not tell the export"))?;
        (self.size, self.flags) = (be64(data, 2), be16(data, 10));
        Ok(())
    }

    /// Sends a request and returns the data of its answer.
    fn ask(&mut self, kind: u16, offset: u64, length: u32, data: &[u8]) -> io::Result<Vec<u8>> {
        self.cookie += 1;
        let head = [
            &REQUEST_MAGIC.to_be_bytes()[..],
            &0_u16.to_be_bytes(),
            &kind.to_be_bytes(),
            &self.cookie.to_be_bytes(),
            &offset.to_be_bytes(),
            &length.to_be_bytes(),
        ];
        self.send(&head.concat())?;
        self.send(data)?;
        let expected = if kind == request::READ {
            length as usize
        } else {
            0
        };
        let mut bytes = vec![0; expected];
        let mut error = 0;
        loop {
            let magic = self.receive(4)?;
            if be32(&magic, 0) == SIMPLE_MAGIC {
                let rest = self.receive(12)?;
                if be32(&rest, 0) != 0 {
                    return Err(errno(be32(&rest, 0)));
                }
                self.stream.read_exact(&mut bytes)?;
                return Ok(bytes);
            }
            if be32(&magic, 0) != STRUCTURED_MAGIC {
                return Err(broken());
            }
            let rest = self.receive(16)?;
            let (flags, part, length) = (be16(&rest, 0), be16(&rest, 2), be32(&rest, 12));
            if be64(&rest, 4) != self.cookie || length > MAX_DATA + 8 {
                return Err(broken());
            }
            let data = self.receive(length as usize)?;
            match part {
                chunk::OFFSET_DATA => {
                    let at = be64(&data, 0).checked_sub(offset).ok_or_else(broken)?;
                    let at = usize::try_from(at).map_err(|_| broken())?;
                    let data = data.get(8..).ok_or_else(broken)?;
                    let place = bytes.get_mut(at..at + data.len()).ok_or_else(broken)?;
                    place.copy_from_slice(data);
                }
                chunk::BLOCK_STATUS => bytes = data,
                // The bytes are zeros already.
                chunk::OFFSET_HOLE | chunk::NONE => {}
                _ => error = be32(&data, 0),
            }
            if flags & chunk::DONE != 0 {
                return if error == 0 {
                    Ok(bytes)
                } else {
                    Err(errno(error))
                };
            }
        }
    }

    /// Reads bytes.
    ///
    /// # Errors
    ///
    /// The server's, or it is gone.
    pub fn read(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let mut at = offset;
        for piece in into.chunks_mut(PIECE as usize) {
            let length = u32::try_from(piece.len()).unwrap_or(0);
            piece.copy_from_slice(&self.ask(request::READ, at, length, &[])?);
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Writes bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn write(&mut self, offset: u64, from: &[u8]) -> io::Result<()> {
        let mut at = offset;
        for piece in from.chunks(PIECE as usize) {
            let length = u32::try_from(piece.len()).unwrap_or(0);
            self.ask(request::WRITE, at, length, piece)?;
            at += piece.len() as u64;
        }
        Ok(())
    }

    /// Makes bytes zero, or gives them back.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn clear(&mut self, offset: u64, length: u64, must_be_zeros: bool) -> io::Result<()> {
        let (kind, able) = if must_be_zeros {
            (request::WRITE_ZEROES, can::WRITE_ZEROES)
        } else {
            (request::TRIM, can::TRIM)
        };
        let mut at = offset;
        let end = offset + length;
        while at < end {
            let piece = (end - at).min(PIECE);
            let length = u32::try_from(piece).unwrap_or(0);
            if self.flags & able != 0 {
                self.ask(kind, at, length, &[])?;
            } else if must_be_zeros {
                self.write(at, &vec![0; length as usize])?;
            }
            at += piece;
        }
        Ok(())
    }

    /// Has the server write what it holds back.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn flush(&mut self) -> io::Result<()> {
        if self.flags & can::FLUSH == 0 {
            return Ok(());
        }
        self.ask(request::FLUSH, 0, 0, &[]).map(|_| ())
    }

    /// Whether bytes have data or are zeros.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn status(&mut self, offset: u64, length: u64) -> io::Result<Extent> {
        let length = length.min(1 << 30);
        let data = Extent {
            length,
            kind: ExtentKind::Data,
        };
        if !self.has_status || length == 0 {
            return Ok(data);
        }
        let asked = u32::try_from(length).unwrap_or(u32::MAX);
        let answer = self.ask(request::BLOCK_STATUS, offset, asked, &[])?;
        let run = u64::from(be32(&answer, 4));
        let is_zero = be32(&answer, 8) & 2 != 0;
        if run == 0 {
            return Err(broken());
        }
        Ok(Extent {
            length: run.min(length),
            kind: if is_zero {
                ExtentKind::Zero
            } else {
                ExtentKind::Data
            },
        })
    }
}

/// A text with its length.
fn text(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes()[..], text.as_bytes()].concat()
}

/// The errors of the protocol have the host's numbers.
fn errno(number: u32) -> io::Error {
    io::Error::from_raw_os_error(i32::try_from(number).unwrap_or(Errno::EIO as i32))
}
