//! Monitors: QMP and HMP sessions on character devices.

pub mod hmp;
