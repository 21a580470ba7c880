//! A piece of a disk that a job copies as one, in parts that take a fraction of a millisecond.
//!
//! The limit of speed, errors and the progress count pieces, as in QEMU. The loop has other
//! work between the parts.

/// How much is copied at once.
const PART: u64 = 128 << 10;

/// A piece on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
    done: u64,
}

impl Piece {
    pub(super) fn new(offset: u64, length: u64) -> Self {
        Piece {
            offset,
            length,
            done: 0,
        }
    }

    /// The offset and length of the next part.
    pub(super) fn next(&self) -> (u64, u64) {
        let left = self.length - self.done;
        (self.offset + self.done, left.min(PART))
    }

    pub(super) fn advance(&mut self, length: u64) {
        self.done += length;
    }

    pub(super) fn advanced(mut self, length: u64) -> Self {
        self.advance(length);
        self
    }

    pub(super) fn is_done(&self) -> bool {
        self.done >= self.length
    }

    /// How many bytes of it were copied.
    pub(super) fn done(&self) -> u64 {
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_goes_in_parts() {
        let mut piece = Piece::new(512, PART + 512);
        assert_eq!(piece.next(), (512, PART));
        piece.advance(PART);
        assert_eq!(piece.next(), (512 + PART, 512));
        assert!(!piece.is_done());
        piece.advance(512);
        assert!(piece.is_done());
        assert_eq!(piece.done(), PART + 512);
    }
}
