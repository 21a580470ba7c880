//! The qtest protocol: its channel, and the clock that a test moves.

use super::objects::lend_chardev;
use crate::model::accel::Accel;
use crate::model::qom::ObjectId;
use crate::model::qtest::{c_number, Log, QtestChannel};
use crate::Machine;
use qmonitor::chardev::{
    qemu_chr_fe_add_watch, qemu_chr_fe_set_handlers, qemu_chr_fe_write, qemu_chr_find,
    CharHandlers, ChrEvent,
};
use qmonitor::main_loop::{virtual_clock_warp, ClockType, Condition, Flow, Host};
use qmonitor::qapi::Error;
use qmonitor::Runtime;

type Rt = Runtime<Machine>;

/// Opens the channel of `-qtest` on a chardev.
///
/// # Errors
///
/// As [`open`].
pub(crate) fn qtest_from_cli(rt: &mut Rt, chardev: &str, log: Option<&str>) -> Result<(), Error> {
    let id = rt.state.add_qtest_object(chardev, log.unwrap_or_default());
    open(rt, id, log)
}

/// Opens the channel of an object.
///
/// # Errors
///
/// There is no such chardev, it is in use, or there is a channel already.
pub(super) fn open(rt: &mut Rt, id: ObjectId, log: Option<&str>) -> Result<(), Error> {
    let label = rt.state.str_property(id, "chardev");
    if qemu_chr_find(rt, &label).is_none() {
        return Err(Error::new(format!(
            "Cannot find character device '{label}'"
        )));
    }
    if rt.state.qtest_channel.is_some() {
        return Err(Error::new("Only one instance of qtest can be created"));
    }
    let frontend = lend_chardev(rt, &label)?;
    let channel = QtestChannel::new(id, frontend, Log::of_option(log));
    rt.state.qtest_channel = Some(channel);
    rt.state.frontends.insert(id, frontend);
    let handlers = CharHandlers::new(|_, _| 4096, read, event);
    qemu_chr_fe_set_handlers(rt, frontend, Some(handlers), 0);
    Ok(())
}

/// Lets a test move the machine's clock, if that was chosen.
pub(crate) fn take_clock_in_hand(rt: &mut Rt) {
    if rt.state.accel == Accel::Qtest {
        rt.main_loop_mut().take_virtual_clock_in_hand();
        rt.set_event_clock(ClockType::Virtual);
    }
}

fn event(rt: &mut Rt, _: u64, event: ChrEvent) {
    let Some(channel) = &mut rt.state.qtest_channel else {
        return;
    };
    match event {
        ChrEvent::Opened => channel.open(),
        ChrEvent::Closed => channel.close(),
        _ => {}
    }
}

fn read(rt: &mut Rt, _: u64, bytes: &[u8]) {
    let channel = rt.state.qtest_channel.as_mut();
    let lines = channel.map_or_else(Vec::new, |channel| channel.take(bytes));
    for line in lines {
        if let Some(channel) = &mut rt.state.qtest_channel {
            channel.note('R', &line);
        }
        for answer in answers(rt, &line) {
            send(rt, &answer);
        }
    }
}

/// Carries out a request.
fn answers(rt: &mut Rt, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    if let (Accel::Qtest, Some(reply)) = (rt.state.accel, clock(rt, &words)) {
        return vec![reply];
    }
    if let Some(reply) = super::guest_ports::request(rt, &words) {
        return vec![reply];
    }
    let mut answer = rt.state.qtest(&words);
    answer.told.push(answer.reply);
    answer.told
}

/// Moves the clock, if the request is about that.
fn clock(rt: &mut Rt, words: &[&str]) -> Option<String> {
    let now = rt.main_loop().clock_get_ns(ClockType::Virtual);
    let number = |text: &str| c_number(text).map(|n| i64::try_from(n).unwrap_or(i64::MAX));
    let to = match words {
        ["clock_step"] => match rt.main_loop().next_virtual_deadline() {
            Some(left) => Some(now.saturating_add_unsigned(left.as_nanos() as u64)),
            None => {
                return Some(
                    "FAIL cannot advance clock to the next deadline because there is no pending \
                     deadline"
                        .to_owned(),
                );
            }
        },
        ["clock_step", ns, ..] => number(ns).map(|ns| now.saturating_add(ns)),
        ["clock_set", ns, ..] => number(ns),
        ["clock_set"] => None,
        _ => return None,
    };
    let Some(to) = to else {
        let name = words[0];
        return Some(format!("FAIL {name}: not a number of nanoseconds"));
    };
    let moved = virtual_clock_warp(rt, to);
    let now = rt.main_loop().clock_get_ns(ClockType::Virtual);
    Some(format!("{} {now}", if moved { "OK" } else { "FAIL" }))
}

/// Sends a line, or as much as can be taken now.
fn send(rt: &mut Rt, line: &str) {
    let Some(channel) = &mut rt.state.qtest_channel else {
        return;
    };
    channel.note('S', line);
    let waits = !channel.backlog.is_empty();
    channel.backlog.extend_from_slice(line.as_bytes());
    channel.backlog.push(b'\n');
    if !waits && !flush(rt) {
        wait_for_room(rt);
    }
}

/// Sends what waits; false if some is left.
fn flush(rt: &mut Rt) -> bool {
    let Some(channel) = &mut rt.state.qtest_channel else {
        return true;
    };
    let (frontend, mut backlog) = (channel.frontend, std::mem::take(&mut channel.backlog));
    while !backlog.is_empty() {
        match qemu_chr_fe_write(rt, frontend, &backlog) {
            Ok(n) => {
                backlog.drain(..n);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(_) => backlog.clear(),
        }
    }
    let is_done = backlog.is_empty();
    if let Some(channel) = &mut rt.state.qtest_channel {
        channel.backlog = backlog;
    }
    is_done
}

fn wait_for_room(rt: &mut Rt) {
    let Some(channel) = &rt.state.qtest_channel else {
        return;
    };
    let more = |rt: &mut Rt, _: Condition| {
        if flush(rt) {
            Flow::Remove
        } else {
            Flow::Keep
        }
    };
    let frontend = channel.frontend;
    qemu_chr_fe_add_watch(rt, frontend, Condition::OUT, more);
}
