//! Values that know where in a file they stand.

use qmonitor::qapi::{QDict, QNum, QObject};

/// A place in a file; line 0 is no file, as with values that came over the control channel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// The line, the first being 1.
    pub line: usize,
    /// The column, the first being 1.
    pub column: usize,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it stands.
    pub place: Place,
}

/// The kinds of values.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Bool(bool),
    Num(QNum),
    String(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

/// A member of an object.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Node> {
        let found = self.members().iter().find(|member| member.name == name);
        found.map(|member| &member.node)
    }

    /// The members of an object; none of any other value.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Num(QNum::Double(_)) => "a number",
            Value::Num(_) => "an integer",
            Value::String(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "an object",
        }
    }

    /// The value without places.
    pub fn to_qobject(&self) -> QObject {
        match &self.value {
            Value::Null => QObject::Null,
            Value::Bool(b) => QObject::Bool(*b),
            Value::Num(n) => QObject::Num(*n),
            Value::String(s) => s.as_str().into(),
            Value::List(list) => QObject::List(list.iter().map(Node::to_qobject).collect()),
            Value::Map(members) => QObject::Dict(to_dict(members)),
        }
    }
}

/// Members as a dictionary.
pub fn to_dict(members: &[Member]) -> QDict {
    let members = members.iter();
    members
        .map(|m| (m.name.clone(), m.node.to_qobject()))
        .collect()
}

impl From<QObject> for Node {
    fn from(value: QObject) -> Self {
        let value = match value {
            QObject::Null => Value::Null,
            QObject::Bool(b) => Value::Bool(b),
            QObject::Num(n) => Value::Num(n),
            QObject::String(s) => Value::String(s),
            QObject::List(list) => Value::List(list.into_iter().map(Node::from).collect()),
            QObject::Dict(dict) => Value::Map(dict.into_iter().map(Member::from).collect()),
        };
        let place = Place::default();
        Node { value, place }
    }
}

impl From<(String, QObject)> for Member {
    fn from((name, value): (String, QObject)) -> Self {
        Member {
            name,
            place: Place::default(),
            node: value.into(),
        }
    }
}
