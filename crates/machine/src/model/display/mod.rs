//! What a display shows, the protocol that shows it to others, and who they are.

mod rfb;
mod screen;
mod server;

pub use rfb::{Rfb, RfbEvent, Security};
pub use screen::Screen;
pub use server::{Client, Place, Stream, VncServer};
