//! The types that the compiler made of `src/chardev/schema`: how QMP says what a chardev
//! is made of.

include!(concat!(env!("OUT_DIR"), "/chardev.rs"));
