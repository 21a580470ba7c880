//! The memory of a guest, as a dump reads it.

/// A page.
pub(crate) const PAGE: u64 = 4096;

/// What the writers of a dump ask. They are given this trait and not the machine, because
/// the machine owns the dump.
pub(crate) trait GuestMemory {
    /// How much memory there is, in bytes.
    fn size(&self) -> u64;

    /// The first address from `address` on where there may be something other than zero.
    fn next_data(&self, address: u64) -> Option<u64>;

    /// Reads memory; false if some of the addresses have none.
    fn read(&self, address: u64, buffer: &mut [u8]) -> bool;
}
