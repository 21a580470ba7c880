//! Scalars written as text, as on command lines.

/// `isspace` in the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t'..='\r')
}

/// Sign and magnitude of an integer the way `strtoull` with base 0 reads it:
/// white space, a sign, then decimal, `0x` hexadecimal or `0` octal digits.
fn parse_integer(text: &str) -> Option<(bool, u64)> {
    let text = text.trim_start_matches(is_space);
    let (negative, text) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, radix) = match text.as_bytes() {
        [b'0', b'x' | b'X', ..] => (&text[2..], 16),
        [b'0', _, ..] => (&text[1..], 8),
        _ => (text, 10),
    };
    // `from_str_radix` would accept a second sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    Some((negative, magnitude))
}

/// A signed integer (`qemu_strtoi64`).
pub(crate) fn parse_i64(text: &str) -> Option<i64> {
    match parse_integer(text)? {
        (false, magnitude) => i64::try_from(magnitude).ok(),
        (true, magnitude) => 0i64.checked_sub_unsigned(magnitude),
    }
}

/// An unsigned integer; negative ones wrap around (`qemu_strtou64`).
pub(crate) fn parse_u64(text: &str) -> Option<u64> {
    match parse_integer(text)? {
        (false, magnitude) => Some(magnitude),
        (true, magnitude) => Some(magnitude.wrapping_neg()),
    }
}

/// A boolean (`qapi_bool_parse`).
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "on" | "yes" | "true" | "y" => Some(true),
        "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

/// A finite number (`qemu_strtod_finite`).
pub(crate) fn parse_number(text: &str) -> Option<f64> {
    let value: f64 = text.trim_start_matches(is_space).parse().ok()?;
    value.is_finite().then_some(value)
}

/// The power of two that a suffix of a size stands for.
fn suffix_shift(suffix: &str) -> Option<u32> {
    Some(match suffix {
        "" | "b" | "B" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        "t" | "T" => 40,
        "p" | "P" => 50,
        "e" | "E" => 60,
        _ => return None,
    })
}

/// Why a text is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeError {
    /// It is not written like one.
    Malformed,
    /// It is 2^64 or more, or has a minus sign, even before a zero.
    OutOfRange,
}

/// A size in bytes (`qemu_strtosz`): decimal with an optional suffix and, if
/// the suffix is above bytes, a fraction; or hexadecimal without either. No
/// octal, no exponent.
pub fn parse_size(text: &str) -> Result<u64, SizeError> {
    let text = text.trim_start_matches(is_space);
    if let Some(text) = text.strip_prefix('-') {
        return Err(match parse_unsigned_size(text) {
            Err(SizeError::Malformed) => SizeError::Malformed,
            _ => SizeError::OutOfRange,
        });
    }
    parse_unsigned_size(text.strip_prefix('+').unwrap_or(text))
}

fn parse_unsigned_size(text: &str) -> Result<u64, SizeError> {
    if let Some(digits) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(SizeError::Malformed);
        }
        return u64::from_str_radix(digits, 16).map_err(|_| SizeError::OutOfRange);
    }
    let (whole, rest) = split_digits(text);
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(rest) => split_digits(rest),
        None => ("", rest),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(SizeError::Malformed);
    }
    let shift = suffix_shift(suffix).ok_or(SizeError::Malformed)?;
    let part = scale_fraction(fraction, shift).ok_or(SizeError::Malformed)?;
    let whole: u64 = match whole {
        "" => 0,
        whole => whole.parse().map_err(|_| SizeError::OutOfRange)?,
    };
    let bytes = (u128::from(whole) << shift) + u128::from(part);
    u64::try_from(bytes).map_err(|_| SizeError::OutOfRange)
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

/// `0.FRACTION` times 2^`shift`, rounded half up.
fn scale_fraction(fraction: &str, shift: u32) -> Option<u64> {
    if fraction.bytes().all(|digit| digit == b'0') {
        return Some(0);
    }
    if shift == 0 {
        return None;
    }
    // 20 digits resolve 2^-61, and times 2^60 they fit in 128 bits.
    let digits = &fraction[..fraction.len().min(20)];
    let value: u128 = digits.parse().ok()?;
    let scale = 10u128.pow(digits.len() as u32);
    u64::try_from(((value << (shift + 1)) / scale).div_ceil(2)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_as_by_strtoull() {
        for (text, want) in [
            ("0", Some(0)),
            ("42", Some(42)),
            (" \t+42", Some(42)),
            ("-1", Some(-1)),
            ("0x1F", Some(31)),
            ("-0X1f", Some(-31)),
            ("010", Some(8)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("", None),
            (" ", None),
            ("-", None),
            ("--1", None),
            ("0x", None),
            ("0x-1", None),
            ("08", None),
            ("1 ", None),
            ("1k", None),
            ("1.0", None),
            ("é", None),
        ] {
            assert_eq!(parse_i64(text), want, "{text:?}");
        }
        assert_eq!(parse_u64("18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64("18446744073709551616"), None);
        assert_eq!(parse_u64("-1"), Some(u64::MAX));
    }

    #[test]
    fn numbers_must_be_finite() {
        for (text, want) in [
            ("1", Some(1.0)),
            (" -1.5e3", Some(-1500.0)),
            (".5", Some(0.5)),
            ("1e400", None),
            ("inf", None),
            ("nan", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(parse_number(text), want, "{text:?}");
        }
    }

    #[test]
    fn sizes_take_suffixes_and_fractions() {
        for (text, want) in [
            ("0", Some(0)),
            ("08", Some(8)),
            ("1b", Some(1)),
            ("1B", Some(1)),
            ("4k", Some(4096)),
            ("1M", Some(1 << 20)),
            ("1.5G", Some(3 << 29)),
            ("1.0", Some(1)),
            ("1.", Some(1)),
            ("0.5", None),
            ("1.5B", None),
            ("0.0005k", Some(1)),
            ("0.0004k", Some(0)),
            ("16E", None),
            ("15E", Some(15 << 60)),
            ("15.99999999999999999999999999E", None),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("0x1b", Some(27)),
            ("0x1k", None),
            ("0x", None),
            ("0x+1", None),
            ("-1", None),
            ("+1", Some(1)),
            (" 1", Some(1)),
            ("1 ", None),
            ("1kB", None),
            ("1e3", None),
            ("k", None),
            (".5k", Some(512)),
            (".", None),
            ("", None),
        ] {
            assert_eq!(parse_size(text).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_size_is_told_apart() {
        use SizeError::{Malformed, OutOfRange};
        for (text, error) in [
            ("-0", OutOfRange),
            ("-1.5k", OutOfRange),
            ("16E", OutOfRange),
            ("18446744073709551616", OutOfRange),
            ("0x10000000000000000", OutOfRange),
            ("-", Malformed),
            ("--1", Malformed),
            ("+-1", Malformed),
            ("- 1", Malformed),
            ("1.5", Malformed),
            ("0x", Malformed),
            ("99999999999999999999x", Malformed),
        ] {
            assert_eq!(parse_size(text), Err(error), "{text:?}");
        }
    }
}
