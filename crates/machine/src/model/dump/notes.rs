//! The notes of a dump: the registers of each processor, which are those after a reset, since
//! nothing runs.

/// A processor after a reset.
const EIP: u64 = 0xfff0;
const CS: u64 = 0xf000;
const EFLAGS: u64 = 2;
const CR0: u64 = 0x6000_0010;

/// The notes of so many processors.
pub(crate) fn notes(cpus: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for number in 1..=cpus {
        note(&mut out, "CORE", 1, &prstatus(number as u32));
    }
    for _ in 0..cpus {
        note(&mut out, "QEMU", 0, &qemu_state());
    }
    out
}

fn note(out: &mut Vec<u8>, name: &str, kind: u32, content: &[u8]) {
    let name_length = name.len() as u32 + 1;
    for word in [name_length, content.len() as u32, kind] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    pad(out, name.as_bytes(), 8);
    pad(out, content, content.len().next_multiple_of(4));
}

fn pad(out: &mut Vec<u8>, bytes: &[u8], length: usize) {
    out.extend_from_slice(bytes);
    out.resize(out.len() + length - bytes.len(), 0);
}

/// The structure `elf_prstatus` of 32-bit x86.
fn prstatus(pid: u32) -> [u8; 0x90] {
    let mut out = [0; 0x90];
    let mut put = |at: usize, word: u64| {
        out[at..at + 4].copy_from_slice(&(word as u32).to_le_bytes());
    };
    put(24, pid.into());
    let registers = 72;
    put(registers + 48, EIP);
    put(registers + 52, CS);
    put(registers + 56, EFLAGS);
    out
}

/// QEMU's own note: version and size, 16 registers, rip, rflags, ten segments, five control
/// registers, the base of the kernel's gs.
fn qemu_state() -> Vec<u8> {
    const SIZE: u32 = 0x1b8;
    let mut out = Vec::new();
    out.extend_from_slice(&1u32.to_le_bytes());
    out.extend_from_slice(&SIZE.to_le_bytes());
    out.extend_from_slice(&[0; 16 * 8]);
    out.extend_from_slice(&EIP.to_le_bytes());
    out.extend_from_slice(&EFLAGS.to_le_bytes());
    let data = (0, 0x9300, 0);
    let segments = [
        (CS as u32, 0x9b00, 0xffff_0000u64),
        data,
        data,
        data,
        data,
        data,
        (0, 0x8200, 0),
        (0, 0x8b00, 0),
        (0, 0, 0),
        (0, 0, 0),
    ];
    for (selector, flags, base) in segments {
        for word in [selector, 0xffff, flags, 0] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&base.to_le_bytes());
    }
    for register in [CR0, 0, 0, 0, 0, 0] {
        out.extend_from_slice(&register.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_notes_for_each_processor() {
        assert!(notes(0).is_empty());
        assert_eq!(notes(1).len(), 0x270);
        assert_eq!(notes(3).len(), 3 * 0x270);
        assert_eq!(qemu_state().len(), 0x1b8);
    }
}
