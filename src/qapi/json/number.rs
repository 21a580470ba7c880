//! Numbers, read and written as QEMU does.
//!
//! Reading: an integer is signed if it fits, else unsigned, else a double; so
//! `-0` is the integer 0 and `18446744073709551616` a double. What overflows a
//! double is an infinity.
//!
//! Writing: integers plainly, doubles as C's `%.17g` has them: 17 significant
//! digits, trailing zeros dropped, with an exponent if that is below -4 or
//! above 16. `0.1` becomes `0.10000000000000001`. An infinity prints as `inf`,
//! which is not JSON but is what QEMU sends.

use super::super::qobject::QNum;

/// The number that a numeric token stands for. The token must match the
/// lexer's grammar.
pub(super) fn parse(token: &str) -> QNum {
    let integer = !token.bytes().any(|b| matches!(b, b'.' | b'e' | b'E'));
    if integer {
        if let Ok(value) = token.parse() {
            return QNum::I64(value);
        }
        if let Ok(value) = token.parse() {
            return QNum::U64(value);
        }
    }
    // Rust reads decimals of any length exactly, and too large ones as an
    // infinity, as strtod does.
    QNum::Double(token.parse().unwrap_or(f64::NAN))
}

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The double of `mantissa * 10^exponent` if a single rounding gives it
/// (Clinger's easy case): both factors exact, so the product or quotient is
/// the correctly rounded one.
pub(super) fn exact_double(mantissa: u64, exponent: i32) -> Option<f64> {
    let power = *EXACT_POWERS.get(exponent.unsigned_abs() as usize)?;
    (mantissa < 1 << 53).then(|| {
        if exponent < 0 {
            mantissa as f64 / power
        } else {
            mantissa as f64 * power
        }
    })
}

static PAIRS: &[u8; 200] = b"\
    0001020304050607080910111213141516171819\
    2021222324252627282930313233343536373839\
    4041424344454647484950515253545556575859\
    6061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// Appends a number in decimal, two digits per division.
pub(super) fn write_u64(out: &mut Vec<u8>, mut value: u64) {
    if value < 10 {
        out.push(b'0' + value as u8);
        return;
    }
    let mut digits = [0; 20];
    let mut at = digits.len();
    while value >= 10 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value > 0 {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number in decimal.
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    write_u64(out, value.unsigned_abs());
}

/// Significant digits of `%.17g`.
const PRECISION: usize = 17;

/// Appends a number as `%.17g` prints it.
pub(super) fn write_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_sign_negative() {
        out.push(b'-');
    }
    let value = value.abs();
    if !value.is_finite() {
        out.extend_from_slice(if value.is_nan() { b"nan" } else { b"inf" });
        return;
    }
    // An integer of up to 15 digits needs no decimal arithmetic.
    if value < 1e15 && value.trunc() == value {
        write_u64(out, value as u64);
        return;
    }
    // Rust's digits are those of the exact value, rounded half to even.
    let scientific = format!("{value:.*e}", PRECISION - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: Vec<u8> = mantissa.bytes().filter(|&b| b != b'.').collect();
    let significant = digits.iter().rposition(|&b| b != b'0').map_or(1, |i| i + 1);
    match usize::try_from(exponent) {
        Ok(exponent) if exponent < PRECISION => {
            let integral = exponent + 1;
            out.extend_from_slice(&digits[..integral]);
            if significant > integral {
                out.push(b'.');
                out.extend_from_slice(&digits[integral..significant]);
            }
        }
        Err(_) if exponent >= -4 => {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + (-exponent - 1) as usize, b'0');
            out.extend_from_slice(&digits[..significant]);
        }
        _ => {
            out.push(digits[0]);
            if significant > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..significant]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            write_u64(out, exponent.unsigned_abs().into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn g17(value: f64) -> String {
        text(|out| write_f64(out, value))
    }

    #[test]
    fn doubles_print_as_c_prints_them() {
        // The right column is what printf("%.17g") of glibc prints.
        let rows = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.1, "0.10000000000000001"),
            (0.5, "0.5"),
            (100.0, "100"),
            (0.001, "0.001"),
            (0.0001, "0.0001"),
            (0.00001, "1.0000000000000001e-05"),
            (0.00012345, "0.00012344999999999999"),
            (1e15, "1000000000000000"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e20, "1e+20"),
            (1.5e17, "1.5e+17"),
            (123456789.123, "123456789.123"),
            (12345678901234567890.5, "1.2345678901234567e+19"),
            (9007199254740993.0, "9007199254740992"),
            (99999999999999999.0, "1e+17"),
            (1e100, "1e+100"),
            (-1e-7, "-9.9999999999999995e-08"),
            (3.14159265358979, "3.14159265358979"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
            (5e-324, "4.9406564584124654e-324"),
            // Exact ties at the 18th digit go to the even neighbour.
            (12345678.0009765625, "12345678.000976562"),
            (12345678.0029296875, "12345678.002929688"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, expected) in rows {
            assert_eq!(g17(value), expected);
        }
        assert_eq!(g17(f64::NAN), "nan");
    }

    #[test]
    fn tokens_become_the_smallest_kind_that_holds_them() {
        let rows = [
            ("0", QNum::I64(0)),
            ("-0", QNum::I64(0)),
            ("9223372036854775807", QNum::I64(i64::MAX)),
            ("-9223372036854775808", QNum::I64(i64::MIN)),
            ("9223372036854775808", QNum::U64(1 << 63)),
            ("18446744073709551615", QNum::U64(u64::MAX)),
            ("18446744073709551616", QNum::Double(18446744073709551616.0)),
            ("-9223372036854775809", QNum::Double(-9223372036854775809.0)),
            ("1.0", QNum::Double(1.0)),
            ("1e2", QNum::Double(100.0)),
            ("1E400", QNum::Double(f64::INFINITY)),
            ("-1e400", QNum::Double(f64::NEG_INFINITY)),
            ("1e-400", QNum::Double(0.0)),
        ];
        for (token, number) in rows {
            assert_eq!(parse(token), number, "{token}");
        }
    }

    proptest! {
        #[test]
        fn doubles_survive_the_round_trip(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            let printed = g17(value);
            prop_assert_eq!(printed.parse::<f64>().unwrap().to_bits(), bits, "{}", printed);
        }

        #[test]
        fn integers_print_as_rust_prints_them(u in any::<u64>(), shift in 0..64) {
            let u = u >> shift;
            prop_assert_eq!(text(|out| write_u64(out, u)), u.to_string());
            let i = u as i64;
            prop_assert_eq!(text(|out| write_i64(out, i)), i.to_string());
        }

        #[test]
        fn the_easy_case_of_doubles_is_exact(mantissa in 0..1u64 << 54, exponent in -25..25) {
            if let Some(value) = exact_double(mantissa, exponent) {
                let slow: f64 = format!("{mantissa}e{exponent}").parse().unwrap();
                prop_assert_eq!(value.to_bits(), slow.to_bits());
            }
        }
    }
}
