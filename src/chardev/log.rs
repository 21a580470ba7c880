//! The log file of a chardev: a copy of everything that the front end writes.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::errno::Errno;
use nix::unistd::write;

use crate::main_loop::SharedFd;
use crate::util::time::iso8601;

/// A log file, which the sessions of one listening socket share.
pub(super) type SharedLog = Rc<Log>;

pub(super) struct Log {
    file: SharedFd,
    /// Whether each line begins with its time.
    timestamps: bool,
    /// Whether the last line has begun.
    in_line: Cell<bool>,
}

impl Log {
    pub(super) fn new(file: SharedFd, timestamps: bool) -> SharedLog {
        Rc::new(Log {
            file,
            timestamps,
            in_line: Cell::new(false),
        })
    }

    /// Writes bytes, at this many nanoseconds since 1970.
    pub(super) fn write(&self, time_ns: i64, bytes: &[u8]) {
        if !self.timestamps {
            return self.write_all(bytes);
        }
        for line in bytes.split_inclusive(|&b| b == b'\n') {
            if !self.in_line.replace(!line.ends_with(b"\n")) {
                let micros = u64::try_from(time_ns / 1000).unwrap_or(0);
                self.write_all(format!("{} ", iso8601(micros)).as_bytes());
            }
            self.write_all(line);
        }
    }

    /// On an error the chardev goes on without.
    fn write_all(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match write(self.file.as_fd(), bytes) {
                Ok(n @ 1..) => bytes = &bytes[n..],
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_begins_with_the_time_of_its_first_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let file: SharedFd = Rc::new(std::fs::File::create(&path).unwrap());
        let log = Log::new(file, true);
        log.write(0, b"a");
        log.write(1_000_000, b"b\nc\n\n");
        log.write(2_000_000, b"d");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "1970-01-01T00:00:00.000000Z ab\n\
             1970-01-01T00:00:00.001000Z c\n\
             1970-01-01T00:00:00.001000Z \n\
             1970-01-01T00:00:00.002000Z d"
        );
    }
}
