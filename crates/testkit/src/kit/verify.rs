//! Expectations, and what came near them.

use super::journal::{Entry, Kind};
use super::Kit;
use crate::pattern::Bindings;
use crate::scenario::{Expect, When};

/// An expectation and what has come of it.
pub(super) struct LiveExpect {
    pub(super) expect: Expect,
    seen: u64,
    /// Whether what must come before has come.
    followed: bool,
    /// The first request that came too early or should not have come.
    wrong: Option<String>,
}

impl LiveExpect {
    pub(super) fn new(expect: Expect) -> Self {
        LiveExpect {
            expect,
            seen: 0,
            followed: false,
            wrong: None,
        }
    }

    pub(super) fn reset(&mut self) {
        (self.seen, self.followed, self.wrong) = (0, false, None);
    }

    /// Takes a request into account.
    pub(super) fn note(&mut self, entry: &Entry) {
        match &self.expect {
            Expect::Request { when, follows, .. } => {
                if fits(when, entry) {
                    self.seen += 1;
                    if follows.is_some() && !self.followed {
                        self.wrong.get_or_insert_with(|| entry.show());
                    }
                }
                self.followed |= follows.as_ref().is_some_and(|when| fits(when, entry));
            }
            Expect::Never(when) => {
                if fits(when, entry) {
                    self.seen += 1;
                    self.wrong.get_or_insert_with(|| entry.show());
                }
            }
            Expect::Connections(_) => {}
        }
    }

    fn failure(&self, connections: u64) -> Option<String> {
        match &self.expect {
            Expect::Request {
                when,
                times,
                follows,
            } => {
                let shown = when.show();
                let came = count(self.seen);
                match times {
                    Some(times) if *times != self.seen => {
                        return Some(format!(
                            "expected {shown} {}, but it came {came}",
                            count(*times)
                        ));
                    }
                    None if self.seen == 0 => {
                        return Some(format!("expected {shown}, but it never came"));
                    }
                    _ => {}
                }
                let before = follows.as_ref()?.show();
                let wrong = self.wrong.as_ref()?;
                Some(format!(
                    "expected {shown} after {before}, but {wrong} came before it"
                ))
            }
            Expect::Never(when) => {
                let wrong = self.wrong.as_ref()?;
                let (shown, came) = (when.show(), count(self.seen));
                Some(format!(
                    "expected {shown} never, but it came {came}: {wrong}"
                ))
            }
            Expect::Connections(times) => (*times != connections).then(|| {
                let (clients, came) = (count(*times), count(connections));
                format!("expected clients to connect {clients}, but they did {came}")
            }),
        }
    }
}

fn count(times: u64) -> String {
    match times {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        n => format!("{n} times"),
    }
}

/// Whether a request is meant.
pub fn fits(when: &When, entry: &Entry) -> bool {
    let bound = &mut Bindings::new();
    match &entry.what {
        Kind::Command {
            execute, arguments, ..
        } => when.fits(execute, arguments, bound),
        Kind::Line(line) => when.fits_line(line, bound),
        Kind::Garbage(_) => false,
    }
}

/// Something that was expected, and the requests that came near it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearMiss {
    /// What was expected.
    pub expected: String,
    /// The requests, the nearest first.
    pub came: Vec<String>,
}

/// How many near misses are told.
const NEAR: usize = 3;

impl Kit {
    /// What has failed so far.
    pub fn failures(&self) -> Vec<String> {
        let state = self.state.borrow();
        let connections = state.connections;
        let expected = state.expect.iter();
        let expected = expected.filter_map(|expect| expect.failure(connections));
        state.failures.iter().cloned().chain(expected).collect()
    }

    /// What did not come as expected, and stubs that were never used, with the requests that came
    /// nearest.
    pub fn near_misses(&self) -> Vec<NearMiss> {
        let state = self.state.borrow();
        let expected = state.expect.iter().filter_map(|live| match &live.expect {
            Expect::Request { when, times, .. } if live.seen < times.unwrap_or(1) => Some(when),
            _ => None,
        });
        let stubs = state.stubs.iter().filter(|stub| stub.done == 0);
        let missed = expected.chain(stubs.map(|stub| &stub.stub.when));
        let missed = missed.filter_map(|when| {
            let mut near: Vec<(usize, &Entry)> = state
                .journal
                .iter()
                .filter(|entry| !fits(when, entry))
                .filter_map(|entry| Some((distance(when, entry)?, entry)))
                .collect();
            near.sort_by_key(|(distance, _)| *distance);
            let came: Vec<_> = near
                .iter()
                .take(NEAR)
                .map(|(_, entry)| entry.show())
                .collect();
            (!came.is_empty()).then(|| NearMiss {
                expected: when.show(),
                came,
            })
        });
        let mut list: Vec<NearMiss> = Vec::new();
        for miss in missed {
            if !list.contains(&miss) {
                list.push(miss);
            }
        }
        list
    }

    /// What a person is told when something failed: the failures, the near misses, and the
    /// requests that came.
    pub fn report(&self) -> String {
        let mut text = String::new();
        for failure in self.failures() {
            text += &format!("  {failure}\n");
        }
        let near = self.near_misses();
        if !near.is_empty() {
            text += "near misses:\n";
        }
        for miss in near {
            text += &format!(
                "  {} was expected; {} came\n",
                miss.expected,
                miss.came.join("; ")
            );
        }
        let state = self.state.borrow();
        let forgotten = match state.journal.dropped() {
            0 => String::new(),
            n => format!(" (the first {n} are not kept)"),
        };
        text += &format!("{} requests came{forgotten}:\n", state.journal.count());
        let shown: Vec<_> = state.journal.iter().rev().take(20).collect();
        for entry in shown.into_iter().rev() {
            text += &format!("  {entry:?}\n");
        }
        text
    }
}

/// How far a request is from what is meant; None if it is nowhere near.
fn distance(when: &When, entry: &Entry) -> Option<usize> {
    let meant = when.command()?;
    let execute = entry.execute()?;
    if execute == meant {
        return Some(0);
    }
    crate::problem::nearest(execute, [meant]).map(|_| 1)
}
