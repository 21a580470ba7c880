//! What could come next on a line.

use crate::line::{words, Lookup};
use crate::schema::{Kind, Schema};
use crate::transaction::OPENS;

/// Completions of the word that ends at the end of `line`: where the word, or the
/// part of it that is completed, begins, and what it can be.
pub fn candidates(line: &str, schema: &Schema) -> (usize, Vec<String>) {
    if let Some(action) = line.strip_prefix(OPENS) {
        let (begin, found) = action_candidates(action, schema);
        return (OPENS.len() + begin, found);
    }
    let (oob, rest) = match line.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, line),
    };
    let (words, word) = typed(rest);
    let begin = line.len() - word.len();
    match words.split_first() {
        None => (begin, commands(word, schema, oob)),
        Some((&"help", [])) => (begin, commands(word, schema, false)),
        Some((command, given)) => {
            let lookup = Lookup::new(schema, command, given);
            argument(&lookup, word, given, line.len(), schema)
        }
    }
}

/// The same in a line of a transaction.
pub fn action_candidates(line: &str, schema: &Schema) -> (usize, Vec<String>) {
    let (words, word) = typed(line);
    let Some((action, given)) = words.split_first() else {
        let all = schema.actions().into_iter().chain([")".to_owned()]);
        let fitting = all.filter(|name| name.starts_with(word)).collect();
        return (line.len() - word.len(), fitting);
    };
    let lookup = Lookup::of_action(schema, action, given);
    argument(&lookup, word, given, line.len(), schema)
}

/// The words before the last, and the last, which is yet to be completed.
fn typed(line: &str) -> (Vec<&str>, &str) {
    let mut words = words(line);
    let word = match words.last() {
        Some(last) if line.ends_with(last) => words.pop().unwrap_or(""),
        _ => "",
    };
    (words, word)
}

/// Candidates of an argument that ends at `end`.
fn argument(
    lookup: &Lookup<'_>,
    word: &str,
    given: &[&str],
    end: usize,
    schema: &Schema,
) -> (usize, Vec<String>) {
    match word.split_once('=') {
        Some((path, value)) => values(lookup, path, value, end, schema),
        None => (end - word.len(), names(lookup, word, given, schema)),
    }
}

fn commands(prefix: &str, schema: &Schema, oob: bool) -> Vec<String> {
    let all = schema
        .commands()
        .filter(|name| !oob || schema.allows_oob(name));
    let own = ["help", "exit"].into_iter().filter(|_| !oob);
    let mut names: Vec<String> = all
        .chain(own)
        .filter(|name| name.starts_with(prefix))
        .map(str::to_owned)
        .collect();
    names.sort();
    names
}

/// Names of arguments that the line does not have: `id=`, or `backend.` if it has
/// members.
fn names(lookup: &Lookup<'_>, word: &str, given: &[&str], schema: &Schema) -> Vec<String> {
    let (parent, name) = word.rsplit_once('.').unwrap_or(("", word));
    let members = lookup.members_at(parent).into_iter();
    let paths = members.filter(|m| m.name.starts_with(name)).map(|member| {
        let path = match parent {
            "" => member.name,
            _ => format!("{parent}.{}", member.name),
        };
        match schema.kind(&member.type_name) {
            Kind::Object => format!("{path}."),
            _ => format!("{path}="),
        }
    });
    paths
        .filter(|path| path.ends_with('.') || !given.iter().any(|word| word.starts_with(path)))
        .collect()
}

fn values(
    lookup: &Lookup<'_>,
    path: &str,
    value: &str,
    end: usize,
    schema: &Schema,
) -> (usize, Vec<String>) {
    let Some(type_name) = lookup.type_of(path) else {
        return (end, Vec::new());
    };
    let (kind, last) = match schema.kind(&type_name) {
        Kind::Array(element) => {
            let last = value.rsplit(',').next().unwrap_or(value);
            (schema.kind(&element), last)
        }
        kind => (kind, value),
    };
    let all = match kind {
        Kind::Enum(values) => values,
        Kind::Plain(json) if json == "boolean" => vec!["on".into(), "off".into()],
        _ => Vec::new(),
    };
    let fitting = all.into_iter().filter(|text| text.starts_with(last));
    (end - last.len(), fitting.collect())
}

/// The required arguments that a line lacks, to be shown behind it.
pub fn hint(line: &str, schema: &Schema) -> Option<String> {
    let words = words(line);
    let (command, given) = words.split_first()?;
    if !line.ends_with(' ') || line.starts_with(['{', '!']) {
        return None;
    }
    let members = Lookup::new(schema, command, given).members_at("");
    let lacks = |name: &str| {
        let begins = |word: &&str| {
            word.strip_prefix(name)
                .is_some_and(|r| r.starts_with(['=', '.']))
        };
        !given.iter().any(begins)
    };
    let missing = members.iter().filter(|m| !m.optional && lacks(&m.name));
    let missing: Vec<String> = missing.map(|m| format!("{}=", m.name)).collect();
    (!missing.is_empty()).then(|| missing.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::schema;

    #[test]
    fn each_part_of_a_line_has_its_candidates() {
        let schema = schema();
        for (line, begin, expected) in [
            (
                "",
                0,
                &["add", "exit", "help", "query-status", "transaction"][..],
            ),
            ("q", 0, &["query-status"]),
            ("!", 1, &["add"]),
            ("help a", 5, &["add"]),
            ("add ", 4, &["id=", "size=", "fast=", "modes=", "backend."]),
            ("add id=1 ", 9, &["size=", "fast=", "modes=", "backend."]),
            ("add b", 4, &["backend."]),
            ("add backend.", 4, &["backend.type="]),
            ("add backend.type=", 17, &["file", "null"]),
            ("add backend.type=n", 17, &["null"]),
            ("add backend.type=file backend.", 22, &["backend.data."]),
            (
                "add backend.type=file backend.data.",
                22,
                &["backend.data.out=", "backend.data.append="],
            ),
            ("add fast=o", 9, &["on", "off"]),
            ("add modes=raw,c", 14, &["cooked"]),
            ("add id=x", 7, &[]),
            ("nope ", 5, &[]),
            ("transaction(", 12, &["abort", "bitmap-add", ")"]),
            ("transaction( bit", 13, &["bitmap-add"]),
            ("transaction( bitmap-add ", 24, &["node=", "persistent="]),
        ] {
            let (at, found) = candidates(line, &schema);
            assert_eq!(
                (at, &found[..]),
                (
                    begin,
                    &expected.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>()[..]
                ),
                "{line:?}"
            );
        }
    }

    #[test]
    fn lines_of_a_transaction_are_actions() {
        let schema = schema();
        let (at, found) = action_candidates("bitmap-add node=7 persistent=o", &schema);
        assert_eq!((at, &found[..]), (29, &["on".into(), "off".into()][..]));
        assert_eq!(
            action_candidates("q", &schema),
            (0, Vec::new()),
            "a command"
        );
    }

    #[test]
    fn the_hint_names_what_is_missing() {
        let schema = schema();
        assert_eq!(hint("add ", &schema).as_deref(), Some("id= backend="));
        assert_eq!(
            hint("add backend.type=null ", &schema).as_deref(),
            Some("id=")
        );
        assert_eq!(hint("add id=1 backend={} ", &schema), None);
        assert_eq!(hint("query-status ", &schema), None);
    }
}
