//! The channel to a test: what has come and is no whole line yet, what could not be sent
//! yet, and the log.

use std::fs::File;
use std::io::Write;
use std::time::Instant;

use crate::model::qom::ObjectId;
use qmonitor::chardev::CharFrontend;

/// The longest request. QEMU has no limit.
const LONGEST_LINE: usize = 1 << 30;

/// The channel of the object `qtest`.
#[derive(Debug)]
pub struct QtestChannel {
    /// The object that stands for it.
    pub object: ObjectId,
    /// Its chardev.
    pub frontend: CharFrontend,
    /// What has come since the last end of a line.
    input: Vec<u8>,
    /// Bytes that wait to be sent.
    pub backlog: Vec<u8>,
    log: Log,
    opened: Option<Instant>,
}

/// Where the log goes.
#[derive(Debug)]
pub enum Log {
    /// Nowhere.
    Nowhere,
    /// To standard error.
    Stderr,
    /// To a file.
    File(File),
}

impl Log {
    /// The log that an option names. Without one it is standard error; a file that cannot
    /// be made gets nothing.
    pub fn of_option(name: Option<&str>) -> Log {
        match name {
            None => Log::Stderr,
            Some("none") => Log::Nowhere,
            Some(path) => File::create(path).map_or(Log::Nowhere, Log::File),
        }
    }
}

impl QtestChannel {
    /// A channel that is not open yet.
    pub fn new(object: ObjectId, frontend: CharFrontend, log: Log) -> Self {
        QtestChannel {
            object,
            frontend,
            input: Vec::new(),
            backlog: Vec::new(),
            log,
            opened: None,
        }
    }

    /// The test has come.
    pub fn open(&mut self) {
        self.opened = Some(Instant::now());
        self.write_log("[I 0.000000] OPENED\n");
    }

    /// The test has gone; what it left is dropped.
    pub fn close(&mut self) {
        self.note('I', "CLOSED");
        self.opened = None;
        self.input.clear();
        self.backlog.clear();
    }

    /// Takes bytes in, and returns the lines that are whole. A line without words is none.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        self.input.extend_from_slice(bytes);
        let Some(end) = self.input.iter().rposition(|byte| *byte == b'\n') else {
            if self.input.len() > LONGEST_LINE {
                self.input.clear();
            }
            return Vec::new();
        };
        let rest = self.input.split_off(end + 1);
        let whole = std::mem::replace(&mut self.input, rest);
        let lines = whole.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        lines
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// Writes a line of the log: a kind, the time since the test came, and a text.
    pub fn note(&mut self, kind: char, text: &str) {
        let since = self.opened.map_or(0.0, |at| at.elapsed().as_secs_f64());
        self.write_log(&format!("[{kind} +{since:.6}] {text}\n"));
    }

    fn write_log(&mut self, line: &str) {
        // A log that cannot be written has no reader.
        let _ = match &mut self.log {
            Log::Nowhere => Ok(()),
            Log::Stderr => std::io::stderr().write_all(line.as_bytes()),
            Log::File(file) => file.write_all(line.as_bytes()),
        };
    }
}
