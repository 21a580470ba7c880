//! What came to the mocked monitors, in the order of arrival.

use std::collections::VecDeque;
use std::fmt;

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{Error, QDict, QNum, QObject};

/// How much memory the requests that are kept may take, about; of older ones only the count is
/// kept.
const KEPT: usize = 100 * 1024 * 1024;

/// Bytes of a request that are kept as they came.
const RAW_KEPT: usize = 64 * 1024;

/// How much more memory a parsed request takes than its text, at most.
const VALUE_PER_TEXT: usize = 8;

/// A request, or what came in its place.
#[derive(Clone, PartialEq)]
pub struct Entry {
    /// Its number, from 1.
    pub n: u64,
    /// When it came, in nanoseconds of the mock's clock.
    pub time_ns: i64,
    /// The label of the monitor's chardev.
    pub monitor: String,
    /// The number of the connection, over all monitors, from 1.
    pub connection: u64,
    /// Where the client is.
    pub peer: String,
    /// What it is.
    pub what: Kind,
    /// The value that the reply repeats.
    pub id: Option<QObject>,
    /// How many descriptors came with it.
    pub fds: u32,
    /// The bytes as they came.
    pub raw: Vec<u8>,
    /// What has become of it.
    pub fate: Fate,
    /// Whether it came before the negotiation.
    pub early: bool,
    /// The number of the last request that had come when it was done with.
    pub done_after: Option<u64>,
    /// Whether the client left before its reply was written.
    pub left: bool,
}

/// The kinds of requests.
#[derive(Clone, PartialEq)]
pub enum Kind {
    /// A command.
    Command {
        /// Its name.
        execute: String,
        /// Its arguments.
        arguments: QDict,
        /// Whether it came out of band.
        oob: bool,
    },
    /// A line of the human monitor.
    Line(String),
    /// No request at all, and why not.
    Garbage(String),
}

/// What has become of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It waits for its turn.
    Waiting,
    /// It is held.
    Held,
    /// Its reply was written.
    Answered,
    /// It will never be answered.
    Silenced,
}

impl Kind {
    /// What a message is.
    pub fn of(message: Result<QObject, Error>) -> (Kind, Option<QObject>) {
        let message = match message {
            Ok(QObject::Dict(dict)) => dict,
            Ok(_) => return (Kind::Garbage("not an object".to_owned()), None),
            Err(e) => return (Kind::Garbage(e.desc().to_owned()), None),
        };
        let id = message.get("id").cloned();
        let (name, oob) = match (message.get_str("execute"), message.get_str("exec-oob")) {
            (Some(name), _) => (name, false),
            (None, Some(name)) => (name, true),
            (None, None) => return (Kind::Garbage("no command is named".to_owned()), id),
        };
        let arguments = message.get("arguments").and_then(QObject::as_dict);
        let command = Kind::Command {
            execute: name.to_owned(),
            arguments: arguments.cloned().unwrap_or_default(),
            oob,
        };
        (command, id)
    }
}

impl Entry {
    /// The command's name.
    pub fn execute(&self) -> Option<&str> {
        match &self.what {
            Kind::Command { execute, .. } => Some(execute),
            _ => None,
        }
    }

    /// How much memory it takes, about: a value made of the text takes a few times as much.
    fn size(&self) -> usize {
        let fixed = size_of::<Entry>() + self.monitor.len() + self.peer.len();
        fixed + VALUE_PER_TEXT * self.raw.len()
    }

    /// In short, for messages.
    pub fn show(&self) -> String {
        match &self.what {
            Kind::Command {
                execute, arguments, ..
            } if arguments.is_empty() => execute.clone(),
            Kind::Command {
                execute, arguments, ..
            } => {
                format!(
                    "{execute} {}",
                    qobject_to_json(&arguments.clone().into(), false)
                )
            }
            Kind::Line(line) => format!("(hmp) {line}"),
            Kind::Garbage(why) => {
                let raw = &self.raw[..self.raw.len().min(80)];
                format!("\"{}\" ({why})", raw.escape_ascii())
            }
        }
    }

    /// As the control channel tells it.
    pub fn to_dict(&self) -> QDict {
        let mut dict = QDict::new();
        dict.insert("n", QNum::from_u64(self.n));
        dict.insert("time", self.time_ns);
        dict.insert("monitor", self.monitor.as_str());
        dict.insert("connection", QNum::from_u64(self.connection));
        dict.insert("peer", self.peer.as_str());
        match &self.what {
            Kind::Command {
                execute,
                arguments,
                oob,
            } => {
                dict.insert("execute", execute.as_str());
                dict.insert("arguments", arguments.clone());
                if *oob {
                    dict.insert("oob", true);
                }
            }
            Kind::Line(line) => {
                dict.insert("hmp", line.as_str());
            }
            Kind::Garbage(why) => {
                dict.insert("error", why.as_str());
            }
        }
        if let Some(id) = &self.id {
            dict.insert("id", id.clone());
        }
        dict.insert("fds", i64::from(self.fds));
        dict.insert("raw", String::from_utf8_lossy(&self.raw).into_owned());
        let state = match self.fate {
            Fate::Waiting => "waiting",
            Fate::Held => "held",
            Fate::Answered => "answered",
            Fate::Silenced => "silenced",
        };
        dict.insert("state", state);
        dict
    }
}

/// Stable, for snapshot tests: no times, no peers.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.n, self.show())
    }
}

/// The requests that came.
#[derive(Default)]
pub struct Journal {
    entries: VecDeque<Entry>,
    /// How much memory each of them takes, about.
    sizes: VecDeque<usize>,
    /// All of these together.
    size: usize,
    last: u64,
}

impl Journal {
    /// Notes a request, and returns its number.
    pub fn add(&mut self, mut entry: Entry) -> u64 {
        self.last += 1;
        entry.n = self.last;
        let size = entry.size();
        entry.raw.truncate(RAW_KEPT);
        self.entries.push_back(entry);
        self.sizes.push_back(size);
        self.size += size;
        while self.size > KEPT && self.entries.len() > 1 {
            self.entries.pop_front();
            self.size -= self.sizes.pop_front().unwrap_or_default();
        }
        self.last
    }

    /// The request of this number, if it is kept.
    pub fn get(&self, n: u64) -> Option<&Entry> {
        self.entries.get(self.index(n)?)
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, n: u64) -> Option<&mut Entry> {
        let index = self.index(n)?;
        self.entries.get_mut(index)
    }

    fn index(&self, n: u64) -> Option<usize> {
        let first = self.entries.front()?.n;
        usize::try_from(n.checked_sub(first)?).ok()
    }

    /// Those that are kept.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// How many came in all.
    pub fn count(&self) -> u64 {
        self.last
    }

    /// How many are not kept any more.
    pub fn dropped(&self) -> u64 {
        self.last - self.entries.len() as u64
    }

    /// Forgets them. Numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.sizes.clear();
        self.size = 0;
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(raw: usize) -> Entry {
        Entry {
            n: 0,
            time_ns: 0,
            monitor: "qmp0".to_owned(),
            connection: 1,
            peer: String::new(),
            what: Kind::Garbage(String::new()),
            id: None,
            fds: 0,
            raw: vec![b' '; raw],
            fate: Fate::Waiting,
            early: false,
            done_after: None,
            left: false,
        }
    }

    #[test]
    fn old_requests_go_by_their_size_and_the_count_stays() {
        let mut journal = Journal::default();
        for _ in 0..1000 {
            journal.add(entry(1024 * 1024));
        }
        assert_eq!(journal.count(), 1000);
        let kept = journal.iter().count() as u64;
        assert_eq!(journal.dropped(), 1000 - kept);
        assert!((5..20).contains(&kept), "{kept}");
        assert!(journal.get(1).is_none() && journal.get(1000).is_some());
        assert!(journal.iter().all(|entry| entry.raw.len() == RAW_KEPT));
        journal.clear();
        journal.add(entry(1));
        assert_eq!(journal.iter().count(), 1);
    }
}
