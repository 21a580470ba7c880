//! The monitor in the event manager of rust-vmm, as Firecracker has it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use qmonitor::main_loop::Host;

/// Wakes the manager when the monitor has work. The work is done behind `run`, where
/// the runtime is at hand.
struct Monitor(OwnedFd);

impl MutEventSubscriber for Monitor {
    fn process(&mut self, _: Events, _: &mut EventOps) {}

    fn init(&mut self, ops: &mut EventOps) {
        ops.add(Events::new(&self.0, EventSet::IN))
            .expect("it is added once");
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rt = monitor_in_other_loops::program()?;
    let mut manager = EventManager::<Box<dyn MutEventSubscriber>>::new()?;
    let fd = rt.main_loop_mut().poll_fd()?.try_clone_to_owned()?;
    manager.add_subscriber(Box::new(Monitor(fd)));
    loop {
        while rt.turn(Some(Duration::ZERO))? {}
        if rt.exit_requested().is_some() {
            break;
        }
        rt.main_loop_mut().poll_fd()?;
        // Milliseconds, rounded up; -1 is without end.
        let timeout = rt.main_loop().next_timeout();
        let ms = timeout.map_or(-1, |time| time.as_micros().div_ceil(1000) as i32);
        manager.run_with_timeout(ms)?;
    }
    rt.shut_down();
    Ok(())
}
