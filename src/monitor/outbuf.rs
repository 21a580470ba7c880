//! Output that a monitor's client has not taken yet.

/// The capacity that an empty buffer may keep. There can be thousands of idle
/// sessions.
const IDLE_CAPACITY: usize = 4096;

/// Empties a buffer, and gives its memory back if it had grown.
#[inline]
pub(crate) fn clear_buffer(buffer: &mut Vec<u8>) {
    if buffer.capacity() > IDLE_CAPACITY {
        *buffer = Vec::new();
    } else {
        buffer.clear();
    }
}

/// Bytes waiting to be written, in order.
#[derive(Debug, Default)]
pub struct OutBuf {
    data: Vec<u8>,
    /// Everything before this was written.
    sent: usize,
}

impl OutBuf {
    /// Bytes not yet written.
    #[inline]
    pub fn unsent(&self) -> &[u8] {
        &self.data[self.sent..]
    }

    /// Appends bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.vec_mut().extend_from_slice(bytes);
    }

    /// The buffer itself, to append to. It is empty if nothing waits.
    #[inline]
    pub fn vec_mut(&mut self) -> &mut Vec<u8> {
        if self.sent > 0 {
            self.drop_sent();
        }
        &mut self.data
    }

    /// What was written is removed only before something comes behind it: a large
    /// reply leaves in many pieces, and none of them moves the rest. Moving at most
    /// half of the bytes keeps the cost per byte constant.
    fn drop_sent(&mut self) {
        if self.sent >= self.data.len() / 2 {
            self.data.drain(..self.sent);
            self.sent = 0;
        }
    }

    /// Notes that `n` bytes were written.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        self.sent += n;
        debug_assert!(self.sent <= self.data.len());
        if self.sent == self.data.len() {
            self.clear();
        }
    }

    /// Drops everything, as when the client has gone.
    pub fn clear(&mut self) {
        self.sent = 0;
        clear_buffer(&mut self.data);
    }

    /// Puts bytes that were taken out with [`std::mem::take`] back in front of
    /// what has come since.
    #[inline]
    pub fn put_back(&mut self, mut earlier: OutBuf) {
        if !self.unsent().is_empty() {
            earlier.push(self.unsent());
        }
        *self = earlier;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_writes_keep_the_order_and_release_memory() {
        let mut b = OutBuf::default();
        b.push(&vec![b'a'; 100_000]);
        b.advance(10);
        assert_eq!(b.unsent().len(), 99_990);
        b.advance(60_000);
        assert_eq!(b.unsent().len(), 39_990);
        b.push(b"b");
        assert_eq!((b.unsent().len(), b.data.len()), (39_991, 39_991));
        assert_eq!(b.unsent().last(), Some(&b'b'));
        b.advance(39_991);
        assert!(b.unsent().is_empty());
        assert_eq!(b.vec_mut().capacity(), 0);
    }

    #[test]
    fn what_comes_during_a_write_goes_behind_what_is_left_of_it() {
        let mut b = OutBuf::default();
        b.push(b"first");
        let mut taken = std::mem::take(&mut b);
        b.push(b" second");
        taken.advance(2);
        b.put_back(taken);
        assert_eq!(b.unsent(), b"rst second");
    }
}
