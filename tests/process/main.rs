//! What concerns the whole process.

mod alloc;
mod emfile;
mod fd_hygiene;
mod signals;
mod sigpipe;
