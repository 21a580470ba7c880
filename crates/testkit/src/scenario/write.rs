//! Scenarios as they are written: what is written reads back as the same.

use std::time::Duration;

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QNum, QObject};

use super::choices::{BASES, CLASSES, POINTS};
use super::{Action, Answer, Base, Emit, Expect, Fault, Reply, Scenario, Stub, What, When};
use crate::amount::show_duration;
use crate::schema::PROFILES;

/// The text of a scenario: JSON, a part a line, which is YAML as well.
pub fn to_text(scenario: &QDict) -> String {
    let json = |value: &QObject| qobject_to_json(value, false);
    let named = |name: &str, value: &QObject| format!("{}: {}", json(&name.into()), json(value));
    let members = scenario.iter().map(|(name, value)| match value {
        QObject::List(list) if name != "machine" => {
            format!("  \"{name}\": {}", block('[', list.iter().map(json), ']'))
        }
        QObject::Dict(dict) if name == "faults" => {
            let faults = dict.iter().map(|(name, value)| named(name, value));
            format!("  \"{name}\": {}", block('{', faults, '}'))
        }
        value => format!("  {}", named(name, value)),
    });
    let members: Vec<_> = members.collect();
    format!("{{\n{}\n}}\n", members.join(",\n"))
}

fn block(open: char, parts: impl Iterator<Item = String>, close: char) -> String {
    let lines: Vec<_> = parts.map(|part| format!("    {part}")).collect();
    format!("{open}\n{}\n  {close}", lines.join(",\n"))
}

impl Scenario {
    /// All but stubs, faults and expectations.
    pub fn head(&self) -> QDict {
        let mut dict = QDict::new();
        if let Some(profile) = &self.profile {
            if PROFILES.contains(&profile.as_str()) {
                dict.insert("profile", profile.as_str());
            } else {
                let file = QDict::from_iter([("schema", profile.as_str())]);
                dict.insert("profile", file);
            }
        }
        if self.base != Base::Machine {
            let base = BASES.iter().find(|(_, base)| *base == self.base);
            dict.insert("base", base.map_or("", |(name, _)| name));
        }
        if !self.machine.is_empty() {
            let words = self.machine.iter().map(|word| word.as_str().into());
            dict.insert("machine", QObject::List(words.collect()));
        }
        if let Some(seed) = self.seed {
            dict.insert("seed", QNum::from_u64(seed));
        }
        if let Some(time) = self.time {
            dict.insert("time", time.name());
        }
        if let Some(start) = self.start {
            let mut parts = QDict::new();
            parts.insert("seconds", start / 1_000_000_000);
            parts.insert("microseconds", start % 1_000_000_000 / 1000);
            dict.insert("start", parts);
        }
        dict
    }
}

impl When {
    fn write(&self, dict: &mut QDict) {
        match &self.what {
            What::Execute(name) => dict.insert("execute", name.to_qobject()),
            What::Hmp(line) => dict.insert("hmp", line.to_qobject()),
        };
        let arguments = self.arguments.to_qobject();
        if arguments
            .as_dict()
            .is_some_and(|members| !members.is_empty())
        {
            dict.insert("arguments", arguments);
        }
        set_flag(dict, "exact", self.exact);
    }

    fn to_dict(&self) -> QDict {
        let mut dict = QDict::new();
        self.write(&mut dict);
        dict
    }
}

fn set_flag(dict: &mut QDict, name: &str, value: bool) {
    if value {
        dict.insert(name, true);
    }
}

fn set_count(dict: &mut QDict, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        dict.insert(name, QNum::from_u64(value));
    }
}

fn set_delay(dict: &mut QDict, delay: Duration) {
    if !delay.is_zero() {
        dict.insert("delay", show_duration(delay));
    }
}

impl Stub {
    /// As it stands in a scenario.
    pub fn to_dict(&self) -> QDict {
        let mut when = self.when.to_dict();
        set_count(&mut when, "nth", self.nth);
        let mut dict = QDict::from_iter([("when", when)]);
        match &self.answer {
            Answer::Pass => set_flag(&mut dict, "pass", true),
            Answer::Text(text) => drop(dict.insert("text", text.as_str())),
            Answer::Replies(replies) => match replies.as_slice() {
                [reply] => drop(dict.insert("reply", reply.to_dict())),
                replies => {
                    let replies = replies.iter().map(|reply| reply.to_dict().into());
                    dict.insert("replies", QObject::List(replies.collect()));
                }
            },
            Answer::Hold(point, reply) => {
                dict.insert("hold", point.as_str());
                if let Some(reply) = reply {
                    dict.insert("reply", reply.to_dict());
                }
            }
        }
        for (name, events) in [("before", &self.before), ("then", &self.then)] {
            if !events.is_empty() {
                let events = events.iter().map(|event| event.to_dict().into());
                dict.insert(name, QObject::List(events.collect()));
            }
        }
        set_delay(&mut dict, self.delay);
        set_count(&mut dict, "times", self.times);
        if let Some(follows) = &self.follows {
            dict.insert("follows", follows.to_dict());
        }
        set_flag(&mut dict, "unchecked", self.unchecked);
        dict
    }
}

impl Reply {
    fn to_dict(&self) -> QDict {
        match self {
            Reply::Return(value) => QDict::from_iter([("return", value.clone())]),
            Reply::Error(class, desc) => {
                let class = CLASSES.iter().find(|(_, known)| known == class);
                let mut error = QDict::new();
                error.insert("class", class.map_or("", |(name, _)| name));
                error.insert("desc", desc.as_str());
                QDict::from_iter([("error", error)])
            }
        }
    }
}

fn set_event(dict: &mut QDict, member: &str, event: &str, data: &QDict) {
    dict.insert(member, event);
    if !data.is_empty() {
        dict.insert("data", data.clone());
    }
}

impl Emit {
    fn to_dict(&self) -> QDict {
        let mut dict = QDict::new();
        set_delay(&mut dict, self.delay);
        set_event(&mut dict, "event", &self.event, &self.data);
        set_flag(&mut dict, "throttle", self.throttle);
        dict
    }
}

impl Fault {
    /// As it stands in a scenario.
    pub fn to_dict(&self) -> QDict {
        let at = POINTS.iter().find(|(_, point)| *point == self.at);
        let mut dict = QDict::from_iter([("at", at.map_or("", |(name, _)| name))]);
        if let Some(of) = &self.of {
            dict.insert("of", of.to_qobject());
        }
        set_count(&mut dict, "nth", self.nth);
        if let Some(probability) = self.probability {
            dict.insert("probability", QNum::Double(probability));
        }
        let actions = self.actions.iter().map(Action::to_qobject);
        dict.insert("do", QObject::List(actions.collect()));
        if !self.enabled {
            dict.insert("enabled", false);
        }
        dict
    }
}

impl Action {
    fn to_qobject(&self) -> QObject {
        let with = |name: &str, value: QObject| QDict::from_iter([(name, value)]).into();
        let count = |name: &str, n: usize| with(name, QNum::from_u64(n as u64).into());
        match self {
            Action::Delay(time) => with("delay", show_duration(*time).into()),
            Action::Silence => "silence".into(),
            Action::Drop => "drop".into(),
            Action::Duplicate(n) => count("duplicate", *n),
            Action::IdStale => with("id", "stale".into()),
            Action::Id(id) => with("id", id.clone()),
            Action::Events(n, event, data) => {
                let mut dict = QDict::from_iter([("events", QNum::from_u64(*n as u64))]);
                set_event(&mut dict, "event", event, data);
                dict.into()
            }
            Action::EventFirst(event, data) => {
                let mut dict = QDict::new();
                set_event(&mut dict, "event-first", event, data);
                dict.into()
            }
            Action::NoGreeting => "no-greeting".into(),
            Action::Pad(n) => count("pad", *n),
            Action::Slice(None) => with("slice", "random".into()),
            Action::Slice(Some(n)) => count("slice", *n),
            Action::HoldFor(n) => count("hold-for", *n),
            Action::CloseListener => "close-listener".into(),
            Action::AcceptAndClose => "accept-and-close".into(),
            Action::NeverAccept => "never-accept".into(),
            Action::StopReading => "stop-reading".into(),
            Action::Send(None) => with("send", "half".into()),
            Action::Send(Some(n)) => count("send", *n),
            Action::Close => "close".into(),
            Action::Reset => "reset".into(),
            Action::Exit(status) => with("exit", i64::from(*status).into()),
            Action::Kill => "kill".into(),
        }
    }
}

impl Expect {
    /// As it stands in a scenario.
    pub fn to_dict(&self) -> QDict {
        match self {
            Expect::Connections(n) => QDict::from_iter([("connections", QNum::from_u64(*n))]),
            Expect::Never(when) => QDict::from_iter([("never", when.to_dict())]),
            Expect::Request {
                when,
                times,
                follows,
            } => {
                let mut dict = when.to_dict();
                set_count(&mut dict, "times", *times);
                if let Some(follows) = follows {
                    dict.insert("follows", follows.to_dict());
                }
                dict
            }
        }
    }
}
