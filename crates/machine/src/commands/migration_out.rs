//! Moving the machine away: one step after the other from the loop, none of which waits.
//!
//! A step is made by a timer, at once or when the limit of bytes allows more, and by a watch
//! when the channel takes bytes again.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::migration_channel::{channel_on, named_fd, open_file, spawn};
use super::run_state::emit;
use crate::model::migration::{Address, Brake, Kind, Ledger, Pace, Phase, Received, Source};
use crate::schema::{
    qapi_event_send_migration, qapi_event_send_migration_pass, MigrationCapability as Cap,
    MigrationStatus as Status,
};
use crate::Machine;
use nix::sys::socket::SockFlag;
use qmonitor::chardev::{
    connect_next, connect_result, socket_connect_async, ChardevHost, ChardevReport, Connecting,
    SocketAddress,
};
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, Watch};
use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{Error, QDict};
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// So much may wait to be sent before memory is looked at further.
const BACKLOG: usize = 1 << 20;

/// What a step is followed by.
enum Next {
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

/// Now, on the clock of migrations.
pub(super) fn now(rt: &Rt) -> i64 {
    rt.main_loop().clock_get_ns(ClockType::Realtime)
}

fn pace(rt: &Rt) -> Pace {
    let migration = &rt.state.migration;
    let number = |name| migration.settings.number(name);
    let is_postcopy = matches!(
        &migration.source,
        Some(source) if source.status == Status::PostcopyActive
    );
    Pace {
        bandwidth: number(if is_postcopy {
            "max-postcopy-bandwidth"
        } else {
            "max-bandwidth"
        }),
        switchover_bandwidth: number("avail-switchover-bandwidth"),
        downtime_limit: number("downtime-limit"),
        dirty_rate: migration.dirty_rate,
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

/// Sets the state, and tells clients that want to know.
fn set_status(rt: &mut Rt, source: &mut Source, status: Status) {
    if source.status != status {
        source.status = status;
        if rt.state.migration.settings.has(Cap::Events) {
            qapi_event_send_migration(rt, status);
        }
    }
}

fn tell_pass(rt: &mut Rt, pass: u64) {
    if rt.state.migration.settings.has(Cap::Events) {
        qapi_event_send_migration_pass(rt, i64::try_from(pass).unwrap_or(i64::MAX));
    }
}

/// Begins to move the machine.
///
/// # Errors
///
/// The channel cannot be opened, which is known at once for all but sockets.
pub(super) fn start(rt: &mut Rt, address: Address) -> Result<(), Error> {
    let ledger = Ledger::new(now(rt), rt.state.ram_size(), &pace(rt));
    forget(rt);
    let timer = rt
        .main_loop_mut()
        .timer_new(ClockType::Realtime, "migration_iteration_run", step);
    let mut source = Source::new(ledger, timer);
    set_status(rt, &mut source, Status::Setup);
    let opened = match address {
        Address::Exec(args) => spawn(rt, &args, true),
        Address::File { path, offset } => open_file(rt, &path, offset, true),
        Address::Socket(SocketAddress::Fd(name)) => named_fd(rt, &name).and_then(channel_on),
        Address::Socket(addr) => {
            let connecting = socket_connect_async(rt, &addr);
            rt.state.migration.source = Some(source);
            connected(rt, addr, connecting);
            return Ok(());
        }
        Address::Rdma => Err(Error::new("RDMA is not available in this program")),
    };
    match opened {
        Ok(channel) => {
            source.channel = Some(channel);
            source.phase = Phase::Begin;
            rt.main_loop_mut().timer_mod_in(timer, Duration::ZERO);
            rt.state.migration.source = Some(source);
            Ok(())
        }
        Err(e) => {
            give_up(rt, &mut source, e.desc());
            rt.state.migration.source = Some(source);
            Err(e)
        }
    }
}

/// Drops what is left of the last migration.
fn forget(rt: &mut Rt) {
    if let Some(last) = rt.state.migration.source.take() {
        rt.main_loop_mut().timer_free(last.timer);
    }
}

/// A connection was made, is being made, or failed.
fn connected(rt: &mut Rt, addr: SocketAddress, connecting: Result<Connecting, Error>) {
    let Some(mut source) = rt.state.migration.source.take() else {
        return;
    };
    let timer = source.timer;
    match connecting {
        Ok(Connecting::Done(fd)) => match channel_on(fd) {
            Ok(channel) => {
                source.channel = Some(channel);
                source.phase = Phase::Begin;
            }
            Err(e) => source.error = Some(e.desc().to_owned()),
        },
        Ok(Connecting::InProgress(fd, rest)) => {
            let fd: Rc<OwnedFd> = Rc::new(fd);
            let shared = fd.clone();
            let ready = move |rt: &mut Rt, _| {
                let mut result = connect_result(&addr, &fd)
                    .and_then(|()| fd.try_clone().map_err(|e| Error::from_io("dup", &e)))
                    .map(Connecting::Done);
                if result.is_err() && !rest.is_empty() {
                    result = connect_next(&addr, rest.clone(), SockFlag::SOCK_NONBLOCK);
                }
                if let Some(source) = &mut rt.state.migration.source {
                    source.watch = None;
                }
                connected(rt, addr.clone(), result);
                Flow::Remove
            };
            let watch = Watch::new("migration_connect", shared, Condition::OUT, ready);
            source.watch = Some(rt.main_loop_mut().add_watch(watch));
            rt.state.migration.source = Some(source);
            return;
        }
        Err(e) => source.error = Some(e.desc().to_owned()),
    }
    rt.main_loop_mut().timer_mod_in(timer, Duration::ZERO);
    rt.state.migration.source = Some(source);
}

/// Makes a step.
fn step(rt: &mut Rt) {
    let Some(mut source) = rt.state.migration.source.take() else {
        return;
    };
    let next = advance(rt, &mut source).unwrap_or_else(|error| {
        give_up(rt, &mut source, &error);
        Next::Wait
    });
    let timer = source.timer;
    match next {
        Next::Again => {
            rt.main_loop_mut().timer_mod_in(timer, Duration::ZERO);
        }
        Next::At(time) => {
            rt.main_loop_mut().timer_mod(timer, time);
        }
        Next::Output => watch(rt, &mut source, Condition::OUT),
        Next::Answer => watch(rt, &mut source, Condition::IN),
        Next::Wait => {}
    }
    rt.state.migration.source = Some(source);
}

/// Waits for the channel, and then makes a step.
fn watch(rt: &mut Rt, source: &mut Source, condition: Condition) {
    let Some(channel) = &source.channel else {
        return;
    };
    let ready = |rt: &mut Rt, _| {
        if let Some(source) = &mut rt.state.migration.source {
            source.watch = None;
        }
        step(rt);
        Flow::Remove
    };
    let watch = Watch::new("migration_channel", channel.fd.clone(), condition, ready);
    source.watch = Some(rt.main_loop_mut().add_watch(watch));
}

fn advance(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    match source.phase {
        Phase::Connecting => match source.error.take() {
            Some(error) => Err(error),
            None => Ok(Next::Wait),
        },
        Phase::Begin => Ok(begin(rt, source)),
        Phase::Iterate => iterate(rt, source),
        Phase::Stopped | Phase::Over => Ok(Next::Wait),
        Phase::Device => finish_memory(rt, source),
        Phase::Finish => finish(rt, source),
        Phase::Cancelled => {
            go_on(rt, source);
            end(rt, source);
            set_status(rt, source, Status::Cancelled);
            Ok(Next::Wait)
        }
    }
}

fn begin(rt: &mut Rt, source: &mut Source) -> Next {
    let pass = source.ledger.begin(now(rt));
    tell_pass(rt, pass);
    set_status(rt, source, Status::Active);
    let is_socket = source.channel.as_ref().map(|c| c.kind) == Some(Kind::Socket);
    source.return_path = is_socket && rt.state.migration.settings.has(Cap::ReturnPath);
    if let Some(channel) = &mut source.channel {
        let out = channel.unsent();
        let before = out.len();
        let configuration = json(rt.state.configuration(source.return_path));
        source.encoder.begin(out);
        source
            .encoder
            .configuration(out, rt.state.class.name, &configuration);
        if let Some(name) = rt.state.ram_name() {
            source.encoder.memory(out, name, rt.state.ram_size());
        }
        let bytes = out.len() - before;
        source.ledger.send_bytes(bytes as u64);
    }
    source.phase = Phase::Iterate;
    Next::Again
}

fn json(dict: QDict) -> Vec<u8> {
    qobject_to_json(&dict.into(), false).into_bytes()
}

/// Sends memory while the machine runs, as much as the limit allows.
fn iterate(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if !flush(source)? {
        return Ok(Next::Output);
    }
    let pace = pace(rt);
    let window_ends = source.ledger.turn_window(now(rt), &pace);
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
    let size = rt.state.ram_size();
    let out = channel.unsent();
    let page = crate::model::migration::PAGE;
    let mut buffer = Vec::new();
    while source.walk < size && source.ledger.budget(pace) != Some(0) && out.len() < BACKLOG {
        let data = rt.state.ram().and_then(|ram| ram.next_data(source.walk));
        let data = data.map_or(size, |at| at / page * page);
        if data > source.walk {
            let zeros = (data - source.walk).div_ceil(page);
            source.walk += source.ledger.send_zeros(zeros, pace) * page;
            source.walk = source.walk.min(size);
            continue;
        }
        let end = rt.state.pages_at(source.walk, &mut buffer);
        for (at, content) in (source.walk..end)
            .step_by(page as usize)
            .zip(buffer.chunks(page as usize))
        {
            if content.iter().all(|byte| *byte == 0) {
                source.ledger.send_zeros(1, pace);
            } else {
                let name = rt.state.ram_name().unwrap_or_default();
                source.encoder.pages(out, name, at, content);
                source.ledger.send_page();
            }
        }
        source.walk = end;
    }
    source.ledger.send_dirty(pace);
}

fn flush(source: &mut Source) -> Result<bool, String> {
    source.channel.as_mut().map_or(Ok(true), |c| c.flush())
}

/// Stops the machine for the rest.
fn stop(rt: &mut Rt, source: &mut Source) -> Next {
    let (before, events) = rt.state.run.stop_for_migration();
    source.before = Some(before);
    emit(rt, &events);
    let now = now(rt);
    source.ledger.stop(now);
    if rt.state.migration.settings.has(Cap::PauseBeforeSwitchover) {
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
    let pace = pace(rt);
    let pass = source.ledger.sync(now(rt), &pace, None);
    tell_pass(rt, pass);
    source.phase = Phase::Device;
}

/// The command `migrate-continue`: lets a stopped migration go on.
pub(super) fn go_past_stop(rt: &mut Rt) {
    if let Some(mut source) = rt.state.migration.source.take() {
        source.phase = Phase::Device;
        rt.main_loop_mut()
            .timer_mod_in(source.timer, Duration::ZERO);
        rt.state.migration.source = Some(source);
    }
}

/// Sends what is left of memory, and then the devices.
fn finish_memory(rt: &mut Rt, source: &mut Source) -> Result<Next, String> {
    if source.status == Status::PreSwitchover {
        enter_device(rt, source);
    }
    if !flush(source)? {
        return Ok(Next::Output);
    }
    let pace = pace(rt);
    if source.ledger.remaining() > 0 {
        send_some(rt, source, &pace);
        return Ok(Next::Again);
    }
    let virtual_time = rt.main_loop().clock_get_ns(ClockType::Virtual);
    let state = source.before.unwrap_or(rt.state.run.current());
    if let Some(channel) = &mut source.channel {
        let out = channel.unsent();
        for (name, device) in rt.state.device_states() {
            source.encoder.device(out, &name, &json(device));
        }
        let mut machine = QDict::new();
        machine.insert("runstate", state.as_str());
        machine.insert("clock", virtual_time);
        source.encoder.machine(out, &json(machine));
        source.encoder.end(out);
        let bytes = out.len();
        source.ledger.send_bytes(bytes as u64);
    }
    source.phase = Phase::Finish;
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
                return Err("the other side could not load the machine".to_owned());
            }
        }
    }
    source.ledger.end(now(rt));
    end(rt, source);
    rt.state.run.migrated();
    set_status(rt, source, Status::Completed);
    Ok(Next::Wait)
}

/// Closes the channel: nothing is under way any more.
fn end(rt: &mut Rt, source: &mut Source) {
    source.phase = Phase::Over;
    source.channel = None;
    if let Some(watch) = source.watch.take() {
        rt.main_loop_mut().remove_watch(watch);
    }
    rt.main_loop_mut().timer_del(source.timer);
}

/// Lets the machine go on here.
fn go_on(rt: &mut Rt, source: &mut Source) {
    if let Some(before) = source.before.take() {
        let events = rt.state.run.migration_failed(before);
        emit(rt, &events);
    }
}

/// Ends a migration that failed.
fn give_up(rt: &mut Rt, source: &mut Source, error: &str) {
    end(rt, source);
    source.error = Some(error.to_owned());
    set_status(rt, source, Status::Failed);
    go_on(rt, source);
    rt.chardev_report(ChardevReport::Error, error);
}

/// The command `migrate_cancel`.
pub(super) fn cancel(rt: &mut Rt) {
    let Some(mut source) = rt.state.migration.source.take() else {
        return;
    };
    if source.is_under_way() && source.phase != Phase::Cancelled {
        end(rt, &mut source);
        set_status(rt, &mut source, Status::Cancelling);
        source.phase = Phase::Cancelled;
        rt.main_loop_mut()
            .timer_mod_in(source.timer, Duration::ZERO);
    }
    rt.state.migration.source = Some(source);
}

/// The program ends, and with it a migration (`migration_shutdown`).
pub(super) fn shut_down(rt: &mut Rt) {
    if rt.exit_requested().is_some() {
        cancel(rt);
    }
}
