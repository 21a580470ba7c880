//! What tests in Rust have in common, whether the mock has a thread of its own or not.

use std::fmt;

use qmonitor::qapi::{QDict, QObject};

use crate::kit::journal::Entry;
use crate::kit::{fits, Kit};
use crate::node::Node;
use crate::problem::{Problem, Problems};
use crate::read::read;
use crate::scenario::{Expect, Fault, Reader, Stub, When};
use crate::words::Request;

/// Reads something in the grammar of scenarios.
pub(crate) fn read_as<T>(
    kit: &Kit,
    unchecked: bool,
    read: impl FnOnce(&Reader<'_>) -> T,
) -> Result<T, String> {
    let problems = Problems::new("");
    let schema = kit.schema();
    let value = read(&Reader {
        schema: &schema,
        problems: &problems,
        unchecked,
    });
    match problems.into_list().as_slice() {
        [] => Ok(value),
        list => Err(list
            .iter()
            .map(Problem::to_string)
            .collect::<Vec<_>>()
            .join("; ")),
    }
}

/// Reads a stub that a test wrote, and puts it first. A stub of this name is replaced.
pub(crate) fn add_stub(kit: &Kit, dict: &QDict, former: Option<&str>) -> Result<String, String> {
    let node = Node::from(QObject::Dict(dict.clone()));
    let stub = read_as(kit, false, |reader| Stub::read(reader, &node, ""))?;
    let stub = stub.ok_or("this is no stub")?;
    if let Some(former) = former {
        kit.remove_stub(former);
    }
    Ok(kit.add_stub_first(stub))
}

/// Reads an expectation that a request comes so often.
pub(crate) fn expect(kit: &Kit, request: &Request, times: u64) -> Result<(), String> {
    let when = when(kit, request)?;
    kit.add_expect(Expect::Request {
        when,
        times: Some(times),
        follows: None,
    });
    Ok(())
}

/// Reads a matcher.
pub(crate) fn when(kit: &Kit, request: &Request) -> Result<When, String> {
    let node = request.to_node();
    read_as(kit, true, |reader| When::read(reader, &node, ""))
}

/// Switches on a fault: a built-in one or one of the scenario by its name, or one that is
/// written as in a scenario.
pub(crate) fn add_fault(kit: &Kit, fault: &str) -> Result<(), String> {
    if !fault.contains('{') {
        return kit.set_fault(fault, true);
    }
    let node = read("", fault).map_err(|problem| problem.to_string())?;
    let name = format!("fault {fault}");
    let fault = read_as(kit, false, |reader| {
        Fault::read(reader, &name, &node, "", None)
    })?;
    fault
        .map(|fault| kit.add_fault(fault))
        .ok_or_else(|| "this is no fault".to_owned())
}

/// Output in pieces, as the fault that [`fault`](crate::Sim::fault) takes.
#[derive(Debug, Clone, Copy)]
pub struct Slice;

impl Slice {
    /// Pieces whose size depends on the seed.
    pub fn random() -> &'static str {
        "{at: output, do: {slice: random}}"
    }

    /// Pieces of so many bytes.
    pub fn bytes(n: usize) -> String {
        format!("{{at: output, do: {{slice: {n}}}}}")
    }
}

/// The requests that came. Its `Debug` output is the same each time, for snapshot tests.
pub struct Received {
    pub(crate) entries: Vec<Entry>,
    /// The matchers of requests are read with the schema of the mock.
    pub(crate) seed: u64,
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.entries).finish()
    }
}

impl Received {
    /// The requests, in the order in which they came.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The names of the commands.
    pub fn commands(&self) -> Vec<&str> {
        self.entries.iter().filter_map(Entry::execute).collect()
    }

    /// How many requests fit.
    pub fn count(&self, request: &Request) -> usize {
        let when = self.when(request);
        self.entries
            .iter()
            .filter(|entry| fits(&when, entry))
            .count()
    }

    /// Checks that these came, in this order; others may have come between them.
    ///
    /// # Panics
    ///
    /// If they did not.
    #[track_caller]
    pub fn in_order(&self, requests: impl IntoIterator<Item = Request>) {
        let mut rest = self.entries.iter();
        for request in requests {
            let when = self.when(&request);
            assert!(
                rest.any(|entry| fits(&when, entry)),
                "{} did not come, or not in this order; there came {self:#?}; seed {}",
                when.show(),
                self.seed
            );
        }
    }

    fn when(&self, request: &Request) -> When {
        let node = request.to_node();
        let problems = Problems::new("");
        let schema = crate::schema::Schema::of_profile(crate::schema::PROFILES[0]);
        let Some(schema) = schema else {
            unreachable!("the kit's own profiles are right");
        };
        let reader = Reader {
            schema: &schema,
            problems: &problems,
            unchecked: true,
        };
        When::read(&reader, &node, "")
    }
}

/// The seed that the environment asks for: `QMONITOR_SEED`.
pub(crate) fn seed_from_env() -> Option<u64> {
    std::env::var("QMONITOR_SEED").ok()?.parse().ok()
}

/// Tells the seed if the test panics.
pub(crate) struct Told(pub(crate) u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0}; to replay: QMONITOR_SEED={0}", self.0);
        }
    }
}

/// What a test is told when an expectation failed.
pub(crate) fn verdict(kit: &Kit, seed: u64) -> Result<(), String> {
    if kit.failures().is_empty() {
        return Ok(());
    }
    let report = kit.report();
    Err(format!(
        "the mock's expectations failed:\n{report}seed {seed}; to replay: QMONITOR_SEED={seed}"
    ))
}
