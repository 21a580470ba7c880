//! The one form of a reply to `query-qmp-schema`, whatever its types are called.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// The entries as introspection would give them anew: without types nothing
/// refers to, types in order of first use, numbers without gaps.
pub fn canonical(entries: &[Value]) -> Vec<Value> {
    let by_name: HashMap<&str, &Value> = entries
        .iter()
        .filter(|e| !matches!(e["meta-type"].as_str(), Some("command" | "event")))
        .map(|e| (e["name"].as_str().unwrap(), e))
        .collect();
    let mut numbers: HashMap<String, String> = HashMap::new();
    let mut seen = HashSet::new();
    let mut queue: Vec<Value> = entries
        .iter()
        .filter(|e| matches!(e["meta-type"].as_str(), Some("command" | "event")))
        .cloned()
        .collect();
    let mut next = 0;
    while next < queue.len() {
        let mut entry = queue[next].clone();
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
            let new = match masked {
                true => numbers.entry(element.clone()).or_insert(count).clone(),
                false => element.clone(),
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
        if !matches!(object["meta-type"].as_str(), Some("command" | "event")) {
            refer(&mut object["name"]);
        }
        queue[next] = entry;
        for name in found {
            if seen.insert(name.clone()) {
                let Some(entry) = by_name.get(name.as_str()) else {
                    panic!("{name} is not in the list");
                };
                queue.push((*entry).clone());
            }
        }
        next += 1;
    }
    queue
}
