//! From a typed line to a request.

use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::{QDict, QObject};

use crate::schema::{Kind, Schema};

/// The words of a line. Blanks in quotes, braces and brackets separate nothing.
pub fn words(line: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut begin, mut depth, mut quote, mut escaped) = (None, 0usize, None, false);
    for (at, c) in line.char_indices() {
        if quote.is_none() && depth == 0 && c.is_whitespace() {
            words.extend(begin.take().map(|begin| &line[begin..at]));
            continue;
        }
        begin.get_or_insert(at);
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            // An apostrophe within a word is a letter.
            (None, '"') => quote = Some(c),
            (None, '\'') if depth > 0 || line[..at].ends_with('=') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    words.extend(begin.map(|begin| &line[begin..]));
    words
}

/// The request that a line means, without an id.
pub fn request(line: &str, schema: &Schema) -> Result<QDict, String> {
    let (member, line) = match line.strip_prefix('!') {
        Some(rest) => ("exec-oob", rest.trim_start()),
        None => ("execute", line),
    };
    if line.starts_with('{') {
        return object(line, "a request");
    }
    let words = words(line);
    let (command, rest) = words.split_first().ok_or("an empty line")?;
    let arguments = arguments(&Lookup::new(schema, command, rest), command)?;
    let mut request = QDict::new();
    request.insert(member, *command);
    if !arguments.is_empty() {
        request.insert("arguments", arguments);
    }
    Ok(request)
}

/// The action of a transaction that a line means.
pub fn action(line: &str, schema: &Schema) -> Result<QDict, String> {
    if line.starts_with('{') {
        return object(line, "an action");
    }
    let words = words(line);
    let (name, rest) = words.split_first().ok_or("an empty line")?;
    let data = arguments(&Lookup::of_action(schema, name, rest), "transaction")?;
    let mut action = QDict::new();
    action.insert("type", *name);
    action.insert("data", data);
    Ok(action)
}

fn object(text: &str, what: &str) -> Result<QDict, String> {
    match qobject_from_json(text.as_bytes()) {
        Ok(QObject::Dict(object)) => Ok(object),
        Ok(_) => Err(format!("{what} is an object")),
        Err(e) => Err(e.desc().to_owned()),
    }
}

/// The arguments of a line; help about them is found under `command`.
fn arguments(lookup: &Lookup<'_>, command: &str) -> Result<QDict, String> {
    let mut arguments = QDict::new();
    for word in lookup.words {
        let (path, value) = word.split_once('=').ok_or_else(|| {
            format!("'{word}' is no argument; arguments are NAME=VALUE, see 'help {command}'")
        })?;
        let value = read_value(value, lookup.type_of(path).as_deref(), lookup.schema)?;
        insert(&mut arguments, path, value)?;
    }
    Ok(arguments)
}

/// Puts a value where a path such as `backend.data.path` says.
fn insert(dict: &mut QDict, path: &str, value: QObject) -> Result<(), String> {
    let Some((first, rest)) = path.split_once('.') else {
        return match dict.insert(path, value) {
            Some(_) => Err(format!("'{path}' comes twice")),
            None => Ok(()),
        };
    };
    if !dict.contains_key(first) {
        dict.insert(first, QDict::new());
    }
    match dict.get_mut(first) {
        Some(QObject::Dict(inner)) => insert(inner, rest, value),
        _ => Err(format!("'{first}' has a value and members")),
    }
}

/// Reads a value as its type wants it; by its form if the type is not known.
fn read_value(text: &str, type_name: Option<&str>, schema: &Schema) -> Result<QObject, String> {
    let kind = type_name.map(|name| schema.kind(name));
    let quoted = text.starts_with(['"', '\'']);
    if quoted || text.starts_with(['{', '[']) {
        return qobject_from_json(text.as_bytes()).map_err(|e| format!("{text}: {}", e.desc()));
    }
    match kind {
        Some(Kind::Enum(_)) => Ok(text.into()),
        Some(Kind::Plain(json)) if json == "string" => Ok(text.into()),
        Some(Kind::Plain(json)) if json == "boolean" => match text {
            "on" | "yes" | "true" => Ok(true.into()),
            "off" | "no" | "false" => Ok(false.into()),
            _ => Err(format!("'{text}' is neither on nor off")),
        },
        Some(Kind::Array(element)) => {
            let elements = text.split(',').filter(|part| !part.is_empty());
            let elements = elements.map(|part| read_value(part, Some(&element), schema));
            Ok(QObject::List(elements.collect::<Result<_, _>>()?))
        }
        _ => Ok(guess(text)),
    }
}

/// A number, a word of JSON, or else a string.
fn guess(text: &str) -> QObject {
    let is_json = text.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        || ["true", "false", "null"].contains(&text);
    let value = is_json.then(|| qobject_from_json(text.as_bytes()).ok());
    value.flatten().unwrap_or_else(|| text.into())
}

/// Looks up types along the paths of a line's arguments.
pub struct Lookup<'a> {
    schema: &'a Schema,
    /// Their type.
    arguments: Option<String>,
    words: &'a [&'a str],
}

impl<'a> Lookup<'a> {
    /// For a command with these arguments, complete or not.
    pub fn new(schema: &'a Schema, command: &str, words: &'a [&'a str]) -> Self {
        Lookup {
            schema,
            arguments: schema.arguments_of(command).map(str::to_owned),
            words,
        }
    }

    /// For an action of a transaction.
    pub fn of_action(schema: &'a Schema, action: &str, words: &'a [&'a str]) -> Self {
        Lookup {
            schema,
            arguments: schema.action_data(action),
            words,
        }
    }

    /// The value that the line gives for a path.
    fn given(&self, path: &str) -> Option<String> {
        let mut arguments = self.words.iter().filter_map(|word| word.split_once('='));
        let found = arguments.find(|(name, _)| *name == path);
        found.map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
    }

    /// The members of the object at a path; the arguments themselves if it is empty.
    pub fn members_at(&self, path: &str) -> Vec<crate::schema::Member> {
        let type_name = if path.is_empty() {
            self.arguments.clone()
        } else {
            self.type_of(path)
        };
        let tag = |tag: &str| match path {
            "" => self.given(tag),
            _ => self.given(&format!("{path}.{tag}")),
        };
        type_name.map_or(Vec::new(), |name| self.schema.members(&name, &tag))
    }

    /// The type of the value at a path.
    pub fn type_of(&self, path: &str) -> Option<String> {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let members = self.members_at(parent);
        let member = members.into_iter().find(|member| member.name == name)?;
        Some(member.type_name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::tests::schema;
    use qmonitor::qapi::json::qobject_to_json;

    fn json(line: &str) -> Result<String, String> {
        request(line, &schema()).map(|request| qobject_to_json(&request.into(), false))
    }

    #[test]
    fn values_are_read_as_their_types_want_them() {
        for (line, expected) in [
            ("query-status", r#"{"execute": "query-status"}"#),
            (
                "add id=7 size=7 fast=on",
                r#"{"execute": "add", "arguments": {"id": "7", "size": 7, "fast": true}}"#,
            ),
            (
                "add backend.type=file backend.data.out=/x",
                r#"{"execute": "add", "arguments": {"backend": {"type": "file", "data": {"out": "/x"}}}}"#,
            ),
            (
                "add modes=raw,cooked",
                r#"{"execute": "add", "arguments": {"modes": ["raw", "cooked"]}}"#,
            ),
            (
                r#"add id="a b" backend={"type": "null"}"#,
                r#"{"execute": "add", "arguments": {"id": "a b", "backend": {"type": "null"}}}"#,
            ),
            (
                "unknown a=1 b=x c=true d=1x",
                r#"{"execute": "unknown", "arguments": {"a": 1, "b": "x", "c": true, "d": "1x"}}"#,
            ),
            ("!add", r#"{"exec-oob": "add"}"#),
            ("{'execute': 'x', 'id': 5}", r#"{"execute": "x", "id": 5}"#),
        ] {
            assert_eq!(json(line).as_deref(), Ok(expected), "{line}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (line, problem) in [
            (
                "add here",
                "'here' is no argument; arguments are NAME=VALUE, see 'help add'",
            ),
            ("add id=1 id=2", "'id' comes twice"),
            ("add fast=maybe", "'maybe' is neither on nor off"),
            ("add a=1 a.b=2", "'a' has a value and members"),
            ("{'execute': ", "JSON parse error, premature EOI"),
        ] {
            assert_eq!(json(line), Err(problem.to_owned()), "{line}");
        }
    }

    #[test]
    fn blanks_in_quotes_and_brackets_separate_nothing() {
        let line = r#"  a b='x y' c={"d": [1, 2]} it's  "#;
        assert_eq!(words(line), ["a", "b='x y'", r#"c={"d": [1, 2]}"#, "it's"]);
    }
}
