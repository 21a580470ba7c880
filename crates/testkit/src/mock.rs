//! A mock on a thread of its own, for clients that connect to a socket.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use qmonitor::qapi::{QDict, QObject};

use crate::address::Address;
use crate::front::{add_fault, add_stub, expect, read_as, seed_from_env, verdict, when, Received};
use crate::kit::journal::Fate;
use crate::kit::{fits, Kit};
use crate::node::Node;
use crate::problem::Problem;
use crate::scenario::{Base, Scenario, Time};
use crate::server::{Remote, Server, Setup};
use crate::words::{Event, Request};

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// A mocked QEMU. It listens at [`socket`](Mock::socket); dropping it verifies what was
/// expected.
pub struct Mock {
    remote: Remote,
    thread: Option<JoinHandle<()>>,
    dir: PathBuf,
    socket: PathBuf,
    seed: u64,
}

/// Builds a mock.
#[derive(Debug, Clone)]
pub struct Builder {
    scenario: Scenario,
    options: Vec<String>,
    seed: Option<u64>,
    time: Option<Time>,
}

#[track_caller]
fn unwrap<T>(result: Result<T, String>) -> T {
    match result {
        Ok(value) => value,
        Err(e) => panic!("{e}"),
    }
}

fn told(problems: &[Problem]) -> String {
    let list = problems.iter().map(Problem::to_string);
    list.collect::<Vec<_>>().join("\n")
}

impl Builder {
    pub(crate) fn of(scenario: Result<Scenario, Vec<Problem>>) -> Result<Self, String> {
        let scenario = scenario.map_err(|problems| told(&problems))?;
        Ok(Builder {
            scenario,
            options: Vec::new(),
            seed: None,
            time: None,
        })
    }

    /// Options of the machine, as `-device` and `e1000,id=n0`.
    #[must_use]
    pub fn options<'a>(mut self, words: impl IntoIterator<Item = &'a str>) -> Self {
        self.options.extend(words.into_iter().map(str::to_owned));
        self
    }

    /// The seed of all that is random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The seed that `QMONITOR_SEED` says, if it is set: a failure tells it.
    #[must_use]
    pub fn seed_from_env(mut self) -> Self {
        self.seed = seed_from_env().or(self.seed);
        self
    }

    /// Lets time pass by itself; else the test moves it with [`advance`](Mock::advance).
    #[must_use]
    pub fn real_time(mut self) -> Self {
        self.time = Some(Time::Real);
        self
    }

    pub(crate) fn setup(self) -> Setup {
        let mut setup = Setup::new(self.scenario);
        setup.seed = self.seed.unwrap_or(setup.seed);
        setup.time = self.time.unwrap_or(setup.time);
        setup.options = self.options;
        setup
    }

    /// Starts the mock. When this returns it listens.
    ///
    /// # Panics
    ///
    /// If it cannot.
    #[track_caller]
    pub fn start(self) -> Mock {
        unwrap(self.try_start())
    }

    fn try_start(self) -> Result<Mock, String> {
        // Paths of sockets have to be short.
        let template = std::env::temp_dir().join("qm-XXXXXX");
        let dir = nix::unistd::mkdtemp(&template).map_err(|e| format!("mkdtemp: {e}"))?;
        let socket = dir.join("qmp");
        let mut setup = self.setup();
        setup.qmp = vec![Address::Unix(socket.display().to_string())];
        let seed = setup.seed;
        let (ready, started) = channel();
        let run = move || match Server::start(setup) {
            Ok(mut server) => {
                if ready.send(Ok(server.remote())).is_ok() {
                    // An error ends the mock; its client and its test notice.
                    let _ = server.run();
                }
            }
            Err(e) => drop(ready.send(Err(e))),
        };
        let thread = std::thread::Builder::new().name("mock".to_owned());
        let thread = thread.spawn(run).map_err(|e| e.to_string())?;
        let remote = started.recv().map_err(|e| e.to_string())?;
        let remote = remote.inspect_err(|_| drop(std::fs::remove_dir_all(&dir)))?;
        Ok(Mock {
            remote,
            thread: Some(thread),
            dir,
            socket,
            seed,
        })
    }
}

impl Mock {
    /// A mock that answers as the machine does, where no stub says otherwise.
    pub fn machine() -> Builder {
        Mock::with_base(Base::Machine)
    }

    /// A mock that fails the test on each command without a stub.
    pub fn strict() -> Builder {
        Mock::with_base(Base::Strict)
    }

    /// A mock that knows only the commands that have stubs.
    pub fn empty() -> Builder {
        Mock::with_base(Base::Empty)
    }

    fn with_base(base: Base) -> Builder {
        let mut builder = unwrap(Builder::of(Scenario::empty(None)));
        builder.scenario.base = base;
        builder
    }

    /// A mock that plays a scenario.
    ///
    /// # Panics
    ///
    /// If the scenario is wrong; the message has file, line and path.
    #[track_caller]
    pub fn scenario(path: impl AsRef<Path>) -> Builder {
        let path = path.as_ref().display().to_string();
        unwrap(Builder::of(Scenario::load(&path, None)))
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The seed of all that is random.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    #[track_caller]
    fn call<T: Send + 'static>(&self, job: impl FnOnce(&mut Server) -> T + Send + 'static) -> T {
        match self.remote.call(job) {
            Some(done) => done,
            None => panic!("the mock has ended; seed {}", self.seed),
        }
    }

    /// Begins a stub, which goes before those that are there.
    pub fn on(&self, request: Request) -> StubBuilder<'_> {
        let mut dict = QDict::new();
        dict.insert("when", request.to_dict());
        StubBuilder {
            mock: self,
            request,
            dict,
            id: None,
        }
    }

    /// Expects that a request comes so often. It is verified at the end.
    ///
    /// # Panics
    ///
    /// If a matcher is wrong.
    #[track_caller]
    pub fn expect(&self, request: Request, times: u64) {
        unwrap(self.call(move |server| expect(&server.kit(), &request, times)));
    }

    /// Switches on a fault: a built-in one by its name, or one written as in a scenario.
    ///
    /// # Panics
    ///
    /// If there is no such fault.
    #[track_caller]
    pub fn fault(&self, fault: impl Into<String>) {
        let fault = fault.into();
        unwrap(self.call(move |server| add_fault(&server.kit(), &fault)));
    }

    /// Switches off a fault.
    ///
    /// # Panics
    ///
    /// If there is no such fault.
    #[track_caller]
    pub fn no_fault(&self, name: &str) {
        let name = name.to_owned();
        unwrap(self.call(move |server| server.kit().set_fault(&name, false)));
    }

    /// Sends an event to all clients.
    ///
    /// # Panics
    ///
    /// If the schema has no such event.
    #[track_caller]
    pub fn emit(&self, event: Event) {
        unwrap(self.call(move |server| {
            let (name, data) = (Node::from(QObject::from(event.event)), event.data);
            let data = Node::from(QObject::Dict(data));
            let read = read_as(&server.kit(), false, |reader| {
                reader.event_of(&name, Some(&data), "")
            })?;
            let (rt, kit) = server.parts();
            let (event, data) = read.unwrap_or_default();
            kit.emit(rt, &event, &data, None);
            server.settle().map_err(|e| e.to_string())
        }));
    }

    /// Answers what is held at a point. Returns how many requests were held.
    pub fn release(&self, point: &str) -> usize {
        let point = point.to_owned();
        self.call(move |server| {
            let (rt, kit) = server.parts();
            let released = kit.clone().release(rt, &point);
            // Whether the client reads it is its own business.
            let _ = server.settle();
            released
        })
    }

    /// Lets time pass, and what is due happen.
    ///
    /// # Panics
    ///
    /// If the mock's time is real.
    #[track_caller]
    pub fn advance(&self, time: Duration) {
        unwrap(self.call(move |server| server.step(Some(time))));
    }

    /// Waits until a stub was used: its reply is written and the events after it are armed, or
    /// the request is held.
    ///
    /// # Panics
    ///
    /// If that takes more than ten seconds.
    #[track_caller]
    pub fn wait_for(&self, stub: &StubBuilder<'_>) {
        self.wait_request(stub.request.clone());
    }

    /// Waits until a request was dealt with.
    ///
    /// # Panics
    ///
    /// If that takes more than ten seconds.
    #[track_caller]
    pub fn wait_request(&self, request: Request) {
        let meant = request.clone();
        let when = unwrap(self.call(move |server| when(&server.kit(), &meant)));
        let came = self.remote.wait(PATIENCE, move |kit: &Kit| {
            kit.with_journal(|journal| {
                let mut done = journal.iter().filter(|entry| entry.fate != Fate::Waiting);
                done.any(|entry| fits(&when, entry))
            })
        });
        assert!(
            came,
            "{} did not come; there came {:#?}; seed {}",
            request.to_json(),
            self.received(),
            self.seed
        );
    }

    /// The requests that came.
    pub fn received(&self) -> Received {
        let entries = self.call(|server| {
            server
                .kit()
                .with_journal(|journal| journal.iter().cloned().collect())
        });
        Received {
            entries,
            seed: self.seed,
        }
    }

    /// Verifies what was expected so far, as dropping the mock does.
    ///
    /// # Panics
    ///
    /// If something does not hold; the message has what came, and what came near.
    #[track_caller]
    pub fn verify(&self) {
        let seed = self.seed;
        unwrap(self.call(move |server| verdict(&server.kit(), seed)));
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        let seed = self.seed;
        let verdict = self.remote.call(move |server| {
            server.parts().0.request_exit(0);
            verdict(&server.kit(), seed)
        });
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
        match verdict {
            Some(Err(e)) if !std::thread::panicking() => panic!("{e}"),
            _ if std::thread::panicking() => {
                eprintln!("seed {seed}; to replay: QMONITOR_SEED={seed}");
            }
            _ => {}
        }
    }
}

/// A stub of a [`Mock`]. It answers as soon as it says how.
pub struct StubBuilder<'m> {
    mock: &'m Mock,
    request: Request,
    dict: QDict,
    id: Option<String>,
}

impl StubBuilder<'_> {
    #[track_caller]
    fn with(mut self, name: &str, value: impl Into<QObject>) -> Self {
        self.dict.insert(name, value);
        let answers = ["reply", "replies", "hold", "pass"];
        if answers.iter().any(|name| self.dict.contains_key(name)) {
            let (dict, id) = (self.dict.clone(), self.id.take());
            let add = move |server: &mut Server| add_stub(&server.kit(), &dict, id.as_deref());
            self.id = Some(unwrap(self.mock.call(add)));
        }
        self
    }

    /// Returns this value.
    ///
    /// # Panics
    ///
    /// Like all that follow, if the stub does not fit the schema.
    #[track_caller]
    pub fn reply(self, value: impl Into<QObject>) -> Self {
        let reply = QDict::from_iter([("return", value.into())]);
        self.with("reply", reply)
    }

    /// Fails, with an error of class `GenericError`.
    #[track_caller]
    pub fn error(self, desc: &str) -> Self {
        let error = QDict::from_iter([("desc", desc)]);
        self.with("reply", QDict::from_iter([("error", error)]))
    }

    /// Holds requests at a point, until it is [released](Mock::release).
    #[track_caller]
    pub fn hold(self, point: &str) -> Self {
        self.with("hold", point)
    }

    /// Has the machine answer.
    #[track_caller]
    pub fn pass(self) -> Self {
        self.with("pass", true)
    }

    /// Sends an event before the reply.
    #[track_caller]
    pub fn before(self, event: Event) -> Self {
        let events = QObject::List(vec![event.to_dict().into()]);
        self.with("before", events)
    }

    /// Sends an event so long after the reply.
    #[track_caller]
    pub fn then(self, delay: Duration, event: Event) -> Self {
        let mut emit = event.to_dict();
        emit.insert("delay", format!("{}ns", delay.as_nanos()));
        self.with("then", QObject::List(vec![emit.into()]))
    }

    /// Answers so long after the request.
    #[track_caller]
    pub fn delay(self, delay: Duration) -> Self {
        self.with("delay", format!("{}ns", delay.as_nanos()))
    }

    /// Ends the stub after so many requests, and expects just so many.
    #[track_caller]
    pub fn times(self, times: u64) -> Self {
        self.mock.expect(self.request.clone(), times);
        self.with("times", i64::try_from(times).unwrap_or(i64::MAX))
    }

    /// How many requests it has answered.
    pub fn used(&self) -> u64 {
        let id = self.id.clone().unwrap_or_default();
        let used = move |server: &mut Server| server.kit().stub_used(&id);
        self.mock.call(used).unwrap_or(0)
    }
}
