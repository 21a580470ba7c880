//! A mock for asynchronous clients: its connections are `AsyncRead` and `AsyncWrite`.
//!
//! Everything happens in the test's thread, in virtual time and without a socket, so the same
//! seed gives the same bytes in the same pieces. The runtime needs no driver for input and
//! output.
//!
//! ```
//! use qmonitor_testkit::{qmp, AsyncSim, Mock};
//! use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
//!
//! let mut runtime = tokio::runtime::Builder::new_current_thread();
//! runtime.build().unwrap().block_on(async {
//!     let mock = AsyncSim::new(Mock::machine().seed(7).sim());
//!     mock.with(|sim| sim.fault("chop"));
//!
//!     // The client, which is under test:
//!     let mut stream = BufReader::new(mock.connect());
//!     let mut line = String::new();
//!     stream.read_line(&mut line).await.unwrap();
//!     assert!(line.contains("QMP"));
//!     stream.write_all(b"{'execute': 'qmp_capabilities'}").await.unwrap();
//!     line.clear();
//!     stream.read_line(&mut line).await.unwrap();
//!     assert_eq!(line, "{\"return\": {}}\r\n");
//!
//!     mock.with(|sim| sim.emit(&qmp!(event "STOP")));
//!     line.clear();
//!     stream.read_line(&mut line).await.unwrap();
//!     assert!(line.contains("STOP"));
//!     mock.with(|sim| sim.received().in_order([qmp!("qmp_capabilities")]));
//! });
//! ```

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::sim::Sim;

/// A mock in the test's own thread, for asynchronous clients. Copies are the same mock.
#[derive(Clone)]
pub struct AsyncSim {
    shared: Rc<RefCell<Shared>>,
}

struct Shared {
    sim: Sim,
    /// Those who wait for something to read.
    readers: Vec<Waker>,
}

impl Shared {
    /// Has the readers look again: what was done may have caused output for any of them.
    fn wake(&mut self) {
        self.readers.drain(..).for_each(Waker::wake);
    }
}

impl AsyncSim {
    /// Shares a mock with its asynchronous clients.
    pub fn new(sim: Sim) -> Self {
        let readers = Vec::new();
        let shared = Rc::new(RefCell::new(Shared { sim, readers }));
        AsyncSim { shared }
    }

    /// Connects a client.
    ///
    /// # Panics
    ///
    /// If the process is out of descriptors.
    #[track_caller]
    pub fn connect(&self) -> AsyncPeer {
        let n = self.with(Sim::connect);
        let shared = self.shared.clone();
        let input = VecDeque::new();
        AsyncPeer { shared, n, input }
    }

    /// Does something to the mock, such as sending an event or letting time pass. Clients that
    /// wait go on after it.
    pub fn with<T>(&self, job: impl FnOnce(&mut Sim) -> T) -> T {
        let shared = &mut *self.shared.borrow_mut();
        let done = job(&mut shared.sim);
        shared.wake();
        done
    }
}

/// A client's end of a connection to an [`AsyncSim`]. Dropping it disconnects.
pub struct AsyncPeer {
    shared: Rc<RefCell<Shared>>,
    n: usize,
    /// What came and did not fit the reader's buffer.
    input: VecDeque<u8>,
}

impl AsyncRead for AsyncPeer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.input.is_empty() {
            let shared = &mut *this.shared.borrow_mut();
            match shared.sim.piece(this.n)? {
                Some(piece) => this.input.extend(piece),
                None if shared.sim.is_open(this.n) => {
                    shared.readers.push(cx.waker().clone());
                    return Poll::Pending;
                }
                None => return Poll::Ready(Ok(())),
            }
        }
        let (first, _) = this.input.as_slices();
        let size = first.len().min(buf.remaining());
        buf.put_slice(&first[..size]);
        this.input.drain(..size);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AsyncPeer {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let shared = &mut *self.shared.borrow_mut();
        if !shared.sim.is_open(self.n) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if let Some((peer, rt)) = shared.sim.peer(self.n) {
            peer.send(rt, buf);
        }
        shared.wake();
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shared = &mut *self.shared.borrow_mut();
        if let Some((peer, rt)) = shared.sim.peer(self.n) {
            peer.half_close(rt);
        }
        shared.wake();
        Poll::Ready(Ok(()))
    }
}

impl Drop for AsyncPeer {
    fn drop(&mut self) {
        // A panic in the mock's own code drops its clients while it is at work.
        if let Ok(mut shared) = self.shared.try_borrow_mut() {
            if let Some((peer, rt)) = shared.sim.peer(self.n) {
                peer.close(rt);
            }
            shared.wake();
        }
    }
}
