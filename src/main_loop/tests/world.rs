//! Random programs for the loop, written once and run on two worlds: the loop
//! itself, and the model.
//!
//! A program has no text. Whenever something is dispatched, [`act`] logs it and
//! does up to three operations drawn from the program's random numbers, in the
//! callback; so both worlds do the same as long as they dispatch the same, and
//! the first difference shows in the logs. Things are named by the order in which
//! they were made.

use std::fmt::{self, Debug};

use super::super::{ClockType, Condition, Flow};
use super::{HUP, IN, OUT};

pub(super) const CHANNELS: usize = 6;
pub(super) const GATES: usize = 3;

/// What a channel of the world is; by its number, so that each kind occurs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    /// The reading end of a pipe.
    Pipe,
    /// A connected socket.
    Socket,
    /// A regular file.
    File,
}

impl Kind {
    pub(super) fn of(channel: usize) -> Self {
        [
            Kind::Pipe,
            Kind::Pipe,
            Kind::Pipe,
            Kind::Socket,
            Kind::Socket,
            Kind::File,
        ][channel]
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    pub(super) channel: usize,
    /// Has the gate alone, and no fd. Only if there is a gate.
    pub(super) without_fd: bool,
    /// Watches a duplicate of the channel's fd, which is another number.
    pub(super) duplicate: bool,
    pub(super) condition: Condition,
    pub(super) gate: Option<usize>,
}

/// Who runs.
#[derive(Clone, Copy)]
pub(super) enum Who {
    Watch(usize, Condition),
    Timer(usize),
    Bh(usize),
    Oneshot(usize),
}

impl Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Watch(number, got) => write!(f, "watch {number} {got:?}"),
            Who::Timer(number) => write!(f, "timer {number}"),
            Who::Bh(number) => write!(f, "bh {number}"),
            Who::Oneshot(number) => write!(f, "oneshot {number}"),
        }
    }
}

/// What both worlds keep alike.
pub(super) struct Core {
    random: u64,
    pub(super) log: Vec<String>,
    operations_left: u32,
    pub(super) watches: usize,
    pub(super) bhs: usize,
    pub(super) timers: usize,
    pub(super) oneshots: usize,
}

impl Core {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
            log: Vec::new(),
            operations_left: 400,
            watches: 0,
            bhs: 0,
            timers: 0,
            oneshots: 0,
        }
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as usize % limit.max(1)
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn say(&mut self, what: impl Debug) {
        self.log.push(format!("{what:?}"));
    }

    fn spec(&mut self) -> Spec {
        let gate = if self.one_in(2) {
            Some(self.below(GATES))
        } else {
            None
        };
        let conditions = [IN, IN, IN, IN | HUP, OUT, IN | OUT, HUP, Condition::empty()];
        Spec {
            channel: self.below(CHANNELS),
            duplicate: self.one_in(4),
            condition: conditions[self.below(conditions.len())],
            gate,
            without_fd: gate.is_some() && self.one_in(6),
        }
    }
}

/// What a program can do. Things that are gone are asked for too.
pub(super) trait World: Sized + 'static {
    fn core(&mut self) -> &mut Core;
    fn add_watch(&mut self, spec: Spec);
    fn remove_watch(&mut self, watch: usize) -> bool;
    /// Adds a watch and removes another, if that is there. Counts the new one.
    fn replace_watch(&mut self, watch: usize, spec: Spec) -> bool;
    fn flip_gate(&mut self, gate: usize);
    fn feed(&mut self, channel: usize);
    fn drain(&mut self, channel: usize);
    fn hang_up(&mut self, channel: usize);
    fn reopen(&mut self, channel: usize);
    fn bh_new(&mut self);
    fn bh_schedule(&mut self, bh: usize) -> bool;
    fn bh_delete(&mut self, bh: usize) -> bool;
    /// Schedules as another thread does.
    fn bh_call(&mut self, bh: usize);
    fn oneshot(&mut self);
    fn timer_new(&mut self, clock: ClockType);
    /// Arms for so many nanoseconds from now.
    fn timer_mod(&mut self, timer: usize, from_now: i64) -> bool;
    fn timer_del(&mut self, timer: usize) -> bool;
    fn timer_free(&mut self, timer: usize) -> bool;
    fn enable_virtual(&mut self, enabled: bool);
    fn step(&mut self, ns: u64);
    /// A turn; `pass` lets simulated time pass.
    fn turn(&mut self, pass: bool) -> bool;
}

/// Every callback of a program.
pub(super) fn act<W: World>(world: &mut W, who: Who) -> Flow {
    world.core().say(who);
    for _ in 0..world.core().below(4) {
        operate(world);
    }
    if world.core().one_in(8) {
        Flow::Remove
    } else {
        Flow::Keep
    }
}

fn operate<W: World>(world: &mut W) {
    if world.core().operations_left == 0 {
        return;
    }
    world.core().operations_left -= 1;
    let (watches, bhs, timers) = (world.core().watches, world.core().bhs, world.core().timers);
    let channel = world.core().below(CHANNELS);
    let watch = world.core().below(watches);
    let bh = world.core().below(bhs);
    let timer = world.core().below(timers);
    let did = match world.core().below(32) {
        0..=4 => {
            let spec = world.core().spec();
            world.add_watch(spec);
            true
        }
        5..=7 => watches > 0 && world.remove_watch(watch),
        8..=9 => {
            let spec = world.core().spec();
            watches > 0 && world.replace_watch(watch, spec)
        }
        10..=11 => {
            let gate = world.core().below(GATES);
            world.flip_gate(gate);
            true
        }
        12..=14 => {
            world.feed(channel);
            true
        }
        15..=16 => {
            world.drain(channel);
            true
        }
        17 => {
            world.hang_up(channel);
            true
        }
        18..=19 => {
            world.reopen(channel);
            true
        }
        20 => {
            world.bh_new();
            true
        }
        21..=24 => bhs > 0 && world.bh_schedule(bh),
        25 if world.core().one_in(2) => bhs > 0 && world.bh_delete(bh),
        25 => {
            world.oneshot();
            true
        }
        26 => {
            if bhs > 0 {
                world.bh_call(bh);
            }
            true
        }
        27 => {
            let clocks = [ClockType::Realtime, ClockType::Virtual, ClockType::Host];
            let clock = clocks[world.core().below(3)];
            world.timer_new(clock);
            true
        }
        28..=29 => {
            let from_now = world.core().below(8) as i64 - 2;
            timers > 0 && world.timer_mod(timer, from_now)
        }
        30 if world.core().one_in(3) => timers > 0 && world.timer_free(timer),
        30 => timers > 0 && world.timer_del(timer),
        _ => {
            if world.core().one_in(2) {
                let enabled = world.core().one_in(2);
                world.enable_virtual(enabled);
            } else {
                world.step(3);
            }
            true
        }
    };
    world.core().say(did);
}

/// Runs a whole program and returns its log.
pub(super) fn run<W: World>(mut world: W) -> Vec<String> {
    for _ in 0..20 {
        operate(&mut world);
    }
    for turn in 0..80 {
        // Now and then something from outside, or most programs die out.
        if turn % 4 == 0 {
            operate(&mut world);
        }
        let pass = world.core().one_in(2);
        let ran = world.turn(pass);
        world.core().say(("turn", turn, ran));
    }
    std::mem::take(&mut world.core().log)
}
