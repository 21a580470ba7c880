//! The words that members choose from, and what they mean.

use qmonitor::qapi::ErrorClass;

/// What answers a request that no stub fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Base {
    /// The machine.
    #[default]
    Machine,
    /// An error, and the run has failed.
    Strict,
    /// CommandNotFound.
    Empty,
}

/// Whose time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// The test's.
    Virtual,
    /// The system's.
    Real,
}

impl Time {
    /// The word that a scenario has for it.
    pub fn name(self) -> &'static str {
        match self {
            Time::Virtual => "virtual",
            Time::Real => "real",
        }
    }

    /// The time that a word means.
    pub fn named(name: &str) -> Option<Time> {
        let known = TIMES.iter().find(|(known, _)| *known == name);
        known.map(|(_, time)| *time)
    }
}

/// Where a fault happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// A server is about to take its next client.
    Listen,
    /// A client has connected; its greeting is next.
    Connect,
    /// A request is about to be carried out.
    Request,
    /// A reply is about to be written.
    Reply,
    /// An event is about to be written.
    Event,
    /// Bytes are about to be written.
    Output,
}

pub(super) const POINTS: [(&str, Point); 6] = [
    ("listen", Point::Listen),
    ("connect", Point::Connect),
    ("request", Point::Request),
    ("reply", Point::Reply),
    ("event", Point::Event),
    ("output", Point::Output),
];

/// The classes of errors.
pub(super) const CLASSES: [(&str, ErrorClass); 5] = [
    ("GenericError", ErrorClass::GenericError),
    ("CommandNotFound", ErrorClass::CommandNotFound),
    ("DeviceNotActive", ErrorClass::DeviceNotActive),
    ("DeviceNotFound", ErrorClass::DeviceNotFound),
    ("KVMMissingCap", ErrorClass::KvmMissingCap),
];

pub(super) const BASES: [(&str, Base); 3] = [
    ("machine", Base::Machine),
    ("strict", Base::Strict),
    ("empty", Base::Empty),
];

pub(super) const TIMES: [(&str, Time); 2] = [("virtual", Time::Virtual), ("real", Time::Real)];

pub(super) fn base_names() -> Vec<&'static str> {
    BASES.map(|(name, _)| name).to_vec()
}

pub(super) fn time_names() -> Vec<&'static str> {
    TIMES.map(|(name, _)| name).to_vec()
}

pub(super) fn class_names() -> Vec<&'static str> {
    CLASSES.map(|(name, _)| name).to_vec()
}

/// The names of points.
pub(super) fn point_names() -> Vec<&'static str> {
    POINTS.map(|(name, _)| name).to_vec()
}
