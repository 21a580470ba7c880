//! The greeting of a QMP session.

use super::version;
use crate::qapi::json::JsonWriter;
use crate::qapi::Profile;

/// The greeting in both forms, with its line end. It is the same for each session.
#[derive(Default)]
pub(crate) struct Greeting {
    compact: Vec<u8>,
    pretty: Vec<u8>,
}

impl Greeting {
    /// The greeting, made when it is needed for the first time.
    pub(super) fn line(&mut self, pretty: bool, profile: Profile, package: &str) -> &[u8] {
        let line = if pretty {
            &mut self.pretty
        } else {
            &mut self.compact
        };
        if line.is_empty() {
            *line = write_greeting(pretty, profile, package);
        }
        line
    }
}

fn write_greeting(pretty: bool, profile: Profile, package: &str) -> Vec<u8> {
    let mut w = JsonWriter::new(pretty);
    w.begin_object();
    w.key("QMP");
    w.begin_object();
    w.key("version");
    version::write_version_info(&mut w, profile, package);
    w.key("capabilities");
    w.begin_array();
    w.string("oob");
    w.end_array();
    w.end_object();
    w.end_object();
    w.newline();
    w.take()
}
