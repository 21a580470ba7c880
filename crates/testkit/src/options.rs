//! The command line of `qmonitor-mock`.

use crate::address::Address;
use crate::problem::nearest;
use crate::scenario::Time;

/// What the program is to do.
#[derive(Debug, PartialEq)]
pub enum Order {
    /// Print the help.
    Help,
    /// Print the version.
    Version,
    /// Print the JSON Schema of scenarios.
    JsonSchema,
    /// Check these scenarios.
    Check(Vec<String>, Option<String>),
    /// Serve.
    Serve(Box<Serve>),
    /// Record to a file what passes between a client and the QEMU at the first address; the client
    /// comes to the second.
    Record(String, Address, Address),
    /// Put a fake emulator into this directory, which serves like this.
    AsQemu(String, Box<Serve>),
    /// Be the fake emulator of this directory.
    Emulate(String, Box<Serve>),
}

/// How to serve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Serve {
    /// The scenario; `-` is the empty one.
    pub scenario: String,
    /// Where QMP clients come.
    pub qmp: Vec<Address>,
    /// Where people come.
    pub hmp: Vec<Address>,
    /// Where clients of the guest agent come.
    pub qga: Vec<Address>,
    /// Where the control channel is.
    pub control: Option<Address>,
    /// The profile.
    pub profile: Option<String>,
    /// The seed.
    pub seed: Option<u64>,
    /// Whose time it is.
    pub time: Option<Time>,
    /// Faults that are on from the start.
    pub faults: Vec<String>,
    /// Whether it ends with the client.
    pub once: bool,
    /// Where a report goes.
    pub report: Option<String>,
    /// The machine's options.
    pub options: Vec<String>,
}

/// The text of `--help`.
pub const HELP: &str = "\
usage: qmonitor-mock SCENARIO [--qmp ADDR]... [--hmp ADDR]... [--qga ADDR]...
                     [--control ADDR] [--profile 10.0|11.1] [--seed N]
                     [--time virtual|real] [--fault NAME]... [--once]
                     [--report FILE] [-- OPTIONS OF QMONITOR]
       qmonitor-mock --record OUT.yaml --upstream ADDR --qmp ADDR
       qmonitor-mock --check SCENARIO...
       qmonitor-mock --as-qemu DIR SCENARIO
       qmonitor-mock --json-schema

A QMP server that does what the scenario says; '-' is the empty scenario.

  --qmp ADDR       listen for QMP clients: unix:PATH, tcp:HOST:PORT or fd:N
  --hmp ADDR       listen for people
  --qga ADDR       listen for clients of a guest agent
  --control ADDR   listen for tests that control the mock
  --profile 10.0|11.1
                   the QEMU whose schema counts; goes before the scenario's
  --seed N         the seed of all that is random; goes before the scenario's
  --time virtual|real
                   virtual: the control channel moves the time; real: it passes;
                   goes before the scenario's
  --fault NAME     switch a fault on: one of the scenario, or a built-in one
  --once           end when the last client has left
  --report FILE    write a report in JUnit's format at the end
  --record FILE    stand between one client and the QEMU at --upstream, and write
                   a scenario of what passed
  --upstream ADDR  the QEMU to record
  --check          check scenarios and end
  --as-qemu DIR    put a qemu-system-x86_64 into DIR that records its command
                   line and serves QMP as its options say
  --json-schema    print the JSON Schema of scenarios, for editors
  -h, --help       print this text
  --version        print the version

It prints 'listening KIND ADDR' for each address, then 'ready'. Its exit status
is 0 if all expectations held, 1 if not, 2 for a scenario that is wrong.
";

const OPTIONS: [&str; 17] = [
    "--qmp",
    "--qga",
    "--hmp",
    "--control",
    "--profile",
    "--seed",
    "--time",
    "--fault",
    "--once",
    "--report",
    "--check",
    "--record",
    "--upstream",
    "--as-qemu",
    "--json-schema",
    "--help",
    "--version",
];

/// Reads a command line, without the program's name.
///
/// # Errors
///
/// A message.
pub fn parse(args: &[String]) -> Result<Order, String> {
    let mut serve = Serve::default();
    let (mut check, mut as_qemu, mut emulate) = (false, None, None);
    let (mut out, mut upstream) = (None, None);
    let mut files = Vec::new();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || {
            let next = words.next().cloned();
            next.ok_or_else(|| format!("{word}: requires an argument"))
        };
        let address = |text: String| Address::parse(&text).map_err(|e| format!("{word}: {e}"));
        match word.as_str() {
            "-h" | "--help" => return Ok(Order::Help),
            "--version" => return Ok(Order::Version),
            "--json-schema" => return Ok(Order::JsonSchema),
            "--check" => check = true,
            "--once" => serve.once = true,
            "--qmp" => serve.qmp.push(address(value()?)?),
            "--hmp" => serve.hmp.push(address(value()?)?),
            "--qga" => serve.qga.push(address(value()?)?),
            "--control" => serve.control = Some(address(value()?)?),
            "--profile" => serve.profile = Some(value()?),
            "--fault" => serve.faults.push(value()?),
            "--report" => serve.report = Some(value()?),
            "--as-qemu" => as_qemu = Some(value()?),
            "--record" => out = Some(value()?),
            "--upstream" => upstream = Some(address(value()?)?),
            "--emulate" => emulate = Some(value()?),
            "--seed" => {
                let text = value()?;
                let seed = text
                    .parse()
                    .map_err(|_| format!("--seed: '{text}' is no number"))?;
                serve.seed = Some(seed);
            }
            "--time" => {
                let text = value()?;
                let time = Time::named(&text);
                serve.time =
                    Some(time.ok_or_else(|| {
                        format!("--time: '{text}': expected 'virtual' or 'real'")
                    })?);
            }
            "--" => {
                serve.options = words.cloned().collect();
                break;
            }
            "-" => files.push(word.clone()),
            option if option.starts_with('-') => {
                let hint = match nearest(option, OPTIONS) {
                    Some(right) => format!("; did you mean '{right}'?"),
                    None => String::new(),
                };
                return Err(format!("{option}: unknown option{hint}"));
            }
            _ => files.push(word.clone()),
        }
    }
    if check {
        if files.is_empty() {
            return Err("--check: names no scenario".to_owned());
        }
        return Ok(Order::Check(files, serve.profile));
    }
    if let Some(out) = out {
        let upstream = upstream.ok_or("--record: --upstream is missing")?;
        return match (serve.qmp.as_slice(), files.as_slice()) {
            ([qmp], []) => Ok(Order::Record(out, upstream, qmp.clone())),
            _ => Err("--record: expected one --qmp and no scenario".to_owned()),
        };
    }
    let [scenario] = files.as_slice() else {
        return Err(format!(
            "expected one scenario, found {}; see --help",
            files.len()
        ));
    };
    scenario.clone_into(&mut serve.scenario);
    Ok(match (as_qemu, emulate) {
        (Some(dir), _) => Order::AsQemu(dir, Box::new(serve)),
        (None, Some(dir)) => Order::Emulate(dir, Box::new(serve)),
        (None, None) => Order::Serve(Box::new(serve)),
    })
}

/// The options that go before what the scenario says.
pub fn chosen(serve: &Serve, seed: Option<u64>) -> Vec<String> {
    let mut words = Vec::new();
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    if let Some(profile) = &serve.profile {
        option("--profile", profile.clone());
    }
    if let Some(seed) = seed {
        option("--seed", seed.to_string());
    }
    if let Some(time) = serve.time {
        option("--time", time.name().to_owned());
    }
    for fault in &serve.faults {
        option("--fault", fault.clone());
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Order, String> {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn options_before_and_after_the_scenario() {
        let Ok(Order::Serve(serve)) = words("--qmp unix:/a s.yaml --seed 7 --once -- -m 64") else {
            panic!("it serves");
        };
        assert_eq!(serve.scenario, "s.yaml");
        assert_eq!(
            (serve.seed, serve.once, serve.qmp.len()),
            (Some(7), true, 1)
        );
        assert_eq!(serve.options, ["-m", "64"]);
    }

    #[test]
    fn wrong_options_are_named() {
        for (line, message) in [
            ("--qpm x -", "--qpm: unknown option; did you mean '--qmp'?"),
            ("--qmp", "--qmp: requires an argument"),
            ("--seed x -", "--seed: 'x' is no number"),
            (
                "--time never -",
                "--time: 'never': expected 'virtual' or 'real'",
            ),
            ("--check", "--check: names no scenario"),
            ("a b", "expected one scenario, found 2; see --help"),
        ] {
            assert_eq!(words(line).unwrap_err(), message);
        }
        let e = words("- --qmp path").unwrap_err();
        assert_eq!(
            e,
            "--qmp: 'path': expected unix:PATH, tcp:HOST:PORT or fd:N"
        );
    }
}
