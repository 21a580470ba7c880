//! Types, commands and events that the compiler made of `machine/machine.json` in
//! the package `qmonitor-schema`.

include!(concat!(env!("OUT_DIR"), "/machine.rs"));
