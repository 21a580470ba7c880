//! What chardevs, monitors and programs have in common and QEMU has in `util/`.

pub(crate) mod base64;
pub mod qemu_opts;
