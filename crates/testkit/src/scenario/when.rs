//! Which requests are meant.

use std::collections::BTreeSet;

use qmonitor::qapi::{QDict, QObject};

use super::Reader;
use crate::node::Node;
use crate::pattern::{Bindings, Pattern};
use crate::problem::join;

/// A matcher of requests and of lines of the human monitor.
#[derive(Debug, Clone)]
pub struct When {
    /// The command's name or the line.
    pub what: What,
    /// Its arguments.
    pub arguments: Pattern,
    /// Whether no other arguments may be there.
    pub exact: bool,
}

/// The two kinds of requests.
#[derive(Debug, Clone)]
pub enum What {
    /// A command of this name.
    Execute(Pattern),
    /// A line of the human monitor.
    Hmp(Pattern),
}

impl When {
    /// Reads the members of a matcher; others are not looked at.
    pub fn read(reader: &Reader<'_>, node: &Node, path: &str) -> When {
        let what = match (node.get("execute"), node.get("hmp")) {
            (Some(execute), None) => {
                let path = join(path, "execute");
                if let Some(name) = execute.as_str() {
                    reader.command(name, execute, &path);
                }
                What::Execute(Pattern::read(execute, &path, reader.problems))
            }
            (None, Some(line)) => {
                What::Hmp(Pattern::read(line, &join(path, "hmp"), reader.problems))
            }
            _ => {
                let text = "one of 'execute' and 'hmp' must be there";
                reader.problems.add(node.place, path, text);
                What::Execute(Pattern::Any)
            }
        };
        let arguments = match node.get("arguments") {
            Some(arguments) => {
                let path = join(path, "arguments");
                reader.arguments(node.get("execute"), arguments, &path);
                Pattern::object(arguments, &path, reader.problems)
            }
            None => Pattern::Object(Vec::new()),
        };
        When {
            what,
            arguments,
            exact: reader.flag(node, path, "exact"),
        }
    }

    /// The names that it binds.
    pub fn names(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let (What::Execute(what) | What::Hmp(what)) = &self.what;
        what.names(&mut names);
        self.arguments.names(&mut names);
        names
    }

    /// Whether a request is meant. Binds names to values.
    pub fn fits(&self, command: &str, arguments: &QDict, bound: &mut Bindings) -> bool {
        let What::Execute(name) = &self.what else {
            return false;
        };
        name.fits(Some(&command.into()), false, bound)
            && self
                .arguments
                .fits(Some(&arguments.clone().into()), self.exact, bound)
    }

    /// Whether a line of the human monitor is meant.
    pub fn fits_line(&self, line: &str, bound: &mut Bindings) -> bool {
        match &self.what {
            What::Hmp(pattern) => pattern.fits(Some(&line.into()), false, bound),
            What::Execute(_) => false,
        }
    }

    /// The command that is meant, if it is just one.
    pub fn command(&self) -> Option<&str> {
        match &self.what {
            What::Execute(Pattern::Is(name)) => name.as_str(),
            _ => None,
        }
    }

    /// As it is shown in messages.
    pub fn show(&self) -> String {
        let (kind, what) = match &self.what {
            What::Execute(name) => ("execute", name),
            What::Hmp(line) => ("hmp", line),
        };
        let what = match what {
            Pattern::Is(QObject::String(name)) => name.clone(),
            other => other.show(),
        };
        match &self.arguments {
            Pattern::Object(members) if members.is_empty() => format!("{{{kind}: {what}}}"),
            arguments => format!("{{{kind}: {what}, arguments: {}}}", arguments.show()),
        }
    }
}
