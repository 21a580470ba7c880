//! Properties that hold for any input.

use super::*;
use crate::qapi::dispatch::qmp_request_check;
use crate::qapi::{MemberOrder, QDict};
use proptest::prelude::*;

/// Pieces of messages and of what goes wrong in them.
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
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    let pieces = || cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]);
    for dialect in [Dialect::Qemu10, Dialect::Qemu11] {
        let expected = run_in(dialect, limits, true, input.chunks(1));
        for lexer_only in [false, true] {
            let run_whole = run_in(dialect, limits, lexer_only, [input]);
            prop_assert_eq!(&run_whole, &expected);
            let run_bytes = run_in(dialect, limits, lexer_only, input.chunks(1));
            prop_assert_eq!(&run_bytes, &expected);
            let run_pieces = run_in(dialect, limits, lexer_only, pieces());
            prop_assert_eq!(&run_pieces, &expected);
        }
    }
    Ok(())
}

/// Pieces of requests and of what goes wrong in them.
fn request_fragment() -> impl Strategy<Value = &'static str> {
    let usual = prop::sample::select(vec![
        "{\"execute\": \"stop\"",
        "{",
        "}",
        ", ",
        ",",
        ": ",
        "\"execute\":",
        "\"execute\": \"stop\"",
        "\"arguments\": {",
        "\"arguments\": {}",
        "\"id\": ",
        "\"id\":1",
        "\"a\": 1",
        "\"b\": \"x\"",
        "\"c\": true",
        "\"d\": -0.5e3",
        " ",
        "\r\n",
    ]);
    let odd = prop::sample::select(vec![
        "\"exec-oob\": \"stop\"",
        "\"extra\": 1",
        "\"e\": []",
        "\"f\": {}",
        "\"\\u0061\": 1",
        "\"execute\": \"st\\u006fp\"",
        "'execute': 'stop'",
        "\"execute\": \"st\u{e9}p\"",
        "\"g\": \"\u{e9}\\n\"",
        "\"id\": [1]",
        "\"id\": 12345678901234567890",
        "nul",
        "null",
        "1",
        "]",
        "\t",
        "\"",
        "\u{1}",
    ]);
    prop_oneof![6 => usual, 1 => odd]
}

/// What the recogniser takes is what the parser takes, and means the same. Returns
/// whether it took anything.
fn check_plain_request(limits: JsonLimits, input: &[u8]) -> Result<bool, TestCaseError> {
    let mut parser = JsonMessageParser::new(limits);
    let Some(plain) = parser.plain_request(input) else {
        return Ok(false);
    };
    let (used, message) = parser.parse(input);
    let behind = &input[used..plain.len];
    prop_assert!(behind.iter().all(u8::is_ascii_whitespace), "at {used}");
    let request = qmp_request_check(message.unwrap().unwrap(), false).unwrap();
    prop_assert_eq!(request.command.as_bytes(), plain.command);
    prop_assert_eq!(
        text(&request.args.into()),
        text(&QDict::from(plain.arguments).into())
    );
    prop_assert_eq!(request.id.as_ref().map(text), plain.id.as_ref().map(text));
    Ok(true)
}

/// Integral doubles come back as integers: texts are compared, not values.
fn text(value: &QObject) -> String {
    qobject_to_json(value, false)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

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
    // Most are not whole: enough that hundreds are plain.
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn fragments_of_requests_are_plain_or_left_alone(
        limits in limits(),
        input in prop::collection::vec(request_fragment(), 1..9),
    ) {
        check_plain_request(limits, input.concat().as_bytes())?;
    }
}

proptest! {
    #[test]
    fn mutated_requests_are_plain_or_left_alone(
        limits in limits(),
        order in Just(["execute", "arguments", "id"]).prop_shuffle(),
        scalars in prop::collection::vec(value(), 0..6),
        mutation in (any::<usize>(), any::<u8>(), 0..4),
    ) {
        let members = |name| match name {
            "execute" => "stop".into(),
            "id" => scalars.first().cloned().unwrap_or(QObject::Null),
            _ => {
                let named = scalars.iter().enumerate().map(|(i, v)| (format!("n{i}"), v.clone()));
                QObject::Dict(named.collect())
            }
        };
        let request: QDict = order.iter().map(|name| (*name, members(*name))).collect();
        let mut input = text(&request.into()).into_bytes();
        let flat = |value: &QObject| !matches!(value, QObject::List(_) | QObject::Dict(_));
        let whole = check_plain_request(JsonLimits::default(), &input)?;
        let infinite = input.windows(3).any(|word| word == b"inf");
        prop_assert_eq!(whole, scalars.iter().all(flat) && !infinite);
        check_plain_request(limits, &input)?;
        let (at, byte, what) = mutation;
        let at = at % input.len();
        match what {
            0 => input.insert(at, byte),
            1 => input[at] = byte,
            2 => input[at] ^= 1 << (byte % 8),
            _ => input.truncate(at),
        }
        check_plain_request(limits, &input)?;
    }

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
    fn many_strings_with_a_bad_byte_among_them(
        strings in prop::collection::vec(r"[a-z ]{0,20}|[é日]{0,20}|(\\n|\\u00e9){0,3}", 0..1500),
        (at, byte) in (any::<usize>(), any::<u8>()),
        cuts in prop::collection::vec(any::<usize>(), 0..2),
    ) {
        // The texts are longer than any look ahead for bad encoding.
        let mut input = format!("['{}']", strings.join("','")).into_bytes();
        let at = at % input.len();
        input[at] = byte;
        check_splits(JsonLimits::default(), &input, &cuts)?;
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
    fn a_prefix_of_a_message_is_unfinished(value in value(), cut in any::<usize>()) {
        let written = qobject_to_json(&QObject::List(vec![value]), false);
        let cut = cut % written.len();
        let (start, rest) = written.as_bytes().split_at(cut);
        let mut parser = JsonMessageParser::default();
        prop_assume!(!written.contains("inf"));
        prop_assert_eq!(parser.parse(start), (cut, None));
        prop_assert!(matches!(parser.parse(rest), (len, Some(Ok(_))) if len == rest.len()));
    }

    #[test]
    fn a_raw_value_is_laid_out_as_if_written(value in value(), pretty in any::<bool>()) {
        let mut direct = JsonWriter::new(pretty);
        let mut raw = JsonWriter::new(pretty);
        for writer in [&mut direct, &mut raw] {
            writer.set_member_order(MemberOrder::Kept);
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
