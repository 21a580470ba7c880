//! Jobs change their states, and tell of it, as QEMU's do.
