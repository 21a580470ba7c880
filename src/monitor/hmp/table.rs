//! The command table: what commands there are, and finding one.
//!
//! A row ([`HmpRow`]) is data: names, arguments, texts. A table
//! ([`HmpTable`]) joins rows with handlers of a type of the embedder's choice, for
//! instance `fn(&mut Runtime<S>, &HmpArgs)`, and may hang a table of
//! sub-commands under a row, as `info` has.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::args::HmpArg;
use crate::fold_hash::FoldHash;
use crate::qapi::{Life, Profile};

/// A command as declared: everything about it but the code (QEMU's `HMPCommand`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HmpRow {
    /// Full name: the name and its aliases, separated by `|`.
    pub name: &'static str,
    /// Its arguments, in order.
    pub args: &'static [HmpArg],
    /// The arguments as `help` shows them.
    pub params: &'static str,
    /// The rest of the help line.
    pub help: &'static str,
    /// Whether it can be used before the machine exists.
    pub preconfig: bool,
    /// Whether it may finish later ([`Hmp::defer`](super::Hmp::defer)): no further
    /// line is taken up meanwhile.
    pub coroutine: bool,
    /// Whether it changes nothing, so that a read-only monitor runs it; its
    /// sub-commands then change nothing either.
    pub read_only: bool,
    /// Which QEMUs have it.
    pub life: Life,
    /// Whether it belongs to other machines: it is known, but never available.
    pub elsewhere: bool,
}

impl HmpRow {
    /// A command without arguments that needs a machine.
    pub const fn new(name: &'static str, params: &'static str, help: &'static str) -> Self {
        Self {
            name,
            args: &[],
            params,
            help,
            preconfig: false,
            coroutine: false,
            read_only: false,
            life: Life::Always,
            elsewhere: false,
        }
    }

    /// The same command, which only this QEMU and later ones have.
    ///
    /// A command whose line differs between versions has two rows:
    ///
    /// ```
    /// use qmonitor::monitor::hmp::{HmpRow, HmpTable};
    /// use qmonitor::Profile;
    ///
    /// const OVEN: HmpRow = HmpRow::new("oven", "", "heat the oven");
    /// let new = OVEN.help("heat the oven (deprecated)").since(Profile::V11_1);
    /// let mut table = HmpTable::new();
    /// table.extend([(OVEN.before(Profile::V11_1), ()), (new, ())]);
    /// table.set_profile(Profile::V11_1);
    /// assert_eq!(table.commands().len(), 1);
    /// ```
    pub const fn since(mut self, first: Profile) -> Self {
        self.life = Life::Since(first);
        self
    }

    /// The same command, which only QEMUs before this one have.
    pub const fn before(mut self, first: Profile) -> Self {
        self.life = Life::Before(first);
        self
    }

    /// The same command, of other machines: `help` does not show it, and who runs it
    /// reads that it is not available.
    pub const fn elsewhere(mut self) -> Self {
        self.elsewhere = true;
        self
    }

    /// The same command with other [`params`](Self::params).
    pub const fn params(mut self, params: &'static str) -> Self {
        self.params = params;
        self
    }

    /// The same command with another [`help`](Self::help).
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// The same command with arguments.
    pub const fn args(mut self, args: &'static [HmpArg]) -> Self {
        self.args = args;
        self
    }

    /// The same command, usable before the machine exists.
    pub const fn preconfig(mut self) -> Self {
        self.preconfig = true;
        self
    }

    /// The same command, which may finish later; see
    /// [`Hmp::defer`](super::Hmp::defer).
    pub const fn coroutine(mut self) -> Self {
        self.coroutine = true;
        self
    }

    /// The same command, which changes nothing.
    pub const fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }

    /// The name and its aliases, one by one.
    pub fn aliases(&self) -> impl Iterator<Item = &'static str> {
        self.name.split('|')
    }

    /// The name without aliases.
    pub fn main_name(&self) -> &'static str {
        self.aliases().next().unwrap_or(self.name)
    }

    /// Whether it can be used at all now.
    pub(super) fn is_available(&self, preconfig: bool) -> bool {
        !self.elsewhere && (self.preconfig || !preconfig)
    }
}

/// A row with its handler and, if it has any, its sub-commands.
#[derive(Clone, Debug)]
pub struct HmpCommand<F: Copy> {
    /// The declaration.
    pub row: HmpRow,
    /// What runs it; for a command with sub-commands, when none is named.
    pub handler: F,
    /// Its sub-commands.
    pub sub: Option<HmpTable<F>>,
}

/// Commands, sorted as `help` lists them: by the bytes of the full name.
///
/// Adding rows costs nothing more: a program whose human monitor is never used never
/// sorts them, nor enters them by name.
#[derive(Clone, Debug)]
pub struct HmpTable<F: Copy> {
    /// As they were added.
    commands: Vec<HmpCommand<F>>,
    profile: Profile,
    /// Where each name and alias stands, once it is asked for.
    by_name: OnceLock<HashMap<&'static [u8], usize, FoldHash>>,
    /// The places in order of the full names, once it is asked for.
    sorted: OnceLock<Vec<usize>>,
}

impl<F: Copy> Default for HmpTable<F> {
    fn default() -> Self {
        Self {
            commands: Vec::new(),
            profile: Profile::default(),
            by_name: OnceLock::new(),
            sorted: OnceLock::new(),
        }
    }
}

impl<F: Copy> HmpTable<F> {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a command.
    ///
    /// # Panics
    /// If one of its names is taken; that is a mistake in the program, found at start-up.
    pub fn add(&mut self, row: HmpRow, handler: F) {
        self.insert(HmpCommand {
            row,
            handler,
            sub: None,
        });
    }

    /// Adds a command with sub-commands, whose own handler runs when none is named.
    ///
    /// # Panics
    /// Like [`add`](Self::add).
    pub fn add_group(&mut self, row: HmpRow, handler: F, sub: HmpTable<F>) {
        self.insert(HmpCommand {
            row,
            handler,
            sub: Some(sub),
        });
    }

    fn insert(&mut self, mut command: HmpCommand<F>) {
        if let Some(sub) = &mut command.sub {
            sub.set_profile(self.profile);
        }
        self.by_name();
        if command.row.life.includes(self.profile) {
            if let Some(by_name) = self.by_name.get_mut() {
                enter(by_name, &command, self.commands.len());
            }
        }
        self.sorted.take();
        self.commands.push(command);
    }

    /// Has the table hold the commands of that QEMU, with all their sub-commands.
    pub fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
        self.by_name.take();
        self.sorted.take();
        let groups = self.commands.iter_mut();
        for sub in groups.filter_map(|command| command.sub.as_mut()) {
            sub.set_profile(profile);
        }
    }

    /// The commands of the profile, with their places.
    fn known(&self) -> impl Iterator<Item = (usize, &HmpCommand<F>)> {
        let all = self.commands.iter().enumerate();
        all.filter(|(_, command)| command.row.life.includes(self.profile))
    }

    /// The commands in order.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = &HmpCommand<F>> {
        let sorted = self.sorted.get_or_init(|| {
            // Whoever lists the commands has all names checked as well.
            self.by_name();
            let mut places: Vec<usize> = self.known().map(|(place, _)| place).collect();
            places.sort_by_key(|place| self.commands[*place].row.name);
            places
        });
        sorted.iter().map(|place| &self.commands[*place])
    }

    /// The command of this exact name or alias.
    pub fn find(&self, name: &[u8]) -> Option<&HmpCommand<F>> {
        let place = *self.by_name().get(name)?;
        self.commands.get(place)
    }

    /// The sub-commands of a command, to add more: `table.sub_mut("info")`.
    pub fn sub_mut(&mut self, name: &str) -> Option<&mut HmpTable<F>> {
        let mut commands = self.commands.iter_mut();
        let command = commands.find(|c| c.row.aliases().any(|alias| alias == name))?;
        command.sub.as_mut()
    }

    fn by_name(&self) -> &HashMap<&'static [u8], usize, FoldHash> {
        self.by_name.get_or_init(|| {
            let mut by_name = HashMap::default();
            for (place, command) in self.known() {
                enter(&mut by_name, command, place);
            }
            by_name
        })
    }
}

/// Enters the names of a command.
fn enter<F: Copy>(
    by_name: &mut HashMap<&'static [u8], usize, FoldHash>,
    command: &HmpCommand<F>,
    place: usize,
) {
    for alias in command.row.aliases() {
        let taken = by_name.insert(alias.as_bytes(), place);
        assert!(
            taken.is_none(),
            "HMP command '{alias}' is already registered"
        );
    }
}

/// Adds rows with their handlers.
///
/// # Panics
/// If a name is taken, but only when a command is added, looked up or listed next.
impl<F: Copy> Extend<(HmpRow, F)> for HmpTable<F> {
    fn extend<I: IntoIterator<Item = (HmpRow, F)>>(&mut self, pairs: I) {
        self.by_name.take();
        self.sorted.take();
        let commands = pairs.into_iter().map(|(row, handler)| HmpCommand {
            row,
            handler,
            sub: None,
        });
        self.commands.extend(commands);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sorted_by_full_name() {
        let mut table = HmpTable::new();
        for name in ["stop|s", "stopcapture", "cont|c", "info"] {
            table.add(HmpRow::new(name, "", ""), name);
        }
        let names: Vec<_> = table.commands().map(|c| c.handler).collect();
        assert_eq!(names, ["cont|c", "info", "stopcapture", "stop|s"]);
    }

    #[test]
    fn names_are_exact() {
        let mut table = HmpTable::new();
        table.add(HmpRow::new("help|?", "", ""), ());
        assert!(table.find(b"help").is_some());
        assert!(table.find(b"?").is_some());
        for name in ["", "hel", "help|?", "Help", "|"] {
            assert!(table.find(name.as_bytes()).is_none(), "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "HMP command 's' is already registered")]
    fn a_name_is_taken_once() {
        let mut table = HmpTable::new();
        table.add(HmpRow::new("stop|s", "", ""), ());
        table.add(HmpRow::new("step|s", "", ""), ());
    }

    #[test]
    #[should_panic(expected = "HMP command 's' is already registered")]
    fn a_name_in_two_lists_is_found_on_first_use() {
        let mut table = HmpTable::new();
        table.extend([(HmpRow::new("stop|s", "", ""), ())]);
        table.extend([(HmpRow::new("step|s", "", ""), ())]);
        table.find(b"cont");
    }

    #[test]
    fn rows_that_come_later_are_found_and_sorted() {
        let mut table = HmpTable::new();
        table.add(HmpRow::new("stop|s", "", ""), 1);
        assert!(table.find(b"cont").is_none());
        assert_eq!(table.commands().len(), 1);
        table.extend([(HmpRow::new("cont|c", "", ""), 2)]);
        assert_eq!(table.find(b"c").map(|c| c.handler), Some(2));
        table.add(HmpRow::new("info", "", ""), 3);
        assert_eq!(table.find(b"s").map(|c| c.handler), Some(1));
        let order: Vec<_> = table.commands().map(|c| c.handler).collect();
        assert_eq!(order, [2, 3, 1]);
    }
}
