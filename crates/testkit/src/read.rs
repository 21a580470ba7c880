//! Reads YAML and JSON into values with places.

use std::collections::HashMap;

use qmonitor::qapi::QNum;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::node::{Member, Node, Place, Value};
use crate::problem::{join, Problem, Problems};
use crate::read_json::read_json;

/// How deep values may be nested.
const DEPTH: usize = 200;

const TOO_DEEP: &str = "nested too deeply";

/// How many values all aliases together may stand for.
const COPIES: usize = 1_000_000;

/// Reads the one document of a file. An empty file is an empty object.
///
/// # Errors
///
/// The first thing that is wrong with the syntax, or a name that stands twice in an object.
pub fn read(file: &str, text: &str) -> Result<Node, Problem> {
    if let Some(node) = read_json(text, DEPTH) {
        return Ok(node);
    }
    let mut reader = Reader {
        file,
        open: Vec::new(),
        anchors: HashMap::new(),
        copied: 0,
        root: None,
        documents: 0,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            let marker = e.marker();
            let place = Place {
                line: marker.line(),
                column: marker.col() + 1,
            };
            problem(file, place, "", e.info().to_owned())
        })?;
        reader.take(event, span)?;
    }
    Ok(reader.root.unwrap_or(Node {
        value: Value::Map(Vec::new()),
        place: Place { line: 1, column: 1 },
    }))
}

fn problem(file: &str, place: Place, path: &str, text: String) -> Problem {
    let problems = Problems::new(file);
    problems.add(place, path, text);
    problems.into_list().remove(0)
}

/// A list or an object whose end has not come.
struct Open {
    node: Node,
    anchor: usize,
    /// The name of a member whose value is next.
    key: Option<(String, Place)>,
}

/// A value that aliases stand for.
struct Anchored {
    node: Node,
    /// How many values it is made of, and how deep they are nested.
    values: usize,
    depth: usize,
}

impl Anchored {
    fn new(node: Node) -> Self {
        let (values, depth) = measure(&node);
        Anchored {
            node,
            values,
            depth,
        }
    }
}

/// How many values a value is made of, and how deep they are nested.
fn measure(node: &Node) -> (usize, usize) {
    let parts: Vec<_> = match &node.value {
        Value::List(list) => list.iter().map(measure).collect(),
        Value::Map(members) => members.iter().map(|m| measure(&m.node)).collect(),
        _ => Vec::new(),
    };
    let values: usize = parts.iter().map(|(values, _)| values).sum();
    let depth = parts.iter().map(|(_, depth)| *depth).max();
    (values + 1, depth.unwrap_or(0) + 1)
}

struct Reader<'a> {
    file: &'a str,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    /// How many values aliases have stood for.
    copied: usize,
    root: Option<Node>,
    documents: usize,
}

impl Reader<'_> {
    fn fail(&self, place: Place, text: impl Into<String>) -> Problem {
        problem(self.file, place, &self.path(), text.into())
    }

    fn path(&self) -> String {
        self.open.iter().fold(String::new(), |path, open| {
            match (&open.node.value, &open.key) {
                (Value::List(list), _) => format!("{path}[{}]", list.len()),
                (_, Some((key, _))) => join(&path, key),
                _ => path,
            }
        })
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let place = Place {
            line: span.start.line(),
            column: span.start.col() + 1,
        };
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(self.fail(place, "there is a second document"));
                }
                Ok(())
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(self.fail(place, "unknown alias"));
                };
                self.copied += anchored.values;
                if self.copied > COPIES {
                    return Err(self.fail(place, "aliases stand for too many values"));
                }
                if self.open.len() + anchored.depth > DEPTH {
                    return Err(self.fail(place, TOO_DEEP));
                }
                let node = anchored.node.clone();
                self.put(node, 0)
            }
            Event::Scalar(text, style, anchor, tag) => {
                let as_text =
                    style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                let value = if as_text {
                    Value::String(text.into_owned())
                } else {
                    plain(&text)
                };
                self.put(Node { value, place }, anchor)
            }
            Event::SequenceStart(..) | Event::MappingStart(..) if self.open.len() >= DEPTH => {
                Err(self.fail(place, TOO_DEEP))
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(Value::List(Vec::new()), place, anchor);
                Ok(())
            }
            Event::MappingStart(anchor, _) => {
                self.begin(Value::Map(Vec::new()), place, anchor);
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.put(open.node, open.anchor),
                None => Ok(()),
            },
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, place: Place, anchor: usize) {
        self.open.push(Open {
            node: Node { value, place },
            anchor,
            key: None,
        });
    }

    /// Puts a complete value where it belongs.
    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Problem> {
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored::new(node.clone()));
        }
        let file = self.file;
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.node.value {
            Value::List(list) => list.push(node),
            Value::Map(members) => match open.key.take() {
                Some((name, place)) => members.push(Member { name, place, node }),
                None => {
                    let Some(name) = key(&node) else {
                        let text = "the name of a member must be a string".to_owned();
                        return Err(problem(file, node.place, "", text));
                    };
                    if members.iter().any(|member| member.name == name) {
                        let place = node.place;
                        return Err(self.fail(place, format!("member '{name}' stands twice")));
                    }
                    open.key = Some((name, node.place));
                }
            },
            _ => {}
        }
        Ok(())
    }
}

/// A name; YAML reads some words as other values than strings.
fn key(node: &Node) -> Option<String> {
    match &node.value {
        Value::String(name) => Some(name.clone()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Num(QNum::I64(n)) => Some(n.to_string()),
        Value::Null => Some("null".to_owned()),
        _ => None,
    }
}

/// A word without quotes, by YAML 1.2's core schema: no `yes`, no `on`.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Num),
    }
}

fn number(text: &str) -> Option<QNum> {
    let radix = |digits: &str, radix| u64::from_str_radix(digits, radix).ok().map(QNum::from_u64);
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        || !digits.contains(|c: char| c.is_ascii_digit())
        || digits.contains(|c: char| !c.is_ascii_digit() && !".eE+-".contains(c))
    {
        return None;
    }
    let whole = text.strip_prefix('+').unwrap_or(text);
    let integer = whole.parse().ok().map(QNum::I64);
    let integer = integer.or_else(|| whole.parse().ok().map(QNum::U64));
    integer.or_else(|| whole.parse().ok().map(QNum::Double))
}

#[cfg(test)]
mod tests {
    use super::*;
    use qmonitor::qapi::json::qobject_to_json;

    fn json(text: &str) -> String {
        let node = read("t", text).map_err(|e| e.to_string()).unwrap();
        qobject_to_json(&node.to_qobject(), false)
    }

    #[test]
    fn words_are_read_by_the_core_schema() {
        let yaml =
            "{a: yes, b: true, c: ~, d: 0x10, e: -5, f: 1.5, g: '1', h: 1e3, i: 10.0.2, j: 1s}";
        let expected = r#"{"a": "yes", "b": true, "c": null, "d": 16, "e": -5, "f": 1.5, "g": "1", "h": 1000, "i": "10.0.2", "j": "1s"}"#;
        assert_eq!(json(yaml), expected);
    }

    #[test]
    fn json_is_read_as_json() {
        let text = "{\n\t\"a\": [1, {\"b\": \"x\\n\\u00e9 \\/ \\ud83d\\ude00\"}],\n\t\"c\": 18446744073709551615 }";
        let expected =
            "{\"a\": [1, {\"b\": \"x\\n\u{e9} / \u{1f600}\"}], \"c\": 18446744073709551615}";
        let read = json(text);
        let same = qmonitor::qapi::json::qobject_from_json(expected.as_bytes()).unwrap();
        assert_eq!(read, qobject_to_json(&same, false));
    }

    #[test]
    fn places_and_aliases() {
        let node = read("t", "a: &x {b: 1}\nc:\n  - *x\n  - d\n").unwrap();
        assert_eq!(
            json("a: &x {b: 1}\nc: [*x]"),
            r#"{"a": {"b": 1}, "c": [{"b": 1}]}"#
        );
        let Value::List(list) = &node.get("c").unwrap().value else {
            panic!("a list");
        };
        assert_eq!(list[1].place, Place { line: 4, column: 5 });
    }

    #[test]
    fn a_name_twice_and_bad_syntax_are_problems_with_places() {
        let e = read("f.yaml", "stubs:\n  - a: 1\n    a: 2\n").unwrap_err();
        assert_eq!(
            e.to_string(),
            "f.yaml:3:5: stubs[0]: member 'a' stands twice"
        );
        let e = read("f.yaml", "a: [1,\nb: 2").unwrap_err();
        assert!(e.to_string().starts_with("f.yaml:2:"), "{e}");
    }
}
