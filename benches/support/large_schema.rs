//! A schema of QEMU's size, made from its recorded reply to `query-qmp-schema`.

use super::recorded_schema::{documented, to_schema};
use super::recordings::conformance;

/// The schema's text, documented with filler so that it has about as many lines
/// as QEMU's own. None if there is no recording.
pub fn recorded() -> Option<String> {
    let recording = conformance().join("qapi/qemu-10.0.2-none-schema.json");
    let bytes = std::fs::read(recording).ok()?;
    let reply: serde_json::Value = serde_json::from_slice(&bytes).expect("a recording is JSON");
    let entries = reply["return"].as_array().expect("with an array in it");
    Some(documented(&to_schema(entries)))
}
