//! The monitor in another event loop: here a plain `poll(2)` that also watches
//! standard input.
//!
//!     cargo run -p thermostat --bin own_loop -- /tmp/own-loop
//!     nc -U /tmp/own-loop
//!
//! The program handles lines on standard input, the monitor everything else.
//! `poll_fd` is readable when the monitor has work, `next_timeout` says when
//! its next timer is due, and `turn` does the work without waiting.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use qmonitor::main_loop::Host;
use qmonitor::monitor::MonitorMode;
use qmonitor::Runtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("/tmp/own-loop".into());
    let lines_seen = 0;
    let mut rt = Runtime::new(lines_seen)?;
    rt.exit_on_signals()?;
    let qmp = format!("unix:{path},server=on,wait=off");
    rt.monitor_parse(&qmp, MonitorMode::Control, false)?;

    let stdin = std::io::stdin();
    let mut input_open = true;
    while rt.exit_requested().is_none() {
        let timeout = match rt.main_loop().next_timeout() {
            // Rounded up: an early wake-up would turn the loop for nothing.
            Some(wait) => PollTimeout::try_from(wait.as_nanos().div_ceil(1_000_000))?,
            None => PollTimeout::NONE,
        };
        let monitor_fd = rt.main_loop_mut().poll_fd()?;
        let mut fds = vec![PollFd::new(monitor_fd, PollFlags::POLLIN)];
        if input_open {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        poll(&mut fds, timeout)?;
        let input_ready = fds.get(1).and_then(PollFd::any).unwrap_or(false);
        drop(fds);

        if input_ready {
            let mut buf = [0; 4096];
            // Not through the standard library's buffer, because poll cannot
            // see into that.
            let n = nix::unistd::read(&stdin, &mut buf)?;
            input_open = n > 0;
            rt.state += buf[..n].iter().filter(|byte| **byte == b'\n').count();
            println!("{} lines so far", rt.state);
        }
        rt.turn(Some(Duration::ZERO))?;
    }
    rt.shut_down();
    Ok(())
}
