//! The keyboard of a PC behind its two ports: bytes wait in a queue until someone reads them.

use std::collections::VecDeque;

/// How many bytes can wait.
const ROOM: usize = 16;

/// The register of the state: the lock is open, and the last write was a command.
const STATUS: u8 = 0x18;
const FULL: u8 = 1;

/// The bytes of the keyboard.
#[derive(Debug, Default)]
pub(crate) struct Ps2 {
    waiting: VecDeque<u8>,
    /// What was read last is read again while nothing waits.
    last: u8,
}

impl Ps2 {
    /// Sends the codes of a key; all are lost if there is no room for all.
    pub(crate) fn send(&mut self, codes: &[u8]) {
        if self.waiting.len() + codes.len() <= ROOM {
            self.waiting.extend(codes);
        }
    }

    /// The register of the state.
    pub(crate) fn status(&self) -> u8 {
        STATUS | if self.waiting.is_empty() { 0 } else { FULL }
    }

    /// The register of the data.
    pub(crate) fn read(&mut self) -> u8 {
        if let Some(byte) = self.waiting.pop_front() {
            self.last = byte;
        }
        self.last
    }

    /// Forgets all.
    pub(crate) fn reset(&mut self) {
        *self = Ps2::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_room_is_lost_as_a_whole() {
        let mut ps2 = Ps2::default();
        assert_eq!((ps2.status(), ps2.read()), (0x18, 0));
        ps2.send(&[1; 15]);
        ps2.send(&[2, 3]);
        ps2.send(&[4]);
        assert_eq!(ps2.status(), 0x19);
        let bytes: Vec<u8> = (0..17).map(|_| ps2.read()).collect();
        assert_eq!(bytes, [&[1; 15][..], &[4, 4]].concat());
        assert_eq!(ps2.status(), 0x18);
    }
}
