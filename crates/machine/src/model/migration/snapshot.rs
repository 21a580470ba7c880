//! The machine as bytes, all at once: what a snapshot keeps in the image of a disk.

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::QDict;

use super::ledger::PAGE;
use super::stream::Encoder;
use super::{Loading, StreamError};
use crate::model::Machine;
use crate::schema::RunState;

/// The stream of a machine in this state and at this virtual time.
pub(crate) fn save_machine(m: &Machine, state: RunState, clock: i64) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::default(), Vec::new());
    let json = |dict: QDict| qobject_to_json(&dict.into(), false).into_bytes();
    encoder.begin(&mut out);
    encoder.configuration(&mut out, m.class.name, &json(m.configuration(false)));
    if let Some(name) = m.memory_name() {
        encoder.memory(&mut out, name, m.ram_size());
        let (mut at, mut buffer) = (0, Vec::new());
        while let Some(data) = m.next_data(at) {
            let start = data / PAGE * PAGE;
            at = m.pages_at(start, &mut buffer);
            for (offset, page) in (start..)
                .step_by(PAGE as usize)
                .zip(buffer.chunks(PAGE as usize))
            {
                if page.iter().any(|byte| *byte != 0) {
                    encoder.pages(&mut out, name, offset, page);
                }
            }
        }
    }
    for (name, device) in m.device_states() {
        encoder.device(&mut out, &name, &json(device));
    }
    encoder.machine(&mut out, &json(machine_state(state, clock)));
    encoder.end(&mut out);
    out
}

/// The state of the machine itself.
pub(crate) fn machine_state(state: RunState, clock: i64) -> QDict {
    let mut machine = QDict::new();
    machine.insert("runstate", state.as_str());
    machine.insert("clock", clock);
    machine
}

/// Makes the machine what it was when the stream was made.
///
/// # Errors
///
/// The stream is damaged, or is of another machine. Memory may have changed.
pub(crate) fn load_machine(m: &mut Machine, bytes: &[u8]) -> Result<(), StreamError> {
    let mut loading = Loading::default();
    loading.decoder.feed(bytes);
    let mut sections = Vec::new();
    while let Some(section) = loading.decoder.next()? {
        sections.push(section);
    }
    if !loading.decoder.has_ended() {
        return Err(loading.decoder.cut());
    }
    clear_memory(m);
    for section in sections {
        loading.take(m, section)?;
    }
    loading.finish(m).map(drop)
}

/// Memory that the stream does not have is zero.
fn clear_memory(m: &mut Machine) {
    let mut at = 0;
    while let Some(data) = m.next_data(at) {
        let start = data / PAGE * PAGE;
        let end = (start + PAGE).min(m.ram_size());
        m.physical_memory_write(start, &vec![0; (end - start) as usize]);
        at = end;
    }
}
