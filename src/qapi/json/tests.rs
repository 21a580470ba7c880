//! One table of inputs and outcomes, run through every driver: as a whole,
//! byte by byte, in other pieces, and by way of the lexer alone. Then the same
//! comparison of the drivers on input that nobody thought of.
//!
//! The outcomes are those of qemu-storage-daemon 10.0.2 where it can be asked.

use super::*;
use proptest::prelude::*;

/// Feeds pieces to a parser; each outcome is the value in compact form, or the
/// error behind a `!`, with "JSON parse error, " left out.
struct Driver {
    parser: JsonMessageParser,
    lexer_only: bool,
    outcomes: Vec<String>,
}

impl Driver {
    fn new(limits: JsonLimits, lexer_only: bool) -> Self {
        Driver {
            parser: JsonMessageParser::new(limits),
            lexer_only,
            outcomes: Vec::new(),
        }
    }

    fn feed(mut self, mut piece: &[u8]) -> Self {
        while !piece.is_empty() {
            let (used, outcome) = match self.lexer_only {
                false => self.parser.parse(piece),
                true => self.parser.parse_one(piece),
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
            Err(error) => format!("!{}", error.desc().trim_start_matches("JSON parse error, ")),
        }));
    }
}

fn run<'a>(
    limits: JsonLimits,
    lexer_only: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<String> {
    let driver = Driver::new(limits, lexer_only);
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

macro_rules! table {
    ($($name:ident: $input:expr => [$($outcome:expr),* $(,)?];)*) => {$(
        #[test]
        fn $name() {
            let input: &[u8] = $input.as_ref();
            check_with(JsonLimits::default(), input, &[$($outcome),*]);
        }
    )*};
}

table! {
    // Where messages end.
    nothing: "" => [];
    white_space: " \t\r\n \n" => [];
    messages_side_by_side: "{}{} []\n1 2\"a\"true" => ["{}", "{}", "[]", "1", "2", "\"a\"", "true"];
    scalars_end_before_the_next_byte: "12[]null{}" => ["12", "[]", "null", "{}"];
    keyword_and_number: "true1" => ["true", "1"];
    lone_closers: "}]" => ["!expecting value", "!expecting value"];
    lone_separators: ",:" => ["!expecting value", "!expecting value"];
    object_closed_by_bracket: r#"{"a":1]{}"# => ["!expected separator in dict", "{}"];
    array_closed_by_brace: "[1}{}" => ["!expected separator in list", "{}"];
    counts_are_kept_apart: "{[}]{}" => ["!expecting value", "{}"];
    closer_too_many: "{}}{}" => ["{}", "!expecting value", "{}"];

    // The end of input.
    end_in_object: r#"{"a":1"# => ["!premature EOI"];
    end_after_error_in_object: "{1" => ["!key is not a string in object"];
    end_in_bad_keyword: r#"{"a":nul"# => ["!invalid keyword 'nul'"];
    end_in_string: "[\"ab" => ["!stray '\"ab'"];
    end_in_escape: "'ab\\" => ["!stray ''ab\\'"];
    end_in_number: "[1." => ["!stray '1.'"];
    end_after_number: "12" => ["12"];
    end_after_keyword: "false" => ["false"];
    end_in_recovery: "@ [" => ["!stray '@'", "!premature EOI"];

    // Errors within a message; the first one counts.
    trailing_comma_in_object: r#"{"a":1,}"# => ["!expecting value"];
    trailing_comma_in_array: "[1,]" => ["!expecting value"];
    leading_comma_in_object: "{,}" => ["!expecting value"];
    leading_comma_in_array: "[,]" => ["!expecting value"];
    two_commas: "[1,,2]" => ["!expecting value"];
    no_comma_in_array: "[1 2]" => ["!expected separator in list"];
    no_comma_in_object: r#"{"a":1 "b":2}"# => ["!expected separator in dict"];
    colon_in_array: r#"["a":1]"# => ["!expected separator in list"];
    no_colon: r#"{"a" 1}"# => ["!missing : in object pair"];
    name_alone: r#"{"a"}"# => ["!missing : in object pair"];
    two_colons: r#"{"a"::1}"# => ["!expecting value"];
    no_value: r#"{"a":}"# => ["!expecting value"];
    no_name: "{:1}" => ["!expecting value"];
    number_for_name: "{1:2}" => ["!key is not a string in object"];
    null_for_name: "{null:2}" => ["!key is not a string in object"];
    array_for_name: "{[1]:2}" => ["!key is not a string in object"];
    object_for_name: r#"{{"a":1}:2}"# => ["!key is not a string in object"];
    bad_keyword_for_name: "{nul:1}" => ["!invalid keyword 'nul'"];
    bad_array_for_name: "{[1 2]:1}" => ["!expected separator in list"];
    bad_object_for_name: r#"{{"a" 1}:1}"# => ["!missing : in object pair"];
    bad_name_before_missing_colon: r#"{"\q" 1}"# => ["!invalid escape sequence in string"];
    missing_colon_before_bad_string: r#"{"a" "\q"}"# => ["!missing : in object pair"];
    bad_keyword: "[nulll,@" => ["!stray '@'"];
    first_error_counts: "{1:nul,[}]]}" => ["!key is not a string in object", "!expecting value", "!expecting value"];
    duplicate: r#"{"a":1,"a":2}"# => ["!duplicate key"];
    duplicate_by_escape: r#"{"a":1,"\u0061":2}"# => ["!duplicate key"];
    duplicate_by_quotes: r#"{"a":1,'a':2}"# => ["!duplicate key"];
    duplicate_nul: r#"{"\u0000":1,"\u0000":2}"# => ["!duplicate key"];
    duplicate_deep: r#"[[{"a":{"b":1,"b":2}}]]"# => ["!duplicate key"];
    duplicate_comes_after_its_value: r#"{"a":1,"a":nul}"# => ["!invalid keyword 'nul'"];
    duplicate_comes_before_the_separator: r#"{"a":1,"a":2 3}"# => ["!duplicate key"];
    duplicate_without_colon: r#"{"a":1,"a" 2}"# => ["!missing : in object pair"];
    no_duplicate: r#"{"a":{"a":1},"b":[{"a":1}]}"# => [r#"{"a": {"a": 1}, "b": [{"a": 1}]}"#];

    // Lexical errors and recovery.
    stray_letter: "Ab{}" => ["!stray 'A'", "{}"];
    stray_upper_case_in_keyword: "tRue\n" => ["!invalid keyword 't'", "!stray 'R'"];
    stray_percent: "[%p]\n" => ["!stray '%'", "!expecting value"];
    stray_drops_the_message: r#"{"a": @ 1, "b": 2}"# => [
        "!stray '@'", "!expecting value", "\"b\"", "!expecting value", "2", "!expecting value"];
    stray_number_takes_the_brace: "{\"a\":1.}{}" => ["!stray '1.}'", "{}"];
    stray_string_by_newline: "{\"ab\n{}" => ["!stray '\"ab\n'", "{}"];
    stray_string_by_tab: "\"a\t{}" => ["!stray '\"a\t'", "{}"];
    stray_string_by_ff: b"'a\xff{}" => ["!stray ''a\u{fffd}'", "{}"];
    stray_escape_by_fe: b"\"ab\\\xfe{}" => ["!stray '\"ab\\\u{fffd}'", "{}"];
    stray_high_byte: b"\xc3\xa9\n{}" => ["!stray '\u{fffd}'", "{}"];
    stray_sequences: b"\"\xe2\x82\xac\xe2\x82\xff" => ["!stray '\"\u{20ac}\u{fffd}\u{fffd}'"];
    stray_nul_ends_the_text: b"\"ab\0" => ["!stray '\"ab'"];
    stray_nul_alone: b"\0" => ["!stray ''"];
    stray_modified_nul_is_shown: b"\"a\xc0\x80b\x01" => ["!stray '\"a\0b\u{1}'"];
    recovery_ends_at_newline: "@ true\ntrue\n" => ["!stray '@'", "true"];
    recovery_passes_tab_and_quotes: "@ \"a\"\t'b' 1 {}" => ["!stray '@'", "{}"];
    recovery_ends_at_comma: "@ a,b " => ["!stray '@'", "!expecting value", "!invalid keyword 'b'"];
    recovery_ends_at_control: "@ a\x01 true\n" => ["!stray '@'", "!stray '\u{1}'"];
    recovery_ends_at_ff: b"@ a\xff true\n" => ["!stray '@'", "!stray '\u{fffd}'"];
    recovery_is_not_ended_by_its_cause: "\"a\n true\ntrue\n" => ["!stray '\"a\n'", "true"];
    recovery_is_not_ended_by_its_brace: "1.} true\n" => ["!stray '1.}'"];
    controls_in_a_row: "\"a\x01\x02" => ["!stray '\"a\u{1}'", "!stray '\u{2}'"];
    form_feed_is_no_space: "\x0c{}" => ["!stray '\u{c}'", "{}"];
    no_comments: "// hi\n{}" => ["!stray '/'", "{}"];
    byte_order_mark: "\u{feff}{}" => ["!stray '\u{fffd}'", "{}"];

    // Numbers.
    integers: "[0,-0,1,-1,10,9223372036854775807,-9223372036854775808]" => [
        "[0, 0, 1, -1, 10, 9223372036854775807, -9223372036854775808]"];
    unsigned: "[9223372036854775808,18446744073709551615]" => [
        "[9223372036854775808, 18446744073709551615]"];
    integers_too_large: "[18446744073709551616,-9223372036854775809]" => [
        "[1.8446744073709552e+19, -9.2233720368547758e+18]"];
    doubles: "[0.0,-0.0,0.1,1e2,1E+2,12.5e-1,1e17,5e-324,0.000001]" => [
        "[0, -0, 0.10000000000000001, 100, 100, 1.25, 1e+17, 4.9406564584124654e-324, 9.9999999999999995e-07]"];
    doubles_of_many_digits: "[1.8446744073709551616000,0.00000000000000000000000012345678901234567890]" => [
        "[1.8446744073709551, 1.2345678901234568e-25]"];
    infinities: "[1e400,-1e400,1e00000000000000000000000000000001,1e-400]" => ["[inf, -inf, 10, 0]"];
    zero_takes_no_exponent: "[0e1]" => ["!expected separator in list"];
    zero_takes_no_upper_case_exponent: "0E5\n" => ["0", "!stray 'E'"];
    zero_takes_no_digit: "-01 00\n00\n" => ["!stray '-01'", "!stray '00'"];
    zero_takes_a_fraction: "0.5e1 " => ["5"];
    minus_alone: "-\n\n-a\n" => ["!stray '-\n'", "!stray '-a'"];
    plus: "+1\n" => ["!stray '+'"];
    half_an_exponent: "1e}\n1e+}\n1.5E-x\n" => ["!stray '1e}'", "!stray '1e+}'", "!stray '1.5E-x'"];
    point_without_digit: "1.x\n1.e5\n.5\n" => ["!stray '1.x'", "!stray '1.e'", "!stray '.'"];
    number_then_letter: "1a 1.5x 1e5E\n" => [
        "1", "!invalid keyword 'a'", "1.5", "!invalid keyword 'x'", "100000", "!stray 'E'"];
    number_then_point: "1.5.5\n" => ["1.5", "!stray '.'"];
    number_then_high_byte: "1\u{e9}\n" => ["1", "!stray '\u{fffd}'"];

    // Strings (more in `string.rs`).
    strings: r#"["", 'it"s', "it's", "\u00e9\/\n", "100%p"]"# => [r#"["", "it\"s", "it's", "\u00E9/\n", "100%p"]"#];
    string_beyond_ascii: "\"aé€𝄞z\u{7f}\"" => [r#""a\u00E9\u20AC\uD834\uDD1Ez\u007F""#];
    string_with_modified_nul: b"\"a\xc0\x80b\"" => [r#""a\u0000b""#];
    string_in_bad_encoding: b"[\"\xc3\",1]" => ["!invalid UTF-8 sequence in string"];
    string_with_noncharacter: "\"\u{ffff}\"" => ["!invalid UTF-8 sequence in string"];
    string_with_bad_escape: r#"["\a"]"# => ["!invalid escape sequence in string"];
    string_with_half_a_pair: r#"["\ud83d"]"# => ["!\\ud83d is not a valid Unicode character"];
    string_with_short_escape: r#"["\u12"]"# => ["!\\u12\" is not a valid Unicode character"];
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
    // What follows the bracket too many is taken afresh: 0, and the closers.
    let outcomes = deep("[", 1025, "]");
    assert_eq!(outcomes[0], "!JSON nesting depth limit exceeded");
    assert_eq!(outcomes[1], "0");
    assert_eq!(outcomes.len(), 2 + 1025);
    // Levels count on after an error in the message.
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
        // Reaching the size is too much, in one token or several; white space is free.
        ("'1234567'", &["\"1234567\""]),
        ("'12345678'", &[SIZE]),
        ("['12345']", &["[\"12345\"]"]),
        ("['123456']", &[SIZE]),
        ("[          1]", &["[1]"]),
        ("['12345',1]", &[SIZE, "!expecting value"]),
        // A token is given up once it is longer than the limit, complete or not.
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
        // Errors of either kind start the count afresh.
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

/// Pieces that messages, and what goes wrong in them, are made of.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let common = prop::sample::select(vec![
        "{", "}", "[", "]", ":", ",", " ", "\n", "\"a\"", "'b'", "\"\"", "1", "-2", "0", "3.5",
        "1e3", "true", "null", "false", "{\"a\":", "\"b\":", "\"c\": ", "[]", "{}", ", ", "],",
        "},",
    ]);
    let odd = prop::sample::select(vec![
        "\"",
        "'",
        "\\",
        "\"\\n\"",
        "\"\\q\"",
        "\"\\u00e9\"",
        "\"\\ud83d\\ude00\"",
        "\"\\ud83d\"",
        "\"\\u1\"",
        "\"é\"",
        "\"日本語\"",
        "\"\u{ffff}\"",
        "-",
        ".",
        "e",
        "E",
        "0e1",
        "00",
        "1.",
        "1e+",
        "-0.0",
        "1e400",
        "18446744073709551615",
        "18446744073709551616",
        "0.1234567890123456789",
        "123456789012345678901.5",
        "nul",
        "nulll",
        "True",
        "@",
        "\t",
        "\x01",
        "\0",
        "\x0c",
        "%",
        "\"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz\"",
        "\"abcdefghijklmnopqrstuvwxyz0123456789abcdefghijkl\\u0020qrstuvwxyz\"",
    ]);
    prop_oneof![
        20 => common.prop_map(Vec::from),
        4 => odd.prop_map(Vec::from),
        1 => prop::collection::vec(any::<u8>(), 1..3),
    ]
}

fn value() -> impl Strategy<Value = QObject> {
    let scalar = prop_oneof![
        Just(QObject::Null),
        any::<bool>().prop_map(QObject::from),
        any::<i64>().prop_map(QObject::from),
        any::<u64>().prop_map(QObject::from),
        // Minus zero prints as `-0`, which is an integer when read.
        any::<f64>().prop_map(|d| QObject::from(if d.is_nan() || d == 0.0 { 0.5 } else { d })),
        ".*".prop_filter("has noncharacters", |s| !s.contains(is_noncharacter))
            .prop_map(QObject::from),
    ];
    scalar.prop_recursive(5, 60, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(QObject::from),
            prop::collection::vec(("[a-z]{0,3}", inner), 0..40)
                .prop_map(|members| QObject::Dict(members.into_iter().collect())),
        ]
    })
}

fn limits() -> impl Strategy<Value = JsonLimits> {
    let small = (0..80usize, 0..30usize, 0..6usize).prop_map(|(size, count, nesting)| JsonLimits {
        token_size: size,
        token_count: count,
        nesting,
    });
    prop_oneof![2 => Just(JsonLimits::default()), 1 => small]
}

/// All drivers must agree with the lexer alone, byte by byte.
fn check_splits(limits: JsonLimits, input: &[u8], cuts: &[usize]) -> Result<(), TestCaseError> {
    let expected = run(limits, true, input.chunks(1));
    prop_assert_eq!(&run(limits, false, [input]), &expected);
    prop_assert_eq!(&run(limits, true, [input]), &expected);
    prop_assert_eq!(&run(limits, false, input.chunks(1)), &expected);
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    let pieces = || cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]);
    prop_assert_eq!(&run(limits, false, pieces()), &expected);
    prop_assert_eq!(&run(limits, true, pieces()), &expected);
    Ok(())
}

/// Integral doubles come back as integers: texts are compared, not values.
fn text(value: &QObject) -> String {
    qobject_to_json(value, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn fragments_in_any_pieces(
        limits in limits(),
        input in prop::collection::vec(fragment(), 0..40),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        check_splits(limits, &input.concat(), &cuts)?;
    }

    #[test]
    fn arbitrary_bytes_in_any_pieces(
        limits in limits(),
        input in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        check_splits(limits, &input, &cuts)?;
    }
}

proptest! {
    #[test]
    fn mutated_messages_in_any_pieces(
        limits in limits(),
        value in value(),
        pretty in any::<bool>(),
        mutations in prop::collection::vec((any::<usize>(), any::<u8>(), 0..3), 0..4),
        cuts in prop::collection::vec(any::<usize>(), 0..6),
    ) {
        let mut input = qobject_to_json(&value, pretty).into_bytes();
        for (at, byte, what) in mutations {
            let at = at % (input.len() + 1);
            match what {
                0 => input.insert(at, byte),
                1 if at < input.len() => input[at] = byte,
                _ => input.truncate(input.len().max(1) - 1),
            }
        }
        check_splits(limits, &input, &cuts)?;
    }

    #[test]
    fn what_is_written_reads_back(value in value(), pretty in any::<bool>()) {
        let written = qobject_to_json(&value, pretty);
        prop_assert!(written.bytes().all(|b| matches!(b, b'\n' | 0x20..=0x7e)));
        prop_assume!(!written.contains("inf"));
        let read = qobject_from_json(written.as_bytes()).unwrap();
        prop_assert_eq!(text(&read), text(&value));
    }

    #[test]
    fn every_prefix_of_a_message_is_unfinished(value in value()) {
        let written = qobject_to_json(&QObject::List(vec![value]), false);
        prop_assume!(!written.contains("inf"));
        for end in 0..written.len() {
            let mut parser = JsonMessageParser::default();
            prop_assert_eq!(parser.parse(&written.as_bytes()[..end]), (end, None));
        }
    }

    #[test]
    fn a_raw_value_is_laid_out_as_if_written(value in value(), pretty in any::<bool>()) {
        let mut direct = JsonWriter::new(pretty);
        let mut raw = JsonWriter::new(pretty);
        for writer in [&mut direct, &mut raw] {
            writer.begin_object();
            writer.key("return");
        }
        direct.qobject(&value);
        raw.raw(text(&value).as_bytes());
        for writer in [&mut direct, &mut raw] {
            writer.key("id");
            writer.null();
            writer.end_object();
        }
        prop_assert_eq!(direct.take(), raw.take());
    }
}
