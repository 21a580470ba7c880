//! What of the machine goes along, whether it fits at the other side, and how the other side
//! takes it.

use super::ledger::PAGE;
use super::stream::{self, Section};
use super::{Asks, Loading, StreamError};
use crate::model::qom::ObjectId;
use crate::model::Machine;
use crate::schema::{MigrationCapability, RunState};
use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::{QDict, QNum, QObject};

impl Machine {
    /// What must be the same on both sides.
    pub(crate) fn configuration(&self, return_path: bool) -> QDict {
        let mut options = QDict::new();
        options.insert("uuid", self.uuid.to_string());
        options.insert("return-path", return_path);
        let on = self.migration.settings.in_the_stream();
        let names = on.map(|cap| QObject::from(cap.as_str()));
        options.insert("capabilities", names.collect::<Vec<_>>());
        options
    }

    /// Bytes of memory that the simulated guest writes in a second.
    pub(crate) fn simulated_dirty_rate(&self) -> u64 {
        if self.run.is_running() {
            self.migration.dirty_rate
        } else {
            0
        }
    }

    /// Compares it with another's.
    fn check_configuration(&self, machine_type: &str, options: &QDict) -> Result<(), StreamError> {
        let local = self.class.name;
        if machine_type != local {
            return Err(StreamError::invalid(format!(
                "Machine type received is '{machine_type}' and local is '{local}'"
            )));
        }
        let settings = &self.migration.settings;
        settings.check_received(options.get("capabilities"))?;
        let (uuid, local) = (options.get_str("uuid"), self.uuid.to_string());
        if settings.has(MigrationCapability::ValidateUuid) && uuid != Some(&local) {
            let uuid = uuid.unwrap_or_default();
            return Err(StreamError::invalid(format!(
                "UUID received is {uuid} and local is {local}"
            )));
        }
        Ok(())
    }

    /// The name of the memory in a stream, if there is some.
    pub(crate) fn memory_name(&self) -> Option<&str> {
        (self.ram_size() > 0).then(|| self.ram_name().unwrap_or("nodes"))
    }

    fn check_memory(&self, name: &str, content: &[u8]) -> Result<(), StreamError> {
        let size = number(content);
        let local = self.ram_size();
        if self.memory_name() != Some(name) {
            return Err(StreamError::invalid(format!(
                "Unknown ramblock \"{name}\", cannot accept migration"
            )));
        }
        if size != Some(local) {
            let size = size.unwrap_or_default();
            return Err(StreamError::invalid(format!(
                "Size mismatch: {name}: {size:#x} != {local:#x}"
            )));
        }
        Ok(())
    }

    /// Writes what has come behind its offset.
    fn load_pages(&mut self, name: &str, content: &[u8]) -> Result<(), StreamError> {
        let fits = self.memory_name() == Some(name);
        let written = content.split_at_checked(8).is_some_and(|(at, bytes)| {
            let at = number(at).unwrap_or(u64::MAX);
            fits && self.physical_memory_write(at, bytes)
        });
        if written {
            Ok(())
        } else {
            let what = format!("pages of '{name}' lie outside of the memory");
            Err(StreamError::invalid(what))
        }
    }

    /// Reads memory from `at` on, a few pages of it, and returns the address behind.
    pub(crate) fn pages_at(&self, at: u64, buffer: &mut Vec<u8>) -> u64 {
        let end = (at + 16 * PAGE).min(self.ram_size());
        buffer.clear();
        buffer.resize((end - at) as usize, 0);
        if !self.physical_memory_read(at, buffer) {
            buffer.fill(0);
        }
        end
    }

    /// The devices that have names, and these.
    fn named_devices(&self) -> Vec<(String, ObjectId)> {
        let peripheral = self.child(self.machine_object, "peripheral");
        let devices = peripheral.map(|container| self.children(container));
        let name = |(id, object): (&str, ObjectId)| {
            let class = self.object(object)?.class();
            Some((format!("{id}/{}", class.name), object))
        };
        devices.into_iter().flatten().filter_map(name).collect()
    }

    /// The states of devices, by names that are the same at the other side.
    pub(crate) fn device_states(&self) -> Vec<(String, QDict)> {
        let devices = self.named_devices().into_iter();
        devices
            .map(|(name, device)| (name, self.device_state(device)))
            .collect()
    }

    fn device_state(&self, device: ObjectId) -> QDict {
        let mut state = QDict::new();
        if self.is_tray_open(device) {
            state.insert("tray-open", true);
        }
        state
    }

    fn device_named(&self, name: &str) -> Option<ObjectId> {
        let mut devices = self.named_devices().into_iter();
        devices
            .find(|(other, _)| other == name)
            .map(|(_, device)| device)
    }

    /// Looks for the device of a state.
    fn check_device(&self, name: &str) -> Result<(), StreamError> {
        if self.device_named(name).is_some() {
            return Ok(());
        }
        Err(StreamError::invalid(format!(
            "Unknown savevm section or instance '{name}' 0. Make sure that your current VM \
             setup matches your saved VM setup, including any hotplugged devices"
        )))
    }

    /// Gives a device its state.
    fn load_device(&mut self, name: &str, state: &QDict) {
        let Some(device) = self.device_named(name) else {
            return;
        };
        let is_open = state.get("tray-open") == Some(&QObject::Bool(true));
        self.set_tray(device, is_open);
    }
}

impl Loading {
    /// Takes a section.
    ///
    /// # Errors
    ///
    /// It does not fit this machine.
    pub(crate) fn take(&mut self, m: &mut Machine, section: Section) -> Result<Asks, StreamError> {
        let Section {
            kind,
            name,
            content,
        } = section;
        match kind {
            stream::CONFIGURATION => {
                let options = dict(&name, &content)?;
                self.return_path = options.get("return-path") == Some(&QObject::Bool(true));
                m.check_configuration(&name, &options)?;
            }
            stream::MEMORY => m.check_memory(&name, &content)?,
            stream::PAGES => m.load_pages(&name, &content)?,
            stream::DEVICE => {
                m.check_device(&name)?;
                self.devices.push((name.clone(), dict(&name, &content)?));
            }
            stream::MACHINE => self.machine = dict(&name, &content)?,
            stream::POSTCOPY => return Ok(Asks::ToRun),
            stream::RESUME => return Ok(Asks::ToResume),
            _ => {}
        }
        Ok(Asks::Nothing)
    }

    /// Gives the machine what has come. Returns the state that it had at the other side, and
    /// its virtual time.
    ///
    /// # Errors
    ///
    /// The state is unknown.
    pub(crate) fn finish(&mut self, m: &mut Machine) -> Result<(RunState, i64), StreamError> {
        let state = self.machine.get_str("runstate").unwrap_or_default();
        let known = state.parse::<RunState>();
        let unknown = |_| StreamError::invalid(format!("Unknown run state '{state}'"));
        let state = known.map_err(unknown)?;
        for (name, state) in std::mem::take(&mut self.devices) {
            m.load_device(&name, &state);
        }
        let clock = match self.machine.get("clock") {
            Some(QObject::Num(QNum::I64(ns))) => *ns,
            _ => 0,
        };
        Ok((state, clock))
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

fn dict(name: &str, content: &[u8]) -> Result<QDict, StreamError> {
    match qobject_from_json(content) {
        Ok(QObject::Dict(dict)) => Ok(dict),
        _ => Err(StreamError::invalid(format!(
            "the state of '{name}' is not an object"
        ))),
    }
}
