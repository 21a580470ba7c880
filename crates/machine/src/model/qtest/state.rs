//! What a test has done to the machine from outside.

use std::collections::HashMap;

use crate::model::qom::ObjectId;

/// The state of the protocol.
#[derive(Debug, Default)]
pub struct QtestState {
    /// The device whose interrupts are told to the test.
    pub(super) intercepted: Option<Intercepted>,
    /// The levels of inputs that the test has set.
    pub(super) levels: HashMap<(ObjectId, String, u64), bool>,
    pub(super) pci: PciConfig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Intercepted {
    pub(super) device: ObjectId,
    pub(super) inputs: bool,
}

/// The function and register that were chosen, and what was written to registers.
#[derive(Debug, Default)]
pub(crate) struct PciConfig {
    pub(super) address: u32,
    pub(super) written: HashMap<(ObjectId, u32), u32>,
}

impl PciConfig {
    /// The address register.
    pub(super) fn address(&self) -> u32 {
        self.address
    }

    pub(super) fn set_address(&mut self, address: u32) {
        self.address = address;
    }

    /// Whether a register is chosen at all.
    pub(super) fn is_enabled(&self) -> bool {
        self.address & 1 << 31 != 0
    }

    pub(super) fn register(&self) -> u32 {
        self.address & 0xfc
    }
}
