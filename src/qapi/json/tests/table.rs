//! Inputs and their outcomes; each row is a test of its own. The outcomes are
//! recorded from qemu-storage-daemon 10.0.2 where it shows them.

use super::check_with;
use crate::qapi::json::JsonLimits;

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
