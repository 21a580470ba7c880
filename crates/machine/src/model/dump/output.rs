//! The file of a dump. A plain file is written at any place, and holes are left for zeros;
//! anything else is written from the beginning to the end, as fast as the reader takes it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use crate::model::migration::{Channel, Kind};
use qmonitor::chardev::set_nonblocking;
use qmonitor::main_loop::SharedFd;
use qmonitor::qapi::Error;
use std::os::fd::AsFd;

/// Where a dump goes.
pub(crate) enum Output {
    /// A plain file, and how long it is.
    File(File, u64),
    /// Something that takes one byte after the other, and how many it was given.
    Stream(Channel, u64),
}

impl Output {
    /// Writes to a descriptor.
    ///
    /// # Errors
    ///
    /// Those of fstat(2) and fcntl(2).
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        if file.metadata()?.is_file() {
            file.set_len(0)?;
            return Ok(Output::File(file, 0));
        }
        set_nonblocking(file.as_fd())?;
        let fd = Rc::new(OwnedFd::from(file));
        Ok(Output::Stream(Channel::new(fd, Kind::File), 0))
    }

    /// How much was written.
    pub(crate) fn length(&self) -> u64 {
        match self {
            Output::File(_, length) | Output::Stream(_, length) => *length,
        }
    }

    /// Writes at an offset.
    ///
    /// # Errors
    ///
    /// The file takes no more; or this is not the place that comes next, and the output is
    /// no plain file.
    pub(crate) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Output::File(file, length) => {
                file.write_all_at(bytes, offset).map_err(|e| failed(&e))?;
                *length = (*length).max(offset + bytes.len() as u64);
            }
            Output::Stream(channel, length) => {
                if offset != *length {
                    let desc = "dump: failed to save memory: Illegal seek";
                    return Err(Error::new(desc));
                }
                channel.unsent().extend_from_slice(bytes);
                *length += bytes.len() as u64;
            }
        }
        Ok(())
    }

    /// Writes behind what was written.
    ///
    /// # Errors
    ///
    /// The file takes no more.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.write_at(self.length(), bytes)
    }

    /// Writes zeros behind what was written: a hole, if it can be one.
    ///
    /// # Errors
    ///
    /// The file cannot be that long.
    pub(crate) fn append_zeros(&mut self, count: u64) -> Result<(), Error> {
        match self {
            Output::File(file, length) => {
                *length += count;
                file.set_len(*length).map_err(|e| failed(&e))
            }
            Output::Stream(channel, length) => {
                *length += count;
                let unsent = channel.unsent();
                unsent.resize(unsent.len() + count as usize, 0);
                Ok(())
            }
        }
    }

    /// How many zeros may be added at once.
    pub(crate) fn most_zeros(&self) -> u64 {
        match self {
            Output::File(..) => u64::MAX,
            Output::Stream(..) => 1 << 20,
        }
    }

    /// Passes on what it can; true if nothing is left.
    ///
    /// # Errors
    ///
    /// The reader has gone.
    pub(crate) fn flush(&mut self) -> Result<bool, Error> {
        match self {
            Output::File(..) => Ok(true),
            Output::Stream(channel, _) => channel.flush().map_err(Error::new),
        }
    }

    /// What to wait for until more can be written.
    pub(crate) fn fd(&self) -> Option<SharedFd> {
        match self {
            Output::File(..) => None,
            Output::Stream(channel, _) => Some(channel.fd.clone()),
        }
    }
}

fn failed(e: &io::Error) -> Error {
    Error::from_io("dump: failed to save memory", e)
}
