//! The greeting of a QMP session.

use super::output::push_output;
use super::runtime::Runtime;
use super::table::MonitorId;
use super::version;
use crate::qapi::json::JsonWriter;

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
    let Some(pretty) = rt.monitors.get(id).map(|mon| mon.config.pretty) else {
        return;
    };
    // Taken out, because sending it needs the runtime.
    let mut greeting = std::mem::take(&mut rt.greeting);
    push_output(rt, id, greeting.line(pretty));
    rt.greeting = greeting;
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
