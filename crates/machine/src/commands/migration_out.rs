//! Moving the machine away: commands, and the channel. [`migration_send`] has the steps.
//!
//! A step is made by a timer, at once or when the limit of bytes allows more, and by a watch
//! when the channel takes bytes again. None waits for anything.
//!
//! [`migration_send`]: super::migration_send

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::migration_channel::{channel_on, named_fd, open_file, spawn};
use super::migration_send::{advance, Next};
use super::run_state::emit;
use crate::model::migration::{Address, Ledger, Pace, Phase, Source};
use crate::schema::{
    qapi_event_send_migration, MigrationCapability as Cap, MigrationStatus as Status,
};
use crate::Machine;
use nix::sys::socket::SockFlag;
use qmonitor::chardev::{
    connect_next, connect_result, socket_connect_async, ChardevHost, ChardevReport, Connecting,
    SocketAddress,
};
use qmonitor::main_loop::{ClockType, Condition, Flow, Host, Watch};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Now, on the clock of migrations.
pub(super) fn now(rt: &Rt) -> i64 {
    rt.main_loop().clock_get_ns(ClockType::Realtime)
}

/// What the settings say about the pace of a migration in this state.
pub(super) fn pace(rt: &Rt, status: Status) -> Pace {
    let migration = &rt.state.migration;
    let number = |name| migration.settings.number(name);
    Pace {
        bandwidth: number(if status == Status::PostcopyActive {
            "max-postcopy-bandwidth"
        } else {
            "max-bandwidth"
        }),
        switchover_bandwidth: number("avail-switchover-bandwidth"),
        downtime_limit: number("downtime-limit"),
        dirty_rate: rt.state.simulated_dirty_rate(),
    }
}

/// Sets the state, and tells clients that want to know.
pub(super) fn set_status(rt: &mut Rt, source: &mut Source, status: Status) {
    if source.status != status {
        source.status = status;
        if rt.state.migration.settings.has(Cap::Events) {
            qapi_event_send_migration(rt, status);
        }
    }
}

/// Works on the migration, which cannot be looked at meanwhile.
fn with_source<T>(rt: &mut Rt, work: impl FnOnce(&mut Rt, &mut Source) -> T) -> Option<T> {
    let mut source = rt.state.migration.source.take()?;
    let result = work(rt, &mut source);
    rt.state.migration.source = Some(source);
    Some(result)
}

/// Begins to move the machine.
///
/// # Errors
///
/// The channel cannot be opened, which is known at once for all but sockets.
pub(super) fn start(rt: &mut Rt, address: Address) -> Result<(), Error> {
    let pace = pace(rt, Status::None);
    let ledger = Ledger::new(now(rt), rt.state.ram_size(), &pace);
    if let Some(last) = rt.state.migration.source.take() {
        rt.main_loop_mut().timer_free(last.timer);
    }
    let timer = rt
        .main_loop_mut()
        .timer_new(ClockType::Realtime, "migration_iteration_run", step);
    let mut source = Source::new(ledger, timer);
    set_status(rt, &mut source, Status::Setup);
    rt.state.migration.source = Some(source);
    open(rt, address)
}

/// Goes on with a migration that lost its channel.
///
/// # Errors
///
/// The new channel cannot be opened.
pub(super) fn resume(rt: &mut Rt, address: Address) -> Result<(), Error> {
    with_source(rt, |rt, source| {
        set_status(rt, source, Status::PostcopyRecoverSetup);
    });
    open(rt, address)
}

fn open(rt: &mut Rt, address: Address) -> Result<(), Error> {
    let opened = match address {
        Address::Exec(args) => spawn(rt, &args, true),
        Address::File { path, offset } => open_file(rt, &path, offset, true),
        Address::Socket(SocketAddress::Fd(name)) => named_fd(rt, &name).and_then(channel_on),
        Address::Socket(addr) => {
            let connecting = socket_connect_async(rt, &addr);
            connected(rt, addr, connecting);
            return Ok(());
        }
        Address::Rdma => Err(Error::new("RDMA is not available in this program")),
    };
    with_source(rt, |rt, source| match opened {
        Ok(channel) => {
            source.channel = Some(channel);
            source.is_connected();
            rt.main_loop_mut()
                .timer_mod_in(source.timer, Duration::ZERO);
            Ok(())
        }
        Err(e) => {
            give_up(rt, source, e.desc());
            Err(e)
        }
    })
    .unwrap_or(Ok(()))
}

/// A connection was made, is being made, or failed.
fn connected(rt: &mut Rt, addr: SocketAddress, connecting: Result<Connecting, Error>) {
    with_source(rt, |rt, source| {
        match connecting {
            Ok(Connecting::Done(fd)) => match channel_on(fd) {
                Ok(channel) => {
                    source.channel = Some(channel);
                    source.is_connected();
                }
                Err(e) => source.error = Some(e.desc().to_owned()),
            },
            Ok(Connecting::InProgress(fd, rest)) => return wait_for(rt, source, addr, fd, rest),
            Err(e) => source.error = Some(e.desc().to_owned()),
        }
        rt.main_loop_mut()
            .timer_mod_in(source.timer, Duration::ZERO);
    });
}

/// Waits until a connection is made, and tries the other addresses of the name if it fails.
fn wait_for(
    rt: &mut Rt,
    source: &mut Source,
    addr: SocketAddress,
    fd: OwnedFd,
    rest: Vec<std::net::SocketAddr>,
) {
    let fd = Rc::new(fd);
    let shared = fd.clone();
    let ready = move |rt: &mut Rt, _| {
        let made = connect_result(&addr, &fd);
        let own = made.and_then(|()| {
            let own = fd.try_clone();
            own.map_err(|e| Error::from_io("Failed to connect", &e))
        });
        let mut result = own.map(Connecting::Done);
        if result.is_err() && !rest.is_empty() {
            result = connect_next(&addr, rest.clone(), SockFlag::SOCK_NONBLOCK);
        }
        with_source(rt, |_, source| source.watch = None);
        connected(rt, addr.clone(), result);
        Flow::Remove
    };
    let watch = Watch::new("migration_connect", shared, Condition::OUT, ready);
    source.watch = Some(rt.main_loop_mut().add_watch(watch));
}

/// Makes a step.
fn step(rt: &mut Rt) {
    with_source(rt, |rt, source| {
        let next = match advance(rt, source) {
            Ok(next) => next,
            Err(error) => {
                give_up(rt, source, &error);
                rt.chardev_report(ChardevReport::Error, &error);
                return;
            }
        };
        match next {
            Next::Again => {
                rt.main_loop_mut()
                    .timer_mod_in(source.timer, Duration::ZERO);
            }
            Next::At(time) => {
                rt.main_loop_mut().timer_mod(source.timer, time);
            }
            Next::Output => watch(rt, source, Condition::OUT),
            Next::Answer => watch(rt, source, Condition::IN),
            Next::Wait => {}
        }
    });
}

/// Waits for the channel, and then makes a step.
fn watch(rt: &mut Rt, source: &mut Source, condition: Condition) {
    let Some(channel) = &source.channel else {
        return;
    };
    let ready = |rt: &mut Rt, _| {
        with_source(rt, |_, source| source.watch = None);
        step(rt);
        Flow::Remove
    };
    let watch = Watch::new("migration_channel", channel.fd.clone(), condition, ready);
    source.watch = Some(rt.main_loop_mut().add_watch(watch));
}

/// Closes the channel.
fn close(rt: &mut Rt, source: &mut Source) {
    source.channel = None;
    if let Some(watch) = source.watch.take() {
        rt.main_loop_mut().remove_watch(watch);
    }
    rt.main_loop_mut().timer_del(source.timer);
}

/// Nothing is under way any more.
pub(super) fn end(rt: &mut Rt, source: &mut Source) {
    close(rt, source);
    source.phase = Phase::Over;
    if let Some(waiter) = source.waiter.take() {
        waiter.respond(Ok(()));
    }
}

/// Lets the machine go on here.
pub(super) fn go_on(rt: &mut Rt, source: &mut Source) {
    if let Some(before) = source.before.take() {
        let events = rt.state.run.migration_failed(before);
        emit(rt, &events);
    }
}

/// Ends a migration that failed. One that has let the machine run at the other side can only
/// wait for a new channel.
fn give_up(rt: &mut Rt, source: &mut Source, error: &str) {
    source.error = Some(error.to_owned());
    if matches!(source.phase, Phase::Postcopy | Phase::Interrupted) {
        interrupt(rt, source);
    } else {
        end(rt, source);
        set_status(rt, source, Status::Failed);
        go_on(rt, source);
    }
}

fn interrupt(rt: &mut Rt, source: &mut Source) {
    close(rt, source);
    source.phase = Phase::Interrupted;
    set_status(rt, source, Status::PostcopyPaused);
}

/// The command `migrate-pause`; false if the migration is not in a state for it.
pub(super) fn pause(rt: &mut Rt) -> bool {
    let paused = with_source(rt, |rt, source| {
        let is_postcopy = source.phase == Phase::Postcopy;
        if is_postcopy {
            let error = "Postcopy migration is paused by the user";
            source.error = Some(error.to_owned());
            interrupt(rt, source);
        }
        is_postcopy
    });
    paused == Some(true)
}

/// The command `migrate-continue`: lets a stopped migration go on.
pub(super) fn go_past_stop(rt: &mut Rt) {
    with_source(rt, |rt, source| {
        if source.phase == Phase::Stopped {
            source.phase = Phase::Device;
            let timer = source.timer;
            rt.main_loop_mut().timer_mod_in(timer, Duration::ZERO);
        }
    });
}

/// The command `migrate_cancel`.
///
/// # Errors
///
/// The machine runs at the other side already.
pub(super) fn cancel(rt: &mut Rt) -> Result<(), Error> {
    let cancelled = with_source(rt, |rt, source| {
        match source.phase {
            Phase::Over | Phase::Cancelled => return Ok(()),
            Phase::Postcopy | Phase::Interrupted => {
                let desc = "Postcopy migration in progress, cannot cancel.";
                return Err(Error::new(desc));
            }
            _ => {}
        }
        close(rt, source);
        set_status(rt, source, Status::Cancelling);
        source.phase = Phase::Cancelled;
        rt.main_loop_mut()
            .timer_mod_in(source.timer, Duration::ZERO);
        Ok(())
    });
    cancelled.unwrap_or(Ok(()))
}
