//! Scenarios: the file format, read and checked as a whole before anything is played.

mod choices;
mod expect;
mod fault;
mod json_schema;
mod reader;
mod stub;
mod tables;
mod when;
mod write;

use std::path::Path;
use std::sync::Arc;

pub use choices::{Base, Point, Time};
pub use expect::Expect;
pub use fault::{Action, Fault, BUILT_IN_NAMES};
pub use json_schema::json_schema;
pub use reader::Reader;
pub use stub::{Answer, Emit, Reply, Stub};
pub use when::{What, When};
pub use write::to_text;

use self::choices::{BASES, TIMES};
use self::tables::{names, PROFILE, SCENARIO, START};
use crate::node::{Node, Value};
use crate::problem::{join, Problem, Problems};
use crate::read::read;
use crate::schema::{Schema, PROFILES};

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// What everything is checked against.
    pub schema: Arc<Schema>,
    /// The profile or the file, if one was chosen: then `query-qmp-schema` answers it.
    pub profile: Option<String>,
    /// What answers requests without a stub.
    pub base: Base,
    /// The options of the machine.
    pub machine: Vec<String>,
    /// The seed, if it says one.
    pub seed: Option<u64>,
    /// Whose time it is, if it says so.
    pub time: Option<Time>,
    /// What timestamps begin with, in nanoseconds since 1970.
    pub start: Option<i64>,
    /// Stubs, in order.
    pub stubs: Vec<Stub>,
    /// Faults, those without a definition among them.
    pub faults: Vec<Fault>,
    /// Expectations.
    pub expect: Vec<Expect>,
}

impl Scenario {
    /// A scenario without stubs, faults and expectations.
    ///
    /// # Errors
    ///
    /// There is no such profile.
    pub fn empty(profile: Option<&str>) -> Result<Scenario, Vec<Problem>> {
        Scenario::read("-", "{}", profile)
    }

    /// Reads a file. A profile that is given goes before the file's.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn load(path: &str, profile: Option<&str>) -> Result<Scenario, Vec<Problem>> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let problems = Problems::new(path);
            problems.add(crate::node::Place { line: 1, column: 1 }, "", e.to_string());
            problems.into_list()
        })?;
        Scenario::read(path, &text, profile)
    }

    /// Reads a text; `file` is its name in messages, and where it stands names of files in it
    /// begin.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn read(file: &str, text: &str, profile: Option<&str>) -> Result<Scenario, Vec<Problem>> {
        let node = read(file, text).map_err(|problem| vec![problem])?;
        let problems = Problems::new(file);
        let scenario = Scenario::from_node(file, &node, profile, &problems);
        let list = problems.into_list();
        scenario.filter(|_| list.is_empty()).ok_or(list)
    }

    fn from_node(
        file: &str,
        node: &Node,
        profile: Option<&str>,
        problems: &Problems,
    ) -> Option<Scenario> {
        let nothing = Node {
            value: Value::Map(Vec::new()),
            place: node.place,
        };
        // A file of comments is an empty scenario.
        let node = if node.value == Value::Null {
            &nothing
        } else {
            node
        };
        if !problems.expect_members(node, "", &names(&[SCENARIO])) {
            return None;
        }
        let (schema, profile) = choose_schema(file, node, profile, problems)?;
        let reader = &Reader {
            schema: &schema,
            problems,
            unchecked: false,
        };
        // For editors only.
        reader.text(node, "", "$schema");
        Some(Scenario {
            base: reader.choice(node, "base", &BASES).unwrap_or_default(),
            machine: reader.list(node, "", "machine", |node, path| reader.word(node, path)),
            seed: reader.count(node, "", "seed"),
            time: reader.choice(node, "time", &TIMES),
            start: node.get("start").map(|node| start(reader, node)),
            stubs: reader.list(node, "", "stubs", |node, path| {
                Stub::read(reader, node, path)
            }),
            faults: faults(reader, node),
            expect: reader.list(node, "", "expect", |node, path| {
                Expect::read(reader, node, path)
            }),
            profile,
            schema: schema.clone(),
        })
    }
}

fn choose_schema(
    file: &str,
    node: &Node,
    given: Option<&str>,
    problems: &Problems,
) -> Option<(Arc<Schema>, Option<String>)> {
    let member = node.get("profile");
    let place = member.map_or(node.place, |node| node.place);
    let path = member.and_then(|node| node.get("schema"));
    if let Some(node) = path.filter(|_| given.is_none()) {
        problems.expect_members(member?, "profile", &names(&[PROFILE]));
        let Some(name) = node.as_str() else {
            problems.wrong_kind(node, "profile.schema", "a string");
            return None;
        };
        let beside = Path::new(file).parent().unwrap_or(Path::new(""));
        let file = beside.join(name);
        return match Schema::from_file(&file) {
            Ok(schema) => {
                // A scenario that is saved elsewhere names the same file.
                let file = std::path::absolute(&file).unwrap_or(file);
                Some((Arc::new(schema), Some(file.display().to_string())))
            }
            Err(text) => {
                problems.add(place, "profile.schema", text);
                None
            }
        };
    }
    let name = match (given, member) {
        (Some(name), _) => Some(name),
        (None, Some(node)) => match node.as_str() {
            Some(name) => Some(name),
            None => {
                let wanted = "'10.0', '11.1' in quotes, or {schema: FILE}";
                problems.wrong_kind(node, "profile", wanted);
                return None;
            }
        },
        (None, None) => None,
    };
    let schema = Schema::of_profile(name.unwrap_or(PROFILES[0]));
    if schema.is_none() {
        let name = name.unwrap_or_default();
        problems.unknown(place, "profile", "profile", name, PROFILES);
    }
    Some((schema?, name.map(str::to_owned)))
}

fn start(reader: &Reader<'_>, node: &Node) -> i64 {
    reader
        .problems
        .expect_members(node, "start", &names(&[START]));
    let part = |name| reader.count(node, "start", name).unwrap_or(0) as i64;
    part("seconds")
        .saturating_mul(1_000_000_000)
        .saturating_add(part("microseconds").saturating_mul(1000))
}

/// Reads the faults: an object by name, or a list of the names of built-in ones. Those that are
/// not named are there too, off.
fn faults(reader: &Reader<'_>, node: &Node) -> Vec<Fault> {
    let mut faults = fault::built_in(reader);
    let mut own = Vec::new();
    match node.get("faults").map(|node| (&node.value, node)) {
        None => {}
        Some((Value::List(names), _)) => {
            for (i, node) in names.iter().enumerate() {
                let path = format!("faults[{i}]");
                let Some(name) = reader.word(node, &path) else {
                    continue;
                };
                match faults.iter_mut().find(|fault| fault.name == name) {
                    Some(fault) => fault.enabled = true,
                    None => {
                        let place = node.place;
                        reader
                            .problems
                            .unknown(place, &path, "fault", &name, BUILT_IN_NAMES);
                    }
                }
            }
        }
        Some((Value::Map(members), _)) => {
            for member in members {
                let path = join("faults", &member.name);
                let at = faults.iter().position(|fault| fault.name == member.name);
                let built_in = at.map(|at| faults.remove(at));
                let (name, node) = (&member.name, &member.node);
                own.extend(Fault::read(reader, name, node, &path, built_in.as_ref()));
            }
        }
        Some((_, node)) => reader
            .problems
            .wrong_kind(node, "faults", "an object or a list"),
    }
    own.extend(faults);
    own
}
