//! Errors that are asked for (`blkdebug`): at an event of the driver above, or at once, for
//! some operations and some sectors.

use std::io;

use nix::errno::Errno;

use super::graph::Blocks;
use super::node::{Content, NodeId};
use crate::schema::{
    BlkdebugEvent, BlkdebugIOType, BlkdebugInjectErrorOptions, BlkdebugSetStateOptions,
    BlockdevOptionsBlkdebug,
};
use qmonitor::qapi::Error;

/// The rules of a node, and where it stands.
#[derive(Debug)]
pub struct Faults {
    state: i64,
    errors: Vec<BlkdebugInjectErrorOptions>,
    changes: Vec<BlkdebugSetStateOptions>,
    /// Numbers of the errors that the last event brought.
    active: Vec<usize>,
    /// Numbers of the errors that came and are not to come again.
    spent: Vec<usize>,
}

impl Faults {
    pub(super) fn new(options: &BlockdevOptionsBlkdebug) -> Self {
        let mut faults = Faults {
            state: 1,
            errors: options.inject_error.clone().unwrap_or_default(),
            changes: options.set_state.clone().unwrap_or_default(),
            active: Vec::new(),
            spent: Vec::new(),
        };
        faults.happens(BlkdebugEvent::None);
        faults
    }

    /// Something happened in the driver above.
    fn happens(&mut self, event: BlkdebugEvent) {
        let state = self.state;
        let in_state = |wanted: Option<i64>| wanted.is_none_or(|w| w == 0 || w == state);
        let errors = self.errors.iter().enumerate();
        let new: Vec<usize> = errors
            .filter(|(_, rule)| rule.event == event && in_state(rule.state))
            .map(|(at, _)| at)
            .filter(|at| !self.spent.contains(at))
            .collect();
        if !new.is_empty() {
            self.active = new;
        }
        for rule in &self.changes {
            if rule.event == event && in_state(rule.state) {
                self.state = rule.new_state;
            }
        }
    }

    /// The error of an operation, if it is to have one.
    fn error(&mut self, kind: BlkdebugIOType, offset: u64, length: u64) -> Option<i32> {
        let concerns = |rule: &BlkdebugInjectErrorOptions| {
            // Where the disk has data is asked for often, so it fails only by name.
            let kinds = rule
                .iotype
                .map_or(kind != BlkdebugIOType::BlockStatus, |k| k == kind);
            let sector = rule.sector.and_then(|sector| u64::try_from(sector).ok());
            let touched = sector.is_none_or(|sector| {
                let at = sector.saturating_mul(512);
                offset <= at && at < offset + length
            });
            kinds && touched
        };
        let place = self
            .active
            .iter()
            .position(|at| concerns(&self.errors[*at]))?;
        let rule = &self.errors[self.active[place]];
        let errno = rule.errno.unwrap_or(i64::from(nix::libc::EIO));
        if rule.once.unwrap_or(false) {
            self.spent.push(self.active.remove(place));
        }
        i32::try_from(errno).ok().filter(|errno| *errno != 0)
    }
}

impl Blocks {
    /// Tells a node what happened in the driver above.
    pub(super) fn happens(&mut self, id: NodeId, event: BlkdebugEvent) {
        if let Some(Content::Faults(faults)) = self.nodes.get_mut(&id).map(|n| &mut n.content) {
            faults.happens(event);
        }
    }

    /// Fails if an operation is to fail.
    pub(super) fn check_fault(
        &mut self,
        id: NodeId,
        kind: BlkdebugIOType,
        offset: u64,
        length: u64,
    ) -> io::Result<()> {
        let Content::Faults(faults) = &mut self.at(id)?.content else {
            return Ok(());
        };
        match faults.error(kind, offset, length) {
            Some(errno) => Err(Errno::from_raw(errno).into()),
            None => Ok(()),
        }
    }
}

/// Adds the rules of a file to those of the options.
///
/// # Errors
///
/// A line of it is wrong.
pub fn add_rules(options: &mut BlockdevOptionsBlkdebug, text: &str) -> Result<(), Error> {
    let mut section = None;
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let refuse = || Error::new(format!("Could not parse blkdebug config file: '{line}'"));
        if let Some(rest) = line.strip_prefix('[') {
            // Without its end, the line belongs to the name, as QEMU reads it.
            let name = match rest.split_once(']') {
                Some((name, _)) => name.to_owned(),
                None => format!("{rest}\n"),
            };
            section = Some(name.clone());
            match name.as_str() {
                "inject-error" => options
                    .inject_error
                    .get_or_insert_with(Vec::new)
                    .push(no_error()),
                "set-state" => options
                    .set_state
                    .get_or_insert_with(Vec::new)
                    .push(no_change()),
                _ => return Err(Error::new(format!("There is no option group '{name}'"))),
            }
            continue;
        }
        let (key, value) = line.split_once('=').ok_or_else(refuse)?;
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key == "event" && value.parse::<BlkdebugEvent>().is_err() {
            return Err(Error::new(format!("invalid parameter value: {value}")));
        }
        let set = match section.as_deref() {
            Some("inject-error") => options
                .inject_error
                .as_mut()
                .and_then(|list| set_error(list.last_mut()?, key, value)),
            Some("set-state") => options
                .set_state
                .as_mut()
                .and_then(|list| set_change(list.last_mut()?, key, value)),
            _ => None,
        };
        set.ok_or_else(refuse)?;
    }
    Ok(())
}

fn no_error() -> BlkdebugInjectErrorOptions {
    BlkdebugInjectErrorOptions {
        event: BlkdebugEvent::None,
        state: None,
        iotype: None,
        errno: None,
        delay_ns: None,
        sector: None,
        once: None,
        immediately: None,
    }
}

fn no_change() -> BlkdebugSetStateOptions {
    BlkdebugSetStateOptions {
        event: BlkdebugEvent::None,
        state: None,
        new_state: 1,
    }
}

fn set_error(rule: &mut BlkdebugInjectErrorOptions, key: &str, value: &str) -> Option<()> {
    match key {
        "event" => rule.event = value.parse().ok()?,
        "state" => rule.state = Some(value.parse().ok()?),
        "iotype" => rule.iotype = Some(value.parse().ok()?),
        "errno" => rule.errno = Some(value.parse().ok()?),
        "sector" => rule.sector = Some(value.parse().ok()?),
        "once" => rule.once = Some(switch(value)?),
        "immediately" => rule.immediately = Some(switch(value)?),
        _ => return None,
    }
    Some(())
}

fn set_change(rule: &mut BlkdebugSetStateOptions, key: &str, value: &str) -> Option<()> {
    match key {
        "event" => rule.event = value.parse().ok()?,
        "state" => rule.state = Some(value.parse().ok()?),
        "new_state" => rule.new_state = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}

fn switch(value: &str) -> Option<bool> {
    match value {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Faults {
        let image = crate::schema::BlockdevRef::Reference("n".to_owned());
        let mut options = BlockdevOptionsBlkdebug {
            image,
            config: None,
            align: None,
            max_transfer: None,
            opt_write_zero: None,
            max_write_zero: None,
            opt_discard: None,
            max_discard: None,
            inject_error: None,
            set_state: None,
            take_child_perms: None,
            unshare_child_perms: None,
        };
        add_rules(&mut options, text).unwrap();
        Faults::new(&options)
    }

    #[test]
    fn errors_come_at_events_once_or_always() {
        use BlkdebugIOType::{Read, Write};
        let mut rules = faults(
            "[inject-error]\nevent = \"write_aio\"\nerrno = \"28\"\nonce = \"on\"\n\n\
             [set-state]\nevent = \"read_aio\"\nnew_state = \"2\"\n\
             [inject-error]\nevent = \"read_aio\"\nstate = \"2\"\niotype = \"read\"\n",
        );
        assert_eq!(rules.error(Write, 0, 512), None);
        rules.happens(BlkdebugEvent::WriteAio);
        assert_eq!(rules.error(Write, 0, 512), Some(28));
        rules.happens(BlkdebugEvent::WriteAio);
        assert_eq!(rules.error(Write, 0, 512), None, "never again");
        rules.happens(BlkdebugEvent::ReadAio);
        assert_eq!(rules.error(Read, 0, 512), None);
        rules.happens(BlkdebugEvent::ReadAio);
        assert_eq!(rules.error(Read, 0, 512), Some(5));
        assert_eq!(rules.error(Write, 0, 512), None);
    }

    #[test]
    fn errors_are_of_sectors() {
        use BlkdebugIOType::Read;
        let mut rules = faults("[inject-error]\nevent = \"none\"\nsector = \"8\"\n");
        assert_eq!(rules.error(Read, 0, 4096), None);
        assert_eq!(rules.error(Read, 0, 4097), Some(5));
    }
}
