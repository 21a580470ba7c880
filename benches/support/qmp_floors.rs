//! The least that a QMP server can do, in two ways. Neither knows a greeting or a
//! negotiation.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Answers each line with the same line and looks at none of them.
pub fn bare(input: &mut Vec<u8>, output: &mut Vec<u8>) -> bool {
    const REPLY: &[u8] =
        b"{\"return\": {\"qemu\": {\"micro\": 2, \"minor\": 0, \"major\": 10}, \"package\": \"\"}}\r\n";
    let goes_on = !input.starts_with(b"{\"execute\": \"quit\"}");
    for _ in input.iter().filter(|b| **b == b'\n') {
        output.extend_from_slice(REPLY);
    }
    input.clear();
    goes_on
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    execute: Cow<'a, str>,
    #[serde(default)]
    arguments: serde_json::Map<String, Value>,
    id: Option<Value>,
}

#[derive(Serialize)]
struct Reply<T> {
    #[serde(rename = "return")]
    returned: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Value>,
}

#[derive(Serialize)]
struct VersionInfo {
    qemu: VersionTriple,
    package: &'static str,
}

#[derive(Serialize)]
struct VersionTriple {
    micro: i64,
    minor: i64,
    major: i64,
}

/// Reads typed requests, looks for the command, and writes typed replies: what one
/// would write by hand with serde, for two commands.
pub fn honest(input: &mut Vec<u8>, output: &mut Vec<u8>) -> bool {
    let mut done = 0;
    while let Some(end) = input[done..].iter().position(|b| *b == b'\n') {
        let request: Request<'_> =
            serde_json::from_slice(&input[done..done + end]).expect("a request");
        done += end + 1;
        assert!(request.arguments.is_empty(), "no command has arguments");
        match &*request.execute {
            "query-version" => {
                let returned = VersionInfo {
                    qemu: VersionTriple {
                        micro: 2,
                        minor: 0,
                        major: 10,
                    },
                    package: "",
                };
                reply(returned, request.id, output);
            }
            "quit" => return false,
            other => panic!("no command {other}"),
        }
    }
    input.drain(..done);
    true
}

fn reply<T: Serialize>(returned: T, id: Option<Value>, output: &mut Vec<u8>) {
    serde_json::to_writer(&mut *output, &Reply { returned, id }).expect("memory");
    output.extend_from_slice(b"\r\n");
}
