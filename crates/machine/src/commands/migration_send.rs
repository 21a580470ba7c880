//! The steps of a migration: memory while the machine runs, the stop, the rest, the devices.

use super::migration_out::{end, go_on, now, pace, set_status};
use super::run_state::emit;
use crate::model::migration::{machine_state, Brake, Kind, Pace, Phase, Received, Source, PAGE};
use crate::schema::{
    qapi_event_send_migration_pass, MigrationCapability as Cap, MigrationStatus as Status,
};
use crate::Machine;
use qmonitor::chardev::ChardevHost;
use qmonitor::main_loop::{ClockType, Host};
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::QDict;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// So much may wait to be sent before memory is looked at further.
const BACKLOG: usize = 1 << 20;

/// What a step is followed by.
pub(super) enum Next {
    /// Another one, in the next turn.
    Again,
    /// Another one at this time.
    At(i64),
    /// Another one when the channel takes bytes.
    Output,
    /// Another one when the other side answers.
    Answer,
    /// Nothing until a command comes.
    Wait,
}

/// Makes a step.
///
/// # Errors
///
/// The migration has failed.
pub(super) fn advance(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    match source.phase {
        Phase::Connecting => source.error.take().map_or(Ok(Next::Wait), Err),
        Phase::Begin => begin(rt, source),
        Phase::Iterate => iterate(rt, source),
        Phase::Stopped | Phase::Over => Ok(Next::Wait),
        Phase::Device => finish_memory(rt, source),
        Phase::Postcopy => postcopy(rt, source),
        Phase::Interrupted => recover(rt, source),
        Phase::Finish => finish(rt, source),
        Phase::Cancelled => {
            end(rt, source);
            go_on(rt, source);
            set_status(rt, source, Status::Cancelled);
            Ok(Next::Wait)
        }
    }
}

fn has(rt: &Rt, cap: Cap) -> bool {
    rt.state.migration.settings.has(cap)
}

fn tell_pass(rt: &mut Rt, pass: u64) {
    if has(rt, Cap::Events) {
        qapi_event_send_migration_pass(rt, i64::try_from(pass).unwrap_or(i64::MAX));
    }
}

fn brake(rt: &Rt) -> Option<Brake> {
    let settings = &rt.state.migration.settings;
    settings.has(Cap::AutoConverge).then(|| Brake {
        threshold: settings.number("throttle-trigger-threshold"),
        initial: settings.number("cpu-throttle-initial"),
        increment: settings.number("cpu-throttle-increment"),
        max: settings.number("max-cpu-throttle"),
    })
}

fn begin(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    check_tls(rt)?;
    let pass = source.ledger.begin(now(rt));
    if rt.state.migration.settings.word("mode") == Some("cpr-reboot") {
        stop_machine(rt, source);
    }
    let is_snapshot = has(rt, Cap::BackgroundSnapshot);
    if !is_snapshot {
        tell_pass(rt, pass);
    }
    set_status(rt, source, Status::Active);
    let is_socket = source.channel.as_ref().map(|c| c.kind) == Some(Kind::Socket);
    source.return_path = is_socket
        && [Cap::ReturnPath, Cap::PostcopyRam, Cap::XColo]
            .iter()
            .any(|cap| has(rt, *cap));
    write_header(rt, source);
    source.changes = changes(rt);
    source.phase = if is_snapshot {
        // The machine is still for a moment, and what it writes later is not sent.
        stop_machine(rt, source);
        let before = source.before;
        go_on(rt, source);
        source.before = before;
        Phase::Device
    } else {
        Phase::Iterate
    };
    Ok(Next::Again)
}

/// Looks for the credentials, if there are to be any.
fn check_tls(rt: &Rt) -> Result<(), String> {
    match rt.state.migration.settings.word("tls-creds") {
        None | Some("") => Ok(()),
        Some(id) => {
            rt.tls_creds(id).map_err(|e| e.desc().to_owned())?;
            Err("migration over TLS is not available in this program".to_owned())
        }
    }
}

/// How often memory was written to.
fn changes(rt: &Rt) -> u64 {
    rt.state.memory_changes()
}

/// Begins a stream.
fn write_header(rt: &Rt, source: &mut Source) {
    let Some(channel) = &mut source.channel else {
        return;
    };
    let out = channel.unsent();
    let configuration = json(rt.state.configuration(source.return_path));
    let encoder = &mut source.encoder;
    encoder.begin(out);
    encoder.configuration(out, rt.state.class.name, &configuration);
    if let Some(name) = rt.state.memory_name() {
        encoder.memory(out, name, rt.state.ram_size());
    }
    source.ledger.send_bytes(out.len() as u64);
}

fn json(dict: QDict) -> Vec<u8> {
    qobject_to_json(&dict.into(), false).into_bytes()
}

/// Sends memory while the machine runs, as much as the limit allows.
fn iterate(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if !flush(source)? {
        return Ok(Next::Output);
    }
    let pace = pace(rt, source.status);
    let window_ends = source.ledger.turn_window(now(rt), &pace);
    if source.wants_postcopy {
        return Ok(stop(rt, source));
    }
    if source.ledger.seems_done() {
        let pass = source.ledger.sync(now(rt), &pace, brake(rt).as_ref());
        tell_pass(rt, pass);
    }
    if source.ledger.may_stop() {
        return Ok(stop(rt, source));
    }
    if source.ledger.budget(&pace) == Some(0) {
        return Ok(window_ends.map_or(Next::Again, Next::At));
    }
    send_some(rt, source, &pace);
    Ok(Next::Again)
}

/// Sends pages until the limit or a backlog is reached, or nothing is left.
fn send_some(rt: &Rt, source: &mut Source, pace: &Pace) {
    let Some(channel) = &mut source.channel else {
        return;
    };
    let (state, size) = (&rt.state, rt.state.ram_size());
    let name = state.memory_name().unwrap_or_default();
    let out = channel.unsent();
    let mut buffer = Vec::new();
    while source.walk < size && source.ledger.budget(pace) != Some(0) && out.len() < BACKLOG {
        let data = state.next_data(source.walk);
        let data = data.map_or(size, |at| at / PAGE * PAGE);
        if data > source.walk {
            let zeros = (data - source.walk).div_ceil(PAGE);
            let sent = source.ledger.send_zeros(zeros, pace) * PAGE;
            source.walk = (source.walk + sent).min(size);
            continue;
        }
        let start = source.walk;
        source.walk = state.pages_at(start, &mut buffer);
        for (at, content) in (start..)
            .step_by(PAGE as usize)
            .zip(buffer.chunks(PAGE as usize))
        {
            if content.iter().all(|byte| *byte == 0) {
                source.ledger.send_zero();
            } else {
                source.encoder.pages(out, name, at, content);
                source.ledger.send_page();
            }
        }
    }
    source.ledger.send_dirty(pace);
}

fn flush(source: &mut Source) -> Result<bool, String> {
    source.channel.as_mut().map_or(Ok(true), |c| c.flush())
}

fn stop_machine(rt: &mut Rt, source: &mut Source) {
    if source.before.is_none() {
        let pace = pace(rt, source.status);
        let (before, events) = rt.state.run.stop_for_migration();
        source.before = Some(before);
        emit(rt, &events);
        source.ledger.stop(now(rt), &pace);
    }
}

/// Stops the machine for the rest.
fn stop(rt: &mut Rt, source: &mut Source) -> Next {
    stop_machine(rt, source);
    if has(rt, Cap::PauseBeforeSwitchover) {
        source.phase = Phase::Stopped;
        set_status(rt, source, Status::PreSwitchover);
        return Next::Wait;
    }
    enter_device(rt, source);
    Next::Again
}

/// Sends the rest from now on.
fn enter_device(rt: &mut Rt, source: &mut Source) {
    set_status(rt, source, Status::Device);
    let pace = pace(rt, source.status);
    let pass = source.ledger.sync(now(rt), &pace, None);
    tell_pass(rt, pass);
    source.phase = Phase::Device;
}

/// Sends what is left of memory, unless that can follow, and then the devices.
fn finish_memory(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if source.status == Status::PreSwitchover {
        enter_device(rt, source);
    }
    if !flush(source)? {
        return Ok(Next::Output);
    }
    if changes(rt) != source.changes {
        // A test has written to memory, maybe to a page that was sent before.
        source.changes = changes(rt);
        source.resend = Some(0);
    }
    if send_again(rt, source) {
        return Ok(Next::Again);
    }
    let follows = source.wants_postcopy && source.ledger.remaining() > 0;
    if source.ledger.remaining() > 0 && !follows {
        let pace = pace(rt, source.status);
        send_some(rt, source, &pace);
        return Ok(Next::Again);
    }
    write_devices(rt, source, follows);
    if follows {
        source.ledger.postcopy(now(rt));
        source.phase = Phase::Postcopy;
        set_status(rt, source, Status::PostcopyActive);
    } else {
        source.phase = Phase::Finish;
    }
    Ok(Next::Again)
}

/// Writes all but memory, and then the end, if memory does not follow.
fn write_devices(rt: &Rt, source: &mut Source, memory_follows: bool) {
    let virtual_time = rt.main_loop().clock_get_ns(ClockType::Virtual);
    let state = source.before.unwrap_or(rt.state.run.current());
    let Some(channel) = &mut source.channel else {
        return;
    };
    let out = channel.unsent();
    for (name, device) in rt.state.device_states() {
        source.encoder.device(out, &name, &json(device));
    }
    let machine = machine_state(state, virtual_time);
    source.encoder.machine(out, &json(machine));
    if memory_follows {
        source.encoder.postcopy(out);
    } else {
        source.encoder.end(out);
    }
    source.ledger.send_bytes(out.len() as u64);
}

/// Sends memory to the machine that runs at the other side.
fn postcopy(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if !flush(source)? {
        return Ok(Next::Output);
    }
    if send_again(rt, source) {
        return Ok(Next::Again);
    }
    let pace = pace(rt, source.status);
    let window_ends = source.ledger.turn_window(now(rt), &pace);
    if source.ledger.remaining() == 0 {
        if let Some(channel) = &mut source.channel {
            source.encoder.end(channel.unsent());
        }
        source.phase = Phase::Finish;
    } else if source.ledger.budget(&pace) == Some(0) {
        return Ok(window_ends.map_or(Next::Again, Next::At));
    } else {
        send_some(rt, source, &pace);
    }
    Ok(Next::Again)
}

/// Sends again what may have been lost or has changed; false if nothing is left.
fn send_again(rt: &Rt, source: &mut Source) -> bool {
    let (Some(from), Some(channel)) = (source.resend, &mut source.channel) else {
        return false;
    };
    let (state, out) = (&rt.state, channel.unsent());
    let name = state.memory_name().unwrap_or_default();
    let mut buffer = Vec::new();
    let mut at = from;
    while out.len() < BACKLOG {
        let data = state.next_data(at);
        let Some(start) = data.filter(|start| *start < source.walk) else {
            source.resend = None;
            return true;
        };
        let start = start / PAGE * PAGE;
        at = state.pages_at(start, &mut buffer);
        source.encoder.pages(out, name, start, &buffer);
    }
    source.resend = Some(at);
    true
}

/// Begins a new stream over a new channel, or waits for one.
fn recover(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if source.channel.is_none() {
        return source.error.take().map_or(Ok(Next::Wait), Err);
    }
    set_status(rt, source, Status::PostcopyRecover);
    source.encoder = Default::default();
    write_header(rt, source);
    if let Some(channel) = &mut source.channel {
        source.encoder.resume(channel.unsent());
    }
    source.resend = Some(0);
    source.error = None;
    source.phase = Phase::Postcopy;
    set_status(rt, source, Status::PostcopyActive);
    Ok(Next::Again)
}

/// Waits until the other side has everything.
fn finish(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if !flush(source)? {
        return Ok(Next::Output);
    }
    if let (Some(channel), true) = (&source.channel, source.return_path) {
        let mut answer = [0];
        let received = channel.receive(&mut answer);
        match received.map_err(|e| e.to_string())? {
            Received::Nothing => return Ok(Next::Answer),
            Received::Bytes(_) if answer == [0] => {}
            Received::Bytes(_) | Received::End => {
                return Err("Sibling indicated error 1".to_owned());
            }
        }
    }
    source.ledger.end(now(rt));
    end(rt, source);
    if !has(rt, Cap::BackgroundSnapshot) {
        rt.state.run.migrated();
    }
    set_status(rt, source, Status::Completed);
    Ok(Next::Wait)
}
