//! Types, commands and events that the compiler made of `src/machine/schema`.

include!(concat!(env!("OUT_DIR"), "/machine.rs"));
