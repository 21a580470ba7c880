//! Makes the objects of a board: memory, processors, devices that carry buses.

use super::{Place, Topology};
use crate::model::cpu::models::find_model;
use crate::model::cpu::CpuOption;
use crate::model::qdev::wiring::first_devices;
use crate::model::Machine;
use qmonitor::qapi::Error;

/// A place for a processor (`HotpluggableCPU`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuSlot {
    /// The type of the processor that goes there.
    pub typename: &'static str,
    /// Where it is.
    pub place: Place,
    /// The node that it belongs to.
    pub node: Option<u16>,
    /// Path of the processor that is there.
    pub path: Option<String>,
}

impl Machine {
    /// Makes the board's processors.
    ///
    /// # Errors
    ///
    /// A processor cannot be made.
    pub fn init_processors(
        &mut self,
        cpu: Option<CpuOption>,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        let find = |name| find_model(self.profile, name);
        let default = self.class.default_cpu_model().and_then(find);
        let Some(cpu) = cpu.or(default.map(CpuOption::new)) else {
            return Ok(());
        };
        self.add_fixed(first_devices(self.class.family))?;
        let count = self.topology.cpus as usize;
        for index in 0..count {
            self.cpu_create(&cpu, index, warnings)?;
            if index == 0 && self.has_interrupt_helper() {
                self.add_kvmvapic();
            }
        }
        self.cpu_type = Some(cpu.model.object.name);
        self.apply_globals_to_board()
    }

    /// The helper comes with processors that have a controller of interrupts.
    fn has_interrupt_helper(&self) -> bool {
        let first = self.cpus.get(&0);
        self.class.is_pc() && first.is_some_and(|id| self.bool_property(*id, "apic"))
    }

    /// Makes the board's processors, and all of its devices that no option changes.
    ///
    /// # Errors
    ///
    /// A processor cannot be made, or a value for all devices of a type is wrong.
    pub fn init_board(
        &mut self,
        cpu: Option<CpuOption>,
        warnings: &mut Vec<Error>,
    ) -> Result<(), Error> {
        self.init_processors(cpu, warnings)?;
        self.add_fixed_devices()
    }

    /// How the processors are arranged.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The places for processors, the last one first, as QEMU lists them.
    ///
    /// # Errors
    ///
    /// Processors cannot be plugged into the machine.
    pub fn cpu_slots(&self) -> Result<Vec<CpuSlot>, Error> {
        let typename = self
            .cpu_type
            .filter(|_| self.class.has_hotpluggable_cpus())
            .ok_or_else(|| Error::new("machine does not support hot-plugging CPUs"))?;
        let slots = (0..self.topology.max_cpus as usize).rev();
        // In QEMU the processors are not there until the machine is.
        let configured = !self.run.is_preconfig();
        let placed = |index| self.cpus.get(&index).filter(|_| configured);
        let slot = |index| CpuSlot {
            typename,
            place: self.topology.place(index),
            node: self.numa.node_of_cpu(index),
            path: placed(index).map(|id| self.canonical_path(*id)),
        };
        Ok(slots.map(slot).collect())
    }
}
