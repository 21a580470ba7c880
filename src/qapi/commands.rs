//! Commands, and the table that finds them by name.

use std::fmt;

use super::{Call, Error, Profile, RawResponder, SpecialFeatures};

/// Properties of a command that its schema declares (`QmpCommandOptions`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QmpCommandOptions {
    /// `success-response: false`: nothing is sent on success.
    pub no_success_response: bool,
    /// `allow-oob`: may run out of band.
    pub allow_oob: bool,
    /// `allow-preconfig`: may run before the machine exists.
    pub allow_preconfig: bool,
    /// `coroutine`: answers later. Its generated marshalling is
    /// [`QmpCommandFunc::Deferred`].
    pub coroutine: bool,
}

impl QmpCommandOptions {
    /// None of the properties.
    pub const NONE: Self = QmpCommandOptions {
        no_success_response: false,
        allow_oob: false,
        allow_preconfig: false,
        coroutine: false,
    };
}

/// The function that executes a command in a context `C`, usually the runtime.
pub enum QmpCommandFunc<C: 'static> {
    /// Answers before it returns.
    Immediate(fn(&mut C, &mut Call<'_>) -> Result<(), Error>),
    /// Answers through the responder, now or later; writes nothing to the
    /// [`Call`].
    Deferred(fn(&mut C, &mut Call<'_>, RawResponder)),
}

/// A command (`QmpCommand`). It is cheap to copy, so the table need not stay
/// borrowed while the command runs.
pub struct QmpCommand<C: 'static> {
    /// The name clients call it by.
    pub name: &'static str,
    /// The properties that its schema declares.
    pub options: QmpCommandOptions,
    /// Whether it is deprecated or unstable.
    pub features: SpecialFeatures,
    /// The function that executes it.
    pub func: QmpCommandFunc<C>,
}

// Derived implementations would require the same traits of `C`.
impl<C> Clone for QmpCommandFunc<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for QmpCommandFunc<C> {}

impl<C> Clone for QmpCommand<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for QmpCommand<C> {}

impl<C> fmt::Debug for QmpCommand<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QmpCommand")
            .field("name", &self.name)
            .field("options", &self.options)
            .field("features", &self.features)
            .finish_non_exhaustive()
    }
}

/// A command that was found by name, to find again without searching.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommandKey {
    position: usize,
    name: &'static str,
}

impl CommandKey {
    /// The command's name.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }
}

/// The commands a client may call (`QmpCommandList`).
#[derive(Debug)]
pub struct QmpCommandList<C: 'static> {
    commands: Vec<QmpCommand<C>>,
    /// Positions by name, plus one; 0 is vacant. The length is a power of two, and at
    /// most half is used. Why no map of std's: a request looks one name up, and this
    /// takes a third of the instructions.
    by_name: Vec<u32>,
    /// Commands of other profiles are not found.
    profile: Profile,
}

/// A multiplicative hash of a name's first and last eight bytes and its length. The
/// names come from the program's own schemas, so a client cannot choose them to
/// collide.
#[inline]
fn hash(name: &[u8]) -> usize {
    let word = |chunk: Option<&[u8; 8]>| chunk.map(|bytes| u64::from_le_bytes(*bytes));
    let (first, last) = match (word(name.first_chunk()), word(name.last_chunk())) {
        (Some(first), Some(last)) => (first, last),
        _ => (0, name.iter().fold(0, |word, &b| word << 8 | u64::from(b))),
    };
    let mixed = first ^ last.rotate_left(23) ^ name.len() as u64;
    let hash = mixed.wrapping_mul(0x517c_c1b7_2722_0a95);
    (hash ^ hash >> 32) as usize
}

impl<C> Default for QmpCommandList<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C> QmpCommandList<C> {
    /// An empty list.
    pub fn new() -> Self {
        QmpCommandList {
            commands: Vec::new(),
            by_name: Vec::new(),
            profile: Profile::default(),
        }
    }

    /// Sets which QEMU's commands there are.
    pub(crate) fn set_profile(&mut self, profile: Profile) {
        self.profile = profile;
    }

    /// Adds a command (`qmp_register_command`).
    ///
    /// # Panics
    ///
    /// Panics if the name is registered already: two schemas declare it. No client
    /// can cause this.
    pub fn register(&mut self, command: QmpCommand<C>) {
        if self.is_full() {
            self.reserve(1);
        }
        self.commands.push(command);
        self.index(self.commands.len() - 1);
    }

    /// Makes room for so many more commands: a program starts sooner if it need not grow.
    pub fn reserve(&mut self, more: usize) {
        self.commands.reserve(more);
        self.index_all(more);
    }

    /// Whether one more command would fill over half of the places.
    fn is_full(&self) -> bool {
        (self.commands.len() + 1) * 2 > self.by_name.len()
    }

    /// Enters all commands anew, with room for so many more.
    fn index_all(&mut self, more: usize) {
        let slots = ((self.commands.len() + more) * 4).next_power_of_two();
        self.by_name = vec![0; slots];
        for position in 0..self.commands.len() {
            self.index(position);
        }
    }

    /// Enters a command, whose name must not be there.
    fn index(&mut self, position: usize) {
        let name = self.commands[position].name;
        match self.place(name.as_bytes()) {
            Some((at, 0)) => self.by_name[at] = position as u32 + 1,
            _ => panic!("command '{name}' is registered twice"),
        }
    }

    /// The position of the command of that name.
    #[inline]
    fn position(&self, name: &[u8]) -> Option<usize> {
        let (_, entry) = self.place(name)?;
        Some(entry.checked_sub(1)? as usize)
    }

    /// The place of that name in the table, and what is there: zero if there is no such
    /// command. Only an empty table has no place.
    #[inline]
    fn place(&self, name: &[u8]) -> Option<(usize, u32)> {
        let mask = self.by_name.len().wrapping_sub(1);
        let mut at = hash(name) & mask;
        loop {
            let entry = *self.by_name.get(at)?;
            let Some(position) = entry.checked_sub(1) else {
                return Some((at, 0));
            };
            if self.commands.get(position as usize)?.name.as_bytes() == name {
                return Some((at, entry));
            }
            at = (at + 1) & mask;
        }
    }

    /// Replaces the function of a registered command.
    pub(crate) fn set_func(&mut self, name: &str, func: QmpCommandFunc<C>) {
        if let Some(position) = self.position(name.as_bytes()) {
            self.commands[position].func = func;
        }
    }

    /// Removes the commands for which `keep` returns false. For clients they do not
    /// exist.
    ///
    /// ```
    /// # let mut rt = qmonitor::Runtime::new(()).unwrap();
    /// rt.commands_mut().retain(|command| command.name != "add-fd");
    /// assert!(rt.commands_mut().get("add-fd").is_none());
    /// assert!(rt.commands_mut().get("quit").is_some());
    /// ```
    pub fn retain(&mut self, keep: impl FnMut(&QmpCommand<C>) -> bool) {
        self.commands.retain(keep);
        self.index_all(0);
    }

    /// The command of that name (`qmp_find_command`).
    pub fn get(&self, name: &str) -> Option<QmpCommand<C>> {
        self.find(name).copied()
    }

    pub(super) fn find(&self, name: &str) -> Option<&QmpCommand<C>> {
        let command = self.commands.get(self.position(name.as_bytes())?)?;
        self.has(command).then_some(command)
    }

    #[inline]
    fn has(&self, command: &QmpCommand<C>) -> bool {
        command.features.life.includes(self.profile)
    }

    /// The key of the command of that name.
    #[inline]
    pub(crate) fn key(&self, name: &[u8]) -> Option<CommandKey> {
        let position = self.position(name)?;
        let command = self.commands.get(position)?;
        let name = command.name;
        self.has(command).then_some(CommandKey { position, name })
    }

    /// The command of that key. It is searched for by name if commands were taken
    /// away, or if the key is another list's.
    #[inline]
    pub(super) fn by_key(&self, key: CommandKey) -> Option<&QmpCommand<C>> {
        match self.commands.get(key.position) {
            Some(command) if std::ptr::eq(command.name, key.name) => Some(command),
            _ => self.find(key.name),
        }
    }

    /// All commands in order of registration (`qmp_for_each_command`).
    /// `query-commands` lists them backwards.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &QmpCommand<C>> {
        self.commands.iter().filter(|command| self.has(command))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::qapi::dispatch::{qmp_find_known_command, DispatchEnv};

    /// A command that does nothing.
    pub(in crate::qapi) fn command(
        name: &'static str,
        options: QmpCommandOptions,
    ) -> QmpCommand<()> {
        QmpCommand {
            name,
            options,
            features: SpecialFeatures::NONE,
            func: QmpCommandFunc::Immediate(|_, _| Ok(())),
        }
    }

    #[test]
    fn all_of_many_commands_are_found_and_no_other() {
        let names: Vec<&'static str> = (0..500)
            .map(|n| &*format!("{}-{n}", "command".repeat(n % 3)).leak())
            .collect();
        let mut list = QmpCommandList::new();
        assert!(list.get("").is_none());
        for (n, name) in names.iter().enumerate() {
            assert!(list.key(name.as_bytes()).is_none());
            list.register(command(name, QmpCommandOptions::NONE));
            assert_eq!(list.get(names[n / 2]).unwrap().name, names[n / 2]);
        }
        let keys: Vec<_> = names
            .iter()
            .map(|name| list.key(name.as_bytes()).unwrap())
            .collect();
        list.retain(|command| !command.name.ends_with('7'));
        for (name, key) in names.iter().zip(keys) {
            let kept = !name.ends_with('7');
            assert_eq!(list.get(name).is_some(), kept);
            let env = DispatchEnv::default();
            let found = qmp_find_known_command(&list, key, &env);
            assert_eq!(
                found.map(|command| command.name).ok(),
                kept.then_some(*name)
            );
        }
    }

    #[test]
    #[should_panic(expected = "command 'any' is registered twice")]
    fn a_name_can_be_registered_once() {
        let mut list = QmpCommandList::new();
        list.register(command("any", QmpCommandOptions::NONE));
        list.register(command("any", QmpCommandOptions::NONE));
    }
}
