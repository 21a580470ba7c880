//! A client that reads badly, or leaves.

use qmonitor::chardev::{Chardev, ChardevHost};

use super::Session;

impl<S> Session<S> {
    /// Has the client read so many more bytes and then nothing, until [`read_on`](Self::read_on).
    pub fn stop_reading(&mut self, after: usize) {
        self.wire.room = Some(after);
        self.wire.leaves = false;
        self.wire.peer.limit(&mut self.rt, after);
    }

    /// Has the client read so many more bytes and then leave, perhaps in the middle of a
    /// message.
    pub fn hang_up(&mut self, after: usize) {
        self.stop_reading(after);
        self.wire.leaves = after > 0;
        if after == 0 {
            self.wire.peer.close(&mut self.rt);
        }
    }

    /// Has the client read all that comes.
    pub fn read_on(&mut self) {
        self.wire.room = None;
        self.wire.leaves = false;
        self.wire.peer.limit(&mut self.rt, usize::MAX);
    }

    /// Has what the client sends arrive in pieces of at most so many bytes.
    pub fn split(&mut self, bytes: usize) {
        self.wire.peer.split(&mut self.rt, bytes);
    }

    /// Disconnects.
    ///
    /// # Panics
    ///
    /// If the loop does not come to rest.
    #[track_caller]
    pub fn close(&mut self) {
        self.wire.peer.close(&mut self.rt);
        self.settle();
    }

    /// Connects again; [`negotiate`](Self::negotiate) comes next.
    ///
    /// # Panics
    ///
    /// If the loop does not come to rest.
    #[track_caller]
    pub fn reconnect(&mut self) {
        self.close();
        self.wire.reset();
        self.reading.clear();
        self.read_on();
        self.wire.peer.open(&mut self.rt);
    }

    /// Whether the client is connected.
    pub fn is_open(&self) -> bool {
        let chr = self.rt.chardevs().get(self.wire.peer.chardev());
        chr.is_some_and(Chardev::is_open)
    }

    /// The beginning of a message whose rest has not come.
    pub fn part(&mut self) -> String {
        String::from_utf8_lossy(self.wire.part()).into_owned()
    }
}
