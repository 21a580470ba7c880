//! An event, whether it is wanted, and one step of it.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

/// Its steps are printed as lines.
const PRINTED: u8 = 1;
/// Its steps go to the recorders.
const RECORDED: u8 = 2;

/// How many events are wanted.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// Whether any is.
pub(super) static ANY: AtomicBool = AtomicBool::new(false);

/// One trace event (QEMU's `TraceEvent`).
#[derive(Debug)]
pub struct TraceEvent {
    /// Its name: that of QEMU's function where QEMU has such a step.
    pub name: &'static str,
    /// Where the step is taken.
    pub room: Room,
    /// A sentence about it.
    pub about: &'static str,
    wanted: AtomicU8,
}

/// The part of the program that takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Room {
    /// The main loop.
    Loop,
    /// A character device.
    Chardev,
    /// A monitor, or the dispatcher of requests.
    Monitor,
    /// QAPI: checking and finding a command.
    Qapi,
    /// A command's function.
    Command,
    /// What is monitored.
    Machine,
}

impl Room {
    /// All rooms, from the loop inwards.
    pub const ALL: [Room; 6] = [
        Room::Loop,
        Room::Chardev,
        Room::Monitor,
        Room::Qapi,
        Room::Command,
        Room::Machine,
    ];

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Room::Loop => "main loop",
            Room::Chardev => "chardev",
            Room::Monitor => "monitor",
            Room::Qapi => "QAPI",
            Room::Command => "command",
            Room::Machine => "machine",
        }
    }
}

/// What a step knows beside its text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fact<'a> {
    /// It does not apply, as the descriptor of a watch that has none.
    Absent,
    /// A number.
    Number(i64),
    /// A text.
    Text(&'a str),
}

impl<'a> From<&'a str> for Fact<'a> {
    fn from(text: &'a str) -> Self {
        Fact::Text(text)
    }
}

impl From<i32> for Fact<'_> {
    fn from(number: i32) -> Self {
        Fact::Number(number.into())
    }
}

impl From<i64> for Fact<'_> {
    fn from(number: i64) -> Self {
        Fact::Number(number)
    }
}

impl From<u64> for Fact<'_> {
    fn from(number: u64) -> Self {
        Fact::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl From<usize> for Fact<'_> {
    fn from(number: usize) -> Self {
        Fact::Number(number.try_into().unwrap_or(i64::MAX))
    }
}

impl<'a, T: Into<Fact<'a>>> From<Option<T>> for Fact<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Fact::Absent, Into::into)
    }
}

/// One step, as a [`Recorder`] gets it.
#[derive(Debug)]
pub struct Step<'a> {
    /// The event.
    pub event: &'static TraceEvent,
    /// What the line says behind the event's name.
    pub text: fmt::Arguments<'a>,
    /// What is known beside it, by name.
    pub facts: &'a [(&'static str, Fact<'a>)],
    /// When it happened, since the recording began.
    pub time: Duration,
    /// The number of the thread, from 1 on in the order of their first steps.
    pub thread: u32,
}

impl<'a> Step<'a> {
    /// The fact of that name.
    pub fn fact(&self, name: &str) -> Option<Fact<'a>> {
        let found = self.facts.iter().find(|(known, _)| *known == name);
        found.map(|(_, fact)| *fact)
    }

    /// The fact of that name if it is a text.
    pub fn text_of(&self, name: &str) -> Option<&'a str> {
        match self.fact(name)? {
            Fact::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The fact of that name if it is a number.
    pub fn number_of(&self, name: &str) -> Option<i64> {
        match self.fact(name)? {
            Fact::Number(number) => Some(number),
            _ => None,
        }
    }
}

impl TraceEvent {
    pub(super) const fn new(name: &'static str, room: Room, about: &'static str) -> Self {
        TraceEvent {
            name,
            room,
            about,
            wanted: AtomicU8::new(0),
        }
    }

    /// Whether it prints.
    pub fn is_enabled(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) & PRINTED != 0
    }

    /// Switches its lines on or off.
    pub fn set_enabled(&self, on: bool) {
        self.want(PRINTED, on);
    }

    /// Whether it prints or is recorded.
    #[inline]
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) != 0
    }

    /// Whether its steps go to the recorders.
    pub(super) fn is_recorded(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) & RECORDED != 0
    }

    pub(super) fn set_recorded(&self, on: bool) {
        self.want(RECORDED, on);
    }

    fn want(&self, flag: u8, on: bool) {
        let (before, after) = if on {
            let before = self.wanted.fetch_or(flag, Ordering::Relaxed);
            (before, before | flag)
        } else {
            let before = self.wanted.fetch_and(!flag, Ordering::Relaxed);
            (before, before & !flag)
        };
        let left = match (before, after) {
            (0, 1..) => WANTED.fetch_add(1, Ordering::Relaxed) + 1,
            (1.., 0) => WANTED.fetch_sub(1, Ordering::Relaxed) - 1,
            _ => return,
        };
        ANY.store(left > 0, Ordering::Relaxed);
    }
}

/// Takes every step of the process, in order.
pub trait Recorder: Send {
    /// Takes a step.
    ///
    /// # Errors
    ///
    /// It cannot go on. The error is printed once, and the recorder is dropped.
    fn step(&mut self, step: &Step<'_>) -> io::Result<()>;

    /// Writes out what it holds back, because the main loop is about to sleep or the
    /// program to end.
    ///
    /// # Errors
    ///
    /// As [`step`](Self::step).
    fn flush(&mut self) -> io::Result<()>;
}
