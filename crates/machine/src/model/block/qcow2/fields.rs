//! Numbers in the tables of an image, which are big-endian.

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut number = [0; N];
    if let Some(part) = bytes.get(at..at + N) {
        number.copy_from_slice(part);
    }
    number
}

/// Numbers at a place; zero behind the end.
pub(super) fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(part(bytes, at))
}

#[allow(missing_docs)]
pub(super) fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(part(bytes, at))
}

#[allow(missing_docs)]
pub(super) fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(part(bytes, at))
}

/// A table of 64-bit numbers.
pub(super) fn table(bytes: &[u8]) -> Vec<u64> {
    (0..bytes.len() / 8).map(|i| be64(bytes, i * 8)).collect()
}

/// The bytes of a table of 64-bit numbers.
pub(super) fn table_bytes(table: &[u64]) -> Vec<u8> {
    table.iter().flat_map(|n| n.to_be_bytes()).collect()
}

/// A number as an index or a length in memory.
pub(super) fn to_index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
