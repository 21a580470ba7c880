//! The one form of a reply to `query-qmp-schema`, whatever its types are called.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// Commands and events, which refer to types and are referred to by none.
pub fn is_root(entry: &Value) -> bool {
    matches!(entry["meta-type"].as_str(), Some("command" | "event"))
}

/// The types among some entries, by name.
pub struct Types<'a>(HashMap<&'a str, &'a Value>);

impl<'a> Types<'a> {
    pub fn of(entries: &'a [Value]) -> Self {
        let types = entries.iter().filter(|e| !is_root(e));
        Types(types.map(|e| (e["name"].as_str().unwrap(), e)).collect())
    }

    /// Roots as introspection would give them anew: with the types they refer to
    /// and no other, in order of first use, numbers without gaps.
    pub fn canonical<'r>(&self, roots: impl IntoIterator<Item = &'r Value>) -> Vec<Value> {
        let mut numbers: HashMap<String, String> = HashMap::new();
        let mut seen = HashSet::new();
        let mut queue: Vec<Value> = roots.into_iter().cloned().collect();
        let mut next = 0;
        while next < queue.len() {
            let mut entry = queue[next].clone();
            let is_root = is_root(&entry);
            let mut found = Vec::new();
            let mut refer = |reference: &mut Value| {
                let name = reference.as_str().unwrap().to_owned();
                found.push(name.clone());
                let element = name.trim_matches(['[', ']']).to_owned();
                if name != element {
                    found.push(element.clone());
                }
                let masked = element.bytes().all(|b| b.is_ascii_digit());
                let count = numbers.len().to_string();
                let new = if masked {
                    numbers.entry(element.clone()).or_insert(count).clone()
                } else {
                    element.clone()
                };
                *reference = Value::String(name.replace(&element, &new));
            };
            let object = entry.as_object_mut().unwrap();
            for key in ["arg-type", "ret-type", "element-type"] {
                object.get_mut(key).map(&mut refer);
            }
            for key in ["members", "variants"] {
                let list = object.get_mut(key).and_then(Value::as_array_mut);
                for item in list.into_iter().flatten() {
                    item.get_mut("type").map(&mut refer);
                }
            }
            if !is_root {
                refer(&mut object["name"]);
            }
            queue[next] = entry;
            for name in found {
                if seen.insert(name.clone()) {
                    let Some(entry) = self.0.get(name.as_str()) else {
                        panic!("{name} is not in the list");
                    };
                    queue.push((*entry).clone());
                }
            }
            next += 1;
        }
        queue
    }
}
