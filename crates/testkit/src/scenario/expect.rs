//! Expectations: what must have happened at the end.

use super::when::{When, MEMBERS};
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
            problems.expect_members(node, path, &["connections"]);
            let path = join(path, "connections");
            return Some(Expect::Connections(amount::count(count, &path, problems)));
        }
        if let Some(never) = node.get("never") {
            problems.expect_members(node, path, &["never"]);
            let path = join(path, "never");
            problems.expect_members(never, &path, &MEMBERS);
            return Some(Expect::Never(When::read(reader, never, &path)));
        }
        let mut known = MEMBERS.to_vec();
        known.extend(["times", "follows", "never", "connections"]);
        if !problems.expect_members(node, path, &known) {
            return None;
        }
        Some(Expect::Request {
            when: When::read(reader, node, path),
            times: reader.count(node, path, "times"),
            follows: node.get("follows").map(|node| {
                let path = join(path, "follows");
                problems.expect_members(node, &path, &MEMBERS);
                When::read(reader, node, &path)
            }),
        })
    }
}
