//! The program `qmonitor-mock`.

use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;

use qmonitor::InheritedFds;

use crate::address::Address;
use crate::control;
use crate::emulator::{self, quoted};
use crate::kit::Kit;
use crate::options::{chosen, parse, Order, Serve, HELP};
use crate::problem::Problem;
use crate::record::record;
use crate::report::write_junit;
use crate::scenario::{json_schema, Fault, Scenario, Time};
use crate::server::{Server, Setup};

/// A scenario or a command line is wrong.
const WRONG: u8 = 2;

/// Runs the program with these words, the first being its name, and returns its exit status.
pub fn main(args: &[String], inherited: InheritedFds) -> ExitCode {
    let args = args.get(1..).unwrap_or_default();
    let order = match parse(args) {
        Ok(order) => order,
        Err(e) => return wrong(&e),
    };
    match order {
        Order::Help => print(HELP),
        Order::Version => print(concat!("qmonitor-mock ", env!("CARGO_PKG_VERSION"), "\n")),
        Order::JsonSchema => print(&json_schema()),
        Order::Check(files, profile) => check(&files, profile.as_deref()),
        Order::Serve(serve) => match run(&serve, inherited, None) {
            Ok(status) => status,
            Err(message) => fail(&message),
        },
        Order::Record(out, upstream, qmp) => {
            let announce = |own: &Address| {
                print(&format!("listening qmp {own}\nready\n"));
            };
            match record(&out, &upstream, &qmp, announce) {
                Ok(()) => ExitCode::SUCCESS,
                Err(e) => wrong(&e),
            }
        }
        Order::AsQemu(dir, serve) => match emulator::install(&dir, &serve) {
            Ok(path) => print(&format!("{path}\n")),
            Err(e) => wrong(&e),
        },
        Order::Emulate(dir, serve) => emulate(&dir, *serve, inherited),
    }
}

fn wrong(message: &str) -> ExitCode {
    fail(&own(message))
}

/// A message of the program's own.
fn own(message: &str) -> String {
    format!("qmonitor-mock: {message}")
}

fn fail(message: &str) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(WRONG)
}

fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn load(path: &str, profile: Option<&str>) -> Result<Scenario, String> {
    let read = match path {
        "-" => Scenario::empty(profile),
        path => Scenario::load(path, profile),
    };
    read.map_err(|problems| {
        let list = problems.iter().map(Problem::to_string);
        list.collect::<Vec<_>>().join("\n")
    })
}

fn check(files: &[String], profile: Option<&str>) -> ExitCode {
    let mut status = ExitCode::SUCCESS;
    for file in files {
        if let Err(problems) = load(file, profile) {
            status = fail(&problems);
        }
    }
    status
}

/// Serves as the fake emulator of a directory.
fn emulate(dir: &str, mut serve: Serve, inherited: InheritedFds) -> ExitCode {
    let argv = std::mem::take(&mut serve.options);
    let launch = match emulator::record(dir, argv) {
        Ok(launch) => launch,
        Err(e) => return wrong(&e),
    };
    serve.control = Some(Address::Unix(launch.control.clone()));
    match emulator::options(&launch.argv) {
        Ok(options) => serve.options = options,
        Err(text) => return print(&text),
    }
    match run(&serve, inherited, Some(launch.clone())) {
        Ok(status) => status,
        Err(message) => {
            // Its client may not show what it says.
            if let Err(e) = launch.conclude(&message) {
                return wrong(&e);
            }
            fail(&message)
        }
    }
}

/// Serves to the end. A fake emulator is quiet and has the command line that it was given.
fn run(
    serve: &Serve,
    mut inherited: InheritedFds,
    launch: Option<emulator::Launch>,
) -> Result<ExitCode, String> {
    let mut scenario = load(&serve.scenario, serve.profile.as_deref())?;
    for name in &serve.faults {
        Fault::switch(scenario.faults.iter_mut(), name, true)
            .map_err(|e| own(&format!("--fault: {e}")))?;
    }
    let control_fds = match serve.control {
        Some(Address::Fd(fd)) => inherited.split_off(fd),
        _ => InheritedFds::default(),
    };
    let seed = serve.seed.or(scenario.seed).unwrap_or(0);
    let mut server = Server::start(Setup {
        seed,
        time: serve.time.or(scenario.time).unwrap_or(Time::Real),
        qmp: serve.qmp.clone(),
        hmp: serve.hmp.clone(),
        qga: serve.qga.clone(),
        options: serve.options.clone(),
        owns_process: true,
        boots: launch.is_some(),
        once: serve.once,
        inherited,
        ..Setup::new(scenario)
    })?;
    if let Some(launch) = &launch {
        launch.argv.clone_into(&mut server.argv);
    }
    let control = serve.control.clone();
    let control = control.map(|addr| control::start(addr, server.remote(), control_fds));
    let control = control.transpose().map_err(|e| own(&e))?;
    if launch.is_none() {
        announce(
            serve,
            &server,
            control.as_ref().map(|control| &control.address),
        );
    }
    if let Some(control) = control {
        control.follow(&server);
    }
    let ending = Rc::new(Ending {
        serve: serve.clone(),
        launch,
        seed,
    });
    let early = ending.clone();
    server.kit().set_last_words(move |kit| {
        early.conclude(kit, 0);
        eprintln!("qmonitor-mock: a fault ends the process");
    });
    let status = server.run();
    let status = status.map_err(|e| own(&format!("main loop failed: {e}")))?;
    Ok(ending.conclude(&server.kit(), status))
}

/// Prints where the mock listens.
fn announce(serve: &Serve, server: &Server, control: Option<&Address>) {
    let mut text = String::new();
    let kinds = [
        ("qmp", &serve.qmp),
        ("hmp", &serve.hmp),
        ("qga", &serve.qga),
    ];
    for (kind, addresses) in kinds {
        for (i, address) in addresses.iter().enumerate() {
            let own = server.address(&format!("{kind}{i}"));
            let own = own.as_ref().unwrap_or(address);
            text += &format!("listening {kind} {own}\n");
        }
    }
    if let Some(address) = control {
        text += &format!("listening control {address}\n");
    }
    text += "ready\n";
    print(&text);
}

/// How the program ends.
struct Ending {
    serve: Serve,
    launch: Option<emulator::Launch>,
    seed: u64,
}

impl Ending {
    /// What is told of expectations that did not hold.
    fn verdict(&self, kit: &Kit) -> Option<String> {
        if kit.failures().is_empty() {
            return None;
        }
        let (scenario, report) = (&self.serve.scenario, kit.report());
        let (seed, replay) = (self.seed, replay(&self.serve, self.seed));
        Some(format!(
            "qmonitor-mock: {scenario} failed:\n{report}seed {seed}; to replay: {replay}\n"
        ))
    }

    /// Tells whether all expectations held; then the status is this one.
    fn conclude(&self, kit: &Kit, status: i32) -> ExitCode {
        let verdict = self.verdict(kit);
        let told = verdict.as_deref().unwrap_or_default();
        eprint!("{told}");
        let launch = self.launch.as_ref();
        if let Some(Err(e)) = launch.map(|launch| launch.conclude(told)) {
            return wrong(&e);
        }
        if let Some(path) = &self.serve.report {
            let scenario = &self.serve.scenario;
            if let Err(e) = write_junit(path, scenario, &kit.failures(), &kit.report()) {
                return wrong(&format!("--report {path}: {e}"));
            }
        }
        if verdict.is_some() {
            return ExitCode::FAILURE;
        }
        ExitCode::from(u8::try_from(status).unwrap_or(1))
    }
}

/// The command line that plays the same again.
fn replay(serve: &Serve, seed: u64) -> String {
    let mut words = vec!["qmonitor-mock".to_owned(), serve.scenario.clone()];
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for address in &serve.qmp {
        option("--qmp", address.to_string());
    }
    for address in &serve.hmp {
        option("--hmp", address.to_string());
    }
    for address in &serve.qga {
        option("--qga", address.to_string());
    }
    words.extend(chosen(serve, Some(seed)));
    if !serve.options.is_empty() {
        words.push("--".to_owned());
        words.extend(serve.options.iter().cloned());
    }
    let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
    words.join(" ")
}
