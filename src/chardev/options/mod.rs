//! How the command line says what a chardev is to be.

pub(super) mod cli;
pub(super) mod compat;
