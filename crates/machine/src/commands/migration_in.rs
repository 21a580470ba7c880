//! The machine of another program comes here: `-incoming`, `migrate-incoming`.

use std::os::fd::AsFd;
use std::rc::Rc;

use super::migration_channel::{address, channel_on, fd_param, open_file, spawn};
use super::run_state::emit;
use crate::model::migration::{Address, Asks, Channel, Kind, Loading, Received, StreamError};
use crate::schema::{
    qapi_event_send_migration, MigrationCapability as Cap, MigrationChannel,
    MigrationStatus as Status, RunState,
};
use crate::Machine;
use qmonitor::chardev::{socket_accept, socket_listen, ChardevHost, ChardevReport, SocketAddress};
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, Watch};
use qmonitor::qapi::visit::{InputVisitor, QapiType};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Bytes read in a turn.
const PIECE: usize = 256 << 10;

fn set_status(rt: &mut Rt, status: Status) {
    if rt.state.migration.incoming.status != Some(status) {
        rt.state.migration.incoming.status = Some(status);
        if rt.state.migration.settings.has(Cap::Events) {
            qapi_event_send_migration(rt, status);
        }
    }
}

/// Opens the channel on which the machine will come (`qemu_start_incoming_migration`).
///
/// # Errors
///
/// It cannot be opened.
pub(super) fn start(rt: &mut Rt, address: Address, exit_on_error: bool) -> Result<(), Error> {
    rt.state.migration.incoming.exit_on_error = exit_on_error;
    set_status(rt, Status::Setup);
    open(rt, address)?;
    rt.state.migration.incoming.is_started = true;
    Ok(())
}

/// Opens another channel for a machine that runs here and has not got all of its memory.
///
/// # Errors
///
/// It cannot be opened.
pub(super) fn recover(rt: &mut Rt, address: Address) -> Result<(), Error> {
    stop_waiting(rt);
    open(rt, address)
}

fn open(rt: &mut Rt, address: Address) -> Result<(), Error> {
    let channel = match address {
        Address::Exec(args) => spawn(rt, &args, false),
        Address::File { path, offset } => open_file(rt, &path, offset, false),
        Address::Socket(SocketAddress::Fd(name)) => fd_param(rt, &name).and_then(channel_on),
        Address::Socket(addr) => return listen(rt, &addr),
        Address::Rdma => Err(Error::new("RDMA is not available in this program")),
    };
    read_from(rt, channel?);
    Ok(())
}

/// The command `migrate-pause`; false if the migration is not in a state for it.
pub(super) fn pause(rt: &mut Rt) -> bool {
    let is_postcopy = rt.state.migration.incoming.status == Some(Status::PostcopyActive);
    if is_postcopy {
        stop_waiting(rt);
        set_status(rt, Status::PostcopyPaused);
    }
    is_postcopy
}

/// Closes the channel, or the socket that waits for one.
fn stop_waiting(rt: &mut Rt) {
    let incoming = &mut rt.state.migration.incoming;
    incoming.channel = None;
    incoming.path = None;
    incoming.loading = Loading::default();
    if let Some(watch) = incoming.watch.take() {
        rt.main_loop_mut().remove_watch(watch);
    }
}

/// Does what `-incoming` says: a URI, a channel as JSON, or to wait for `migrate-incoming`.
///
/// # Errors
///
/// The channel cannot be opened.
pub(crate) fn incoming_from_cli(rt: &mut Rt, arg: &str) -> Result<(), Error> {
    let address = if arg == "defer" {
        return Ok(());
    } else if arg.starts_with('{') {
        let mut v = InputVisitor::new_str(arg, None, rt.policy())?;
        address(MigrationChannel::visit_in(&mut v, "")?.addr)
    } else {
        Address::parse(arg)?
    };
    start(rt, address, true)
}

fn listen(rt: &mut Rt, addr: &SocketAddress) -> Result<(), Error> {
    let listening = socket_listen(rt, addr, 1)?;
    let fd = Rc::new(listening.fd);
    let shared = fd.clone();
    let ready = move |rt: &mut Rt, _| {
        let Ok(client) = socket_accept(fd.as_fd()) else {
            return Flow::Keep;
        };
        rt.state.migration.incoming.watch = None;
        rt.state.migration.incoming.path = None;
        match channel_on(client) {
            Ok(channel) => read_from(rt, channel),
            Err(e) => rt.chardev_report(ChardevReport::Error, e.desc()),
        }
        Flow::Remove
    };
    let watch = Watch::new(
        "socket_accept_incoming_migration",
        shared,
        Condition::IN,
        ready,
    );
    let watch = rt.main_loop_mut().add_watch(watch);
    let incoming = &mut rt.state.migration.incoming;
    incoming.watch = Some(watch);
    incoming.listens_at = Some(listening.addr);
    incoming.path = listening.path;
    Ok(())
}

fn read_from(rt: &mut Rt, channel: Channel) {
    let fd = channel.fd.clone();
    let incoming = &mut rt.state.migration.incoming;
    incoming.channel = Some(channel);
    let ready = |rt: &mut Rt, _| read(rt);
    let watch = Watch::new("process_incoming_migration", fd, Condition::IN, ready);
    let watch = rt.main_loop_mut().add_watch(watch);
    rt.state.migration.incoming.watch = Some(watch);
}

/// Takes what has come on the channel.
fn read(rt: &mut Rt) -> Flow {
    let Some(channel) = rt.state.migration.incoming.channel.take() else {
        return Flow::Remove;
    };
    let mut buffer = vec![0; PIECE];
    let received = channel.receive(&mut buffer);
    let mut loading = std::mem::take(&mut rt.state.migration.incoming.loading);
    let result = match received {
        Ok(Received::Nothing) => Ok(false),
        Ok(Received::Bytes(n)) => {
            if rt.state.migration.incoming.status == Some(Status::Setup) {
                set_status(rt, Status::Active);
            }
            loading.decoder.feed(&buffer[..n]);
            load(rt, &mut loading)
        }
        Ok(Received::End) => Err(loading.decoder.cut()),
        Err(e) => Err(StreamError::invalid(e.to_string())),
    };
    match result {
        Ok(false) => {
            let incoming = &mut rt.state.migration.incoming;
            incoming.channel = Some(channel);
            incoming.loading = loading;
            return Flow::Keep;
        }
        Ok(true) => arrive(rt, &loading, channel),
        Err(e) => fail(rt, &loading, channel, &e),
    }
    rt.state.migration.incoming.watch = None;
    Flow::Remove
}

/// Takes the sections that have come whole; true at the end.
fn load(rt: &mut Rt, loading: &mut Loading) -> Result<bool, StreamError> {
    while let Some(section) = loading.decoder.next()? {
        match loading.take(&mut rt.state, section)? {
            Asks::Nothing => {}
            Asks::ToRun => {
                set_status(rt, Status::PostcopyActive);
                run(rt, loading)?;
            }
            Asks::ToResume => {
                if rt.state.migration.incoming.status != Some(Status::PostcopyPaused) {
                    let what = "the stream goes on with another one, which was not interrupted";
                    return Err(StreamError::invalid(what));
                }
                set_status(rt, Status::PostcopyRecover);
                set_status(rt, Status::PostcopyActive);
            }
        }
    }
    let has_ended = loading.decoder.has_ended();
    if has_ended && rt.state.migration.incoming.status == Some(Status::Active) {
        run(rt, loading)?;
    }
    Ok(has_ended)
}

/// Gives the machine its state and lets it go on here.
fn run(rt: &mut Rt, loading: &mut Loading) -> Result<(), StreamError> {
    let (state, clock) = loading.finish(&mut rt.state)?;
    let behind = clock - rt.main_loop().clock_get_ns(ClockType::Virtual);
    if let Ok(ns @ 1..) = u64::try_from(behind) {
        rt.main_loop_mut().clock_step(ns);
    }
    let events = rt.state.run.arrived(state);
    emit(rt, &events);
    Ok(())
}

/// Everything has come.
fn arrive(rt: &mut Rt, loading: &Loading, channel: Channel) {
    answer(loading, channel, 0);
    rt.state.migration.incoming.listens_at = None;
    set_status(rt, Status::Completed);
}

/// Tells the other side how it went, if it wants to know.
fn answer(loading: &Loading, mut channel: Channel, answer: u8) {
    if loading.return_path && channel.kind == Kind::Socket {
        channel.unsent().push(answer);
        // One byte always has room in an empty socket; a peer that is gone needs no answer.
        let _ = channel.flush();
    }
}

fn fail(rt: &mut Rt, loading: &Loading, channel: Channel, error: &StreamError) {
    let status = rt.state.migration.incoming.status;
    if matches!(
        status,
        Some(Status::PostcopyActive | Status::PostcopyRecover | Status::PostcopyPaused)
    ) {
        // The machine runs here, and waits for the rest of its memory.
        rt.chardev_report(ChardevReport::Error, &error.what);
        return set_status(rt, Status::PostcopyPaused);
    }
    answer(loading, channel, 1);
    let text = format!("load of migration failed: {}", error.kind);
    let explains = rt.profile().explains_failed_loads();
    let incoming = &mut rt.state.migration.incoming;
    incoming.listens_at = None;
    incoming.error = Some(if explains {
        format!("{text}: {}", error.what)
    } else {
        text.clone()
    });
    let exits = incoming.exit_on_error;
    set_status(rt, Status::Failed);
    rt.chardev_report(ChardevReport::Error, &error.what);
    if exits {
        rt.chardev_report(ChardevReport::Error, &text);
        rt.request_exit(1);
    }
}

/// Whether the machine waits for another one's state.
pub(super) fn is_awaited(rt: &Rt) -> bool {
    rt.state.run.current() == RunState::Inmigrate
}
