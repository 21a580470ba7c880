//! QMP sessions in one process and in simulated time: the queue, deferred
//! commands, events, output, leaving, and all of it at random; and the human
//! monitor as far as its commands finish later.
//!
//! Clients are scripted chardevs in memory, the program is a small state with
//! commands of its own (`world.rs`). Nothing here waits or depends on what
//! else the machine does.

mod churn;
mod deferred;
mod events;
#[path = "../common/fd_guard.rs"]
mod fd_guard;
mod fds;
mod hygiene;
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
