//! The schema compiler with the library: what it takes and refuses, the code it
//! generates, and programs made of that.

#[path = "../recorded_schema/canonical.rs"]
mod canonical;
mod conformance;
mod full_schema;
mod generated;
mod generated_kinds;
#[path = "../common/places.rs"]
mod places;
#[path = "../recorded_schema/mod.rs"]
mod recorded_schema;
#[path = "../common/recordings.rs"]
mod recordings;
mod runtime_in_process;
