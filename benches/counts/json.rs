//! The JSON parser and writer, and `serde_json`'s on the same texts.

use std::hint::black_box;

use qmonitor::qapi::json::{JsonMessageParser, JsonWriter};
use qmonitor::qapi::{MemberOrder, QObject};
use serde_json::Value;

use super::json_corpus::corpus;
use super::row::{counted, row};

pub fn rows() {
    for (name, text) in corpus() {
        let text = text.as_bytes();
        let mut parser = JsonMessageParser::default();
        let mut parse = || parse(&mut parser, text);
        twice(&format!("parse {name}"), || drop(black_box(parse())));
        twice(&format!("parse {name}, serde_json"), || {
            drop(black_box(serde_json::from_slice::<Value>(text)));
        });
        let (ours, theirs) = (parse(), serde_json::from_slice::<Value>(text));
        let theirs = theirs.expect("corpus is JSON");
        let mut writer = JsonWriter::new(false);
        if name == "device_add" || name == "many members" {
            twice(&format!("write {name} sorted"), || {
                writer.clear();
                writer.qobject(black_box(&ours));
            });
        }
        // As serde_json: members in the order that they are in.
        writer.set_member_order(MemberOrder::Kept);
        twice(&format!("write {name}"), || {
            writer.clear();
            writer.qobject(black_box(&ours));
        });
        let mut buffer = Vec::new();
        twice(&format!("write {name}, serde_json"), || {
            buffer.clear();
            serde_json::to_writer(&mut buffer, black_box(&theirs)).expect("memory");
        });
    }
}

fn parse(parser: &mut JsonMessageParser, text: &[u8]) -> QObject {
    let (_, message) = parser.parse(black_box(text));
    message.expect("a whole message").expect("corpus is JSON")
}

/// Counts the second time, when buffers have grown.
fn twice(name: &str, mut work: impl FnMut()) {
    work();
    row(name, 1, || counted(&mut work));
}
