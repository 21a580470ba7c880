//! The monitor as a task of tokio. A runtime is not `Send`, so the scheduler is that
//! of one thread.

use std::time::Duration;

use qmonitor::main_loop::Host;
use qmonitor::Runtime;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;
use tokio::time::{interval, sleep};

/// Serves the monitor until it is asked to end.
async fn serve(mut rt: Runtime<()>) -> std::io::Result<()> {
    // A copy, so that tokio and the runtime each own one. Both are the same epoll.
    let fd = rt.main_loop_mut().poll_fd()?.try_clone_to_owned()?;
    // Its successor is unsafe for all descriptors, also for one that is owned.
    #[allow(deprecated)]
    let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
    loop {
        while rt.turn(Some(Duration::ZERO))? {}
        if rt.exit_requested().is_some() {
            rt.shut_down();
            return Ok(());
        }
        rt.main_loop_mut().poll_fd()?;
        let timeout = rt.main_loop().next_timeout();
        tokio::select! {
            ready = fd.readable() => ready?.clear_ready(),
            () = sleep(timeout.unwrap_or_default()), if timeout.is_some() => {}
        }
    }
}

/// What the program does besides.
async fn work() {
    let mut second = interval(Duration::from_secs(1));
    loop {
        second.tick().await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let rt = monitor_in_other_loops::program()?;
    tokio::select! {
        served = serve(rt) => served?,
        () = work() => {}
    }
    Ok(())
}
