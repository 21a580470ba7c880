//! The mock as it runs: a machine with a kit on it, and orders from other threads.

use std::io;
use std::rc::Rc;
use std::sync::mpsc::{channel, Receiver, Sender};
use std::time::{Duration, Instant};

use qmonitor::chardev::{char_socket_get_addr, ChardevHost, ChardevId};
use qmonitor::main_loop::{BhHandle, ClockType, Host, TimeSource};
use qmonitor::monitor::MonitorMode;
use qmonitor::qapi::QDict;
use qmonitor::{InheritedFds, Profile};
use qmonitor_machine::system::vl::{build, Built, Launch};

use crate::address::{found, Address};
use crate::kit::{Kit, Rt};
use crate::scenario::{to_text, Scenario, Time};

/// What timestamps of virtual time begin with: the fourteenth of November 2023.
pub const START_NS: i64 = 1_700_000_000_000_000_000;

/// How long a client may not read what was written before `quit` was answered.
const READS_AGAIN: Duration = Duration::from_secs(1);

/// What is mocked.
pub struct Setup {
    /// The scenario.
    pub scenario: Scenario,
    /// Where QMP clients come.
    pub qmp: Vec<Address>,
    /// Where people come.
    pub hmp: Vec<Address>,
    /// Where clients of the guest agent come.
    pub qga: Vec<Address>,
    /// Further options of the machine.
    pub options: Vec<String>,
    /// The seed, unless the scenario says one.
    pub seed: u64,
    /// Whose time it is, unless the scenario says so.
    pub time: Time,
    /// Whether the process is the mock's: signals and some faults end it.
    pub owns_process: bool,
    /// The descriptors that addresses may name.
    pub inherited: InheritedFds,
    /// The mock ends with its client.
    pub once: bool,
    /// The machine's first processor uses time before it is ready, as management software
    /// expects of an emulator.
    pub boots: bool,
}

impl Setup {
    /// A mock of a scenario, with no address.
    pub fn new(scenario: Scenario) -> Self {
        Setup {
            seed: scenario.seed.unwrap_or(0),
            time: scenario.time.unwrap_or(Time::Virtual),
            scenario,
            qmp: Vec::new(),
            hmp: Vec::new(),
            qga: Vec::new(),
            options: Vec::new(),
            owns_process: false,
            inherited: InheritedFds::default(),
            once: false,
            boots: false,
        }
    }
}

/// An order from another thread.
type Job = Box<dyn FnOnce(&mut Server) + Send>;

/// The mock.
pub struct Server {
    built: Built,
    kit: Rc<Kit>,
    jobs: Receiver<Job>,
    remote: Remote,
    time: Time,
    once: bool,
    /// What the scenario says apart from stubs, faults and expectations.
    head: QDict,
    /// Answers [`query-mock-argv`](crate::control).
    pub argv: Vec<String>,
    /// Conditions that other threads wait for.
    waits: Vec<Wait>,
}

struct Wait {
    holds: Box<dyn Fn(&Kit) -> bool + Send>,
    done: Sender<()>,
}

/// Reaches a mock from other threads.
#[derive(Clone)]
pub struct Remote {
    jobs: Sender<Job>,
    wake: BhHandle,
}

impl Remote {
    /// Has the mock do something, and waits until it is done. None if the mock has ended.
    pub fn call<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Server) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = channel();
        let job = move |server: &mut Server| {
            // The caller may be gone.
            let _ = sender.send(job(server));
        };
        self.jobs.send(Box::new(job)).ok()?;
        self.wake.schedule();
        receiver.recv().ok()
    }

    /// Waits until a condition holds, at most so long. Returns whether it does.
    pub fn wait(&self, limit: Duration, holds: impl Fn(&Kit) -> bool + Send + 'static) -> bool {
        let (done, receiver) = channel();
        let wait = Wait {
            holds: Box::new(holds),
            done,
        };
        let added = self.call(move |server| server.waits.push(wait));
        added.is_some() && receiver.recv_timeout(limit).is_ok()
    }
}

impl Server {
    /// Makes the mock, so that it listens.
    ///
    /// # Errors
    ///
    /// What the machine says of its options.
    pub fn start(setup: Setup) -> Result<Server, String> {
        let args = arguments(&setup);
        let start = setup.scenario.start;
        let time = match (setup.time, start) {
            (Time::Virtual, start) => TimeSource::manual_from(start.unwrap_or(START_NS)),
            (Time::Real, Some(start)) => TimeSource::system_from(start),
            (Time::Real, None) => TimeSource::system(),
        };
        let kit = Rc::new(std::cell::OnceCell::new());
        let scenario = setup.scenario;
        let head = Scenario {
            machine: [&scenario.machine[..], &setup.options].concat(),
            seed: Some(setup.seed),
            time: Some(setup.time),
            ..scenario.clone()
        }
        .head();
        let own_kit = kit.clone();
        let (seed, owns_process, boots) = (setup.seed, setup.owns_process, setup.boots);
        let launch = Launch {
            inherited: setup.inherited,
            time,
            signals: owns_process,
            prepare: Box::new(move |rt| {
                if !boots {
                    rt.state.firmware_time = Duration::ZERO;
                }
                let _ = own_kit.set(Kit::install(rt, &scenario, seed, owns_process));
            }),
        };
        let mut built = build("qmonitor-mock", &args, launch)?;
        let kit = kit.get().ok_or("the machine was not made")?.clone();
        let rt = &mut built.runtime;
        let wake = rt.main_loop_mut().bh_new("mock_jobs", |_| {});
        let wake = rt.main_loop_mut().bh_handle(wake);
        for i in 0..setup.qga.len() {
            let chr = rt.chardevs().find(&format!("qga{i}"));
            let added = chr.map_or(Ok(()), |chr| kit.add_agent(rt, chr));
            added.map_err(|e| e.to_string())?;
        }
        for chr in listeners(rt) {
            kit.listens(rt, chr);
        }
        let (sender, jobs) = channel();
        Ok(Server {
            built,
            kit,
            jobs,
            remote: Remote { jobs: sender, wake },
            time: setup.time,
            once: setup.once,
            head,
            argv: setup.options,
            waits: Vec::new(),
        })
    }

    /// The kit.
    pub fn kit(&self) -> Rc<Kit> {
        self.kit.clone()
    }

    /// The scenario in force: with what was added and switched since the start.
    pub fn scenario(&self) -> String {
        let mut scenario = self.head.clone();
        self.kit.save(&mut scenario);
        to_text(&scenario)
    }

    /// The machine's runtime, and the kit on it.
    pub fn parts(&mut self) -> (&mut Rt, &Rc<Kit>) {
        (&mut self.built.runtime, &self.kit)
    }

    /// Reaches the mock from other threads.
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// The address that a monitor found, by the label of its chardev.
    pub fn address(&self, label: &str) -> Option<Address> {
        let rt = &self.built.runtime;
        let chr = rt.chardevs().find(label)?;
        found(char_socket_get_addr(&**rt, chr)?)
    }

    /// Runs until the mock ends, and returns the machine's exit status.
    ///
    /// # Errors
    ///
    /// As [`Runtime::run`](qmonitor::Runtime::run).
    pub fn run(&mut self) -> io::Result<i32> {
        let status = loop {
            while let Ok(job) = self.jobs.try_recv() {
                job(self);
            }
            if let Some(exit) = self.built.runtime.exit_requested() {
                break exit.status;
            }
            if self.turn()? {
                continue;
            }
            self.built.runtime.turn(None)?;
        };
        self.settle()?;
        if self.kit.has_quit() {
            self.drain()?;
        }
        self.built.runtime.shut_down();
        Ok(status)
    }

    /// Writes what waits for clients that read slowly, as long as they read.
    fn drain(&mut self) -> io::Result<()> {
        let mut last = Instant::now();
        while self.kit.has_output() {
            let Some(left) = READS_AGAIN.checked_sub(last.elapsed()) else {
                break;
            };
            if self.turn()? || self.built.runtime.turn(Some(left))? {
                last = Instant::now();
            }
        }
        Ok(())
    }

    /// One turn without waiting. Returns whether something happened.
    pub(crate) fn turn(&mut self) -> io::Result<bool> {
        if self.built.runtime.turn(Some(Duration::ZERO))? {
            return Ok(true);
        }
        let kit = self.kit.clone();
        let goes_on = kit.idle(&mut self.built.runtime);
        self.waits.retain(|wait| {
            let holds = (wait.holds)(&kit);
            if holds {
                let _ = wait.done.send(());
            }
            !holds
        });
        if self.once && kit.all_have_left() {
            self.built.runtime.request_exit(0);
        }
        Ok(goes_on)
    }

    /// Does all that is left to do at this instant.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn settle(&mut self) -> io::Result<()> {
        while self.turn()? {}
        Ok(())
    }

    /// Lets virtual time pass, up to the next deadline if no time is given. Returns the time and
    /// how many timers ran.
    ///
    /// # Errors
    ///
    /// The mock has the system's time, or its loop cannot wait.
    pub fn step(&mut self, time: Option<Duration>) -> Result<(i64, u64), String> {
        if self.time == Time::Real {
            return Err("the mock's time is real; start it with 'time: virtual'".to_owned());
        }
        let settle = |server: &mut Server| server.settle().map_err(|e| e.to_string());
        settle(self)?;
        let before = self.built.runtime.main_loop().counters().timers;
        let next = |server: &Server| server.built.runtime.main_loop().next_deadline();
        let mut left = time.or_else(|| next(self)).unwrap_or_default();
        loop {
            let part = next(self).map_or(left, |next| next.min(left));
            self.built.runtime.main_loop_mut().time_advance(part);
            settle(self)?;
            left -= part;
            if left.is_zero() {
                break;
            }
        }
        self.kit.touch();
        let main_loop = self.built.runtime.main_loop();
        let fired = main_loop.counters().timers - before;
        Ok((main_loop.clock_get_ns(ClockType::Realtime), fired))
    }
}

/// The machine's command line: the options of the command line come last, so that they win.
fn arguments(setup: &Setup) -> Vec<String> {
    // A profile that is a file has the behaviour of the default one.
    let profile = setup.scenario.profile.as_deref().map(str::parse);
    let profile: Profile = profile.and_then(Result::ok).unwrap_or_default();
    let mut args = vec!["-profile".to_owned(), profile.to_string()];
    args.extend(setup.scenario.machine.iter().cloned());
    args.extend(setup.options.iter().cloned());
    let kinds = [
        ("qmp", &setup.qmp, Some(MonitorMode::Control)),
        ("hmp", &setup.hmp, Some(MonitorMode::Readline)),
        ("qga", &setup.qga, None),
    ];
    for (kind, addresses, mode) in kinds {
        for (i, address) in addresses.iter().enumerate() {
            let id = format!("{kind}{i}");
            let chardev = address.to_chardev(&id, &setup.inherited);
            args.extend(["-chardev".to_owned(), chardev]);
            args.extend(
                mode.into_iter()
                    .flat_map(|mode| monitor(profile, mode, &id)),
            );
        }
    }
    args
}

/// The option that makes a monitor without a warning.
fn monitor(profile: Profile, mode: MonitorMode, chardev: &str) -> [String; 2] {
    if !profile.has_monitor_objects() {
        let mode = mode.as_str();
        return ["-mon".to_owned(), format!("chardev={chardev},mode={mode}")];
    }
    let class = match mode {
        MonitorMode::Control => "monitor-qmp",
        MonitorMode::Readline => "monitor-hmp",
    };
    let object = format!("{class},id=mock-{chardev},chardev={chardev}");
    ["-object".to_owned(), object]
}

/// The sockets of monitors that wait for clients.
fn listeners(rt: &Rt) -> Vec<ChardevId> {
    let monitors = rt.monitor_list().into_iter().map(|(_, chr)| chr);
    let closed = |chr: &ChardevId| rt.chardevs().get(*chr).is_some_and(|chr| !chr.is_open());
    let sockets = monitors.filter(|chr| char_socket_get_addr(rt, *chr).is_some());
    sockets.filter(closed).collect()
}
