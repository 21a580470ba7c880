//! The JSON Schema of the format, for editors: all that the reader accepts fits it. What only
//! QEMU's schema knows, such as names of commands, it leaves to `--check`.

use serde_json::{json, Map, Value};

use super::choices::POINTS;
use super::fault::{ACTIONS, EVENT_OF_ACTION};
use super::stub::{ANSWERS, NO_ANSWER};
use super::tables::{
    Known, Shape, CONNECTIONS, ERROR, EVENT, FAULT, NEVER, NTH, PROFILE, REPLY, REQUESTED,
    SCENARIO, START, STUB, WHEN,
};
use super::BUILT_IN_NAMES;
use crate::amount::{DURATIONS, SIZES};
use crate::schema::PROFILES;

/// The JSON Schema of the format, draft 2020-12.
pub fn json_schema() -> String {
    let mut schema = object(&[SCENARIO], &[]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("A scenario of qmonitor-mock");
    // A file of comments is an empty scenario.
    schema["type"] = json!(["object", "null"]);
    schema["$defs"] = definitions();
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text + "\n"
}

fn definitions() -> Value {
    let either = |of: [&str; 2]| json!({"oneOf": of.map(|name| json!({"required": [name]}))});
    let mut defs = Map::new();
    let mut define = |name: &str, schema| defs.insert(name.to_owned(), schema);
    let file = object(&[PROFILE], &["schema"]);
    define("profile", json!({"anyOf": [{"enum": PROFILES}, file]}));
    define("start", object(&[START], &[]));
    let one = either(["execute", "hmp"]);
    define("when", with(object(&[WHEN], &[]), &one));
    define("stub-when", with(object(&[WHEN, NTH], &[]), &one));
    define("stub", stub());
    define("event", object(&[EVENT], &["event"]));
    let one = either(["return", "error"]);
    define("reply", with(object(&[REPLY], &[]), &one));
    define("error", object(&[ERROR], &["desc"]));
    let one = either(["execute", "hmp"]);
    let requested = with(object(&[WHEN, REQUESTED], &[]), &one);
    let never = object(&[NEVER], &["never"]);
    let connections = object(&[CONNECTIONS], &["connections"]);
    define(
        "expectation",
        json!({"anyOf": [requested, never, connections]}),
    );
    define("fault", fault());
    define("faults", faults());
    define("do", actions("do", |_| true));
    for (name, point) in POINTS {
        let own = format!("do-at-{name}");
        define(&own, actions(&own, |action| action.points.contains(&point)));
    }
    defs.into()
}

/// An object that has these members, and must have some of them.
fn object(tables: &[&[Known]], required: &[&str]) -> Value {
    let members = tables.iter().copied().flatten().map(|member| {
        let mut value = shape(&member.shape);
        value["description"] = json!(member.text);
        (member.name.to_owned(), value)
    });
    let mut object = json!({
        "type": "object",
        "properties": members.collect::<Map<_, _>>(),
        "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// A schema with the keywords of another.
fn with(mut schema: Value, more: &Value) -> Value {
    for (keyword, value) in more.as_object().into_iter().flatten() {
        schema[keyword] = value.clone();
    }
    schema
}

fn part(name: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}")})
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Object => json!({"type": "object"}),
        Shape::Flag => json!({"type": "boolean"}),
        Shape::Yes => json!({"const": true}),
        Shape::Count => json!({"type": "integer", "minimum": 0}),
        Shape::Positive => json!({"type": "integer", "minimum": 1}),
        Shape::Probability => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Shape::Text => json!({"type": "string"}),
        Shape::Word => json!({"type": ["string", "number"]}),
        Shape::Duration => json!({"anyOf": [{"const": 0}, amount(&DURATIONS)]}),
        Shape::Size => json!({"anyOf": [{"type": "integer", "minimum": 0}, amount(&SIZES)]}),
        Shape::Is(word) => json!({"const": word}),
        Shape::Choice(names) => json!({"enum": names()}),
        Shape::Part(name) => part(name),
        Shape::List(of) => json!({"type": "array", "items": self::shape(of)}),
        Shape::Some(of) => json!({"type": "array", "items": self::shape(of), "minItems": 1}),
        Shape::Either(shapes) => {
            json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()})
        }
    }
}

/// A number and its unit.
fn amount(units: &[(&str, f64)]) -> Value {
    let units: Vec<_> = units.iter().map(|(unit, _)| *unit).collect();
    let number = r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)";
    json!({"type": "string", "pattern": format!("^ *{number} *({})$", units.join("|"))})
}

fn stub() -> Value {
    let required = |names: &[&str]| json!({"required": names});
    let mut pairs = Vec::new();
    for (i, first) in ANSWERS.iter().enumerate() {
        for second in &ANSWERS[i + 1..] {
            // What is held may have its reply.
            if [*first, *second] != ["reply", "hold"] {
                pairs.push(required(&[first, second]));
            }
        }
    }
    let says = ANSWERS.iter().chain(&NO_ANSWER);
    let says: Vec<_> = says.map(|name| required(&[name])).collect();
    let rules = json!({"anyOf": says, "not": {"anyOf": pairs}});
    with(object(&[STUB], &["when"]), &rules)
}

/// A fault; what it does depends on where it happens.
fn fault() -> Value {
    let rules = POINTS.map(|(name, _)| {
        json!({
            "if": {"properties": {"at": {"const": name}}, "required": ["at"]},
            "then": {"properties": {"do": part(&format!("do-at-{name}"))}},
        })
    });
    with(object(&[FAULT], &[]), &json!({"allOf": rules}))
}

/// The faults: names of built-in ones, or faults by name; a built-in one need say nothing.
fn faults() -> Value {
    let built_in = json!({"anyOf": [{"type": ["boolean", "null"]}, part("fault")]});
    let built_in = BUILT_IN_NAMES.map(|name| (name.to_owned(), built_in.clone()));
    let own = with(part("fault"), &json!({"required": ["at", "do"]}));
    json!({"anyOf": [
        {"type": "array", "items": {"enum": BUILT_IN_NAMES}},
        {
            "type": "object",
            "properties": Map::from_iter(built_in),
            "additionalProperties": own,
        },
    ]})
}

/// What a fault does: a word, an object, or a list of them.
fn actions(own: &str, chosen: impl Fn(&super::fault::Known) -> bool) -> Value {
    let mut words = Vec::new();
    let mut members = Map::new();
    for action in ACTIONS.iter().filter(|action| chosen(action)) {
        if matches!(action.shape, Shape::Yes) {
            words.push(action.name);
        }
        members.insert(action.name.to_owned(), shape(&action.shape));
    }
    for member in EVENT.iter().filter(|m| EVENT_OF_ACTION.contains(&m.name)) {
        members.insert(member.name.to_owned(), shape(&member.shape));
    }
    let mut forms = vec![
        json!({
            "type": "object",
            "properties": members,
            "additionalProperties": false,
            "minProperties": 1,
            "dependentRequired": {"events": ["event"]},
        }),
        json!({"type": "array", "items": part(own)}),
    ];
    if !words.is_empty() {
        forms.insert(0, json!({"enum": words}));
    }
    json!({"anyOf": forms})
}
