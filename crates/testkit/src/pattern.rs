//! Matchers of values, and values with names in them that matchers have bound.

use std::collections::{BTreeMap, BTreeSet};

use qmonitor::qapi::json::qobject_to_json;
use qmonitor::qapi::{QDict, QObject};
use regex_lite::Regex;

use crate::node::{Node, Value};
use crate::problem::{join, Problems};

/// Values by the name that a matcher gave them.
pub type Bindings = BTreeMap<String, QObject>;

/// What a value must be.
#[derive(Debug, Clone)]
pub enum Pattern {
    /// Equal to this.
    Is(QObject),
    /// Anything; the first value is bound to a name, and others must be equal to it.
    Bind(String),
    /// Anything that is there.
    Any,
    /// Not there.
    Absent,
    /// A string that a regular expression finds a match in.
    Re(Regex),
    /// An object with these members.
    Object(Vec<(String, Pattern)>),
    /// A list of just these.
    List(Vec<Pattern>),
}

impl Pattern {
    /// Reads a matcher.
    pub fn read(node: &Node, path: &str, problems: &Problems) -> Pattern {
        match &node.value {
            Value::String(text) => match text.strip_prefix('$') {
                Some(rest) if rest.starts_with('$') => Pattern::Is(rest.into()),
                Some(name) if is_name(name) => Pattern::Bind(name.to_owned()),
                _ => Pattern::Is(text.as_str().into()),
            },
            Value::List(list) => {
                let list = list.iter().enumerate();
                let read = |(i, node)| Pattern::read(node, &format!("{path}[{i}]"), problems);
                Pattern::List(list.map(read).collect())
            }
            Value::Map(members) => {
                if let [member] = members.as_slice() {
                    if let Some(matcher) = matcher(&member.name, &member.node, path, problems) {
                        return matcher;
                    }
                }
                Pattern::object(node, path, problems)
            }
            _ => Pattern::Is(node.to_qobject()),
        }
    }

    /// Reads an object whose members are matchers.
    pub fn object(node: &Node, path: &str, problems: &Problems) -> Pattern {
        let members = node.members().iter().map(|member| {
            let path = join(path, &member.name);
            let pattern = Pattern::read(&member.node, &path, problems);
            (member.name.clone(), pattern)
        });
        Pattern::Object(members.collect())
    }

    /// Whether a value fits. With `exact` an object has no other members than those named.
    pub fn fits(&self, value: Option<&QObject>, exact: bool, bound: &mut Bindings) -> bool {
        let Some(value) = value else {
            return matches!(self, Pattern::Absent);
        };
        match self {
            Pattern::Is(expected) => expected == value,
            Pattern::Any => true,
            Pattern::Absent => false,
            Pattern::Bind(name) => {
                bound.entry(name.clone()).or_insert_with(|| value.clone()) == value
            }
            Pattern::Re(re) => value.as_str().is_some_and(|text| re.is_match(text)),
            Pattern::Object(members) => value
                .as_dict()
                .is_some_and(|dict| members_fit(members, dict, exact, bound)),
            Pattern::List(list) => value.as_list().is_some_and(|values| {
                let mut pairs = list.iter().zip(values);
                list.len() == values.len()
                    && pairs.all(|(pattern, value)| pattern.fits(Some(value), exact, bound))
            }),
        }
    }

    /// Adds the names that it binds.
    pub fn names<'a>(&'a self, names: &mut BTreeSet<&'a str>) {
        match self {
            Pattern::Bind(name) => {
                names.insert(name);
            }
            Pattern::Object(members) => members.iter().for_each(|(_, of)| of.names(names)),
            Pattern::List(list) => list.iter().for_each(|of| of.names(names)),
            Pattern::Is(_) | Pattern::Any | Pattern::Absent | Pattern::Re(_) => {}
        }
    }

    /// As it stands in a scenario.
    pub fn to_qobject(&self) -> QObject {
        let matcher = |name: &str, value: QObject| QDict::from_iter([(name, value)]).into();
        match self {
            Pattern::Is(QObject::String(text)) if text.starts_with('$') => {
                matcher("eq", text.as_str().into())
            }
            Pattern::Is(value @ (QObject::Dict(_) | QObject::List(_))) => {
                matcher("eq", value.clone())
            }
            Pattern::Is(value) => value.clone(),
            Pattern::Bind(name) => format!("${name}").into(),
            Pattern::Any => matcher("any", true.into()),
            Pattern::Absent => matcher("absent", true.into()),
            Pattern::Re(re) => matcher("re", re.as_str().into()),
            Pattern::Object(members) => {
                let members = members.iter();
                let members = members.map(|(name, of)| (name.as_str(), of.to_qobject()));
                QDict::from_iter(members).into()
            }
            Pattern::List(list) => QObject::List(list.iter().map(Pattern::to_qobject).collect()),
        }
    }

    /// As it is shown in messages.
    pub fn show(&self) -> String {
        match self {
            Pattern::Is(value) => qobject_to_json(value, false),
            Pattern::Bind(name) => format!("${name}"),
            Pattern::Any => "{any: true}".to_owned(),
            Pattern::Absent => "{absent: true}".to_owned(),
            Pattern::Re(re) => format!("{{re: {:?}}}", re.as_str()),
            Pattern::Object(members) => {
                let members = members.iter();
                let shown: Vec<_> = members.map(|(n, p)| format!("{n}: {}", p.show())).collect();
                format!("{{{}}}", shown.join(", "))
            }
            Pattern::List(list) => {
                let shown: Vec<_> = list.iter().map(Pattern::show).collect();
                format!("[{}]", shown.join(", "))
            }
        }
    }
}

fn members_fit(
    members: &[(String, Pattern)],
    dict: &QDict,
    exact: bool,
    bound: &mut Bindings,
) -> bool {
    let named = |name: &str| members.iter().any(|(member, _)| member == name);
    members
        .iter()
        .all(|(name, pattern)| pattern.fits(dict.get(name), exact, bound))
        && (!exact || dict.iter().all(|(name, _)| named(name)))
}

/// A matcher that is written as an object of one member.
fn matcher(name: &str, node: &Node, path: &str, problems: &Problems) -> Option<Pattern> {
    let yes = |pattern| {
        if node.value != Value::Bool(true) {
            problems.wrong_kind(node, &join(path, name), "true");
        }
        pattern
    };
    match name {
        "any" => Some(yes(Pattern::Any)),
        "absent" => Some(yes(Pattern::Absent)),
        "eq" => Some(Pattern::Is(node.to_qobject())),
        "re" => Some(regex(node, &join(path, name), problems)),
        _ => None,
    }
}

/// Reads a regular expression.
fn regex(node: &Node, path: &str, problems: &Problems) -> Pattern {
    let Some(text) = node.as_str() else {
        problems.wrong_kind(node, path, "a string");
        return Pattern::Any;
    };
    match Regex::new(text) {
        Ok(re) => Pattern::Re(re),
        Err(e) => {
            problems.add(node.place, path, format!("wrong regular expression: {e}"));
            Pattern::Any
        }
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && text.chars().all(is_part)
}

/// Puts bound values in the place of their names. A string that is a name alone becomes the
/// value itself, whatever its kind.
pub fn fill(value: &QObject, bound: &Bindings) -> QObject {
    match value {
        QObject::String(text) => fill_text(text, bound),
        QObject::List(list) => QObject::List(list.iter().map(|v| fill(v, bound)).collect()),
        QObject::Dict(dict) => QObject::Dict(fill_dict(dict, bound)),
        other => other.clone(),
    }
}

/// The same for the members of a dictionary.
pub fn fill_dict(dict: &QDict, bound: &Bindings) -> QDict {
    let members = dict.iter();
    members
        .map(|(name, value)| (name, fill(value, bound)))
        .collect()
}

/// The names in a text that stand for bound values.
pub fn names_in(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        names.extend(is_name(name).then_some(name));
    }
    names
}

fn fill_text(text: &str, bound: &Bindings) -> QObject {
    if let Some(value) = text.strip_prefix('$').and_then(|name| bound.get(name)) {
        return value.clone();
    }
    let mut filled = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        filled.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            filled.push('$');
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        match bound.get(name) {
            Some(QObject::String(value)) => filled.push_str(value),
            Some(value) => filled.push_str(&qobject_to_json(value, false)),
            None => {
                filled.push('$');
                filled.push_str(name);
            }
        }
        rest = &rest[name.len()..];
    }
    filled.push_str(rest);
    filled.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::read;

    fn pattern(text: &str) -> Pattern {
        let problems = Problems::new("t");
        let pattern = Pattern::read(&read("t", text).unwrap(), "", &problems);
        assert!(problems.is_empty(), "{:?}", problems.into_list());
        pattern
    }

    fn fits(text: &str, value: &str, exact: bool) -> Option<Bindings> {
        let value = read("v", value).unwrap().to_qobject();
        let mut bound = Bindings::new();
        pattern(text)
            .fits(Some(&value), exact, &mut bound)
            .then_some(bound)
    }

    #[test]
    fn members_that_are_not_named_do_not_matter_unless_exact() {
        assert!(fits("{a: 1}", "{a: 1, b: 2}", false).is_some());
        assert!(fits("{a: 1}", "{a: 1, b: 2}", true).is_none());
        assert!(fits("{a: 1}", "{a: 2}", false).is_none());
        assert!(fits("{a: {absent: true}}", "{b: 2}", false).is_some());
        assert!(fits("{a: {absent: true}}", "{a: 2}", false).is_none());
        assert!(fits("{a: {any: true}}", "{a: null}", false).is_some());
        assert!(fits("{a: {re: '^d[0-9]$'}}", "{a: d1}", false).is_some());
        assert!(fits("{a: {re: '^d[0-9]$'}}", "{a: dd}", false).is_none());
        assert!(fits("{a: {eq: {re: x}}}", "{a: {re: x}}", false).is_some());
        assert!(fits("{a: $$x}", "{a: $x}", false).is_some());
    }

    #[test]
    fn a_name_binds_and_the_same_name_must_be_the_same() {
        let bound = fits("{a: $x, b: [$x]}", "{a: 5, b: [5]}", false).unwrap();
        assert!(fits("{a: $x, b: $x}", "{a: 5, b: 6}", false).is_none());
        let filled = fill(&"$x".into(), &bound);
        assert_eq!(filled, 5.into());
        assert_eq!(fill(&"p/$x/$y$$".into(), &bound), "p/5/$y$".into());
    }

    #[test]
    fn wrong_matchers_are_problems() {
        let problems = Problems::new("t");
        Pattern::read(&read("t", "{re: '('}").unwrap(), "", &problems);
        Pattern::read(&read("t", "{any: 1}").unwrap(), "", &problems);
        assert_eq!(problems.len(), 2);
    }
}
