//! One table of inputs and outcomes, run through every driver: as a whole, byte by
//! byte, in other pieces, and through the lexer alone. Then random input compares
//! the drivers with each other.
//!
//! The outcomes are recorded from qemu-storage-daemon 10.0.2 where it shows them.

use super::*;

mod dialect;
mod properties;
mod table;

/// Feeds pieces to a parser; each outcome is the value in compact form, or the
/// error behind a `!`, with "JSON parse error, " left out.
struct Driver {
    parser: JsonMessageParser,
    lexer_only: bool,
    outcomes: Vec<String>,
}

impl Driver {
    fn new(dialect: Dialect, limits: JsonLimits, lexer_only: bool) -> Self {
        Driver {
            parser: JsonMessageParser::with_dialect(limits, dialect),
            lexer_only,
            outcomes: Vec::new(),
        }
    }

    fn feed(mut self, mut piece: &[u8]) -> Self {
        while !piece.is_empty() {
            let (used, outcome) = if self.lexer_only {
                self.parser.parse_one(piece)
            } else {
                self.parser.parse(piece)
            };
            piece = &piece[used..];
            self.note(outcome);
        }
        self
    }

    fn finish(mut self) -> Vec<String> {
        while let Some(outcome) = self.parser.flush() {
            self.note(Some(outcome));
        }
        assert_eq!(self.parser.buffered(), 0);
        self.outcomes
    }

    fn note(&mut self, outcome: Option<Result<QObject, Error>>) {
        self.outcomes.extend(outcome.map(|outcome| match outcome {
            Ok(value) => qobject_to_json(&value, false),
            Err(error) => format!("!{}", error.desc().replacen("JSON parse error, ", "", 1)),
        }));
    }
}

fn run<'a>(
    limits: JsonLimits,
    lexer_only: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<String> {
    run_in(Dialect::Qemu10, limits, lexer_only, pieces)
}

fn run_in<'a>(
    dialect: Dialect,
    limits: JsonLimits,
    lexer_only: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<String> {
    let driver = Driver::new(dialect, limits, lexer_only);
    pieces.into_iter().fold(driver, Driver::feed).finish()
}

#[track_caller]
fn check_with(limits: JsonLimits, input: &[u8], expected: &[&str]) {
    let shown = String::from_utf8_lossy(input);
    for lexer_only in [false, true] {
        assert_eq!(
            run(limits, lexer_only, [input]),
            expected,
            "whole, lexer only: {lexer_only}, {shown}"
        );
        for size in [1, 2, 3, 7] {
            assert_eq!(
                run(limits, lexer_only, input.chunks(size)),
                expected,
                "pieces of {size}, lexer only: {lexer_only}, {shown}"
            );
        }
    }
}

#[test]
fn parse_errors_are_cut_and_lexical_ones_are_not() {
    let long = "a".repeat(2000);
    let keyword = |n: usize| format!("[{}]", &long[..n]);
    let cut = |quote: &str, n: usize| format!("!invalid keyword '{}{quote}", &long[..n]);
    let check = |input: &str, expected: &str| {
        check_with(JsonLimits::default(), input.as_bytes(), &[expected]);
    };
    check(&keyword(1005), &cut("'", 1005));
    check(&keyword(1006), &cut("", 1006));
    check(&keyword(1007), &cut("", 1006));
    check(&keyword(2000), &cut("", 1006));
    check(&format!("'{long}\x01"), &format!("!stray ''{long}\x01'"));
}

#[test]
fn nesting_up_to_the_limit() {
    let deep = |open: &str, n: usize, close: &str| {
        let text = format!("{}0{}", open.repeat(n), close.repeat(n));
        run(JsonLimits::default(), false, text.as_bytes().chunks(100))
    };
    assert_eq!(deep("[", 1024, "]").len(), 1);
    assert_eq!(deep("{\"a\":", 1024, "}").len(), 1);
    assert_eq!(deep("[{\"a\":", 512, "}]").len(), 1);
    // Parsing starts afresh after the bracket too many: 0, and the closers.
    let outcomes = deep("[", 1025, "]");
    assert_eq!(outcomes[0], "!JSON nesting depth limit exceeded");
    assert_eq!(outcomes[1], "0");
    assert_eq!(outcomes.len(), 2 + 1025);
    // Levels still count after an error in the message.
    let outcomes = deep("[1 ", 1025, "]");
    assert_eq!(outcomes[0], "!JSON nesting depth limit exceeded");
}

#[test]
fn the_token_that_breaks_a_limit_is_dropped_with_the_message() {
    const SIZE: &str = "!JSON token size limit exceeded";
    const COUNT: &str = "!JSON token count limit exceeded";
    let limits = JsonLimits {
        token_size: 10,
        token_count: 6,
        nesting: 2,
    };
    let rows: &[(&str, &[&str])] = &[
        ("[1,2,3]", &[COUNT]),
        ("[1,2,3,4] ", &[COUNT, "4", "!expecting value"]),
        ("[1,22,[]]", &[COUNT, "!expecting value"]),
        ("[1 2,3,4]", &[COUNT, "!expecting value"]),
        // The size limit itself is too much, in one token or several; white space
        // is free.
        ("'1234567'", &["\"1234567\""]),
        ("'12345678'", &[SIZE]),
        ("['12345']", &["[\"12345\"]"]),
        ("['123456']", &[SIZE]),
        ("[          1]", &["[1]"]),
        ("['12345',1]", &[SIZE, "!expecting value"]),
        // The lexer gives up a token once it is longer than the limit, complete or
        // not.
        ("'123456789]'8", &[SIZE, "!stray ''8'"]),
        ("abcdefghijk1 ", &[SIZE, "1"]),
        ("[[]]", &["[[]]"]),
        (
            "[[[]]]",
            &[
                "!JSON nesting depth limit exceeded",
                "!expecting value",
                "!expecting value",
                "!expecting value",
            ],
        ),
        // Both kinds of errors reset the counts.
        ("[1,2@\n[1,2]", &["!stray '@'", "[1, 2]"]),
        (
            "[1 2]['1234']",
            &["!expected separator in list", "[\"1234\"]"],
        ),
    ];
    for (input, expected) in rows {
        check_with(limits, input.as_bytes(), expected);
    }
}

#[test]
fn a_number_of_tokens_up_to_the_limit() {
    let outcomes = |zeros: usize| {
        let text = format!("[[],{}0]", "0,".repeat(zeros));
        run(JsonLimits::default(), false, [text.as_bytes()])
    };
    // `[`, `[]`, `,`, the zeros with their commas, and two more.
    assert_eq!(outcomes((1 << 20) - 3).len(), 1);
    assert_eq!(outcomes((1 << 20) - 3)[0].len(), 3 * (1 << 20) - 9 + 7);
    assert_eq!(
        outcomes((1 << 20) - 2)[0],
        "!JSON token count limit exceeded"
    );
}

#[test]
fn strings_too_long_to_keep_a_buffer_for() {
    let long = "x".repeat(3000);
    for (end, written) in [
        ("", ""),
        ("\u{e9}", "\\u00E9"),
        ("\\n", "\\n"),
        ("\\'", "'"),
    ] {
        let input = format!("['{long}{end}', '{end}{long}']");
        let expected = format!("[\"{long}{written}\", \"{written}{long}\"]");
        check_with(JsonLimits::default(), input.as_bytes(), &[&expected]);
    }
    let bad = format!("['{long}\u{ffff}{long}']");
    let expected = ["!invalid UTF-8 sequence in string"];
    check_with(JsonLimits::default(), bad.as_bytes(), &expected);
    let stray = format!("!stray '\"{long}\x01'");
    check_with(
        JsonLimits::default(),
        &stray.as_bytes()[8..stray.len() - 1],
        &[&stray],
    );
}

#[test]
fn what_is_held_is_counted() {
    let mut parser = JsonMessageParser::default();
    let held = |parser: &mut JsonMessageParser, input: &[u8]| {
        assert_eq!(parser.parse(input).1, None);
        parser.buffered()
    };
    assert_eq!(held(&mut parser, b"  "), 0);
    assert_eq!(held(&mut parser, b"{ 'a' : 1"), 6);
    assert_eq!(held(&mut parser, b"2"), 7);
    assert_eq!(held(&mut parser, b", 'bcd"), 12);
    parser.reset();
    assert_eq!(parser.buffered(), 0);
    assert_eq!(parser.parse(b"[]"), (2, Some(Ok(QObject::List(vec![])))));
    assert!(parser.parse(b"['a\x01").1.is_some());
    assert_eq!(parser.buffered(), 0);
}

#[test]
fn reset_forgets_a_token_an_error_and_recovery() {
    for begun in ["{'a", "[1", "[1 2", "@ ", "tru", "{'a':"] {
        let mut parser = JsonMessageParser::default();
        let mut rest = begun.as_bytes();
        while !rest.is_empty() {
            rest = &rest[parser.parse(rest).0..];
        }
        parser.reset();
        let (used, outcome) = parser.parse(b"'x'");
        assert_eq!((used, outcome), (3, Some(Ok("x".into()))), "{begun}");
        assert_eq!(parser.flush(), None, "{begun}");
    }
}

#[test]
fn a_text_is_exactly_one_value() {
    let rows: &[(&str, Result<&str, &str>)] = &[
        ("{}", Ok("{}")),
        (" 12", Ok("12")),
        ("'a' \n", Ok("\"a\"")),
        ("", Err("Expecting a JSON value")),
        (" ", Err("Expecting a JSON value")),
        ("{} {}", Err("Expecting at most one JSON value")),
        ("{} @", Err("Expecting at most one JSON value")),
        ("{} '", Err("Expecting at most one JSON value")),
        ("1 2", Err("Expecting at most one JSON value")),
        ("{'a':1}}", Err("Expecting at most one JSON value")),
        ("@ {}", Err("JSON parse error, stray '@'")),
        ("nul {}", Err("JSON parse error, invalid keyword 'nul'")),
        ("} }", Err("JSON parse error, expecting value")),
        ("[1", Err("JSON parse error, premature EOI")),
        ("'ab", Err("JSON parse error, stray ''ab'")),
    ];
    for (text, expected) in rows {
        let outcome = qobject_from_json(text.as_bytes());
        match outcome {
            Ok(value) => assert_eq!(
                Ok(qobject_to_json(&value, false).as_str()),
                *expected,
                "{text}"
            ),
            Err(error) => assert_eq!(Err(error.desc()), *expected, "{text}"),
        }
    }
}
