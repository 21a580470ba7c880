//! Placeholder head; the room's page of prose goes here.
