//! `key=value,...` text, as on QEMU's command line: `keyval_parse`.
//!
//! ```text
//! params   = [ param { "," param } [ "," ] ]
//! param    = key "=" value
//! key      = fragment { "." fragment }     "a.b" nests, digits make lists
//! value    = any text, "," written as ",,"
//! ```
//!
//! With an *implied key*, the first parameter may be a bare value that contains
//! neither `=` nor `,`. The outcome is a [`QDict`] of strings, dicts and lists,
//! read by [`InputVisitor::new_keyval`](super::InputVisitor::new_keyval). A dict
//! whose keys are all numbers becomes a list at the end, because only then can a
//! gap be ruled out.

use std::collections::BTreeMap;

use crate::qapi::{Error, QDict, QObject};

/// The longest fragment of a key, in bytes.
pub const MAX_KEY_FRAGMENT: usize = 127;

/// The deepest nesting of a key. Only the length of the command line limits QEMU;
/// here dropping a value recurses, so this bounds the stack.
const MAX_FRAGMENTS: usize = 256;

/// Parses `key=value,...`. The first parameter may leave out its key,
/// `implied_key`.
///
/// ```
/// let dict = qmonitor::qapi::visit::keyval_parse("unix,addr.path=/a,,b,n.0=x", Some("type"))?;
/// assert_eq!(dict.get_str("type"), Some("unix"));
/// assert_eq!(dict.get("addr").unwrap().as_dict().unwrap().get_str("path"), Some("/a,b"));
/// assert_eq!(dict.get("n").unwrap().as_list().unwrap().len(), 1);
/// # Ok::<(), qmonitor::qapi::Error>(())
/// ```
///
/// # Errors
///
/// QEMU's texts: `Invalid parameter 'KEY'`, `Expected '=' after parameter
/// 'KEY'`, `Parameters 'a.*' used inconsistently`, `Parameter 'a.1' missing`, and
/// for `help` and `?` `Help is not available for this option`.
pub fn keyval_parse(params: &str, implied_key: Option<&str>) -> Result<QDict, Error> {
    let (dict, help) = keyval_parse_help(params, implied_key)?;
    if help {
        Err(Error::new("Help is not available for this option"))
    } else {
        Ok(dict)
    }
}

/// Like [`keyval_parse`], but `help` and `?` are not errors: the second value says
/// whether one occurred.
///
/// # Errors
///
/// As [`keyval_parse`], except the error about help.
pub fn keyval_parse_help(params: &str, implied_key: Option<&str>) -> Result<(QDict, bool), Error> {
    let mut root = BTreeMap::new();
    let mut help = false;
    let mut rest = params;
    let mut implied_key = implied_key;
    while !rest.is_empty() {
        rest = parse_one(&mut root, rest, implied_key.take(), &mut help)?;
    }
    match listify(root, &mut String::new())? {
        QObject::Dict(dict) => Ok((dict, help)),
        // A key cannot start with a number, so the outermost value is never a list.
        _ => Ok((QDict::new(), help)),
    }
}

/// The value of a key during parsing. The map is sorted, so that the outcome does
/// not depend on the order of the parameters.
enum Node {
    Value(String),
    Nested(BTreeMap<String, Node>),
}

/// Parses the first parameter and returns the rest.
fn parse_one<'p>(
    root: &mut BTreeMap<String, Node>,
    params: &'p str,
    implied_key: Option<&str>,
    help: &mut bool,
) -> Result<&'p str, Error> {
    let key_end = params.find(['=', ',']).unwrap_or(params.len());
    let (key, rest) = params.split_at(key_end);
    if let Some(text) = rest.strip_prefix('=') {
        let fragments = split_key(key)?;
        let (value, rest) = split_value(text);
        put(root, &fragments, value)?;
        return Ok(rest);
    }
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    if key == "help" || key == "?" {
        *help = true;
        return Ok(rest);
    }
    match implied_key {
        Some(implied) if !key.is_empty() => put(root, &[implied], key.to_owned())?,
        _ => {
            split_key(key)?;
            return Err(Error::new(format!("Expected '=' after parameter '{key}'")));
        }
    }
    Ok(rest)
}

/// The value at the front of `text`, and the rest after the comma that ends it.
fn split_value(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let end = rest.find(',').unwrap_or(rest.len());
        value.push_str(&rest[..end]);
        rest = &rest[end..];
        match rest.strip_prefix(",,") {
            Some(behind) => {
                value.push(',');
                rest = behind;
            }
            None => return (value, rest.strip_prefix(',').unwrap_or(rest)),
        }
    }
}

/// The fragments of a key: QAPI names or, except for the first, numbers.
fn split_key(key: &str) -> Result<Vec<&str>, Error> {
    let mut fragments = Vec::new();
    let mut rest = key;
    loop {
        let number = if fragments.is_empty() {
            0
        } else {
            rest.bytes().take_while(u8::is_ascii_digit).count()
        };
        let len = number.max(name_len(rest));
        if len == 0 || len > MAX_KEY_FRAGMENT || fragments.len() == MAX_FRAGMENTS {
            break;
        }
        fragments.push(&rest[..len]);
        rest = &rest[len..];
        match rest.strip_prefix('.') {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return Ok(fragments),
            None => break,
        }
    }
    Err(Error::new(format!("Invalid parameter '{key}'")))
}

/// Length of the QAPI name at the front (`parse_qapi_name`); 0 if there is
/// none. Only the prefix of a downstream name may contain dots.
fn name_len(text: &str) -> usize {
    let span = |text: &str, extra: [u8; 2]| {
        let in_name = |b: &u8| b.is_ascii_alphanumeric() || extra.contains(b);
        text.bytes().take_while(in_name).count()
    };
    let mut prefix = 0;
    if let Some(domain) = text.strip_prefix("__") {
        prefix = "__".len() + span(domain, *b"-.");
        if text[prefix..].starts_with('_') {
            prefix += "_".len();
        } else {
            return 0;
        }
    }
    let name = &text[prefix..];
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        prefix + span(name, *b"-_")
    } else {
        0
    }
}

fn put(root: &mut BTreeMap<String, Node>, key: &[&str], value: String) -> Result<(), Error> {
    let mut node = root;
    let Some((last, outer)) = key.split_last() else {
        return Ok(());
    };
    for (i, fragment) in outer.iter().enumerate() {
        let nested = node
            .entry(normalize(fragment))
            .or_insert_with(|| Node::Nested(BTreeMap::new()));
        node = match nested {
            Node::Nested(nested) => nested,
            Node::Value(_) => return Err(inconsistent(&key[..=i].join("."))),
        };
    }
    match node.insert(normalize(last), Node::Value(value)) {
        Some(Node::Nested(_)) => Err(inconsistent(&key.join("."))),
        _ => Ok(()),
    }
}

/// Numbers without leading zeros, so that `00` becomes `0`. A number too large for
/// an index stays as it is.
fn normalize(fragment: &str) -> String {
    match fragment.parse::<u64>() {
        Ok(index) => index.to_string(),
        Err(_) => fragment.to_owned(),
    }
}

fn inconsistent(prefix: &str) -> Error {
    Error::new(format!("Parameters '{prefix}.*' used inconsistently"))
}

/// Turns the dicts whose keys are numbers into lists (`keyval_listify`).
fn listify(nested: BTreeMap<String, Node>, path: &mut String) -> Result<QObject, Error> {
    let is_index = |key: &String| key.starts_with(|c: char| c.is_ascii_digit());
    let indices = nested.keys().filter(|key| is_index(key)).count();
    let mut values = Vec::with_capacity(nested.len());
    for (key, node) in nested {
        let outer = path.len();
        if outer != 0 {
            path.push('.');
        }
        path.push_str(&key);
        let value = match node {
            Node::Value(text) => text.into(),
            Node::Nested(nested) => listify(nested, path)?,
        };
        path.truncate(outer);
        values.push((key, value));
    }
    // Checked last: errors further inside come first.
    if indices != 0 && indices != values.len() {
        return Err(inconsistent(path));
    }
    if indices == 0 {
        return Ok(QObject::Dict(values.into_iter().collect()));
    }
    into_list(values, path)
}

fn into_list(values: Vec<(String, QObject)>, path: &str) -> Result<QObject, Error> {
    let mut list: Vec<Option<QObject>> = (0..values.len()).map(|_| None).collect();
    for (key, value) in values {
        let place = key.parse().ok().and_then(|i: usize| list.get_mut(i));
        if let Some(place) = place {
            *place = Some(value);
        }
    }
    let gap = list.iter().position(Option::is_none);
    match gap {
        Some(i) => Err(Error::new(format!("Parameter '{path}.{i}' missing"))),
        None => Ok(QObject::List(list.into_iter().flatten().collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qapi::json::qobject_to_json;
    use proptest::prelude::*;

    fn parse(params: &str, implied: Option<&str>) -> Result<String, String> {
        match keyval_parse(params, implied) {
            Ok(dict) => Ok(qobject_to_json(&dict.into(), false)),
            Err(e) => Err(e.desc().to_owned()),
        }
    }

    #[test]
    fn keys_nest_and_numbers_make_lists() {
        for (params, want) in [
            ("", "{}"),
            ("a=", r#"{"a": ""}"#),
            ("a=1,a=2", r#"{"a": "2"}"#),
            ("a=1,", r#"{"a": "1"}"#),
            ("a=b=c", r#"{"a": "b=c"}"#),
            ("a=,,,b=1", r#"{"a": ",", "b": "1"}"#),
            ("a.b.c=1,a.d=2", r#"{"a": {"b": {"c": "1"}, "d": "2"}}"#),
            ("a.1=y,a.0=x", r#"{"a": ["x", "y"]}"#),
            ("a.00=x,a.0=y", r#"{"a": ["y"]}"#),
            ("a.0.b=x", r#"{"a": [{"b": "x"}]}"#),
            ("a.0.0=x", r#"{"a": [["x"]]}"#),
            ("__org.qemu_a.b=1", r#"{"__org.qemu_a": {"b": "1"}}"#),
        ] {
            assert_eq!(parse(params, None).as_deref(), Ok(want), "{params}");
        }
        let ten: Vec<String> = (0..11).map(|i| format!("a.{i}={i}")).collect();
        let want: Vec<String> = (0..11).map(|i| format!("\"{i}\"")).collect();
        let want = format!("{{\"a\": [{}]}}", want.join(", "));
        assert_eq!(parse(&ten.join(","), None), Ok(want));
    }

    #[test]
    fn the_first_key_can_be_implied() {
        for (params, want) in [
            ("x", r#"{"k": "x"}"#),
            ("x,a=1", r#"{"a": "1", "k": "x"}"#),
            ("x,k=y", r#"{"k": "y"}"#),
            ("a=1", r#"{"a": "1"}"#),
        ] {
            assert_eq!(parse(params, Some("k")).as_deref(), Ok(want), "{params}");
        }
        let error = parse("a=1,x", Some("k"));
        assert_eq!(error.unwrap_err(), "Expected '=' after parameter 'x'");
    }

    #[test]
    fn errors_are_qemus() {
        let long = "a".repeat(128);
        let too_long = format!("Invalid parameter '{long}'");
        let long = format!("{long}=1");
        for (params, want) in [
            (",", "Invalid parameter ''"),
            ("a", "Expected '=' after parameter 'a'"),
            ("1=x", "Invalid parameter '1'"),
            ("a.1x=x", "Invalid parameter 'a.1x'"),
            ("a b=x", "Invalid parameter 'a b'"),
            ("__a=x", "Invalid parameter '__a'"),
            ("é=x", "Invalid parameter 'é'"),
            (long.as_str(), too_long.as_str()),
            ("a=1,a.b=2", "Parameters 'a.*' used inconsistently"),
            ("a.b.c=1,a.b=2", "Parameters 'a.b.*' used inconsistently"),
            ("a.0=1,a.b=2", "Parameters 'a.*' used inconsistently"),
            ("a.b.1=x,a.0=x", "Parameter 'a.b.0' missing"),
            ("a.0=1,a.2=2", "Parameter 'a.1' missing"),
            ("a.99999999999999999999=1", "Parameter 'a.0' missing"),
            ("help", "Help is not available for this option"),
            ("a=1,?", "Help is not available for this option"),
        ] {
            assert_eq!(parse(params, None).unwrap_err(), want, "{params}");
        }
    }

    #[test]
    fn help_can_be_asked_for() {
        let (dict, help) = keyval_parse_help("x,help,a=1", Some("k")).unwrap();
        assert!(help);
        assert_eq!(dict.len(), 2);
        assert!(!keyval_parse_help("x", Some("k")).unwrap().1);
    }

    #[test]
    fn deep_keys_are_refused() {
        let key = vec!["a"; 100_000].join(".");
        assert!(keyval_parse(&format!("{key}=1"), None).is_err());
    }

    proptest! {
        /// A dictionary of strings survives being written and parsed.
        #[test]
        fn values_survive(
            pairs in proptest::collection::btree_map("[a-z][a-z0-9-]{0,5}", ".{0,10}", 0..5),
        ) {
            let params: Vec<String> = pairs
                .iter()
                .map(|(key, value)| format!("{key}={}", value.replace(',', ",,")))
                .collect();
            let dict = keyval_parse(&params.join(","), None).unwrap();
            prop_assert_eq!(dict.len(), pairs.len());
            for (key, value) in &pairs {
                prop_assert_eq!(dict.get_str(key), Some(value.as_str()));
            }
        }

        #[test]
        fn nothing_makes_it_panic(params in "[a-c0-2.,=_-]{0,30}") {
            let _ = keyval_parse(&params, Some("k"));
        }
    }
}
