//! The schema compiler's back ends: from a checked
//! [`Schema`](crate::schema::model::Schema) to source code.

pub mod rust;
