//! Commands about trace events.

use super::runtime::Runtime;
use super::schema::{TraceCommands, TraceEventInfo, TraceEventState};
use crate::qapi::Error;
use crate::trace::{self, TraceEvent};

/// The events a command's argument means; a name without wildcards must exist.
fn look_up(name: &str) -> Result<Vec<&'static TraceEvent>, Error> {
    let found: Vec<_> = trace::matching(name).collect();
    if found.is_empty() && !name.contains(['*', '?']) {
        return Err(Error::new(format!("unknown event \"{name}\"")));
    }
    Ok(found)
}

impl<S: 'static> TraceCommands for S {
    fn qmp_trace_event_get_state(
        _rt: &mut Runtime<Self>,
        name: String,
    ) -> Result<Vec<TraceEventInfo>, Error> {
        let info = |event: &TraceEvent| TraceEventInfo {
            name: event.name.to_owned(),
            state: if event.is_enabled() {
                TraceEventState::Enabled
            } else {
                TraceEventState::Disabled
            },
        };
        Ok(look_up(&name)?.into_iter().map(info).collect())
    }

    fn qmp_trace_event_set_state(
        _rt: &mut Runtime<Self>,
        name: String,
        enable: bool,
        // Every event is compiled in.
        _ignore_unavailable: Option<bool>,
    ) -> Result<(), Error> {
        for event in look_up(&name)? {
            event.set_enabled(enable);
        }
        Ok(())
    }
}
