//! The pragma directive: settings of the checks.
//!
//! A schema has one set of values. A directive replaces the value of an earlier one
//! (lists do not add up). Checks begin only after everything is read, so the last
//! value holds for the whole schema.

use std::collections::HashSet;

use super::expr::{Expr, Object};

/// The values.
#[derive(Debug, Default)]
pub(super) struct Pragmas {
    /// Every definition needs a documentation comment.
    pub(super) doc_required: bool,
    /// Commands whose names may have `_`.
    pub(super) command_name_exceptions: HashSet<String>,
    /// Commands whose return type need not be an object.
    pub(super) command_returns_exceptions: HashSet<String>,
    /// Definitions whose members need no description.
    pub(super) documentation_exceptions: HashSet<String>,
    /// Types whose members or values may break the rules for upper case and `_`.
    pub(super) member_name_exceptions: HashSet<String>,
}

impl Pragmas {
    /// Carries out one directive; the error is the message.
    pub(super) fn apply(&mut self, object: Object) -> Result<(), String> {
        for (name, value) in object.0 {
            let list = match name.as_str() {
                "doc-required" => {
                    let Expr::Bool(value) = value else {
                        return Err("pragma 'doc-required' must be boolean".to_owned());
                    };
                    self.doc_required = value;
                    continue;
                }
                "command-name-exceptions" => &mut self.command_name_exceptions,
                "command-returns-exceptions" => &mut self.command_returns_exceptions,
                "documentation-exceptions" => &mut self.documentation_exceptions,
                "member-name-exceptions" => &mut self.member_name_exceptions,
                _ => return Err(format!("unknown pragma '{name}'")),
            };
            *list =
                strings(value).ok_or_else(|| format!("pragma {name} must be a list of strings"))?;
        }
        Ok(())
    }
}

fn strings(value: Expr) -> Option<HashSet<String>> {
    let Expr::List(items) = value else {
        return None;
    };
    items
        .into_iter()
        .map(|item| match item {
            Expr::Str(text) => Some(text),
            _ => None,
        })
        .collect()
}
