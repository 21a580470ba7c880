//! The commands that the clients of one monitor may use: the options `read-only`
//! and `allow`.
//!
//! # What is read-only
//!
//! A read-only monitor carries out commands that change nothing in the program or
//! on its host. There is one rule for each kind of command:
//!
//! * a QMP command is read-only if it is called `query-*` or `x-query-*`, or if
//!   it was declared so when it was registered ([`READ_ONLY`],
//!   [`Runtime::add_read_only_commands`](super::Runtime::add_read_only_commands));
//! * a command that is read-only may still hide something from such a monitor
//!   ([`Runtime::current_monitor_is_read_only`](super::Runtime::current_monitor_is_read_only));
//! * an HMP command is read-only if its row says so
//!   ([`HmpRow::read_only`]), and so are the sub-commands of one that is.
//!
//! # No way around it
//!
//! Each kind is checked in one place. A line given to `human-monitor-command` runs
//! for the QMP monitor that received it, so that monitor must allow the line's
//! command. HMP's `qmp NAME` checks `NAME` as well. Out-of-band commands are
//! checked like others. A monitor that a restricted one makes (`object-add`) may do
//! no more than its maker.

use super::hmp::HmpRow;
use super::schema::MonitorAccessOptions;
use crate::qapi::Error;

/// Read-only commands that are not called `query-*`. Commands that run others are
/// among them, because the others are checked too.
const READ_ONLY: &[&str] = &[
    "qmp_capabilities",
    "human-monitor-command",
    "trace-event-get-state",
];

/// The commands that the clients of a monitor may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandPolicy {
    read_only: bool,
    /// Patterns of names; `None` allows all names.
    allow: Option<Vec<String>>,
    /// That of the monitor whose client has made this one, if that is restricted.
    within: Option<Box<CommandPolicy>>,
}

impl CommandPolicy {
    pub(super) fn new(options: &MonitorAccessOptions) -> Self {
        let allow = options.allow.as_deref();
        CommandPolicy {
            read_only: options.read_only.unwrap_or(false),
            allow: allow.map(|list| list.split(':').map(str::to_owned).collect()),
            within: None,
        }
    }

    /// The same policy for a monitor that a client of another one has made.
    pub(super) fn within(mut self, maker: &CommandPolicy) -> Self {
        self.within = maker.restricts().then(|| Box::new(maker.clone()));
        self
    }

    fn is_allowed(&self, name: &str) -> bool {
        let mut allow = self.allow.iter().flatten();
        self.allow.is_none() || allow.any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
    }

    /// Whether there is any command that is refused. Most monitors refuse none.
    #[inline]
    pub(super) fn restricts(&self) -> bool {
        self.read_only || self.allow.is_some() || self.within.is_some()
    }

    /// Whether its clients may change nothing, by its own rules or those of its maker.
    pub(super) fn is_read_only(&self) -> bool {
        self.read_only || self.within.as_deref().is_some_and(Self::is_read_only)
    }

    /// Refuses a QMP command unless it is allowed and, on a read-only monitor,
    /// changes nothing. `read_only` has the commands that were declared so.
    pub(super) fn check_qmp(&self, name: &str, read_only: &[&str]) -> Result<(), Error> {
        // Without it there would be no session at all.
        if name == "qmp_capabilities" {
            return Ok(());
        }
        if let Some(maker) = &self.within {
            maker.check_qmp(name, read_only)?;
        }
        self.check(&[name], || {
            name.starts_with("query-")
                || name.starts_with("x-query-")
                || READ_ONLY.contains(&name)
                || read_only.contains(&name)
        })
    }

    /// The same for an HMP command, which may be a sub-command of `group`. Such a
    /// one goes by the names `info status` and `info`.
    pub(super) fn check_hmp(&self, group: Option<HmpRow>, row: HmpRow) -> Result<(), Error> {
        if !self.restricts() {
            return Ok(());
        }
        if let Some(maker) = &self.within {
            maker.check_hmp(group, row)?;
        }
        let name = row.main_name();
        match group {
            None => self.check(&[name], || row.read_only),
            Some(group) => {
                let whole = format!("{} {name}", group.main_name());
                self.check(&[&whole, group.main_name()], || group.read_only)
            }
        }
    }

    /// Refuses the command unless one of its names is allowed and, on a read-only
    /// monitor, it changes nothing.
    fn check(&self, names: &[&str], read_only: impl FnOnce() -> bool) -> Result<(), Error> {
        let refused = |why| {
            let name = names.first().copied().unwrap_or_default();
            Err(Error::new(format!("The command '{name}' {why}")))
        };
        if !names.iter().any(|name| self.is_allowed(name)) {
            return refused("is not among those that this monitor allows");
        }
        if self.read_only && !read_only() {
            return refused("is refused because this monitor is read-only");
        }
        Ok(())
    }
}

/// Whether the text matches the pattern, in which `*` stands for any text.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let Some(star) = pattern.iter().position(|b| *b == b'*') else {
        return pattern == text;
    };
    let (head, rest) = (&pattern[..star], &pattern[star + 1..]);
    text.strip_prefix(head)
        .is_some_and(|text| (0..=text.len()).any(|at| matches(rest, &text[at..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_any_text() {
        for (pattern, text) in [
            ("stop", "stop"),
            ("*", ""),
            ("*", "stop"),
            ("query-*", "query-"),
            ("query-*", "query-status"),
            ("*-status", "query-status"),
            ("q*s*s", "query-status"),
            ("info *", "info status"),
        ] {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        for (pattern, text) in [
            ("", "stop"),
            ("stop", "stopp"),
            ("query-*", "x-query-status"),
            ("*-status", "query-status2"),
            ("q*z*s", "query-status"),
        ] {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn a_list_names_what_is_allowed_and_no_list_allows_all() {
        let policy = |allow: Option<&str>| {
            CommandPolicy::new(&MonitorAccessOptions {
                read_only: None,
                allow: allow.map(str::to_owned),
            })
        };
        assert!(policy(None).is_allowed("stop"));
        assert!(!policy(Some("")).is_allowed("stop"));
        let some = policy(Some("query-*:stop"));
        assert!(some.is_allowed("stop") && some.is_allowed("query-name"));
        assert!(!some.is_allowed("cont"));
    }
}
