//! The dialect of QEMU 11.1: which error, where, and how the stream goes on. The
//! outcomes are recorded from QEMU 11.1.3.

use super::*;

const VALUE: &str = "expecting value";
const KEY: &str = "expecting key";
const COLON: &str = "expecting ':'";
const IN_DICT: &str = "expected ',' or '}'";
const IN_LIST: &str = "expected ',' or ']'";

/// Each row: input, and the places and texts of its errors; values are left out.
#[track_caller]
fn check(rows: &[(&str, &[(&str, &str)])]) {
    for (input, errors) in rows {
        let expected: Vec<_> = errors.iter().map(|(p, e)| format!("!{p}: {e}")).collect();
        for size in [1, 2, 3, 7, 1000] {
            let pieces = input.as_bytes().chunks(size);
            let outcomes = run_in(Dialect::Qemu11, JsonLimits::default(), false, pieces);
            let errors: Vec<_> = outcomes
                .into_iter()
                .filter(|o| o.starts_with('!'))
                .collect();
            assert_eq!(errors, expected, "{input} in pieces of {size}");
        }
    }
}

#[test]
fn the_first_wrong_token_is_named_by_its_place() {
    check(&[
        ("{\"a\":1,}", &[("1:8", KEY)]),
        ("{,}", &[("1:2", KEY)]),
        ("{zz}", &[("1:2", KEY)]),
        ("{[]:1}", &[("1:2", KEY)]),
        ("{\"a\" \"b\"}", &[("1:6", COLON)]),
        ("{\"a\"}", &[("1:5", COLON)]),
        ("[1 2]", &[("1:4", IN_LIST)]),
        ("[\"a\":\"b\"]", &[("1:5", IN_LIST)]),
        ("{\"a\":true false}", &[("1:11", IN_DICT)]),
        ("[1,,2]", &[("1:4", VALUE)]),
        ("{\"a\"\n\n:1 \"b\"}", &[("3:4", IN_DICT)]),
        ("[nul]", &[("1:2", "invalid keyword 'nul'")]),
        (
            "{\"\\q\" 1}",
            &[("1:2", "invalid escape sequence in string")],
        ),
    ]);
}

#[test]
fn a_name_that_is_used_twice_shows_when_its_value_is_complete() {
    const DUPLICATE: &str = "duplicate key";
    check(&[
        ("{\"a\":1,\"a\":2}", &[("1:12", DUPLICATE)]),
        ("{\"a\":1,\"a\":{\"x\":[1,2]}}", &[("1:22", DUPLICATE)]),
        ("{\"a\":1,\"a\":}", &[("1:12", VALUE)]),
        ("{\"a\":1,\"a\" 1}", &[("1:12", COLON)]),
    ]);
}

#[test]
fn a_byte_that_was_looked_at_before_counts_twice() {
    check(&[
        ("[1f]", &[("1:4", IN_LIST)]),
        ("[1\"a\"]", &[("1:4", IN_LIST)]),
        ("[1}", &[("1:4", IN_LIST)]),
        ("[?]", &[("1:2", "stray '?'"), ("1:4", VALUE)]),
        ("[1 f]", &[("1:4", IN_LIST)]),
    ]);
}

#[test]
fn after_an_error_the_message_is_skipped() {
    check(&[
        (
            "[1 2 3 4]{\"x\":1 2}",
            &[("1:4", IN_LIST), ("1:17", IN_DICT)],
        ),
        // A lexical error ends it as well, and is not told.
        ("[1 2,\u{1}]", &[("1:4", IN_LIST), ("1:8", VALUE)]),
        ("[tRUE]", &[("1:2", "invalid keyword 't'"), ("1:7", VALUE)]),
        ("[1 2,{\"a\":[1,2", &[("1:4", IN_LIST)]),
        ("[[[}]]", &[("1:4", VALUE), ("1:5", VALUE), ("1:6", VALUE)]),
    ]);
}

#[test]
fn the_end_of_the_input_has_a_place() {
    const END: &str = "premature end of input";
    check(&[
        ("[", &[("1:2", END)]),
        ("[ ", &[("1:3", END)]),
        ("[1", &[("1:4", END)]),
        ("[1, ", &[("1:5", END)]),
        ("{\"a\":1", &[("1:8", END)]),
        ("[true", &[("1:7", END)]),
        ("[\"x\"", &[("1:5", END)]),
        ("[1 2", &[("1:4", IN_LIST)]),
        ("[\"", &[("1:2", "stray '\"'")]),
        ("tr", &[("1:1", "invalid keyword 'tr'")]),
    ]);
}

#[test]
fn after_a_limit_the_message_is_skipped() {
    let limits = JsonLimits {
        token_count: 6,
        nesting: 2,
        ..JsonLimits::default()
    };
    for (input, expected) in [
        (
            "[[[1]]] 2 ",
            vec!["!JSON nesting depth limit exceeded", "2"],
        ),
        (
            "[1,2,3,4,[[[5]]]] 6 ",
            vec!["!JSON token count limit exceeded", "6"],
        ),
        ("[1,2,3] 4 ", vec!["!JSON token count limit exceeded", "4"]),
    ] {
        for size in [1, 3, 100] {
            let pieces = input.as_bytes().chunks(size);
            let outcomes = run_in(Dialect::Qemu11, limits, false, pieces);
            assert_eq!(outcomes, expected, "{input} in pieces of {size}");
        }
    }
}

#[test]
fn a_request_that_was_recognised_counts_too() {
    let request = b"\n{\"execute\": \"stop\"}\n ";
    let mut parser = JsonMessageParser::with_dialect(JsonLimits::QEMU, Dialect::Qemu11);
    let len = parser.plain_request(request).unwrap().len;
    parser.pass(&request[..len]);
    let rest = [&request[len..], b"}"].concat();
    let (_, error) = parser.parse(&rest);
    assert_eq!(
        error.unwrap().unwrap_err().desc(),
        "3:2: JSON parse error, expecting value"
    );
    parser.reset();
    let (_, error) = parser.parse(b"}");
    assert!(error.unwrap().unwrap_err().desc().starts_with("1:1: "));
}
