//! The machine that the program `qmonitor` monitors: QEMU's `-machine none`,
//! reduced to what a monitor can see of it.
//!
//! It has run states ([`runstate`]), a tree of objects ([`qom`]) with the types
//! of objects that users make ([`objects`]), and memory ([`memory`]) in which
//! nothing ever happens, since there is no CPU. None of this knows of the
//! monitor: functions return results, and lists of what happened.
//!
//! An embedder leaves this module out (Cargo feature `machine`) and has a state
//! of their own in its place; this one shows how that is done.

pub mod memory;
pub mod objects;
pub mod qom;
pub mod runstate;
pub mod schema;

use objects::{CONTAINER, MEMORY_REGION, NONE_MACHINE, SYSTEM_BUS};
use qom::{ObjectId, Objects};
use runstate::{Actions, RunStates};

use crate::qapi::{CompatPolicy, Error, QDict, QObject};

/// How the machine shall be, as given on the command line.
#[derive(Debug, Clone, Default)]
pub struct MachineOptions {
    /// Its name (`-name`); empty is none.
    pub name: String,
    /// Its identifier (`-uuid`).
    pub uuid: Uuid,
    /// Its memory in bytes (`-m`); zero is none.
    pub ram_size: u64,
    /// Do not start it (`-S`).
    pub stopped: bool,
    /// Wait for `x-exit-preconfig` (`--preconfig`).
    pub preconfig: bool,
    /// What to do at certain events (`-action`, `-no-reboot`, `-no-shutdown`).
    pub actions: Actions,
}

/// The machine.
pub struct Machine {
    /// Its name; empty if it has none.
    pub name: String,
    /// Its identifier; zero if it has none.
    pub uuid: Uuid,
    /// What it is doing.
    pub run: RunStates,
    objects: Objects,
    root: ObjectId,
    machine_object: ObjectId,
    objects_container: ObjectId,
    chardevs_container: ObjectId,
}

impl Machine {
    /// A machine that is not started yet.
    ///
    /// # Errors
    ///
    /// There cannot be that much memory.
    pub fn new(options: MachineOptions) -> Result<Self, Error> {
        let mut objects = Objects::default();
        let root = objects.make(&CONTAINER);
        let mut m = Machine {
            name: options.name,
            uuid: options.uuid,
            run: RunStates::new(options.actions, !options.stopped, options.preconfig),
            objects,
            root,
            machine_object: root,
            objects_container: root,
            chardevs_container: root,
        };
        m.new_child(root, "backend", &CONTAINER);
        m.chardevs_container = m.new_child(root, "chardevs", &CONTAINER);
        m.objects_container = m.new_child(root, "objects", &CONTAINER);
        let machine = m.new_child(root, "machine", &NONE_MACHINE);
        m.machine_object = machine;
        m.new_child(machine, "peripheral-anon", &CONTAINER);
        m.new_child(machine, "peripheral", &CONTAINER);
        let unattached = m.new_child(machine, "unattached", &CONTAINER);
        m.new_child(unattached, "system[0]", &MEMORY_REGION);
        m.new_child(unattached, "io[0]", &MEMORY_REGION);
        m.new_child(unattached, "sysbus", &SYSTEM_BUS);
        if options.ram_size > 0 {
            m.create_default_memory(options.ram_size)?;
        }
        Ok(m)
    }

    /// Memory for those who gave only its size (`create_default_memdev`).
    fn create_default_memory(&mut self, size: u64) -> Result<(), Error> {
        let options: QDict = [
            ("qom-type", QObject::from("memory-backend-ram")),
            ("id", "ram".into()),
            ("size", size.into()),
        ]
        .into_iter()
        .collect();
        self.object_add(options, CompatPolicy::default())?;
        self.set_memory_backend("ram")
    }

    /// Makes an object the machine's memory (`-machine memory-backend=ID`).
    ///
    /// # Errors
    ///
    /// There is no such object, or it is no memory.
    pub fn set_memory_backend(&mut self, id: &str) -> Result<(), Error> {
        let input = qom::PropertyInput::text("memory-backend", id);
        self.property_set(self.machine_object, "memory-backend", &input)
    }
}

/// A universally unique identifier. Its text is 32 hexadecimal digits with
/// hyphens between (RFC 9562, section 4).
///
/// ```
/// use qmonitor::machine::Uuid;
///
/// let uuid: Uuid = "ABCDEF01-2345-6789-ABCD-EF0123456789".parse().unwrap();
/// assert_eq!(uuid.to_string(), "abcdef01-2345-6789-abcd-ef0123456789");
/// assert!("abcdef01".parse::<Uuid>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Uuid(pub [u8; 16]);

/// The text is no UUID.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseUuidError;

impl std::fmt::Display for ParseUuidError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a UUID")
    }
}

impl std::error::Error for ParseUuidError {}

impl std::fmt::Display for Uuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(ParseUuidError);
        }
        let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
        let mut uuid = [0; 16];
        let mut at = 0;
        for (i, byte) in uuid.iter_mut().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                if text[at] != b'-' {
                    return Err(ParseUuidError);
                }
                at += 1;
            }
            match (digit(text[at]), digit(text[at + 1])) {
                (Some(high), Some(low)) => *byte = high << 4 | low,
                _ => return Err(ParseUuidError),
            }
            at += 2;
        }
        Ok(Uuid(uuid))
    }
}
