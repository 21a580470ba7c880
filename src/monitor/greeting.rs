//! The greeting of a QMP session.

use super::output::{label, mark_dirty};
use super::runtime::Runtime;
use super::table::MonitorId;
use super::version;
use crate::qapi::json::JsonWriter;
use crate::trace::events;
use crate::trace_event;

/// The greeting in both forms, with its line end. It is the same for each session.
#[derive(Default)]
pub(crate) struct Greeting {
    compact: Vec<u8>,
    pretty: Vec<u8>,
}

impl Greeting {
    /// The greeting, made when it is needed for the first time.
    fn line(&mut self, pretty: bool) -> &[u8] {
        let line = if pretty {
            &mut self.pretty
        } else {
            &mut self.compact
        };
        if line.is_empty() {
            *line = write_greeting(pretty);
        }
        line
    }
}

/// Sends the greeting to the client of a QMP monitor.
pub(crate) fn send_greeting<S>(rt: &mut Runtime<S>, id: MonitorId) {
    let Some(mon) = rt.monitors.get_mut(id) else {
        return;
    };
    let line = rt.greeting.line(mon.config.pretty);
    mon.out.push(line);
    if events::monitor_qmp_respond.is_enabled() {
        let text = String::from_utf8_lossy(line).trim_end().to_owned();
        trace_event!(monitor_qmp_respond, "{} {text}", label(rt, id));
    }
    mark_dirty(rt, id);
}

fn write_greeting(pretty: bool) -> Vec<u8> {
    let mut w = JsonWriter::new(pretty);
    w.begin_object();
    w.key("QMP");
    w.begin_object();
    w.key("version");
    version::write_version_info(&mut w);
    w.key("capabilities");
    w.begin_array();
    w.string("oob");
    w.end_array();
    w.end_object();
    w.end_object();
    w.newline();
    w.take()
}
