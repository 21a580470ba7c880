//! The loop as plain sets: no slots, no kernel, everything looked for from the
//! start each time.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{ClockType, Condition, Flow};
use super::world::{act, Core, Kind, Spec, Who, World, CHANNELS, GATES};
use super::{HUP, IN, OUT};

/// An open file, with its channel's number and how often that was opened.
type FileId = (usize, usize);

#[derive(Default)]
struct File {
    bytes: usize,
    hung_up: bool,
}

struct MWatch {
    spec: Spec,
    file: FileId,
    /// Which number of the file it watches: 0, or its own duplicate.
    duplicate: usize,
    gate_was_open: bool,
}

pub(super) struct Model {
    core: Core,
    watches: BTreeMap<usize, MWatch>,
    gates: [bool; GATES],
    files: BTreeMap<FileId, File>,
    opened: [usize; CHANNELS],
    /// Bottom halves, and the order of their schedulings; one-shot ones are
    /// numbered from a million.
    bhs: BTreeMap<usize, Option<u64>>,
    called: Vec<usize>,
    call_pending: BTreeSet<usize>,
    timers: BTreeMap<usize, (ClockType, Option<(i64, u64)>)>,
    order: u64,
    now: i64,
    virtual_now: i64,
    virtual_enabled: bool,
    /// The last turn ended after its bottom halves.
    ended_early: bool,
}

const ONESHOT: usize = 1_000_000;

impl Model {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            core: Core::new(seed),
            watches: BTreeMap::new(),
            gates: [true; GATES],
            files: (0..CHANNELS).map(|n| ((n, 0), File::default())).collect(),
            opened: [0; CHANNELS],
            bhs: BTreeMap::new(),
            called: Vec::new(),
            call_pending: BTreeSet::new(),
            timers: BTreeMap::new(),
            order: 0,
            now: 0,
            virtual_now: 0,
            virtual_enabled: true,
            ended_early: false,
        }
    }

    fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    fn file(&mut self, channel: usize) -> &mut File {
        let file = (channel, self.opened[channel]);
        self.files.get_mut(&file).unwrap()
    }

    fn gate_is_open(&self, spec: &Spec) -> bool {
        spec.gate.is_none_or(|gate| self.gates[gate])
    }

    fn clock(&self, clock: ClockType) -> i64 {
        match clock {
            ClockType::Virtual => self.virtual_now,
            _ => self.now,
        }
    }

    fn is_enabled(&self, clock: ClockType) -> bool {
        clock != ClockType::Virtual || self.virtual_enabled
    }

    fn take_in_calls(&mut self) {
        for bh in std::mem::take(&mut self.called) {
            if self.bhs.contains_key(&bh) {
                self.call_pending.remove(&bh);
                self.bh_schedule(bh);
            }
        }
    }

    /// Runs bottom halves that are still scheduled as they were.
    fn run_bhs(&mut self, mut list: Vec<(u64, usize)>) -> bool {
        let mut ran = false;
        list.sort_unstable();
        for (order, bh) in list {
            if self.bhs.get(&bh) != Some(&Some(order)) {
                continue;
            }
            ran = true;
            if bh >= ONESHOT {
                self.bhs.remove(&bh);
                act(self, Who::Oneshot(bh - ONESHOT));
            } else {
                self.bhs.insert(bh, None);
                act(self, Who::Bh(bh));
            }
        }
        ran
    }

    /// What the kernel says of one number of a file, if the open watches of
    /// that number want it.
    fn file_condition(&self, id: FileId, duplicate: usize) -> Condition {
        let wanted = self
            .watches
            .values()
            .filter(|watch| watch.file == id && watch.duplicate == duplicate)
            .filter(|watch| !watch.spec.without_fd)
            .filter(|watch| watch.gate_was_open)
            .fold(HUP, |wanted, watch| wanted | watch.spec.condition);
        let file = &self.files[&id];
        let kind = Kind::of(id.0);
        let mut is = Condition::empty();
        if file.bytes > 0 || kind == Kind::File || (kind == Kind::Socket && file.hung_up) {
            is |= IN;
        }
        if kind != Kind::Pipe {
            is |= OUT;
        }
        if file.hung_up {
            is |= HUP;
        }
        is & wanted
    }

    fn ready_watches(&self) -> Vec<(bool, usize, Condition)> {
        let mut ready = Vec::new();
        for (number, watch) in &self.watches {
            let file = self.file_condition(watch.file, watch.duplicate);
            let mut got = file & (watch.spec.condition | HUP);
            if file.contains(IN) {
                got = got - HUP;
            }
            if watch.spec.without_fd {
                got = IN;
            }
            if watch.gate_was_open && !got.is_empty() {
                ready.push((got == HUP, *number, got));
            }
        }
        ready.sort_by_key(|(end, number, _)| (*end, *number));
        ready
    }

    fn due_timers(&self) -> Vec<(ClockType, i64, u64, usize)> {
        let mut due = Vec::new();
        for clock in [ClockType::Realtime, ClockType::Virtual, ClockType::Host] {
            let mut of_clock: Vec<_> = self
                .timers
                .iter()
                .filter(|(_, timer)| timer.0 == clock && self.is_enabled(clock))
                .filter_map(|(number, timer)| Some((timer.1?, *number)))
                .filter(|((deadline, _), _)| *deadline <= self.clock(clock))
                .map(|((deadline, order), number)| (clock, deadline, order, number))
                .collect();
            of_clock.sort_by_key(|(_, deadline, order, _)| (*deadline, *order));
            due.extend(of_clock);
        }
        due
    }

    /// How far time may go, if a turn has nothing to do at once.
    fn time_limit(&self) -> Option<i64> {
        self.timers
            .values()
            .filter(|(clock, _)| self.is_enabled(*clock))
            .filter_map(|(clock, armed)| Some((armed.as_ref()?.0 - self.clock(*clock)).max(0)))
            .min()
    }
}

impl World for Model {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn add_watch(&mut self, spec: Spec) {
        let number = self.core.watches;
        self.core.watches += 1;
        let file = (spec.channel, self.opened[spec.channel]);
        let watch = MWatch {
            spec,
            file,
            duplicate: if spec.duplicate { number + 1 } else { 0 },
            gate_was_open: false,
        };
        self.watches.insert(number, watch);
    }

    fn remove_watch(&mut self, watch: usize) -> bool {
        self.watches.remove(&watch).is_some()
    }

    fn replace_watch(&mut self, watch: usize, spec: Spec) -> bool {
        let there = self.remove_watch(watch);
        if there {
            self.add_watch(spec);
        }
        there
    }

    fn flip_gate(&mut self, gate: usize) {
        self.gates[gate] = !self.gates[gate];
    }

    fn feed(&mut self, channel: usize) {
        let file = self.file(channel);
        if !file.hung_up {
            file.bytes += 1;
        }
    }

    fn drain(&mut self, channel: usize) {
        let file = self.file(channel);
        file.bytes = file.bytes.saturating_sub(1);
    }

    fn hang_up(&mut self, channel: usize) {
        if Kind::of(channel) != Kind::File {
            self.file(channel).hung_up = true;
        }
    }

    fn reopen(&mut self, channel: usize) {
        self.hang_up(channel);
        self.opened[channel] += 1;
        let id = (channel, self.opened[channel]);
        self.files.insert(id, File::default());
    }

    fn bh_new(&mut self) {
        self.bhs.insert(self.core.bhs, None);
        self.core.bhs += 1;
    }

    fn bh_schedule(&mut self, bh: usize) -> bool {
        let order = self.next_order();
        let Some(scheduled) = self.bhs.get_mut(&bh) else {
            return false;
        };
        scheduled.get_or_insert(order);
        true
    }

    fn bh_delete(&mut self, bh: usize) -> bool {
        self.bhs.remove(&bh).is_some()
    }

    fn bh_call(&mut self, bh: usize) {
        if self.call_pending.insert(bh) {
            self.called.push(bh);
        }
    }

    fn oneshot(&mut self) {
        let order = self.next_order();
        let bh = ONESHOT + self.core.oneshots;
        self.core.oneshots += 1;
        self.bhs.insert(bh, Some(order));
    }

    fn timer_new(&mut self, clock: ClockType) {
        self.timers.insert(self.core.timers, (clock, None));
        self.core.timers += 1;
    }

    fn timer_mod(&mut self, timer: usize, from_now: i64) -> bool {
        let order = self.next_order();
        let Some((clock, _)) = self.timers.get(&timer).copied() else {
            return false;
        };
        let deadline = self.clock(clock) + from_now;
        self.timers.insert(timer, (clock, Some((deadline, order))));
        true
    }

    fn timer_del(&mut self, timer: usize) -> bool {
        let timer = self.timers.get_mut(&timer);
        timer.is_some_and(|(_, armed)| armed.take().is_some())
    }

    fn timer_free(&mut self, timer: usize) -> bool {
        self.timers.remove(&timer).is_some()
    }

    fn enable_virtual(&mut self, enabled: bool) {
        self.virtual_enabled = enabled;
    }

    fn step(&mut self, ns: u64) {
        self.virtual_now += ns as i64;
    }

    fn turn(&mut self, pass: bool) -> bool {
        self.take_in_calls();
        let scheduled = self.bhs.iter();
        let scheduled = scheduled.filter_map(|(bh, order)| Some(((*order)?, *bh)));
        let scheduled = scheduled.collect();
        let mut ran = self.run_bhs(scheduled);
        self.ended_early = ran && !self.ended_early;
        if self.ended_early {
            return true;
        }

        let open: Vec<(usize, bool)> = self
            .watches
            .iter()
            .map(|(number, watch)| (*number, self.gate_is_open(&watch.spec)))
            .collect();
        for (number, open) in open {
            self.watches.get_mut(&number).unwrap().gate_was_open = open;
        }
        let more_bhs = self.bhs.values().any(Option::is_some);
        let at_once = ran || more_bhs || !self.called.is_empty();
        self.take_in_calls();
        let ready = self.ready_watches();
        if ready.is_empty() && !at_once && pass {
            let by = self.time_limit().unwrap_or(0);
            self.now += by;
            if self.virtual_enabled {
                self.virtual_now += by;
            }
        }
        let due = self.due_timers();

        for (_, number, got) in ready {
            let Some(watch) = self.watches.get(&number) else {
                continue;
            };
            if !self.gate_is_open(&watch.spec) {
                continue;
            }
            ran = true;
            if act(self, Who::Watch(number, got)) == Flow::Remove {
                self.watches.remove(&number);
            }
        }
        for (clock, _, order, number) in due {
            let Some((_, armed)) = self.timers.get_mut(&number) else {
                continue;
            };
            if armed.is_none_or(|(_, now)| now != order) {
                continue;
            }
            if clock == ClockType::Virtual && !self.virtual_enabled {
                continue;
            }
            *armed = None;
            ran = true;
            act(self, Who::Timer(number));
        }
        ran
    }
}
