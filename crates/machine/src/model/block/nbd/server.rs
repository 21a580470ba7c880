//! A server that runs, and its clients.

use std::collections::BTreeMap;
use std::rc::Rc;

use super::stream::NbdStream;
use super::Session;
use qmonitor::main_loop::WatchId;

/// A server.
#[derive(Debug)]
pub struct NbdServer {
    /// The watch that waits for clients.
    pub watch: WatchId,
    /// Most clients at a time; zero for any number.
    pub most_clients: usize,
    /// Its clients, by number.
    pub clients: BTreeMap<u64, NbdClient>,
    /// The number of the next client.
    pub next: u64,
    /// The socket's file, which goes with the server.
    pub path: Option<String>,
}

/// A client of the server.
#[derive(Debug)]
pub struct NbdClient {
    #[allow(missing_docs)]
    pub session: Session,
    #[allow(missing_docs)]
    pub stream: Rc<NbdStream>,
    /// The watch that waits for its bytes.
    pub reading: Option<WatchId>,
    /// The watch that waits for space to send.
    pub writing: Option<WatchId>,
}

impl Drop for NbdServer {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // Another program may have taken it.
            let _ = std::fs::remove_file(path);
        }
    }
}
