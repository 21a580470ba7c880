//! The monitor in a loop of calloop, whose shared data it is.

use std::time::Duration;

use calloop::generic::Generic;
use calloop::{EventLoop, Interest, Mode, PostAction};
use qmonitor::main_loop::Host;
use qmonitor::Runtime;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rt = monitor_in_other_loops::program()?;
    let mut event_loop: EventLoop<Runtime<()>> = EventLoop::try_new()?;
    let fd = rt.main_loop_mut().poll_fd()?.try_clone_to_owned()?;
    let source = Generic::new(fd, Interest::READ, Mode::Level);
    event_loop.handle().insert_source(source, |_, _, rt| {
        rt.turn(Some(Duration::ZERO))?;
        Ok(PostAction::Continue)
    })?;
    loop {
        // What other sources did may have given the monitor something to do.
        while rt.turn(Some(Duration::ZERO))? {}
        if rt.exit_requested().is_some() {
            break;
        }
        rt.main_loop_mut().poll_fd()?;
        let timeout = rt.main_loop().next_timeout();
        event_loop.dispatch(timeout, &mut rt)?;
    }
    rt.shut_down();
    Ok(())
}
