//! Types, commands and events that the compiler made of `src/monitor/schema`:
//! those of the library itself.

include!(concat!(env!("OUT_DIR"), "/monitor.rs"));
