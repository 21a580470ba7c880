//! Faults: what goes wrong on purpose, and where.

use std::time::Duration;

use qmonitor::qapi::{QDict, QNum, QObject};

use super::choices::{Point, POINTS};
use super::tables::{names, Shape, FAULT};
use super::Reader;
use crate::amount;
use crate::node::{Node, Value};
use crate::pattern::Pattern;
use crate::problem::{join, nearest};
use crate::read::read;

/// A fault.
#[derive(Debug, Clone)]
pub struct Fault {
    /// Its name.
    pub name: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Where it happens.
    pub at: Point,
    /// Of which command or event.
    pub of: Option<Pattern>,
    /// Only at the nth time.
    pub nth: Option<u64>,
    /// How often it happens, from 0 to 1.
    pub probability: Option<f64>,
    /// What happens.
    pub actions: Vec<Action>,
    /// Whether it is a built-in one that the scenario did not change.
    pub built_in: bool,
}

impl Fault {
    /// Switches the fault of this name on or off.
    ///
    /// # Errors
    ///
    /// There is none of this name; the message has the nearest one.
    pub fn switch<'a>(
        faults: impl Iterator<Item = &'a mut Fault>,
        name: &str,
        enabled: bool,
    ) -> Result<(), String> {
        let mut names = Vec::new();
        for fault in faults {
            if fault.name == name {
                fault.enabled = enabled;
                return Ok(());
            }
            names.push(fault.name.as_str());
        }
        let hint = match nearest(name, names) {
            Some(right) => format!("; did you mean '{right}'?"),
            None => String::new(),
        };
        Err(format!("unknown fault '{name}'{hint}"))
    }
}

/// What happens.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // Named as in a scenario.
pub enum Action {
    Delay(Duration),
    Silence,
    Drop,
    Duplicate(usize),
    IdStale,
    Id(QObject),
    Events(usize, String, QDict),
    EventFirst(String, QDict),
    NoGreeting,
    Pad(usize),
    /// At most so many bytes a write; none is by the seed.
    Slice(Option<usize>),
    HoldFor(usize),
    CloseListener,
    AcceptAndClose,
    NeverAccept,
    StopReading,
    /// Only so much of the message is sent; none is half of it.
    Send(Option<usize>),
    Close,
    Reset,
    Exit(i32),
    Kill,
}

impl Action {
    /// Whether it ends the connection, the mock or the process.
    pub fn cuts(&self) -> bool {
        matches!(
            self,
            Action::Close | Action::Reset | Action::Exit(_) | Action::Kill
        )
    }
}

/// An action.
pub(super) struct Known {
    pub(super) name: &'static str,
    /// Its value; of an action without one the name alone is enough.
    pub(super) shape: Shape,
    /// Where it can happen.
    pub(super) points: &'static [Point],
}

const fn known(name: &'static str, shape: Shape, points: &'static [Point]) -> Known {
    Known {
        name,
        shape,
        points,
    }
}

/// How often something may be repeated, and how much may be added.
const MANY: u64 = 1_000_000;
const LARGE: usize = 1 << 30;

const MESSAGES: &[Point] = &[Point::Connect, Point::Request, Point::Reply, Point::Event];

/// The actions.
pub(super) const ACTIONS: &[Known] = &[
    known("delay", Shape::Duration, MESSAGES),
    known(
        "silence",
        Shape::Yes,
        &[Point::Connect, Point::Request, Point::Reply],
    ),
    known("drop", Shape::Yes, &[Point::Reply, Point::Event]),
    known("duplicate", Shape::Count, &[Point::Reply, Point::Event]),
    known("id", Shape::Any, &[Point::Reply]),
    known("events", Shape::Count, &[Point::Request, Point::Reply]),
    known("event-first", Shape::Text, &[Point::Connect]),
    known("no-greeting", Shape::Yes, &[Point::Connect]),
    known("pad", Shape::Size, &[Point::Reply, Point::Event]),
    known(
        "slice",
        Shape::Either(&[Shape::Positive, Shape::Is("random")]),
        &[Point::Output],
    ),
    known("hold-for", Shape::Count, &[Point::Output]),
    known("close-listener", Shape::Yes, &[Point::Listen]),
    known("accept-and-close", Shape::Yes, &[Point::Listen]),
    known("never-accept", Shape::Yes, &[Point::Listen]),
    known(
        "stop-reading",
        Shape::Yes,
        &[Point::Connect, Point::Request],
    ),
    known(
        "send",
        Shape::Either(&[Shape::Is("half"), Shape::Size]),
        &[Point::Reply, Point::Event],
    ),
    known("close", Shape::Yes, MESSAGES),
    known("reset", Shape::Yes, MESSAGES),
    known("exit", Shape::Count, MESSAGES),
    known("kill", Shape::Yes, MESSAGES),
];

/// The members beside `events` and `event-first`, which say what is sent.
pub(super) const EVENT_OF_ACTION: [&str; 2] = ["event", "data"];

/// The faults that need no definition.
const BUILT_IN: &str = "
early-event:   {at: connect, do: {event-first: STOP}}
slow-greeting: {at: connect, do: {delay: 3s}}
no-greeting:   {at: connect, do: no-greeting}
chop:          {at: output, do: {slice: 1}}
coalesce:      {at: output, do: {hold-for: 5}}
storm:         {at: reply, do: {events: 50, event: RTC_CHANGE, data: {offset: 0, qom-path: /machine/rtc}}}
stale-reply:   {at: reply, do: {duplicate: 1}}
silent:        {at: connect, do: silence}
reset:         {at: reply, nth: 2, do: [{send: half}, reset]}
stop-reading:  {at: connect, do: stop-reading}
";

/// The names of the faults that need no definition.
pub const BUILT_IN_NAMES: [&str; 10] = [
    "early-event",
    "slow-greeting",
    "no-greeting",
    "chop",
    "coalesce",
    "storm",
    "stale-reply",
    "silent",
    "reset",
    "stop-reading",
];

/// The faults that need no definition, all off.
pub(crate) fn built_in(reader: &Reader<'_>) -> Vec<Fault> {
    let Ok(all) = read("", BUILT_IN) else {
        return Vec::new();
    };
    // They are right, and to check them would be to read the schema.
    let reader = &Reader {
        unchecked: true,
        ..*reader
    };
    let faults = all.members().iter();
    let faults = faults.filter_map(|m| Fault::read(reader, &m.name, &m.node, &m.name, None));
    faults
        .map(|fault| Fault {
            enabled: false,
            built_in: true,
            ..fault
        })
        .collect()
}

impl Fault {
    /// Reads a fault. What a built-in one of its name says need not be said again.
    pub fn read(
        reader: &Reader<'_>,
        name: &str,
        node: &Node,
        path: &str,
        built_in: Option<&Fault>,
    ) -> Option<Fault> {
        let problems = reader.problems;
        let named_only = matches!(node.value, Value::Null | Value::Bool(_));
        if let Some(fault) = built_in.filter(|_| named_only) {
            let enabled = node.value != Value::Bool(false);
            return Some(Fault {
                enabled,
                ..fault.clone()
            });
        }
        if !problems.expect_members(node, path, &names(&[FAULT])) {
            return None;
        }
        let at = point(reader, node, path, built_in)?;
        let of = node.get("of").map(|of| {
            let path = join(path, "of");
            match (at, of.as_str()) {
                (Point::Request | Point::Reply, Some(name)) => reader.command(name, of, &path),
                (Point::Event, Some(name)) => reader.event_name(name, of, &path),
                (Point::Request | Point::Reply | Point::Event, None) => {}
                _ => problems.add(of.place, &path, "only of requests, replies and events"),
            }
            Pattern::read(of, &path, problems)
        });
        let actions = match (node.get("do"), built_in) {
            (Some(node), _) => actions(reader, node, &join(path, "do"), at),
            (None, Some(fault)) => fault.actions.clone(),
            (None, None) => {
                problems.add(node.place, path, "member 'do' is missing");
                Vec::new()
            }
        };
        Some(Fault {
            built_in: false,
            name: name.to_owned(),
            enabled: node.get("enabled").is_none() || reader.flag(node, path, "enabled"),
            at,
            of,
            nth: reader
                .positive(node, path, "nth")
                .or(built_in.and_then(|fault| fault.nth)),
            probability: node
                .get("probability")
                .map(|node| probability(reader, node, path)),
            actions,
        })
    }
}

fn point(reader: &Reader<'_>, node: &Node, path: &str, built_in: Option<&Fault>) -> Option<Point> {
    let problems = reader.problems;
    let Some(name) = reader.text(node, path, "at") else {
        if built_in.is_none() {
            problems.add(node.place, path, "member 'at' is missing");
        }
        return built_in.map(|fault| fault.at);
    };
    let found = POINTS.iter().find(|(point, _)| *point == name);
    if found.is_none() {
        let right = POINTS.iter().map(|(name, _)| *name);
        problems.unknown(node.place, &join(path, "at"), "place", &name, right);
    }
    found.map(|(_, point)| *point)
}

fn probability(reader: &Reader<'_>, node: &Node, path: &str) -> f64 {
    let value = match &node.value {
        Value::Num(QNum::I64(n)) => *n as f64,
        Value::Num(QNum::Double(d)) => *d,
        _ => -1.0,
    };
    if !(0.0..=1.0).contains(&value) {
        let path = join(path, "probability");
        reader
            .problems
            .add(node.place, &path, "expected a number from 0 to 1");
    }
    value
}

/// Reads what a fault does: a name, an object, or a list of them.
fn actions(reader: &Reader<'_>, node: &Node, path: &str, at: Point) -> Vec<Action> {
    match &node.value {
        Value::List(list) => {
            if list.is_empty() {
                reader.problems.add(node.place, path, "nothing is done");
            }
            let list = list.iter().enumerate();
            list.flat_map(|(i, node)| actions(reader, node, &format!("{path}[{i}]"), at))
                .collect()
        }
        Value::String(name) => named(reader, name, node, path, at).into_iter().collect(),
        Value::Map(members) => {
            let mut actions = Vec::new();
            for member in members {
                if EVENT_OF_ACTION.contains(&member.name.as_str()) {
                    continue;
                }
                let path = join(path, &member.name);
                if is_known(reader, &member.name, &member.node, &path, at) {
                    actions.extend(with_value(reader, &member.name, &member.node, node, &path));
                }
            }
            if members.is_empty() {
                reader.problems.add(node.place, path, "nothing is done");
            }
            actions
        }
        _ => {
            reader.problems.wrong_kind(node, path, "an action");
            Vec::new()
        }
    }
}

fn is_known(reader: &Reader<'_>, name: &str, node: &Node, path: &str, at: Point) -> bool {
    let Some(known) = ACTIONS.iter().find(|known| known.name == name) else {
        let right = ACTIONS.iter().map(|known| known.name);
        reader
            .problems
            .unknown(node.place, path, "action", name, right);
        return false;
    };
    if !known.points.contains(&at) {
        let name_of = |point: &Point| {
            POINTS
                .iter()
                .find(|(_, p)| p == point)
                .map_or("", |(n, _)| n)
        };
        let right: Vec<_> = known.points.iter().map(name_of).collect();
        let text = format!("'{name}' can only happen at {}", right.join(", "));
        reader.problems.add(node.place, path, text);
        return false;
    }
    true
}

/// An action that is a word.
fn named(reader: &Reader<'_>, name: &str, node: &Node, path: &str, at: Point) -> Option<Action> {
    if !is_known(reader, name, node, path, at) {
        return None;
    }
    let action = match name {
        "silence" => Action::Silence,
        "drop" => Action::Drop,
        "no-greeting" => Action::NoGreeting,
        "close-listener" => Action::CloseListener,
        "accept-and-close" => Action::AcceptAndClose,
        "never-accept" => Action::NeverAccept,
        "stop-reading" => Action::StopReading,
        "close" => Action::Close,
        "reset" => Action::Reset,
        "kill" => Action::Kill,
        _ => {
            let text = format!("'{name}' needs a value");
            reader.problems.add(node.place, path, text);
            return None;
        }
    };
    Some(action)
}

/// An action that is a member of an object.
fn with_value(
    reader: &Reader<'_>,
    name: &str,
    value: &Node,
    all: &Node,
    path: &str,
) -> Option<Action> {
    let problems = reader.problems;
    let count = |most: u64| {
        let count = amount::count(value, path, problems);
        if count > most {
            problems.add(value.place, path, format!("expected at most {most}"));
        }
        count.min(most) as usize
    };
    let word = value.as_str();
    let action = match name {
        "delay" => Action::Delay(amount::duration(value, path, problems)),
        "duplicate" => Action::Duplicate(count(MANY)),
        "id" if word == Some("stale") => Action::IdStale,
        "id" => Action::Id(value.to_qobject()),
        "events" => {
            let (event, data) = reader.event(all, path)?;
            Action::Events(count(MANY), event, data)
        }
        "event-first" => {
            let data = all.get("data");
            let (event, data) = reader.event_of(value, data, path)?;
            Action::EventFirst(event, data)
        }
        "pad" => {
            let size = amount::size(value, path, problems);
            if size > LARGE {
                problems.add(value.place, path, "expected at most 1GiB");
            }
            Action::Pad(size.min(LARGE))
        }
        "slice" if word == Some("random") => Action::Slice(None),
        "slice" => match count(u64::MAX) {
            0 => {
                problems.add(value.place, path, "expected a number from 1, or 'random'");
                return None;
            }
            n => Action::Slice(Some(n)),
        },
        "hold-for" => Action::HoldFor(count(u64::MAX)),
        "send" if word == Some("half") => Action::Send(None),
        "send" => Action::Send(Some(amount::size(value, path, problems))),
        "exit" => Action::Exit(count(255) as i32),
        // `{close: true}` is `close`.
        _ if value.value == Value::Bool(true) => {
            let at = ACTIONS.iter().find(|known| known.name == name)?.points[0];
            return named(reader, name, value, path, at);
        }
        _ => {
            problems.wrong_kind(value, path, "true");
            return None;
        }
    };
    Some(action)
}
