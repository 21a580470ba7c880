//! What of the machine goes along, and whether it fits at the other side.

use super::ledger::PAGE;
use super::StreamError;
use crate::model::qom::ObjectId;
use crate::model::Machine;
use crate::schema::MigrationCapability;
use qmonitor::qapi::{QDict, QObject};

impl Machine {
    /// What must be the same on both sides.
    pub(crate) fn configuration(&self, return_path: bool) -> QDict {
        let mut options = QDict::new();
        options.insert("uuid", self.uuid.to_string());
        options.insert("return-path", return_path);
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
    pub(super) fn check_configuration(
        &self,
        machine_type: &str,
        options: &QDict,
    ) -> Result<(), StreamError> {
        let local = self.class.name;
        if machine_type != local {
            return Err(StreamError::invalid(format!(
                "Machine type received is '{machine_type}' and local is '{local}'"
            )));
        }
        let settings = &self.migration.settings;
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

    pub(super) fn check_memory(&self, name: &str, content: &[u8]) -> Result<(), StreamError> {
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
    pub(super) fn load_pages(&mut self, name: &str, content: &[u8]) -> Result<(), StreamError> {
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
    pub(super) fn check_device(&self, name: &str) -> Result<(), StreamError> {
        if self.device_named(name).is_some() {
            return Ok(());
        }
        Err(StreamError::invalid(format!(
            "Unknown savevm section or instance '{name}' 0. Make sure that your current VM \
             setup matches your saved VM setup, including any hotplugged devices"
        )))
    }

    /// Gives a device its state.
    pub(super) fn load_device(&mut self, name: &str, state: &QDict) {
        let Some(device) = self.device_named(name) else {
            return;
        };
        let is_open = state.get("tray-open") == Some(&QObject::Bool(true));
        self.set_tray(device, is_open);
    }
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}
