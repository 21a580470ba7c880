//! QMP sessions in one process and in simulated time: the queue, deferred
//! commands, events, output, leaving, and all of it at random; and the human
//! monitor as far as its commands finish later.
//!
//! Clients are scripted chardevs in memory, and the program is a small state
//! with its own commands (`world.rs`). No test here waits, or depends on the
//! load of the machine.

mod churn;
mod deferred;
mod events;
#[path = "../common/fd_guard.rs"]
mod fd_guard;
mod fds;
mod hygiene;
mod large_replies;
mod leaving;
mod listener;
mod model;
mod nested;
mod output;
mod policy;
mod prompt;
mod queue;
mod wire;
mod world;
