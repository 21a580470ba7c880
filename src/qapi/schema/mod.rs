//! Placeholder head; the room's page of prose goes here.

pub mod model;
