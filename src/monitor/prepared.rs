//! What sessions are told and what stays the same for long: it is made when it is asked for
//! first, and kept until what it tells changes.

use crate::qapi::json::JsonWriter;

/// Replies, in compact form, and the greeting in both forms, with its line end.
#[derive(Default)]
pub(crate) struct Prepared {
    pub(super) schema: Option<Vec<u8>>,
    pub(super) commands: Option<Vec<u8>>,
    pub(super) version: Option<Vec<u8>>,
    compact_greeting: Option<Vec<u8>>,
    pretty_greeting: Option<Vec<u8>>,
}

impl Prepared {
    /// The greeting of a QMP session.
    pub(super) fn greeting(&mut self, pretty: bool) -> &[u8] {
        let version = self.version.as_deref().unwrap_or_default();
        let line = if pretty {
            &mut self.pretty_greeting
        } else {
            &mut self.compact_greeting
        };
        line.get_or_insert_with(|| write_greeting(pretty, version))
    }
}

fn write_greeting(pretty: bool, version: &[u8]) -> Vec<u8> {
    let mut w = JsonWriter::new(pretty);
    w.begin_object();
    w.key("QMP");
    w.begin_object();
    w.key("version");
    w.raw(version);
    w.key("capabilities");
    w.begin_array();
    w.string("oob");
    w.end_array();
    w.end_object();
    w.end_object();
    w.newline();
    w.take()
}
