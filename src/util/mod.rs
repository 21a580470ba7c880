//! Helpers of chardevs, monitors and programs; QEMU has them in `util/`.

pub mod base64;
pub mod qemu_opts;
pub mod time;
