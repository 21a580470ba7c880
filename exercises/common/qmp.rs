//! A QMP client in memory and simulated time, for the tests of 7 to 12.

use std::time::Duration;

use qmonitor::chardev::MemoryPeer;
use qmonitor::main_loop::Host;
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::Runtime;

/// A client of a monitor of its own, past greeting and negotiation.
pub struct Client(MemoryPeer);

impl Client {
    /// Makes a monitor and connects to it.
    pub fn connect<S>(rt: &mut Runtime<S>, name: &str) -> Client {
        let peer = MemoryPeer::new(rt, name).expect("a new name");
        let options = MonitorOptions {
            mode: Some(MonitorMode::Control),
            ..MonitorOptions::new(name)
        };
        rt.monitor_init(&options).expect("a monitor");
        peer.open(rt);
        let client = Client(peer);
        let enable = "{'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}}";
        client.send(rt, enable);
        client.received(rt);
        client
    }

    /// Sends a request.
    pub fn send<S>(&self, rt: &mut Runtime<S>, request: &str) {
        self.0.send(rt, request);
    }

    /// Turns the loop until nothing happens, and returns what has come, a message
    /// a line, without the time of events.
    pub fn received<S>(&self, rt: &mut Runtime<S>) -> Vec<String> {
        let text = String::from_utf8(self.0.recv(rt)).expect("text");
        text.lines().map(without_time).collect()
    }

    /// Sends a request and returns what comes.
    pub fn ask<S>(&self, rt: &mut Runtime<S>, request: &str) -> Vec<String> {
        self.send(rt, request);
        self.received(rt)
    }
}

/// Simulated time passes.
#[allow(dead_code, reason = "not each test that includes this waits")]
pub fn advance<S>(rt: &mut Runtime<S>, ms: u64) {
    rt.main_loop_mut().time_advance(Duration::from_millis(ms));
}

fn without_time(line: &str) -> String {
    match line.split_once("\"event\"") {
        Some((_, event)) => format!("{{\"event\"{event}"),
        None => line.to_owned(),
    }
}
