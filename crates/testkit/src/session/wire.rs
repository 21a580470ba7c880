//! What went over the connection: bytes, messages, and the transcript.

use std::collections::VecDeque;
use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::qapi::json::{qobject_from_json, qobject_to_json, JsonMessageParser};
use qmonitor::qapi::{QDict, QObject};
use qmonitor::Runtime;

use crate::amount::show_duration;

/// A message that the test has not taken.
struct Unread {
    bytes: Vec<u8>,
    message: QDict,
    /// Its line of the transcript.
    line: usize,
}

/// The client's end of the connection.
pub(super) struct Wire {
    pub(super) peer: MemoryPeer,
    sent: JsonMessageParser,
    /// Requests without an answer: their id and command.
    unanswered: Vec<(Option<QObject>, String)>,
    /// The beginning of a message.
    part: Vec<u8>,
    unread: VecDeque<Unread>,
    transcript: Vec<String>,
    /// Time that passed and does not stand in the transcript yet.
    passed: Duration,
    /// How many bytes the client still reads, if not all.
    pub(super) room: Option<usize>,
    /// The client leaves when it has read those.
    pub(super) leaves: bool,
}

impl Wire {
    pub(super) fn new(peer: MemoryPeer) -> Self {
        Wire {
            peer,
            sent: JsonMessageParser::default(),
            unanswered: Vec::new(),
            part: Vec::new(),
            unread: VecDeque::new(),
            transcript: Vec::new(),
            passed: Duration::ZERO,
            room: None,
            leaves: false,
        }
    }

    pub(super) fn send<S>(&mut self, rt: &mut Runtime<S>, bytes: &[u8]) {
        self.peer.send(rt, bytes);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (used, message) = self.sent.parse(rest);
            match message {
                Some(Ok(message)) => self.note_sent(&message),
                Some(Err(_)) => self.note(format!("-> {}", rest[..used].escape_ascii())),
                None => {}
            }
            rest = &rest[used..];
        }
    }

    fn note_sent(&mut self, message: &QObject) {
        self.note(format!("-> {}", qobject_to_json(message, false)));
        let Some(dict) = message.as_dict() else {
            return;
        };
        let command = dict.get_str("execute").or_else(|| dict.get_str("exec-oob"));
        if let Some(command) = command {
            let id = dict.get("id").cloned();
            self.unanswered.push((id, command.to_owned()));
        }
    }

    /// Takes what the runtime has written. False if that is nothing.
    pub(super) fn collect<S>(&mut self, rt: &mut Runtime<S>) -> bool {
        let bytes = self.peer.output(rt);
        if bytes.is_empty() {
            return false;
        }
        if let Some(room) = self.room {
            let room = room.saturating_sub(bytes.len());
            self.room = Some(room);
            self.peer.limit(rt, room);
            if room == 0 && std::mem::take(&mut self.leaves) {
                self.peer.close(rt);
            }
        }
        for byte in bytes {
            self.part.push(byte);
            if byte == b'\n' {
                self.message();
            }
        }
        true
    }

    /// Notes a message that has come whole.
    fn message(&mut self) {
        let line = std::mem::take(&mut self.part);
        let Ok(QObject::Dict(message)) = qobject_from_json(line.trim_ascii()) else {
            self.note(format!("<- {}", line.escape_ascii()));
            return;
        };
        let mut shown = message.clone();
        if let Some(timestamp) = shown.get_mut("timestamp") {
            *timestamp = "...".into();
        }
        self.note(format!("<- {}", qobject_to_json(&shown.into(), false)));
        if is_answer(&message) {
            let id = message.get("id");
            let asked = self.unanswered.iter();
            let at = { asked }.position(|(asked, _)| asked.as_ref() == id);
            if let Some(at) = at {
                self.unanswered.remove(at);
            }
        }
        self.unread.push_back(Unread {
            bytes: line,
            message,
            line: self.transcript.len() - 1,
        });
    }

    fn note(&mut self, line: String) {
        let passed = std::mem::take(&mut self.passed);
        if !passed.is_zero() {
            self.transcript
                .push(format!(".. {}", show_duration(passed)));
        }
        self.transcript.push(line);
    }

    /// Notes that time has passed.
    pub(super) fn note_time(&mut self, time: Duration) {
        self.passed += time;
    }

    /// What went over the connection, one message a line.
    pub(super) fn transcript(&self) -> &[String] {
        &self.transcript
    }

    /// Takes the first message that is wanted.
    pub(super) fn take(&mut self, wanted: impl Fn(&QDict) -> bool) -> Option<QDict> {
        let at = self.unread.iter().position(|one| wanted(&one.message))?;
        Some(self.unread.remove(at)?.message)
    }

    /// Takes the bytes of the next message.
    pub(super) fn take_bytes(&mut self) -> Option<Vec<u8>> {
        Some(self.unread.pop_front()?.bytes)
    }

    /// The beginning of a message whose rest has not come.
    pub(super) fn part(&mut self) -> &mut Vec<u8> {
        &mut self.part
    }

    /// The messages before this line of the transcript that the test has not taken, the latest
    /// first.
    pub(super) fn unread_before(&self, line: usize) -> impl Iterator<Item = &str> {
        let before = self.unread.iter().rev().filter(move |one| one.line < line);
        before.map(|one| self.transcript[one.line].as_str())
    }

    /// The commands without an answer.
    pub(super) fn unanswered(&self) -> impl Iterator<Item = &str> {
        self.unanswered.iter().map(|(_, command)| command.as_str())
    }

    /// The command of a request without an answer.
    pub(super) fn command_of(&self, id: &QObject) -> Option<&str> {
        let mut asked = self.unanswered.iter();
        let asked = asked.find(|(asked, _)| asked.as_ref() == Some(id))?;
        Some(&asked.1)
    }

    /// The connection is new: nothing of the former one comes any more.
    pub(super) fn reset(&mut self) {
        let transcript = std::mem::take(&mut self.transcript);
        *self = Wire {
            transcript,
            passed: self.passed,
            ..Wire::new(self.peer)
        };
    }
}

pub(super) fn is_answer(message: &QDict) -> bool {
    message.contains_key("return") || message.contains_key("error")
}
