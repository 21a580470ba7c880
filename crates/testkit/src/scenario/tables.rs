//! The members of the format: the reader knows no others, and the JSON Schema is made from them.

use super::choices::{base_names, class_names, point_names, time_names};

/// A member of an object.
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// What editors show of it.
    pub(super) text: &'static str,
}

/// What a value looks like.
pub(super) enum Shape {
    Any,
    Object,
    Flag,
    /// True and nothing else.
    Yes,
    Count,
    /// A count from 1.
    Positive,
    Probability,
    Text,
    /// A string, or a number where a string is wanted.
    Word,
    Duration,
    Size,
    /// This word.
    Is(&'static str),
    Choice(fn() -> Vec<&'static str>),
    /// A definition of the JSON Schema.
    Part(&'static str),
    List(&'static Shape),
    /// A list with one part at least.
    Some(&'static Shape),
    Either(&'static [Shape]),
}

/// The names of members, for the reader.
pub(super) fn names(tables: &[&[Known]]) -> Vec<&'static str> {
    tables.iter().copied().flatten().map(|m| m.name).collect()
}

const fn known(name: &'static str, shape: Shape, text: &'static str) -> Known {
    Known { name, shape, text }
}

pub(super) const SCENARIO: &[Known] = &[
    known(
        "$schema",
        Shape::Text,
        "The schema of the format, for editors.",
    ),
    known(
        "profile",
        Shape::Part("profile"),
        "The QEMU whose schema counts.",
    ),
    known(
        "base",
        Shape::Choice(base_names),
        "Who answers what no stub fits.",
    ),
    known(
        "machine",
        Shape::List(&Shape::Word),
        "Options of the machine, as on a command line.",
    ),
    known("seed", Shape::Count, "The seed of all that is random."),
    known("time", Shape::Choice(time_names), "Whose time it is."),
    known("start", Shape::Part("start"), "What timestamps begin with."),
    known(
        "stubs",
        Shape::List(&Shape::Part("stub")),
        "The first stub that fits a request answers it.",
    ),
    known(
        "faults",
        Shape::Part("faults"),
        "What goes wrong on purpose.",
    ),
    known(
        "expect",
        Shape::List(&Shape::Part("expectation")),
        "What must have happened at the end.",
    ),
];

pub(super) const PROFILE: &[Known] = &[known(
    "schema",
    Shape::Text,
    "A file with a reply of query-qmp-schema; its path begins beside the scenario.",
)];

pub(super) const START: &[Known] = &[
    known("seconds", Shape::Count, "Seconds since 1970."),
    known("microseconds", Shape::Count, "Microseconds more."),
];

pub(super) const WHEN: &[Known] = &[
    known("execute", Shape::Any, "The command: its name or a matcher."),
    known(
        "hmp",
        Shape::Any,
        "The line of the human monitor: a text or a matcher.",
    ),
    known(
        "arguments",
        Shape::Object,
        "Values and matchers: $name binds, {re: TEXT}, {any: true}, {absent: true}, {eq: VALUE}.",
    ),
    known(
        "exact",
        Shape::Flag,
        "Whether arguments that are not named must not be there.",
    ),
];

pub(super) const NTH: &[Known] = &[known(
    "nth",
    Shape::Positive,
    "Only the nth request that the matcher fits.",
)];

pub(super) const STUB: &[Known] = &[
    known(
        "when",
        Shape::Part("stub-when"),
        "Which requests it answers.",
    ),
    known("reply", Shape::Part("reply"), "The reply."),
    known(
        "replies",
        Shape::Some(&Shape::Part("reply")),
        "Replies, one after the other; the last one stays.",
    ),
    known(
        "text",
        Shape::Word,
        "The output of a line of the human monitor.",
    ),
    known("hold", Shape::Word, "The point at which requests are held."),
    known("pass", Shape::Yes, "The machine answers."),
    known(
        "before",
        Shape::List(&Shape::Part("event")),
        "Events before the reply.",
    ),
    known(
        "then",
        Shape::List(&Shape::Part("event")),
        "Events after the reply was written.",
    ),
    known("delay", Shape::Duration, "How long the reply waits."),
    known("times", Shape::Positive, "After how many requests it ends."),
    known(
        "follows",
        Shape::Part("when"),
        "What must have come before.",
    ),
    known(
        "unchecked",
        Shape::Flag,
        "Whether the schema of QEMU does not matter.",
    ),
];

pub(super) const EVENT: &[Known] = &[
    known("delay", Shape::Duration, "How long it waits."),
    known("event", Shape::Text, "Its name."),
    known("data", Shape::Object, "Its data."),
    known(
        "throttle",
        Shape::Flag,
        "Whether it keeps to the rate limit of its kind.",
    ),
];

pub(super) const REPLY: &[Known] = &[
    known("return", Shape::Any, "Success, and what is returned."),
    known("error", Shape::Part("error"), "Failure."),
];

pub(super) const ERROR: &[Known] = &[
    known(
        "class",
        Shape::Choice(class_names),
        "Its class; GenericError unless it is named.",
    ),
    known("desc", Shape::Word, "The message."),
];

pub(super) const FAULT: &[Known] = &[
    known("at", Shape::Choice(point_names), "Where it happens."),
    known("of", Shape::Any, "Of which command or event."),
    known("nth", Shape::Positive, "Only at the nth time."),
    known("probability", Shape::Probability, "How often it happens."),
    known("do", Shape::Part("do"), "What happens."),
    known("enabled", Shape::Flag, "Whether it is on."),
];

pub(super) const REQUESTED: &[Known] = &[
    known("times", Shape::Count, "How often it must have come."),
    known(
        "follows",
        Shape::Part("when"),
        "What must have come before.",
    ),
];

pub(super) const NEVER: &[Known] = &[known(
    "never",
    Shape::Part("when"),
    "A request that must not have come.",
)];

pub(super) const CONNECTIONS: &[Known] = &[known(
    "connections",
    Shape::Count,
    "How many clients must have connected.",
)];
