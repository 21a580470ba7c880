//! One socket for the owner of a program and one for clients that only watch
//! it.
//!
//!     cargo run -p thermostat --bin watchers -- /tmp/watched
//!     nc -U /tmp/watched          the owner, one at a time, may do everything
//!     nc -U /tmp/watched.watch    up to eight at the same time may look
//!
//! Each watcher has its own session. It cannot change anything or send requests
//! of more than 64 KiB. If it leaves in the middle of something, it leaves
//! nothing behind.

use qmonitor::chardev::{
    chardev_add, ChardevBackend, SocketAddress, SocketConfig, UnixSocketAddress,
};
use qmonitor::monitor::{MonitorMode, MonitorOptions};
use qmonitor::Runtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("/tmp/watched".into());
    let sessions_over = 0;
    let mut rt = Runtime::new(sessions_over)?;
    rt.exit_on_signals()?;
    let owner = format!("unix:{path},server=on,wait=off");
    rt.monitor_parse(&owner, MonitorMode::Control, false)?;

    let watch = UnixSocketAddress::path(format!("{path}.watch"));
    let socket = SocketConfig {
        max_clients: 8,
        ..SocketConfig::new(SocketAddress::Unix(watch))
    };
    chardev_add(&mut rt, "watch", ChardevBackend::Socket(socket).into())?;
    rt.monitor_init(&MonitorOptions {
        mode: Some(MonitorMode::Control),
        read_only: Some(true),
        json_max_size: Some(64 * 1024),
        ..MonitorOptions::new("watch")
    })?;
    rt.set_monitor_removed_handler(|rt, _| {
        rt.state += 1;
        println!("{} sessions are over", rt.state);
    });
    std::process::exit(rt.run()?)
}
