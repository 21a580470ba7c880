//! What a display shows, the protocol that shows it to others, and who they are.

mod auth;
mod rfb;
mod screen;
mod server;

pub use auth::{challenge, expiry, Password, Share};
pub use rfb::{Rfb, RfbEvent, Security};
pub use screen::Screen;
pub use server::{Client, Listening, Place, Stream, VncServer, Websocket};
