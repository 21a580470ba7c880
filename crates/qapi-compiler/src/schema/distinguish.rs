//! How an alternate tells its alternatives apart: by JSON type, with the command
//! line in mind.

use super::enter::{Draft, DraftKind};

/// A property that tells alternatives apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonKind {
    Null,
    Bool,
    Number,
    String,
    Object,
    Array,
}

/// The JSON types that a value of a type may look like, its own first. None if the
/// type cannot be an alternative. A string may look like a number or a boolean,
/// because on the command line everything is a string.
pub(super) fn json_kinds(draft: &Draft) -> Vec<JsonKind> {
    match &draft.kind {
        DraftKind::Object(_) => vec![JsonKind::Object],
        DraftKind::Array(_) => vec![JsonKind::Array],
        DraftKind::Enum(def) => {
            let mut kinds = vec![JsonKind::String];
            let names = || def.values.iter().map(|value| value.name.as_str());
            if names().any(|name| matches!(name, "on" | "off")) {
                kinds.push(JsonKind::Bool);
            }
            let numeric = |ch: char| ch.is_ascii_digit() || "+-.".contains(ch);
            if names().any(|name| name.starts_with(numeric)) {
                kinds.push(JsonKind::Number);
            }
            kinds
        }
        DraftKind::Builtin => match draft.name.as_str() {
            "str" => vec![JsonKind::String, JsonKind::Number, JsonKind::Bool],
            "null" => vec![JsonKind::Null],
            "bool" => vec![JsonKind::Bool],
            "any" => vec![],
            _ => vec![JsonKind::Number],
        },
        DraftKind::Alternate(_) | DraftKind::Command { .. } | DraftKind::Event { .. } => vec![],
    }
}
