//! The schema compiler's back ends: from a checked
//! [`Schema`](super::schema::model::Schema) to source code.
//!
//! Build scripts include this directory by `#[path]`, next to `schema`, so it
//! depends on nothing but the standard library and names other modules
//! relative to itself.

use super::schema::{markup, model};

pub mod rust;
