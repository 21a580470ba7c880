//! Random programs on the loop, in each way of waiting, against the model.

use std::os::unix::net::UnixStream;

use super::model::Model;
use super::world::{act, run, Core, Kind, Spec, Who, World, CHANNELS, GATES};
use super::*;

struct Channel {
    fd: Rc<OwnedFd>,
    /// What can be written to and closed; none for a file.
    peer: Option<OwnedFd>,
}

impl Channel {
    fn open(kind: Kind) -> Self {
        let (fd, peer) = match kind {
            Kind::Pipe => {
                let pipe = Pipe::new();
                (pipe.reader, pipe.writer)
            }
            Kind::Socket => {
                let (ours, theirs) = UnixStream::pair().unwrap();
                ours.set_nonblocking(true).unwrap();
                (Rc::new(ours.into()), Some(theirs.into()))
            }
            Kind::File => (Rc::new(tempfile::tempfile().unwrap().into()), None),
        };
        Self { fd, peer }
    }
}

/// The loop itself.
struct Real {
    core: Core,
    main_loop: MainLoop<Real>,
    watches: Vec<WatchId>,
    bhs: Vec<(BhId, BhHandle)>,
    timers: Vec<(ClockType, TimerId)>,
    channels: Vec<Channel>,
    gates: [bool; GATES],
    /// Last, to be dropped last. A child of another test must hold no peer open.
    _fds: FdGuard,
}

impl_host!(Real, main_loop);

impl Real {
    fn new(seed: u64, policy: FdmonPolicy, shuffle: Option<u64>) -> Self {
        let fds = FdGuard::new();
        let mut main_loop = MainLoop::with_time(TimeSource::simulated()).unwrap();
        main_loop.set_fdmon(policy);
        main_loop.set_shuffle(shuffle);
        Self {
            core: Core::new(seed),
            main_loop,
            watches: Vec::new(),
            bhs: Vec::new(),
            timers: Vec::new(),
            channels: (0..CHANNELS).map(|n| Channel::open(Kind::of(n))).collect(),
            gates: [true; GATES],
            _fds: fds,
        }
    }

    fn watch(&self, spec: Spec) -> Watch<Real> {
        let number = self.core.watches;
        let fd = &self.channels[spec.channel].fd;
        let fd: SharedFd = if spec.duplicate {
            Rc::new(fd.try_clone().unwrap())
        } else {
            fd.clone()
        };
        let callback = move |real: &mut Real, got| act(real, Who::Watch(number, got));
        let new = |fd| Watch::new("watch", fd, spec.condition, callback);
        match spec.gate {
            Some(gate) if spec.without_fd => Watch::gate_only(
                "watch",
                move |real: &Real| real.gates[gate],
                move |real| callback(real, IN),
            ),
            Some(gate) => new(fd).gate(move |real: &Real| real.gates[gate]),
            None => new(fd),
        }
    }
}

impl World for Real {
    fn core(&mut self) -> &mut Core {
        &mut self.core
    }

    fn add_watch(&mut self, spec: Spec) {
        let watch = self.watch(spec);
        self.core.watches += 1;
        let id = self.main_loop.add_watch(watch);
        self.watches.push(id);
    }

    fn remove_watch(&mut self, watch: usize) -> bool {
        self.main_loop.remove_watch(self.watches[watch])
    }

    fn replace_watch(&mut self, watch: usize, spec: Spec) -> bool {
        let old = self.watches[watch];
        let there = self.main_loop.has_watch(old);
        if there {
            self.add_watch(spec);
            self.main_loop.remove_watch(old);
        }
        there
    }

    fn flip_gate(&mut self, gate: usize) {
        self.gates[gate] = !self.gates[gate];
    }

    fn feed(&mut self, channel: usize) {
        if let Some(peer) = &self.channels[channel].peer {
            nix::unistd::write(peer, b"x").unwrap();
        }
    }

    fn drain(&mut self, channel: usize) {
        read_byte(&self.channels[channel].fd);
    }

    fn hang_up(&mut self, channel: usize) {
        self.channels[channel].peer = None;
    }

    fn reopen(&mut self, channel: usize) {
        self.hang_up(channel);
        // Closed first, so that the number may well be the same again.
        self.channels[channel].fd = self.channels[(channel + 1) % CHANNELS].fd.clone();
        self.channels[channel] = Channel::open(Kind::of(channel));
    }

    fn bh_new(&mut self) {
        let number = self.core.bhs;
        self.core.bhs += 1;
        let bh = self.main_loop.bh_new("bh", move |real: &mut Real| {
            act(real, Who::Bh(number));
        });
        let handle = self.main_loop.bh_handle(bh);
        self.bhs.push((bh, handle));
    }

    fn bh_schedule(&mut self, bh: usize) -> bool {
        self.main_loop.bh_schedule(self.bhs[bh].0)
    }

    fn bh_delete(&mut self, bh: usize) -> bool {
        self.main_loop.bh_delete(self.bhs[bh].0)
    }

    fn bh_call(&mut self, bh: usize) {
        self.bhs[bh].1.schedule();
    }

    fn oneshot(&mut self) {
        let number = self.core.oneshots;
        self.core.oneshots += 1;
        self.main_loop
            .bh_schedule_oneshot("oneshot", move |real: &mut Real| {
                act(real, Who::Oneshot(number));
            });
    }

    fn timer_new(&mut self, clock: ClockType) {
        let number = self.core.timers;
        self.core.timers += 1;
        let timer = self
            .main_loop
            .timer_new(clock, "timer", move |real: &mut Real| {
                act(real, Who::Timer(number));
            });
        self.timers.push((clock, timer));
    }

    fn timer_mod(&mut self, timer: usize, from_now: i64) -> bool {
        let (clock, id) = self.timers[timer];
        let deadline = self.main_loop.clock_get_ns(clock) + from_now;
        self.main_loop.timer_mod(id, deadline)
    }

    fn timer_del(&mut self, timer: usize) -> bool {
        self.main_loop.timer_del(self.timers[timer].1)
    }

    fn timer_free(&mut self, timer: usize) -> bool {
        self.main_loop.timer_free(self.timers[timer].1)
    }

    fn enable_virtual(&mut self, enabled: bool) {
        self.main_loop.clock_enable(ClockType::Virtual, enabled);
    }

    fn step(&mut self, ns: u64) {
        self.main_loop.clock_step(ns);
    }

    fn turn(&mut self, pass: bool) -> bool {
        let timeout = if pass { None } else { Some(Duration::ZERO) };
        main_loop_wait(self, timeout).unwrap()
    }
}

#[track_caller]
fn assert_same(seed: u64, what: &str, left: &[String], right: &[String]) {
    let differ = left
        .iter()
        .zip(right)
        .position(|(left, right)| left != right);
    if let Some(at) = differ.or((left.len() != right.len()).then_some(left.len().min(right.len())))
    {
        let from = at.saturating_sub(20);
        let part = |log: &[String]| log[from.min(log.len())..(at + 3).min(log.len())].join("\n  ");
        panic!(
            "seed {seed}, {what}, entry {at}:\n  {}\nbut\n  {}",
            part(left),
            part(right)
        );
    }
}

/// Policies that between them wait in either way and change in mid-program.
const POLICIES: [FdmonPolicy; 3] = [
    FdmonPolicy::Poll,
    FdmonPolicy::Epoll,
    FdmonPolicy::Auto { upgrade_at: 4 },
];

fn check_programs(seeds: std::ops::Range<u64>) {
    let mut entries = 0;
    for seed in seeds {
        let expected = run(Model::new(seed));
        entries += expected.len();
        for policy in POLICIES {
            let log = run(Real::new(seed, policy, None));
            assert_same(
                seed,
                &format!("{policy:?}, against the model"),
                &log,
                &expected,
            );
        }
    }
    assert!(
        entries > 10_000,
        "programs that do next to nothing: {entries}"
    );
}

#[test]
fn random_programs_run_as_the_model_says_first_part() {
    check_programs(0..150);
}

#[test]
fn random_programs_run_as_the_model_says_second_part() {
    check_programs(150..300);
}

#[test]
fn shuffled_programs_run_the_same_in_each_way_of_waiting() {
    for seed in 0..60 {
        let expected = run(Real::new(seed, FdmonPolicy::Poll, Some(seed)));
        for policy in POLICIES {
            let log = run(Real::new(seed, policy, Some(seed)));
            assert_same(seed, &format!("{policy:?}, shuffled"), &log, &expected);
        }
    }
}

#[test]
fn programs_change_the_way_of_waiting_at_run_time() {
    let mut real = Real::new(3, FdmonPolicy::Auto { upgrade_at: 2 }, None);
    let spec = |channel| Spec {
        channel,
        duplicate: false,
        condition: IN,
        gate: Some(0),
        without_fd: false,
    };
    real.add_watch(spec(0));
    real.add_watch(spec(1));
    real.turn(false);
    real.flip_gate(0);
    real.feed(0);
    real.feed(1);
    real.turn(false); // finds the gates closed
    real.turn(false);
    let counters = real.main_loop.counters();
    assert_eq!((counters.upgrades, counters.downgrades), (1, 1));
}
