//! The monitor in a loop of mio.

use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use qmonitor::main_loop::Host;

const MONITOR: Token = Token(0);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rt = monitor_in_other_loops::program()?;
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(16);
    // It stays the same for as long as the runtime lives.
    let fd = rt.main_loop_mut().poll_fd()?.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), MONITOR, Interest::READABLE)?;
    loop {
        // mio tells only what is new, so all that is there must be done.
        while rt.turn(Some(Duration::ZERO))? {}
        if rt.exit_requested().is_some() {
            break;
        }
        rt.main_loop_mut().poll_fd()?;
        poll.poll(&mut events, rt.main_loop().next_timeout())?;
        for event in events.iter().filter(|event| event.token() != MONITOR) {
            println!("an event of the program's own: {event:?}");
        }
    }
    rt.shut_down();
    Ok(())
}
