//! The options of a machine, and making one: a tree without devices, its properties,
//! its memory. The board comes last ([`Machine::init_board`]).

use std::collections::{BTreeMap, HashMap};

use super::accel::Accel;
use super::backends::{CONTAINER, MEMORY_REGION, SYSTEM_BUS};
use super::block::Blocks;
use super::board::{MachineClass, Topology, NONE};
use super::cpu::FIRMWARE_TIME;
use super::dump::Dump;
use super::input_handlers::InputHandlers;
use super::jobs::Jobs;
use super::key_queue::KeyQueue;
use super::log::LogFile;
use super::machine::Machine;
use super::migration::Migration;
use super::net::Network;
use super::numa::NumaState;
use super::ps2::Ps2;
use super::qdev::HostParts;
use super::qom::{Objects, PropertyInput};
use super::qtest::QtestState;
use super::runstate::{Actions, RunStates};
use super::uuid::Uuid;
use qmonitor::qapi::{CompatPolicy, Error, QDict, QObject};
use qmonitor::Profile;

/// The machine that the command line asks for.
#[derive(Debug, Clone)]
pub struct MachineOptions {
    /// Which QEMU it behaves like (`-profile`).
    pub profile: Profile,
    /// Its type (`-machine`).
    pub class: &'static MachineClass,
    /// What would run its processors (`-accel`).
    pub accel: Accel,
    /// How its processors are arranged (`-smp`).
    pub topology: Topology,
    /// How many modules of memory can be plugged in, and how much memory there can be then, in
    /// bytes (`-m slots=,maxmem=`).
    pub memory_slots: u64,
    #[allow(missing_docs)]
    pub max_ram_size: u64,
    /// Its name (`-name`); may be empty.
    pub name: String,
    /// Its identifier (`-uuid`).
    pub uuid: Uuid,
    /// Do not start it (`-S`).
    pub stopped: bool,
    /// Wait for `x-exit-preconfig` (`--preconfig`).
    pub preconfig: bool,
    /// Wait for the state of another machine (`-incoming`).
    pub incoming: bool,
    /// The reactions to certain events (`-action`, `-no-reboot`, `-no-shutdown`).
    pub actions: Actions,
    /// Give threads names (`-name debug-threads=on`).
    pub debug_threads: bool,
}

impl Default for MachineOptions {
    fn default() -> Self {
        MachineOptions {
            profile: Profile::default(),
            class: &NONE,
            accel: Accel::default(),
            topology: Topology::default(),
            memory_slots: 0,
            max_ram_size: 0,
            name: String::new(),
            uuid: Uuid::default(),
            stopped: false,
            preconfig: false,
            incoming: false,
            actions: Actions::default(),
            debug_threads: false,
        }
    }
}

impl Machine {
    /// A machine without memory that is not started yet.
    pub fn new(options: MachineOptions) -> Self {
        let mut objects = Objects::default();
        let root = objects.make(&CONTAINER);
        let mut m = Machine {
            profile: options.profile,
            class: options.class,
            accel: options.accel,
            memory_slots: options.memory_slots,
            max_ram_size: options.max_ram_size,
            name: options.name,
            uuid: options.uuid,
            user_types: None,
            run: RunStates::new(options.actions, !options.stopped, options.preconfig),
            test_value: None,
            log: LogFile::default(),
            audiodevs: Vec::new(),
            host: HostParts::default(),
            jobs: Jobs::default(),
            job_turns: None,
            net: Network::default(),
            streams: HashMap::new(),
            datagrams: HashMap::new(),
            nics: HashMap::new(),
            numa: NumaState::default(),
            vnc: Vec::new(),
            input: InputHandlers::default(),
            keys: KeyQueue::default(),
            ps2: Ps2::default(),
            watchdog: None,
            migration: Migration::default(),
            dump: Dump::default(),
            topology: options.topology,
            cpus: BTreeMap::new(),
            current_cpus: HashMap::new(),
            warned: Vec::new(),
            cpu_type: None,
            debug_threads: options.debug_threads,
            firmware_time: FIRMWARE_TIME,
            devices_unattached: 0,
            devices_anonymous: 0,
            globals: Vec::new(),
            deletions: Vec::new(),
            deletion_timer: None,
            unplug_requests: Vec::new(),
            balloon: None,
            blocks: Blocks::default(),
            nbd: None,
            io_limits: HashMap::new(),
            snapshots: false,
            media: HashMap::new(),
            sync_profile: false,
            qtest: QtestState::default(),
            qtest_channel: None,
            frontends: HashMap::new(),
            monitors: HashMap::new(),
            objects,
            root,
            machine_object: root,
            objects_container: root,
            chardevs_container: root,
        };
        if options.incoming {
            m.run.wait_for_migration();
        }
        // In the order of QEMU, which lists show.
        m.chardevs_container = m.new_child(root, "chardevs", &CONTAINER);
        m.objects_container = m.new_child(root, "objects", &CONTAINER);
        let machine = m.new_child(root, "machine", &options.class.object);
        m.machine_object = machine;
        m.new_child(root, "backend", &CONTAINER);
        if m.profile.has_audiodevs_container() {
            m.new_child(root, "audiodevs", &CONTAINER);
        }
        m.new_child(machine, "peripheral-anon", &CONTAINER);
        m.new_child(machine, "peripheral", &CONTAINER);
        let unattached = m.new_child(machine, "unattached", &CONTAINER);
        m.new_child(unattached, "sysbus", &SYSTEM_BUS);
        m.new_child(unattached, "system[0]", &MEMORY_REGION);
        m.new_child(unattached, "io[0]", &MEMORY_REGION);
        m
    }

    /// Sets the properties of the machine's own object, from `-machine` and `-boot`.
    ///
    /// # Errors
    ///
    /// There is no such property, or it does not take the value.
    pub fn set_properties(&mut self, properties: &QDict, boot: QObject) -> Result<(), Error> {
        for (name, value) in properties.hashed() {
            // No property takes a dictionary.
            let text = value.as_str().unwrap_or_default();
            let input = PropertyInput::text(name, text);
            self.property_set(self.machine_object, name, &input)?;
        }
        self.store_by_name(self.machine_object, "boot", boot);
        Ok(())
    }

    /// Checks that no object of the user has the name that the machine's memory gets.
    ///
    /// # Errors
    ///
    /// One has.
    pub fn check_memory_id(&self, backend: Option<&str>) -> Result<(), Error> {
        let default = self.class.default_ram_id;
        let size = self.class.default_ram_size();
        if backend.is_some() || size.is_none() || self.user_object(default).is_none() {
            return Ok(());
        }
        let desc = format!(
            "object's id '{default}' is reserved for the default RAM backend, it can't be used \
             for any other purposes"
        );
        Err(Error::new(desc).with_hint(format!(
            "Change the object's 'id' to something else or disable automatic creation of the \
             default RAM backend by setting 'memory-backend={default}' with '-machine'.\n"
        )))
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
        let default = self.class.default_ram_id;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::qom::NoChardevs;

    #[test]
    fn memory_is_made_or_taken() {
        let mut m = Machine::new(MachineOptions::default());
        m.init_memory(None, None).unwrap();
        assert_eq!(m.ram_size(), 0);
        m.init_memory(Some(1 << 20), None).unwrap();
        assert_eq!(m.ram_size(), 1 << 20);
        let memory = |m: &Machine| {
            m.qom_get("/machine", "memory-backend", &NoChardevs)
                .unwrap()
        };
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
}
