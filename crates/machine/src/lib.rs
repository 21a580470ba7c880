//! The machine that the program `qmonitor` monitors: QEMU's, reduced to what a
//! monitor can see of it.
//!
//! Three rooms, each of which imports only from those below it:
//!
//! - [`system`]: the programs, from a command line to a running loop;
//! - [`commands`]: QMP and HMP commands, one file for each subsystem;
//! - [`model`]: the machine itself, which knows nothing of the monitor.
//!
//! An embedder does not need this package and has a state of their own in its
//! place; this one shows how that is done.

pub mod commands;
pub mod model;
pub mod schema;
mod sys;
pub mod system;

use std::collections::{BTreeMap, BTreeSet};

use commands::hmp_log;
use model::backends::{CONTAINER, MEMORY_REGION, SYSTEM_BUS};
use model::board::{MachineClass, Topology};
use model::qom::{ObjectId, Objects, PropertyInput};
use model::runstate::{Actions, RunStates};
use model::{block, board, migration, net, qdev};

use qmonitor::chardev::CharFrontend;
use qmonitor::main_loop::TimerId;
use qmonitor::monitor::MonitorId;
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};

/// How the machine shall be, as given on the command line.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// Its type (`-machine`).
    pub class: &'static MachineClass,
    /// How its processors are arranged (`-smp`).
    pub topology: Topology,
    /// Its name (`-name`); empty is none.
    pub name: String,
    /// Its identifier (`-uuid`).
    pub uuid: Uuid,
    /// Do not start it (`-S`).
    pub stopped: bool,
    /// Wait for `x-exit-preconfig` (`--preconfig`).
    pub preconfig: bool,
    /// What to do at certain events (`-action`, `-no-reboot`, `-no-shutdown`).
    pub actions: Actions,
    /// Give threads names (`-name debug-threads=on`).
    pub debug_threads: bool,
}

impl Default for MachineOptions {
    fn default() -> Self {
        MachineOptions {
            class: &board::NONE,
            topology: Topology::default(),
            name: String::new(),
            uuid: Uuid::default(),
            stopped: false,
            preconfig: false,
            actions: Actions::default(),
            debug_threads: false,
        }
    }
}

/// The machine.
pub struct Machine {
    /// Its type.
    pub class: &'static MachineClass,
    /// Its name; empty if it has none.
    pub name: String,
    /// Its identifier; zero if it has none.
    pub uuid: Uuid,
    /// The types of objects that users can make, if these are not all there are
    /// ([`model::backends::user_creatable_types`]).
    pub user_types: Option<&'static [&'static str]>,
    /// What it is doing.
    pub run: RunStates,
    /// What `qmp-test` was given last.
    pub test_value: Option<i64>,
    /// Where the log goes.
    log: hmp_log::LogFile,
    /// Its network back ends.
    pub net: net::Network,
    /// How it would be moved to another host.
    pub migration: migration::Migration,
    topology: Topology,
    /// The processors, by number, and the type that all have.
    cpus: BTreeMap<usize, ObjectId>,
    cpu_type: Option<&'static str>,
    debug_threads: bool,
    /// How many devices of the board, and of users who gave no id, there were.
    devices_unattached: usize,
    devices_anonymous: usize,
    /// Devices that were told to go.
    unplug_pending: BTreeSet<ObjectId>,
    /// Devices that went, until clients are told.
    deletions: Vec<qdev::Deletion>,
    deletion_timer: Option<TimerId>,
    balloon: Option<ObjectId>,
    /// What disks are made of, and how fast they may be.
    pub blocks: block::Blocks,
    io_limits: BTreeMap<ObjectId, block::IoLimits>,
    /// Whether `sync-profile` is on. There is only one thread, so it never
    /// finds anything.
    sync_profile: bool,
    /// The chardevs that objects use.
    frontends: BTreeMap<ObjectId, CharFrontend>,
    /// The monitors that objects stand for.
    monitors: BTreeMap<ObjectId, MonitorId>,
    objects: Objects,
    root: ObjectId,
    machine_object: ObjectId,
    objects_container: ObjectId,
    chardevs_container: ObjectId,
}

impl Machine {
    /// A machine without memory that is not started yet.
    pub fn new(options: MachineOptions) -> Self {
        let mut objects = Objects::default();
        let root = objects.make(&CONTAINER);
        let mut m = Machine {
            class: options.class,
            name: options.name,
            uuid: options.uuid,
            user_types: None,
            run: RunStates::new(options.actions, !options.stopped, options.preconfig),
            test_value: None,
            log: hmp_log::LogFile::default(),
            net: net::Network::default(),
            migration: migration::Migration::default(),
            topology: options.topology,
            cpus: BTreeMap::new(),
            cpu_type: None,
            debug_threads: options.debug_threads,
            devices_unattached: 0,
            devices_anonymous: 0,
            unplug_pending: BTreeSet::new(),
            deletions: Vec::new(),
            deletion_timer: None,
            balloon: None,
            blocks: block::Blocks::default(),
            io_limits: BTreeMap::new(),
            sync_profile: false,
            frontends: BTreeMap::new(),
            monitors: BTreeMap::new(),
            objects,
            root,
            machine_object: root,
            objects_container: root,
            chardevs_container: root,
        };
        // The order in which QEMU makes them, which listings depend on.
        m.chardevs_container = m.new_child(root, "chardevs", &CONTAINER);
        m.objects_container = m.new_child(root, "objects", &CONTAINER);
        let machine = m.new_child(root, "machine", &options.class.object);
        m.machine_object = machine;
        m.new_child(root, "backend", &CONTAINER);
        m.new_child(machine, "peripheral-anon", &CONTAINER);
        m.new_child(machine, "peripheral", &CONTAINER);
        let unattached = m.new_child(machine, "unattached", &CONTAINER);
        m.new_child(unattached, "sysbus", &SYSTEM_BUS);
        m.new_child(unattached, "system[0]", &MEMORY_REGION);
        m.new_child(unattached, "io[0]", &MEMORY_REGION);
        m
    }

    /// Sets what `-machine` and `-boot` say of the machine's own object.
    ///
    /// # Errors
    ///
    /// It has no such property, or not with such a value.
    pub fn set_properties(&mut self, properties: &QDict, boot: QObject) -> Result<(), Error> {
        for (name, value) in properties.iter() {
            // Nested ones are none of those that there are.
            let text = value.as_str().unwrap_or_default();
            let input = PropertyInput::text(name, text);
            self.property_set(self.machine_object, name, &input)?;
        }
        self.store_by_name(self.machine_object, "boot", boot);
        Ok(())
    }

    /// Gives the machine its memory, once the objects of the command line
    /// exist: either an object (`-machine memory-backend=ID`), or a new one if
    /// only a size is given (`-m`), or the type of machine has memory anyway.
    ///
    /// # Errors
    ///
    /// There is no such object, it does not have the size that is given, or
    /// there cannot be that much memory.
    pub fn init_memory(&mut self, size: Option<u64>, backend: Option<&str>) -> Result<(), Error> {
        let default = self.class.default_ram_id();
        let backend = match (backend, size.or(self.class.default_ram_size())) {
            (Some(backend), _) => backend,
            (None, None | Some(0)) => return Ok(()),
            (None, Some(size)) => {
                let options: QDict = [
                    ("qom-type", QObject::from("memory-backend-ram")),
                    ("id", default.into()),
                    ("size", size.into()),
                ]
                .into_iter()
                .collect();
                self.object_add(options, CompatPolicy::default())?;
                default
            }
        };
        let object = self.user_object(backend);
        let Some(has) = object.and_then(|id| self.backend_size(id)) else {
            return Err(Error::new(format!("Memory backend '{backend}' not found")));
        };
        if size.is_some_and(|size| size != has) {
            return Err(Error::new(
                "Machine memory size does not match the size of the memory backend",
            ));
        }
        let input = PropertyInput::text("memory-backend", backend);
        self.property_set(self.machine_object, "memory-backend", &input)
    }
}

/// A universally unique identifier. Its text is 32 hexadecimal digits with
/// hyphens between (RFC 9562, section 4).
///
/// ```
/// use qmonitor_machine::Uuid;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_made_or_taken() {
        let mut m = Machine::new(MachineOptions::default());
        m.init_memory(None, None).unwrap();
        assert_eq!(m.ram_size(), 0);
        m.init_memory(Some(1 << 20), None).unwrap();
        assert_eq!(m.ram_size(), 1 << 20);
        let memory = |m: &Machine| m.qom_get("/machine", "memory-backend", &[]).unwrap();
        assert_eq!(memory(&m), "/objects/ram".into());

        let mut m = Machine::new(MachineOptions::default());
        let options: QDict = [
            ("qom-type", QObject::from("memory-backend-ram")),
            ("id", "r".into()),
            ("size", 65536.into()),
        ]
        .into_iter()
        .collect();
        m.object_add(options, CompatPolicy::default()).unwrap();
        for (size, backend, expected) in [
            (None, "nope", "Memory backend 'nope' not found"),
            (
                Some(1),
                "r",
                "Machine memory size does not match the size of the memory backend",
            ),
        ] {
            let error = m.init_memory(size, Some(backend)).unwrap_err();
            assert_eq!(error.desc(), expected);
        }
        m.init_memory(Some(65536), Some("r")).unwrap();
        assert_eq!(memory(&m), "/objects/r".into());
    }

    #[test]
    fn uuids_are_written_one_way_only() {
        let good = "12345678-9abc-def0-1234-56789abcdef0";
        assert_eq!(good.parse::<Uuid>().unwrap().to_string(), good);
        assert_eq!(
            Uuid::default().to_string(),
            "00000000-0000-0000-0000-000000000000"
        );
        for bad in [
            "",
            "12345678-9abc-def0-1234-56789abcdef",
            "123456789-abc-def0-1234-56789abcdef0",
            "12345678-9abc-def0-1234-56789abcdeg0",
            "+2345678-9abc-def0-1234-56789abcdef0",
        ] {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }
}
