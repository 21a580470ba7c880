//! A machine with a QMP monitor, and its clients, on one thread.
//!
//! A client writes, the loop turns until the reply is there, the client reads.
//! So nothing waits for another thread, and the cost of the turns is the whole
//! cost of serving. A bench has a function `serving` that measures them.
#![allow(dead_code, reason = "each bench uses a part")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use qmonitor::monitor::MonitorMode;
use qmonitor::Runtime;
use qmonitor_machine::{commands, Machine, MachineOptions};

pub struct World {
    pub rt: Runtime<Machine>,
    dir: tempfile::TempDir,
}

impl World {
    /// A machine that listens, with these options of the socket besides.
    pub fn new(options: &str) -> World {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let machine = Machine::new(MachineOptions::default());
        let mut rt = Runtime::new(machine).expect("a main loop");
        commands::register(&mut rt);
        commands::start_machine(&mut rt);
        let path = dir.path().join("q");
        let socket = format!("unix:{},server=on,wait=off{options}", path.display());
        rt.monitor_parse(&socket, MonitorMode::Control, false)
            .expect("a monitor");
        World { rt, dir }
    }

    /// A client past its negotiation.
    pub fn connect(&mut self) -> UnixStream {
        let mut client = UnixStream::connect(self.dir.path().join("q")).expect("it listens");
        client.set_nonblocking(true).expect("a socket");
        self.read_lines(&mut client, 1);
        self.exchange(&mut client, b"{\"execute\": \"qmp_capabilities\"}\n", 1);
        client
    }

    /// A client connects, negotiates and leaves.
    pub fn visit(&mut self) {
        drop(self.connect());
        self.turn();
    }

    /// Sends requests, and returns as many lines of replies.
    pub fn exchange(&mut self, client: &mut UnixStream, requests: &[u8], count: usize) -> Vec<u8> {
        let mut rest = requests;
        while !rest.is_empty() {
            match client.write(rest) {
                Ok(n) => rest = &rest[n..],
                Err(_) => self.turn(),
            }
        }
        self.read_lines(client, count)
    }

    fn read_lines(&mut self, client: &mut UnixStream, count: usize) -> Vec<u8> {
        let mut buf = [0; 65536];
        let (mut read, mut lines) = (Vec::new(), 0);
        while lines < count {
            match client.read(&mut buf) {
                Ok(0) => panic!("the server closed the connection"),
                Ok(n) => {
                    lines += buf[..n].iter().filter(|b| **b == b'\n').count();
                    read.extend_from_slice(&buf[..n]);
                }
                Err(_) => self.turn(),
            }
        }
        read
    }

    /// One turn of the loop, which waits as the program's does: forever.
    fn turn(&mut self) {
        super::serving(&mut || {
            self.rt.turn(None).expect("the loop turns");
        });
    }
}
