//! Stubs: what is answered in place of the machine.

use std::time::Duration;

use qmonitor::qapi::{ErrorClass, QDict, QObject};

use super::choices::CLASSES;
use super::tables::{names, ERROR, EVENT, NTH, REPLY, STUB, WHEN};
use super::when::{What, When};
use super::Reader;
use crate::amount;
use crate::node::{Node, Value};
use crate::problem::join;

/// A stub.
#[derive(Debug, Clone)]
pub struct Stub {
    /// Which requests it answers.
    pub when: When,
    /// Only the nth that its matcher fits.
    pub nth: Option<u64>,
    /// It ends after so many.
    pub times: Option<u64>,
    /// What must have come before.
    pub follows: Option<When>,
    /// Whether the schema did not matter when it was read.
    pub unchecked: bool,
    /// How it answers.
    pub answer: Answer,
    /// How long the answer waits.
    pub delay: Duration,
    /// Events before the answer.
    pub before: Vec<Emit>,
    /// Events after the answer was written.
    pub then: Vec<Emit>,
}

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// By the machine.
    Pass,
    /// One after the other; the last one stays.
    Replies(Vec<Reply>),
    /// A line of the human monitor prints this.
    Text(String),
    /// Once this is released: with a reply, or by the machine.
    Hold(String, Option<Reply>),
}

/// A reply.
#[derive(Debug, Clone)]
pub enum Reply {
    /// Success.
    Return(QObject),
    /// Failure.
    Error(ErrorClass, String),
}

/// An event to be sent.
#[derive(Debug, Clone)]
pub struct Emit {
    /// How long it waits.
    pub delay: Duration,
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: QDict,
    /// Whether it keeps to the rate limit of its kind.
    pub throttle: bool,
}

/// The members that say how a stub answers.
pub(super) const ANSWERS: [&str; 5] = ["reply", "replies", "text", "hold", "pass"];

/// The members that are enough for a stub that the machine answers.
pub(super) const NO_ANSWER: [&str; 3] = ["before", "then", "delay"];

impl Stub {
    /// Reads a stub.
    pub fn read(reader: &Reader<'_>, node: &Node, path: &str) -> Option<Stub> {
        let problems = reader.problems;
        if !problems.expect_members(node, path, &names(&[STUB])) {
            return None;
        }
        let unchecked = reader.unchecked || reader.flag(node, path, "unchecked");
        let reader = &Reader {
            unchecked,
            ..*reader
        };
        let Some(when) = node.get("when") else {
            problems.add(node.place, path, "member 'when' is missing");
            return None;
        };
        let when_path = join(path, "when");
        if !problems.expect_members(when, &when_path, &names(&[WHEN, NTH])) {
            return None;
        }
        let nth = reader.positive(when, &when_path, "nth");
        let when = When::read(reader, when, &when_path);
        for name in ["reply", "replies", "text", "before", "then"] {
            if let Some(node) = node.get(name) {
                reader.bound(node, &join(path, name), &when.names());
            }
        }
        let events = |name: &str| {
            reader.list(node, path, name, |node, path| {
                Emit::read(reader, node, path)
            })
        };
        Some(Stub {
            unchecked,
            nth,
            times: reader.positive(node, path, "times"),
            follows: node.get("follows").map(|node| {
                let path = join(path, "follows");
                problems.expect_members(node, &path, &names(&[WHEN]));
                When::read(reader, node, &path)
            }),
            answer: answer(reader, node, path, &when),
            delay: reader.delay(node, path),
            before: events("before"),
            then: events("then"),
            when,
        })
    }
}

/// Reads how a stub answers.
fn answer(reader: &Reader<'_>, node: &Node, path: &str, when: &When) -> Answer {
    let problems = reader.problems;
    let command = when.command();
    let given: Vec<&str> = ANSWERS
        .into_iter()
        .filter(|name| node.get(name).is_some())
        .collect();
    let reply = |name: &str| {
        node.get(name)
            .map(|node| Reply::read(reader, node, &join(path, name), command))
    };
    let is_line = matches!(when.what, What::Hmp(_));
    let of_line = |name: &str| matches!(name, "text" | "pass");
    for name in &given {
        if is_line != (*name == "text") && !(is_line && of_line(name)) {
            let kind = if is_line {
                "a line of the human monitor"
            } else {
                "a command"
            };
            let text = format!("'{name}' does not answer {kind}");
            problems.add(node.place, &join(path, name), text);
        }
    }
    match given.as_slice() {
        [] | ["pass"] => {
            let asked = node.get("pass");
            let says_nothing = NO_ANSWER.iter().all(|n| node.get(n).is_none());
            if asked.is_some_and(|pass| pass.value != Value::Bool(true)) {
                problems.add(node.place, &join(path, "pass"), "expected true");
            } else if asked.is_none() && says_nothing {
                let text = "one of 'reply', 'replies', 'text', 'hold' and 'pass' must be there";
                problems.add(node.place, path, text);
            }
            Answer::Pass
        }
        ["reply"] => Answer::Replies(reply("reply").into_iter().collect()),
        ["replies"] => {
            let replies = reader.list(node, path, "replies", |node, path| {
                Some(Reply::read(reader, node, path, command))
            });
            if replies.is_empty() {
                problems.add(
                    node.place,
                    &join(path, "replies"),
                    "there must be one at least",
                );
            }
            Answer::Replies(replies)
        }
        ["text"] => Answer::Text(reader.text(node, path, "text").unwrap_or_default()),
        ["hold"] | ["reply", "hold"] => {
            let point = reader.text(node, path, "hold").unwrap_or_default();
            Answer::Hold(point, reply("reply"))
        }
        [first, second, ..] => {
            let text = format!("'{first}' and '{second}' do not go together");
            problems.add(node.place, path, text);
            Answer::Pass
        }
        [_] => Answer::Pass,
    }
}

impl Reply {
    /// Reads a reply to a command, if it is known to which.
    pub fn read(reader: &Reader<'_>, node: &Node, path: &str, command: Option<&str>) -> Reply {
        let nothing = Reply::Return(QDict::new().into());
        if !reader.problems.expect_members(node, path, &names(&[REPLY])) {
            return nothing;
        }
        match (node.get("return"), node.get("error")) {
            (Some(value), None) => {
                reader.returned(command, value, &join(path, "return"));
                Reply::Return(value.to_qobject())
            }
            (None, Some(error)) => Reply::error(reader, error, &join(path, "error")),
            _ => {
                let text = "one of 'return' and 'error' must be there";
                reader.problems.add(node.place, path, text);
                nothing
            }
        }
    }

    fn error(reader: &Reader<'_>, node: &Node, path: &str) -> Reply {
        let problems = reader.problems;
        problems.expect_members(node, path, &names(&[ERROR]));
        let mut class = ErrorClass::GenericError;
        if let Some(name) = reader.text(node, path, "class") {
            match CLASSES.iter().find(|(known, _)| *known == name) {
                Some((_, found)) => class = *found,
                None => {
                    let right = CLASSES.iter().map(|(name, _)| *name);
                    let path = join(path, "class");
                    problems.unknown(node.place, &path, "error class", &name, right);
                }
            }
        }
        let desc = reader.text(node, path, "desc");
        if desc.is_none() {
            problems.add(node.place, path, "member 'desc' is missing");
        }
        Reply::Error(class, desc.unwrap_or_default())
    }
}

impl Emit {
    /// Reads an event to be sent.
    pub fn read(reader: &Reader<'_>, node: &Node, path: &str) -> Option<Emit> {
        if !reader.problems.expect_members(node, path, &names(&[EVENT])) {
            return None;
        }
        let (event, data) = reader.event(node, path)?;
        Some(Emit {
            delay: reader.delay(node, path),
            event,
            data,
            throttle: reader.flag(node, path, "throttle"),
        })
    }
}

/// A duration from the member `delay`; none is no time.
impl Reader<'_> {
    pub(super) fn delay(&self, node: &Node, path: &str) -> Duration {
        node.get("delay").map_or(Duration::ZERO, |node| {
            amount::duration(node, &join(path, "delay"), self.problems)
        })
    }
}
