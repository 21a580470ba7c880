//! Expectations: what must have happened at the end.

use super::tables::{names, CONNECTIONS, NEVER, REQUESTED, WHEN};
use super::when::When;
use super::Reader;
use crate::amount;
use crate::node::Node;
use crate::problem::join;

/// An expectation.
#[derive(Debug, Clone)]
pub enum Expect {
    /// Such a request came, so many times or at least once, each after such another.
    Request {
        /// Which.
        when: When,
        /// How often.
        times: Option<u64>,
        /// What came before.
        follows: Option<When>,
    },
    /// No such request came.
    Never(When),
    /// So many clients connected.
    Connections(u64),
}

impl Expect {
    /// Reads an expectation.
    pub fn read(reader: &Reader<'_>, node: &Node, path: &str) -> Option<Expect> {
        let problems = reader.problems;
        if let Some(count) = node.get("connections") {
            problems.expect_members(node, path, &names(&[CONNECTIONS]));
            let path = join(path, "connections");
            return Some(Expect::Connections(amount::count(count, &path, problems)));
        }
        if let Some(never) = node.get("never") {
            problems.expect_members(node, path, &names(&[NEVER]));
            let path = join(path, "never");
            problems.expect_members(never, &path, &names(&[WHEN]));
            return Some(Expect::Never(When::read(reader, never, &path)));
        }
        let known = names(&[WHEN, REQUESTED, NEVER, CONNECTIONS]);
        if !problems.expect_members(node, path, &known) {
            return None;
        }
        Some(Expect::Request {
            when: When::read(reader, node, path),
            times: reader.count(node, path, "times"),
            follows: node.get("follows").map(|node| {
                let path = join(path, "follows");
                problems.expect_members(node, &path, &names(&[WHEN]));
                When::read(reader, node, &path)
            }),
        })
    }
}
