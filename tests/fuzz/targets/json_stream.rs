//! The stream of JSON messages: cuts make no difference, limits hold, and a
//! value can be written and read again.
//!
//! Input: a byte for the limits, a byte for the cuts, the stream.

use qmonitor::qapi::dispatch::qmp_request_check;
use qmonitor::qapi::json::{
    qobject_from_json, qobject_to_json, JsonLimits, JsonMessageParser, PlainRequest,
};
use qmonitor::qapi::{Error, QDict, QObject};

use super::pieces;

type Outcomes = Vec<Result<QObject, Error>>;

pub fn json_stream(data: &[u8]) {
    let [limits, seed, input @ ..] = data else {
        return;
    };
    let limits = match limits % 4 {
        0 => JsonLimits::default(),
        small => JsonLimits {
            token_size: usize::from(small) * 40,
            token_count: usize::from(small) * 10,
            nesting: usize::from(small) * 3,
        },
    };
    let whole = parse(limits, &[input]);
    let single: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(parse(limits, &single), whole);
    assert_eq!(parse(limits, &pieces(input, *seed)), whole);
    for value in whole.iter().flatten() {
        read_again(value);
    }
}

/// All outcomes of the stream.
fn parse(limits: JsonLimits, pieces: &[&[u8]]) -> Outcomes {
    let mut parser = JsonMessageParser::new(limits);
    let mut outcomes = Outcomes::new();
    for piece in pieces {
        let mut at = parser.take_plain(piece);
        while at < piece.len() {
            let plain = parser.plain_request(&piece[at..]);
            let (used, outcome) = parser.parse(&piece[at..]);
            if let Some(plain) = plain {
                is_same(&plain, used, outcome.as_ref());
            }
            at += used;
            assert!(at == piece.len() || outcome.is_some(), "it stopped midway");
            outcomes.extend(outcome);
            // Complete tokens up to the limit, and one more of that length.
            assert!(parser.buffered() <= 2 * limits.token_size + 1);
        }
    }
    // A cut-off token and its message each have an outcome.
    for _ in 0..3 {
        outcomes.extend(parser.flush());
    }
    assert!(parser.flush().is_none(), "the end does not end");
    assert_eq!(parser.buffered(), 0);
    outcomes
}

/// What the recogniser takes for a plain request is one, and means the same.
fn is_same(plain: &PlainRequest<'_>, used: usize, outcome: Option<&Result<QObject, Error>>) {
    assert!(plain.len >= used);
    let message = outcome.expect("it is whole").clone().expect("it is right");
    let request = qmp_request_check(message, false).expect("its members are right");
    assert_eq!(request.command.as_bytes(), plain.command);
    assert_eq!(request.args, QDict::from(plain.arguments.clone()));
    assert_eq!(request.id, plain.id);
}

fn read_again(value: &QObject) {
    let text = qobject_to_json(value, false);
    let printable = text.bytes().all(|b| matches!(b, 0x20..=0x7e));
    assert!(printable, "not for every terminal: {text}");
    // An infinity prints as `inf`, which is no number.
    if text.contains("inf") {
        return;
    }
    let again = qobject_from_json(text.as_bytes()).expect("what was written can be read");
    let pretty = qobject_to_json(value, true);
    let from_pretty = qobject_from_json(pretty.as_bytes()).expect("layout makes no difference");
    let rewritten = qobject_to_json(&again, false);
    assert_eq!(qobject_to_json(&from_pretty, false), rewritten);
    // A minus zero prints as `-0`, which is an integer.
    if !text.contains("-0") {
        assert_eq!(rewritten, text);
    }
}
