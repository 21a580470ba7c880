//! What an event costs, in this loop and in others: two eventfds pass a token, and
//! idle fds are watched beside them.
//!
//! An event is one wait, the callback, one read and one write; the last two are the
//! same system calls for all. All loops take turns on one processor, so the ratios
//! hold on a busy machine too. Of many short rounds the best one counts: it is the one
//! that nothing interrupted.
//!
//!     cargo run --release             # in this directory
//!     cargo run --release -- --test   # a few events each, for a smoke run

mod loops;

use std::time::Instant;

use nix::sched::{sched_setaffinity, CpuSet};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::Pid;

use loops::{Contender, Ring};

/// How many idle fds are watched beside the two.
const IDLE: [usize; 6] = [0, 6, 30, 62, 126, 1000];

/// The loop that the others are compared with.
const MEASURE: &str = "event-manager";

fn main() {
    let quick = std::env::args().any(|arg| arg == "--test");
    let (rounds, events) = if quick { (1, 10) } else { (100, 1000) };
    pin_to_one_processor();
    // A thousand idle fds, and those of the loops.
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard);
    }
    println!("ns an event (times {MEASURE})");
    print!("{:>5}", "idle");
    for contender in loops::ALL {
        print!("{:>22}", contender.name);
    }
    println!();
    for idle in IDLE {
        let times = times(idle, rounds, events);
        let measure = loops::ALL.iter().position(|one| one.name == MEASURE);
        let measure = measure.map_or(f64::NAN, |at| times[at]);
        print!("{idle:>5}");
        for time in times {
            print!("{:>22}", format!("{time:.0} ({:.2})", time / measure));
        }
        println!();
    }
}

fn pin_to_one_processor() {
    let mut one = CpuSet::new();
    // An error means that the machine has no say in it; the ratios then scatter more.
    let _ = one.set(0);
    let _ = sched_setaffinity(Pid::from_raw(0), &one);
}

/// Nanoseconds an event, for each contender.
fn times(idle: usize, rounds: usize, events: u64) -> Vec<f64> {
    let mut times = vec![f64::INFINITY; loops::ALL.len()];
    for _ in 0..rounds {
        for (contender, best) in loops::ALL.iter().zip(&mut times) {
            *best = best.min(time(contender, idle, events));
        }
    }
    times
}

fn time(contender: &Contender, idle: usize, events: u64) -> f64 {
    let mut run = (contender.start)(Ring::new(idle));
    // Memory is allocated, and the caches are warm.
    run(events / 10 + 1);
    let start = Instant::now();
    run(events);
    start.elapsed().as_nanos() as f64 / events as f64
}
