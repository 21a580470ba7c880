//! Times such as `1.5` and `300ms`: a decimal number with an optional fraction and
//! exponent, in seconds; in `ms`, `us` or `ns` where that stands behind it.

use super::cursor::{is_blank, Cursor};

/// Reads a time in seconds (`T` of QEMU's argument types).
///
/// # Errors
/// What is wrong with it.
pub(super) fn seconds(cursor: &mut Cursor<'_>) -> Result<f64, &'static str> {
    let text = cursor.take_while(|byte| !is_blank(byte));
    let text = std::str::from_utf8(text).unwrap_or_default();
    let (number, factor) = [("ms", 1e3), ("us", 1e6), ("ns", 1e9)]
        .into_iter()
        .find_map(|(unit, parts)| Some((text.strip_suffix(unit)?, parts)))
        .unwrap_or((text, 1.0));
    // Words that Rust reads as numbers, infinity among them, are none for people.
    let is_number = number.bytes().any(|byte| byte.is_ascii_digit());
    let value = number.parse::<f64>().ok().filter(|value| value.is_finite());
    match value {
        Some(value) if is_number => Ok(value / factor),
        _ if number
            .bytes()
            .next()
            .is_some_and(|byte| byte.is_ascii_digit()) =>
        {
            Err("unknown unit; a time is in seconds, or has ms, us or ns behind it")
        }
        _ => Err("number expected"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::TestEnv;
    use super::super::{parse_command, ArgKind, HmpArg, HmpRow, HmpTable};
    use super::*;

    fn read(text: &str) -> Result<f64, &'static str> {
        seconds(&mut Cursor::new(text.as_bytes()))
    }

    #[test]
    fn a_time_has_a_fraction_and_a_unit() {
        for (text, value) in [
            ("2", 2.0),
            ("1.5 x", 1.5),
            (".25", 0.25),
            ("-0.5", -0.5),
            ("1e-3", 0.001),
            ("300ms", 0.3),
            ("1.5us", 0.000_001_5),
            ("2ns", 0.000_000_002),
        ] {
            assert_eq!(read(text), Ok(value), "{text}");
        }
        for text in ["5min", "5m", "1.5.2", "0x10", "1e999"] {
            assert!(
                read(text).unwrap_err().starts_with("unknown unit"),
                "{text}"
            );
        }
        for text in ["", "ms", "inf", "nan", "-", ".", "soon"] {
            assert_eq!(read(text), Err("number expected"), "{text}");
        }
    }

    #[test]
    fn sizes_and_times_of_an_embedder_s_row() {
        const ARGS: &[HmpArg] = &[
            HmpArg::new("size", ArgKind::Size),
            HmpArg::new("megs", ArgKind::MiB),
            HmpArg::new("after", ArgKind::Seconds).optional(),
        ];
        let mut table = HmpTable::new();
        table.add(HmpRow::new("heat", "size megs [after]", "").args(ARGS), ());
        let mut env = TestEnv::default();
        let mut parse = |line: &str| parse_command(line.as_bytes(), &table, &mut env);
        let args = parse("heat 1.5k 2 250ms").unwrap().unwrap().args;
        assert_eq!((args.int("size"), args.int("megs")), (1536, 2 << 20));
        assert_eq!(args.number("after"), 0.25);
        let args = parse("heat 1.5G 2").unwrap().unwrap().args;
        assert_eq!(args.try_number("after"), None);
        let error = parse("heat 1 2 soon").unwrap_err();
        let text = "heat: number expected\nTry \"help heat\" for more information\n";
        assert_eq!(error.text, text.as_bytes());
    }
}
