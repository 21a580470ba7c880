//! The command line of chardevs: `-chardev` and the short forms.

pub(super) mod cli;
pub(super) mod compat;
