//! Reads JSON into values with places. YAML's readers do not take all of it: two `\u` for one
//! character are an error to them.

use qmonitor::qapi::json::qobject_from_json;
use qmonitor::qapi::QObject;

use crate::node::{Member, Node, Place, Value};

/// Reads a text that is one value of JSON, nested up to this depth. None if it is anything else.
pub fn read_json(text: &str, depth: usize) -> Option<Node> {
    let mut reader = Reader {
        depth,
        rest: text,
        place: Place { line: 1, column: 1 },
    };
    reader.space();
    let node = reader.value()?;
    reader.space();
    reader.rest.is_empty().then_some(node)
}

struct Reader<'a> {
    /// How much deeper values may be nested.
    depth: usize,
    rest: &'a str,
    place: Place,
}

impl<'a> Reader<'a> {
    /// Takes so many bytes.
    fn take(&mut self, n: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(n);
        self.rest = rest;
        for c in taken.chars() {
            if c == '\n' {
                self.place.line += 1;
                self.place.column = 1;
            } else {
                self.place.column += 1;
            }
        }
        taken
    }

    fn space(&mut self) {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.take(self.rest.len() - rest.len());
    }

    /// Takes a character, and the white space behind it.
    fn sign(&mut self, sign: char) -> Option<()> {
        if !self.rest.starts_with(sign) {
            return None;
        }
        self.take(1);
        self.space();
        Some(())
    }

    fn value(&mut self) -> Option<Node> {
        let place = self.place;
        self.depth = self.depth.checked_sub(1)?;
        let value = match self.rest.chars().next()? {
            '{' => self.object()?,
            '[' => self.list()?,
            '"' => Value::String(self.string()?),
            _ => self.word()?,
        };
        self.depth += 1;
        Some(Node { value, place })
    }

    fn object(&mut self) -> Option<Value> {
        self.sign('{')?;
        let mut members: Vec<Member> = Vec::new();
        while self.sign('}').is_none() {
            if !members.is_empty() {
                self.sign(',')?;
            }
            let place = self.place;
            let name = self.string()?;
            // YAML's reader tells that a name stands twice.
            if members.iter().any(|member| member.name == name) {
                return None;
            }
            self.space();
            self.sign(':')?;
            let node = self.value()?;
            self.space();
            members.push(Member { name, place, node });
        }
        Some(self.closed(Value::Map(members)))
    }

    fn list(&mut self) -> Option<Value> {
        self.sign('[')?;
        let mut list = Vec::new();
        while self.sign(']').is_none() {
            if !list.is_empty() {
                self.sign(',')?;
            }
            list.push(self.value()?);
            self.space();
        }
        Some(self.closed(Value::List(list)))
    }

    /// A container whose end was taken.
    fn closed(&mut self, value: Value) -> Value {
        self.space();
        value
    }

    fn string(&mut self) -> Option<String> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let is_end = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            is_end
        });
        let (end, _) = end.filter(|_| self.rest.starts_with('"'))?;
        match qobject_from_json(self.take(end + 1).as_bytes()) {
            Ok(QObject::String(text)) => Some(text),
            _ => None,
        }
    }

    /// A number or a keyword.
    fn word(&mut self) -> Option<Value> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let value = qobject_from_json(self.take(end).as_bytes()).ok()?;
        Some(Node::from(value).value)
    }
}
